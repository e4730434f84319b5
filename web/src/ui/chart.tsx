// Charts over time on uPlot. What was not observed is a gap: never a connecting line, never a zero.
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import UPlot from "uplot";
import { clock, dark } from "../preferences";
import { measure, moment, NONE, zoneName, visible } from "../text";
import { Button } from "./button";
import { csvOf, saveFile } from "./csv";
import { zoomTo } from "./range";

export interface ChartSeries {
  label: string;
  /** One per time; null if it was not observed. */
  values: readonly (number | null)[];
  /** A limit, say, rather than a measurement: never stacked, never filled. */
  limit?: boolean;
}

interface ChartProps {
  title: string;
  /** Starts of the steps in seconds since 1970, ascending and complete: a step that was not observed is there too. */
  times: readonly number[];
  series: readonly ChartSeries[];
  stacked?: boolean;
  /** Ticks at powers of two, for bytes. */
  binary?: boolean;
  /** How a value is written, with its unit. */
  format?: (value: number) => string;
  /** Steps that were observed only in part: their totals are too low. */
  partial?: readonly boolean[];
  height?: number;
  /** Of the title: 3 in a card that has a title of its own. */
  level?: 2 | 3;
  /** What dragging does; by default it changes the range in the address. Null switches it off. */
  onZoom?: ((from: number, to: number) => void) | null;
  /** Charts with the same name share the cursor. */
  sync?: string;
  /** Of the CSV file. */
  name?: string;
}

/** Line patterns, so that series differ without colour too. */
const DASHES: readonly number[][] = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4], [2, 2, 6, 2], [1, 4]];
/** Colours in the style sheet: `--series-1` to `--series-8`. */
const COLOURS = 8;
const MAX_TABLE_ROWS = 2000;
const POWERS_OF_TWO = Array.from({ length: 60 }, (_, power) => 2 ** power);

const styleOf = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const colourOf = (at: number): string => styleOf(`--series-${(at % COLOURS) + 1}`);

/** Sums from below, so that the first series lies at the bottom. A step is a gap if none of it was observed. */
function stack(
  series: readonly ChartSeries[],
  shown: readonly boolean[],
  length: number,
): (number | null)[][] {
  const sums: (number | null)[] = new Array<number | null>(length).fill(null);
  return series.map(({ values, limit }, at) => {
    if (limit) return [...values];
    return sums.map((sum, step) => {
      const value = shown[at] ? (values[step] ?? null) : null;
      const next = value === null ? sum : (sum ?? 0) + value;
      sums[step] = next;
      return next;
    });
  });
}

/** In words what the chart shows: for those who do not see it, and as its caption. */
function summary(series: readonly ChartSeries[], format: (value: number) => string): string {
  const parts = series.map(({ label, values }) => {
    const seen = values.filter((value): value is number => value !== null);
    if (seen.length === 0) return `${label}: not observed`;
    const last = seen.at(-1) ?? 0;
    let [low, high] = [last, last];
    for (const value of seen) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return `${label}: ${format(low)} to ${format(high)}, last ${format(last)}`;
  });
  return parts.join("; ");
}

/** Marks gaps and partly observed steps behind the lines. */
function drawUnobserved(
  plot: UPlot,
  times: readonly number[],
  gaps: boolean[],
  partial?: readonly boolean[],
): void {
  const { ctx, bbox } = plot;
  const step = (times[1] ?? 0) - (times[0] ?? 0);
  if (step <= 0) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const bands = (marks: readonly boolean[], colour: string): void => {
    ctx.fillStyle = colour;
    for (let at = 0; at < times.length; at += 1) {
      if (!marks[at]) continue;
      let end = at;
      while (marks[end + 1]) end += 1;
      const left = plot.valToPos((times[at] ?? 0) - step / 2, "x", true);
      const right = plot.valToPos((times[end] ?? 0) + step / 2, "x", true);
      ctx.fillRect(left, bbox.top, Math.max(1, right - left), bbox.height);
      at = end;
    }
  };
  bands(gaps, styleOf("--chart-gap"));
  if (partial)
    bands(
      partial.map((each, at) => each && !gaps[at]),
      styleOf("--chart-partial"),
    );
  ctx.restore();
}

