// What the ledger of observation says of a server: which time was observed, and why the rest was not.
import type { ObservationRow, ServerEntry } from "../../types";

/** Worst last, so that a cell of a strip shows the worst of what it covers. */
export const KINDS = ["before", "pending", "observed", "partial", "gap", "lost"] as const;
export type Kind = (typeof KINDS)[number];

export const KIND_WORDS: Record<Kind, string> = {
  before: "not expected",
  pending: "report still due",
  observed: "observed",
  partial: "observed in part",
  gap: "not observed",
  lost: "report lost",
};

interface Cause {
  /** As in "4 min with packets dropped by the kernel". */
  words: string;
  advice: string;
}

const CAUSES: Record<string, Cause> = {
  gap: {
    words: "no report",
    advice:
      "The probe was not running, did not capture, or has not delivered yet. Check the service zonepulse-probe on the machine and its way to the central.",
  },
  evicted: {
    words: "reports discarded from a full spool",
    advice:
      "The probe could not deliver for so long that its spool filled up. Restore the delivery, or raise spool.max_bytes.",
  },
  restored: {
    words: "reports lost since the backup that the central was restored from",
    advice:
      "Probes send again what they still have. What is left is lost: more frequent backups, or a larger spool.max_delivered_bytes, lose less.",
  },
  kernel_drop: {
    words: "packets dropped by the kernel",
    advice: "The probe did not keep up. Raise capture.buffer_bytes, or give the machine more CPU time.",
  },
  interface_drop: {
    words: "packets dropped by the network interface",
    advice: "Check the interface's statistics and the sizes of its receive rings (ethtool -S, ethtool -g).",
  },
  unreadable: {
    words: "packets that could not be read",
    advice: "Check that whole packets are captured, and the kind of link; the coverage has the counters.",
  },
  fragments_lost: {
    words: "IP fragments that never became complete",
    advice: "Look for packet loss on the path, or lower the EDNS buffer size of the DNS server.",
  },
  streams_skipped: {
    words: "TCP streams with missing segments",
    advice: "Look for packet loss; if there are very many connections, raise memory.max_bytes.",
  },
  connections_lost: {
    words: "dnstap connections refused or broken",
    advice: "Check the DNS server's dnstap settings and log, and that only it connects to the socket.",
  },
  folded: {
    words: "names counted together as <other>",
    advice:
      "A flood of names filled the probe's table: sums are right, single records may be too low. Raise memory.max_bytes if it happens often.",
  },
  blind: {
    words: "messages probably not seen",
    advice: "The probe does not capture all ports or addresses of the DNS server; see the server's health.",
  },
  clock: {
    words: "the clock was set",
    advice: "Check time synchronisation on the machine (chrony, systemd-timesyncd).",
  },
};

export const causeOf = (cause: string): Cause =>
  CAUSES[cause] ?? {
    words: cause.replaceAll("_", " "),
    advice: "The coverage of this time has the counters.",
  };

export interface Period {
  /** Milliseconds since 1970. */
  from: number;
  to: number;
  kind: Kind;
  causes: string[];
}

/** The time that a report may need to arrive before its absence counts: two of the longest intervals, milliseconds. */
const DUE_MS = 11 * 60_000;

function kindOf(row: ObservationRow, causes: string[]): Kind {
  if (row.observed) return "observed";
  if (causes.includes("evicted") || causes.includes("restored")) return "lost";
  return causes.length === 0 || causes.includes("gap") ? "gap" : "partial";
}

