import { visible } from "../text";

const [WIDTH, HEIGHT] = [96, 24];

/** A small line without axes. Null is a gap. `label` says in words what it shows. */
export function Sparkline({ values, label }: { values: readonly (number | null)[]; label: string }) {
  const top = Math.max(0, ...values.map((value) => value ?? 0));
  const step = WIDTH / Math.max(1, values.length - 1);
  const y = (value: number): number => HEIGHT - 1.5 - (top === 0 ? 0 : (value / top) * (HEIGHT - 3));
  const lines: string[] = [];
  const dots: [number, number][] = [];
  let run: string[] = [];
  const end = (at: number): void => {
    if (run.length === 1) {
      const value = values[at - 1];
      if (value !== null && value !== undefined) dots.push([(at - 1) * step, y(value)]);
    } else if (run.length > 1) lines.push(`M${run.join("L")}`);
    run = [];
  };
  values.forEach((value, at) => {
    if (value === null) end(at);
    else run.push(`${(at * step).toFixed(1)} ${y(value).toFixed(1)}`);
  });
  end(values.length);
  if (lines.length === 0 && dots.length === 0) return <span class="muted small">not observed</span>;
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={visible(label)}>
      <path d={lines.join("")} />
      {dots.map(([cx, cy]) => (
        <circle key={cx} cx={cx} cy={cy} r="1.2" />
      ))}
    </svg>
  );
}