export function Chart({
  title,
  times,
  series,
  stacked = false,
  binary = false,
  format = measure,
  partial,
  height = 220,
  level = 2,
  onZoom = zoomTo,
  sync,
  name,
}: ChartProps) {
  const id = useId();
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>();
  const [asTable, setAsTable] = useState(false);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [cursor, setCursor] = useState<number | null>(null);
  const zoom = useRef(onZoom);
  zoom.current = onZoom;

  const shown = series.map(({ label }) => !hidden.has(label));
  const gaps = useMemo(
    () => times.map((_, step) => series.every(({ values }) => (values[step] ?? null) === null)),
    [times, series],
  );
  const data = useMemo((): UPlot.AlignedData => {
    const columns = stacked
      ? stack(series, shown, times.length)
      : series.map(({ values }) => values as (number | null)[]);
    return [times as number[], ...columns];
  }, [times, series, stacked, hidden]);
  const isDark = dark.value;
  const utc = clock.value === "utc";
  const shape = series.map(({ label, limit }) => `${label}${limit ? "!" : ""}`).join("\n");
  const drawn = useRef({ times, gaps, partial });
  drawn.current = { times, gaps, partial };

  useEffect(() => {
    const into = frame.current;
    if (!into || asTable) return;
    const axis = { stroke: styleOf("--muted"), font: "12px system-ui, sans-serif", ticks: { show: false } };
    const grid = { stroke: styleOf("--chart-grid"), width: 1 };
    const lines = series.map(({ label, limit }, at): UPlot.Series => {
      const stroke = limit ? styleOf("--text") : colourOf(at);
      return {
        label,
        stroke,
        width: limit ? 1.5 : 2,
        dash: limit ? [4, 4] : DASHES[at % DASHES.length],
        fill: stacked && !limit ? `${stroke}55` : series.length === 1 && !limit ? `${stroke}22` : undefined,
        spanGaps: false,
        show: shown[at],
        // A lone value between gaps would be invisible as a line.
        points: { show: times.length < 60, size: 4, fill: stroke },
      };
    });
    // Later series cover what is below them, so the highest sum is drawn first.
    const made = new UPlot(
      {
        width: into.clientWidth || 600,
        height,
        // Room for half of the last time on the axis.
        padding: [8, 20, 0, 0],
        tzDate: (at) => (utc ? UPlot.tzDate(new Date(at * 1000), "UTC") : new Date(at * 1000)),
        legend: { show: false },
        cursor: {
          drag: { x: zoom.current !== null, y: false, setScale: false },
          points: { size: 7 },
          y: false,
          ...(sync === undefined ? {} : { sync: { key: sync } }),
        },
        scales: {
          x: { time: true },
          y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] },
        },
        axes: [
          { ...axis, grid: { show: false }, values: AXIS_TIMES, space: 70, gap: 9 },
          {
            ...axis,
            grid,
            // As wide as the longest tick.
            size: (_, ticks) =>
              Math.max(44, 18 + 7 * Math.max(0, ...(ticks ?? []).map((tick) => tick.length))),
            ...(binary ? { incrs: POWERS_OF_TWO } : {}),
            values: (_, ticks) => ticks.map((tick) => format(tick)),
          },
        ],
        series: [{}, ...lines],
        bands: stacked
          ? lines.flatMap((_, at) =>
              at > 0 && !series[at]?.limit ? [{ series: [at + 1, at] as [number, number] }] : [],
            )
          : [],
        hooks: {
          drawClear: [
            (self) => drawUnobserved(self, drawn.current.times, drawn.current.gaps, drawn.current.partial),
          ],
          setCursor: [(self) => setCursor(self.cursor.idx ?? null)],
          setSelect: [
            (self) => {
              const { left, width } = self.select;
              if (width < 8) return;
              const [from, to] = [self.posToVal(left, "x"), self.posToVal(left + width, "x")];
              self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              zoom.current?.(from, to);
            },
          ],
        },
      },
      data,
      into,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => {
      if (into.clientWidth > 0) made.setSize({ width: into.clientWidth, height });
    });
    observer.observe(into);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape, stacked, binary, height, isDark, utc, asTable, sync]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    series.forEach((_, at) => {
      if (made.series[at + 1]?.show !== shown[at]) made.setSeries(at + 1, { show: shown[at] });
    });
    made.setData(data);
  }, [data]);

  const words = summary(series, format);
  const save = (): void => {
    const rows = times.map((time, step) => [
      new Date(time * 1000).toISOString(),
      ...series.map(({ values }) => values[step] ?? null),
    ]);
    saveFile(`${name ?? title}.csv`, csvOf(["time", ...series.map(({ label }) => label)], rows));
  };

  return (
    <figure class="chart" aria-labelledby={`${id}-title`}>
      <figcaption>
        {level === 2 ? (
          <h2 id={`${id}-title`}>{visible(title)}</h2>
        ) : (
          <h3 id={`${id}-title`}>{visible(title)}</h3>
        )}
        <span class="chart-cursor muted small">
          {cursor !== null && times[cursor] !== undefined && !asTable
            ? `${moment(times[cursor] * 1000, "minute")} ${zoneName()}`
            : ""}
        </span>
        <span class="chart-tools">
          <Button kind="quiet" icon={asTable ? "chart" : "table"} onClick={() => setAsTable(!asTable)}>
            {asTable ? "Chart" : "Table"}
          </Button>
          <Button kind="quiet" icon="download" onClick={save} aria-label={`${visible(title)} as CSV`}>
            CSV
          </Button>
        </span>
      </figcaption>
      {asTable ? (
        <ChartTable title={title} times={times} series={series} format={format} partial={partial} />
      ) : (
        <>
          <div class="chart-frame" ref={frame} role="img" aria-label={visible(`${title}. ${words}`)} />
          <ul class="legend">
            {series.map(({ label, values, limit }, at) => {
              const step = cursor ?? lastSeen(values);
              const value = step === null ? null : (values[step] ?? null);
              return (
                <li key={label}>
                  <button
                    type="button"
                    aria-pressed={!hidden.has(label)}
                    onClick={() => {
                      const next = new Set(hidden);
                      if (!next.delete(label)) next.add(label);
                      setHidden(next);
                    }}
                  >
                    <Swatch at={at} limit={limit} />
                    <span>{visible(label)}</span>
                    <strong>{value === null ? NONE : format(value)}</strong>
                  </button>
                </li>
              );
            })}
            {gaps.some(Boolean) && (
              <li class="legend-mark">
                <span class="swatch-gap" aria-hidden="true" /> not observed
              </li>
            )}
            {partial?.some((each, at) => each && !gaps[at]) && (
              <li class="legend-mark">
                <span class="swatch-partial" aria-hidden="true" /> observed in part
              </li>
            )}
          </ul>
        </>
      )}
    </figure>
  );
}