/** The periods of one server. Time before it was added, and the newest time, are no gaps. */
export function periodsOf(
  rows: readonly ObservationRow[],
  server: Pick<ServerEntry, "created" | "sample">,
  now: number,
): Period[] {
  const created = Date.parse(server.created);
  const periods: Period[] = [];
  for (const row of rows) {
    const causes = row.observed ? [] : (row.why ?? "gap").split(/[\s,]+/).filter(Boolean);
    periods.push({ from: Date.parse(row.from), to: Date.parse(row.to), kind: kindOf(row, causes), causes });
  }
  periods.sort((a, b) => a.from - b.from);
  const isReported = ({ kind }: Period): boolean => kind !== "gap";
  const [first, last] = [periods.findIndex(isReported), periods.findLastIndex(isReported)];
  return periods.flatMap((period, at): Period[] => {
    if (period.kind !== "gap") return [period];
    // A sample has no probe: only the time that its data covers was to be observed.
    if (server.sample)
      return at < first || at > last ? [{ ...period, kind: "before", causes: [] }] : [period];
    const parts: Period[] = [];
    if (at <= first || first < 0) {
      let until = Math.min(period.to, Math.max(period.from, created));
      // A probe needs a moment to start after its server was added.
      if (at < first && period.to - until <= DUE_MS) until = period.to;
      if (until > period.from) parts.push({ from: period.from, to: until, kind: "before", causes: [] });
      period = { ...period, from: until };
    }
    if (period.from >= period.to) return parts;
    const due = at === periods.length - 1 && period.to >= now - DUE_MS && period.to - period.from <= DUE_MS;
    return [...parts, due ? { ...period, kind: "pending", causes: [] } : period];
  });
}

export interface Summary {
  periods: Period[];
  /** Time that should have been observed, milliseconds. */
  expected: number;
  observed: number;
  /** From 0 to 1; undefined if nothing was expected. */
  share: number | undefined;
  /** Milliseconds that were not observed, or only in part, by cause, the longest first. */
  causes: [cause: string, length: number][];
  /** When the newest report ends; undefined if there is none. */
  newest: number | undefined;
}

export function summarize(periods: Period[]): Summary {
  let [expected, observed] = [0, 0];
  const causes = new Map<string, number>();
  let newest: number | undefined;
  for (const { from, to, kind, causes: why } of periods) {
    if (kind === "observed" || kind === "partial") newest = to;
    if (kind === "before" || kind === "pending") continue;
    expected += to - from;
    if (kind === "observed") observed += to - from;
    for (const cause of why) causes.set(cause, (causes.get(cause) ?? 0) + to - from);
  }
  return {
    periods,
    expected,
    observed,
    share: expected > 0 ? observed / expected : undefined,
    causes: [...causes].sort((a, b) => b[1] - a[1]),
    newest,
  };
}

/** Summaries by server. */
export function summaries(
  rows: readonly ObservationRow[],
  servers: readonly ServerEntry[],
  now: number,
): Map<number, Summary> {
  const byServer = new Map<number, ObservationRow[]>();
  for (const row of rows) {
    const known = byServer.get(row.server_id);
    if (known) known.push(row);
    else byServer.set(row.server_id, [row]);
  }
  return new Map(
    servers.map((server) => [
      server.server_id,
      summarize(periodsOf(byServer.get(server.server_id) ?? [], server, now)),
    ]),
  );
}

/** A run of cells of a strip that look alike. */
export interface Run {
  /** The first cell, and how many. */
  at: number;
  cells: number;
  kind: Kind;
  causes: string[];
}

/** A strip of equally long cells. Each has the worst kind of time within it, so that short gaps stay visible. */
export function stripOf(periods: readonly Period[], from: number, to: number, cells: number): Run[] {
  const length = (to - from) / cells;
  const kinds = new Array<number>(cells).fill(-1);
  const causes = Array.from({ length: cells }, () => new Set<string>());
  for (const period of periods) {
    const rank = KINDS.indexOf(period.kind);
    // A period that merely touches a cell because of rounding does not count there.
    const first = Math.max(0, Math.floor((period.from - from) / length + 1e-6));
    const last = Math.min(cells, Math.ceil((period.to - from) / length - 1e-6));
    for (let at = first; at < last; at += 1) {
      kinds[at] = Math.max(kinds[at] ?? -1, rank);
      for (const cause of period.causes) causes[at]?.add(cause);
    }
  }
  const runs: Run[] = [];
  kinds.forEach((rank, at) => {
    const kind = KINDS[rank];
    if (kind === undefined) return;
    const why = [...(causes[at] ?? [])].sort();
    const last = runs.at(-1);
    if (last?.kind === kind && last.at + last.cells === at && last.causes.join() === why.join())
      last.cells += 1;
    else runs.push({ at, cells: 1, kind, causes: why });
  });
  return runs;
}
