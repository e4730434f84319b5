// A server's observation as a strip: the more of the time was observed, the higher the bar.
import { duration, moment, visible } from "../../text";
import { observedText } from "./incomplete";
import { causeOf, type Kind, KIND_WORDS, type Run, stripOf, type Summary } from "./ledger";

const HEIGHT = 24;
/** Kinds differ by height as well as by colour. */
const TOP: Record<Kind, number> = { before: 22, pending: 20, observed: 0, partial: 9, gap: 20, lost: 14 };

export const causeWords = (causes: readonly string[]): string =>
  causes.map((cause) => causeOf(cause).words).join(", ");

export function Strip({
  name,
  summary,
  from,
  to,
  cells,
  words,
}: {
  name: string;
  summary: Summary;
  from: number;
  to: number;
  cells: number;
  words: string;
}) {
  const length = (to - from) / cells;
  const at = (cell: number): string => moment(from + cell * length, "minute");
  const about = (run: Run): string =>
    `${at(run.at)} to ${at(run.at + run.cells)}: ${KIND_WORDS[run.kind]}${
      run.causes.length > 0 ? ` (${causeWords(run.causes)})` : ""
    }`;
  const missed = summary.causes.map(([cause, time]) => `${duration(time / 1000)} ${causeOf(cause).words}`);
  return (
    <svg
      class="health-strip"
      viewBox={`0 0 ${cells} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${visible(name)}, ${words}: ${
        summary.share === undefined
          ? "nothing to observe"
          : `observed for ${observedText(summary.share)} of the time`
      }${missed.length > 0 ? `; ${missed.join("; ")}` : ""}`}
    >
      <rect class="health-ground" width={cells} height={HEIGHT} />
      {stripOf(summary.periods, from, to, cells).map((run) => (
        <rect
          key={run.at}
          class={`health-${run.kind}`}
          x={run.at}
          y={TOP[run.kind]}
          width={run.cells}
          height={HEIGHT - TOP[run.kind]}
        >
          <title>{about(run)}</title>
        </rect>
      ))}
    </svg>
  );
}

/** Times below which the strips run. */
export function Axis({ from, to, days }: { from: number; to: number; days: boolean }) {
  const parts = 4;
  return (
    <span class="health-axis" aria-hidden="true">
      {Array.from({ length: parts + 1 }, (_, part) => {
        const time = moment(from + ((to - from) * part) / parts, "minute");
        return <span key={part}>{days ? time.slice(5, 10) : time.slice(11)}</span>;
      })}
    </span>
  );
}

const LEGEND: readonly Kind[] = ["observed", "partial", "lost", "gap"];

export function Legend() {
  return (
    <ul class="health-legend">
      {LEGEND.map((kind) => (
        <li key={kind}>
          <svg viewBox={`0 0 10 ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
            <rect class="health-ground" width="10" height={HEIGHT} />
            <rect class={`health-${kind}`} y={TOP[kind]} width="10" height={HEIGHT - TOP[kind]} />
          </svg>
          {KIND_WORDS[kind]}
        </li>
      ))}
    </ul>
  );
}