function lastSeen(values: readonly (number | null)[]): number | null {
  for (let at = values.length - 1; at >= 0; at -= 1) if (values[at] !== null) return at;
  return null;
}

/** Times on the axis in the 24-hour clock, with the day where it changes. */
const AXIS_TIMES: UPlot.Axis.Values = [
  [86_400, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
];

function Swatch({ at, limit = false }: { at: number; limit?: boolean }) {
  const dash = limit ? [4, 4] : (DASHES[at % DASHES.length] ?? []);
  return (
    <svg
      class={`swatch ${limit ? "limit" : `series-${(at % COLOURS) + 1}`}`}
      viewBox="0 0 24 8"
      aria-hidden="true"
    >
      <line x1="0" y1="4" x2="24" y2="4" stroke-dasharray={dash.join(" ")} />
    </svg>
  );
}

function ChartTable({
  title,
  times,
  series,
  format,
  partial,
}: Required<Pick<ChartProps, "title" | "times" | "series" | "format">> & Pick<ChartProps, "partial">) {
  const from = Math.max(0, times.length - MAX_TABLE_ROWS);
  return (
    <div class="chart-table table-scroll" role="region" aria-label={visible(title)} tabIndex={0}>
      <table>
        <caption class="visually-hidden">{visible(title)}</caption>
        <thead>
          <tr>
            <th scope="col">Time ({zoneName()})</th>
            {series.map(({ label }) => (
              <th scope="col" class="numeric" key={label}>
                {visible(label)}
              </th>
            ))}
            {partial && <th scope="col">Observed</th>}
          </tr>
        </thead>
        <tbody>
          {times.slice(from).map((time, offset) => {
            const step = from + offset;
            const values = series.map((each) => each.values[step] ?? null);
            return (
              <tr key={time}>
                <th scope="row">{moment(time * 1000, "minute")}</th>
                {values.map((value, at) => (
                  <td class="numeric" key={series[at]?.label}>
                    {value === null ? <span class="muted">not observed</span> : format(value)}
                  </td>
                ))}
                {partial && (
                  <td>
                    {values.every((value) => value === null) ? "no" : partial[step] ? "in part" : "yes"}
                  </td>
                )}
              </tr>
            );
          })}
        </tbody>
      </table>
      {from > 0 && <p class="muted small">The last {MAX_TABLE_ROWS} steps; the CSV file has all.</p>}
    </div>
  );
}
