import { duration, plural, share } from "../../text";
import type { ServerEntry } from "../../types";
import { Foreign, Notice } from "../../ui";
import { href } from "../../route";
import { causeOf, type Summary } from "./ledger";

/** Servers that were not observed completely, the worst first. */
export function incomplete(
  servers: readonly ServerEntry[],
  all: ReadonlyMap<number, Summary>,
): [ServerEntry, Summary][] {
  return servers
    .flatMap((server): [ServerEntry, Summary][] => {
      const summary = all.get(server.server_id);
      return summary?.share !== undefined && summary.share < 1 ? [[server, summary]] : [];
    })
    .sort((a, b) => (a[1].share ?? 0) - (b[1].share ?? 0));
}

/** The observed share of several servers' time; undefined if none of it should have been observed. */
export function observedShare(all: Iterable<Summary>): number | undefined {
  let [expected, observed] = [0, 0];
  for (const summary of all) {
    expected += summary.expected;
    observed += summary.observed;
  }
  return expected > 0 ? observed / expected : undefined;
}

/** Never says 100 % if it is less. */
export const observedText = (value: number | undefined): string =>
  value !== undefined && value < 1 && value > 0.9994 ? "99.9%" : share(value);

const MOST = 3;

/** Says which servers' hits are missing in part, how much of their time, and why. Nothing if all are complete. */
export function Incomplete({
  servers,
  all,
  what,
  words,
}: {
  servers: readonly ServerEntry[];
  all: ReadonlyMap<number, Summary>;
  /** "These totals" */
  what: string;
  /** The time it is about: "last 90 days". */
  words: string;
}) {
  const missing = incomplete(servers, all);
  if (missing.length === 0) return null;
  const others = missing.length - MOST;
  return (
    <Notice tone="warn">
      <strong>{what} may be too low.</strong> In the {words},{" "}
      {missing.slice(0, MOST).map(([server, summary], at) => (
        <span key={server.server_id}>
          {at > 0 && "; "}
          <Foreign text={server.server} /> was observed for {observedText(summary.share)} of its time (
          {summary.causes
            .slice(0, 2)
            .map(([cause, length]) => `${duration(length / 1000)}: ${causeOf(cause).words}`)
            .join(", ")}
          )
        </span>
      ))}
      {others > 0 && `; and ${plural(others, "more server")}`}. <a href={href("health")}>Health</a>
    </Notice>
  );
}
