// How many records of each zone have which verdict.
import { list, malformed, type Params, send } from "../../api";
import type { VerdictRow, ZoneEntry } from "../../types";
import { STANDARD_WINDOW, type Verdict, VERDICTS, isVerdict } from "./verdict";

export const CALL = "monitoring/dns/verdicts";

export type Counts = Record<Verdict, number>;

export interface ZoneCounts {
  zone_id: number;
  counts: Counts;
  /** The least observed share of its records' windows; null if not known. */
  observed: number | null;
}

export const noCounts = (): Counts => ({
  never_used: 0,
  unused: 0,
  unobserved: 0,
  new: 0,
  used: 0,
  needed: 0,
  protected: 0,
});

/** How many records a selection has with each verdict. */
export async function countAll(asked: Params, signal: AbortSignal): Promise<Counts> {
  const totals = await Promise.all(
    VERDICTS.map((verdict) =>
      list<VerdictRow>(CALL, { ...asked, verdict, limit: 0 }, signal).then(({ total }) => total),
    ),
  );
  const counts = noCounts();
  VERDICTS.forEach((verdict, at) => {
    counts[verdict] = totals[at] ?? 0;
  });
  return counts;
}

/** More zones than this are counted for the window of 90 days only. */
const MAX_ZONES_COUNTED = 4;

interface Group {
  zone_id: number;
  verdict: string;
  records: number;
  observed: number;
}

const BY_ZONE =
  "select zone_id, verdict, count(*) as records, min(observed_share) as observed from verdicts group by zone_id, verdict";

/** Counts for every zone. The table `verdicts` has them for 90 days; for other windows, each zone takes calls of its own. */
export async function countByZone(
  zones: readonly ZoneEntry[],
  window: string,
  signal: AbortSignal,
): Promise<ZoneCounts[]> {
  if (window === STANDARD_WINDOW) {
    try {
      return grouped(zones, await send<unknown>("POST", "sql", { sql: BY_ZONE }, { signal }));
    } catch (error) {
      if (signal.aborted || !mayCountEach(zones)) throw error;
      // SQL may be busy or switched off.
    }
  }
  return Promise.all(
    zones.map(async ({ zone_id, zone }) => ({
      zone_id,
      counts: await countAll({ zone, not_accessed_for: window }, signal),
      observed: null,
    })),
  );
}

/** Whether there are few enough zones for this window. */
export const isCountable = (zones: readonly ZoneEntry[], window: string): boolean =>
  window === STANDARD_WINDOW || mayCountEach(zones);

/** The calls select zones by apex, so they cannot tell views apart. */
const mayCountEach = (zones: readonly ZoneEntry[]): boolean =>
  zones.length <= MAX_ZONES_COUNTED && new Set(zones.map(({ zone }) => zone)).size === zones.length;

function grouped(zones: readonly ZoneEntry[], rows: unknown): ZoneCounts[] {
  if (!Array.isArray(rows)) throw malformed("The central's answer is not a list of rows.");
  const known = new Map<number, ZoneCounts>(
    zones.map(({ zone_id }) => [zone_id, { zone_id, counts: noCounts(), observed: null }]),
  );
  for (const { zone_id, verdict, records, observed } of rows as Group[]) {
    const zone = known.get(zone_id);
    if (!zone || !isVerdict(verdict)) continue;
    zone.counts[verdict] = records;
    zone.observed = Math.min(zone.observed ?? 1, observed);
  }
  return [...known.values()];
}

/** All of these zones together. */
export function together(zones: readonly ZoneEntry[], counted: readonly ZoneCounts[]): Counts {
  const ids = new Set(zones.map(({ zone_id }) => zone_id));
  const counts = noCounts();
  for (const { zone_id, counts: each } of counted)
    if (ids.has(zone_id)) for (const verdict of VERDICTS) counts[verdict] += each[verdict];
  return counts;
}

export const sum = (counts: Counts, verdicts: readonly Verdict[] = VERDICTS): number =>
  verdicts.reduce((total, verdict) => total + counts[verdict], 0);
