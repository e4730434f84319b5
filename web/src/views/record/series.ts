// Rates of one record over time: by response code, and by server.
import { list, type Params } from "../../api";
import type { DnsAggregate, DnsRate } from "../../types";
import type { TimeRange } from "../../ui";
import type { ChartSeries } from "../../ui/chart";

const CALL = "monitoring/dns/rps";
/** Codes with a line of their own; the API answers for one at a time. */
const CODES = ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"] as const;
/** Servers with a line of their own: a chart has eight colours, and one is for the others. */
const MOST_SERVERS = 7;
const LIMIT = 10_000;

export type Unit = "rate" | "count";

/** A record over a range in steps. The range begins with a step, so that sums of steps equal sums of the range. */
export interface Asked {
  host: string;
  type: string;
  range: TimeRange;
  step: number;
}

/** For calls; relative ranges begin at a multiple of the step. */
export function limitsOf({ range, step }: Asked): Params {
  const start = range.is === "custom" ? Date.parse(range.date_from) : Date.now() - range.length * 1000;
  const from = Math.floor(start / (step * 1000)) * step * 1000;
  return { date_from: new Date(from).toISOString(), date_to: range.date_to };
}

const recordOf = (asked: Asked): Params => ({ host: asked.host, type: asked.type });

export interface Rates {
  times: number[];
  partial: boolean[];
  /** By response code; the queries come last, as a line of their own. */
  series: ChartSeries[];
  queries: number;
  responses: number;
  /** Responses in the range, by code, the most first. */
  codes: [code: string, hits: number][];
  /** Whether anything was observed. */
  observed: boolean;
}

const valueOf = (row: DnsRate, unit: Unit): number | null => (unit === "rate" ? row.rps : row.hits);
const sumOf = (rows: readonly DnsRate[]): number => rows.reduce((sum, { hits }) => sum + (hits ?? 0), 0);
const isPartial = (row: DnsRate): boolean => !row.open && row.observed_servers < row.servers;

/** Values at the steps of another answer, which may have begun a step earlier or later. */
function aligned(rows: readonly DnsRate[], times: readonly string[], unit: Unit): (number | null)[] {
  const known = new Map(rows.map((row) => [row.time, valueOf(row, unit)]));
  return times.map((time) => known.get(time) ?? null);
}

export async function ratesOf(asked: Asked, unit: Unit, signal: AbortSignal): Promise<Rates> {
  const whole = { ...recordOf(asked), ...limitsOf(asked), step: asked.step, limit: LIMIT };
  const fetch = (more: Params): Promise<DnsRate[]> =>
    list<DnsRate>(CALL, { ...whole, ...more }, signal).then(({ rows }) => rows);
  const [queries = [], responses = [], ...byCode] = await Promise.all([
    fetch({ action: "request" }),
    fetch({ action: "response" }),
    ...CODES.map((rcode) => fetch({ rcode })),
  ]);
  const times = queries.map(({ time }) => time);
  const all = aligned(responses, times, unit);
  const lines = byCode.map((rows) => aligned(rows, times, unit));
  const others = all.map((value, at) =>
    value === null ? null : Math.max(0, value - lines.reduce((sum, line) => sum + (line[at] ?? 0), 0)),
  );
  const sums = byCode.map(sumOf);
  const total = sumOf(responses);
  const rest = Math.max(0, total - sums.reduce((a, b) => a + b, 0));
  const series: ChartSeries[] = CODES.flatMap((label, at) =>
    // Without any response, one line of zeros says so.
    (sums[at] ?? 0) > 0 || (at === 0 && total === 0) ? [{ label, values: lines[at] ?? [] }] : [],
  );
  if (rest > 0) series.push({ label: "Other codes", values: others });
  // A limit is drawn as a line over the stack: what lies above the stack was not answered.
  series.push({ label: "Queries", values: queries.map((row) => valueOf(row, unit)), limit: true });
  const codes = CODES.map((code, at): [string, number] => [code, sums[at] ?? 0]);
  if (rest > 0) codes.push(["Other codes", rest]);
  return {
    times: times.map((time) => Date.parse(time) / 1000),
    partial: queries.map(isPartial),
    series,
    queries: sumOf(queries),
    responses: total,
    codes: codes.filter(([, hits]) => hits > 0).sort((a, b) => b[1] - a[1]),
    observed: queries.some(({ hits }) => hits !== null),
  };
}

export interface ByServer {
  times: number[];
  partial: boolean[];
  series: ChartSeries[];
}

/** Queries by server: the servers with the most, and the others together. */
export async function serverRatesOf(
  asked: Asked,
  totals: readonly DnsAggregate[],
  unit: Unit,
  signal: AbortSignal,
): Promise<ByServer> {
  const sorted = [...totals].sort((a, b) => b.hits - a.hits);
  const top = sorted.slice(0, sorted.length === MOST_SERVERS + 1 ? sorted.length : MOST_SERVERS);
  const server_id = top.flatMap((row) => (row.server_id === undefined ? [] : [row.server_id]));
  const common = { ...recordOf(asked), ...limitsOf(asked), step: asked.step, limit: LIMIT };
  const [{ rows: whole }, { rows }] = await Promise.all([
    list<DnsRate>(CALL, common, signal),
    list<DnsRate>(CALL, { ...common, server_id, by: "server" }, signal),
  ]);
  const times = whole.map(({ time }) => time);
  const series: ChartSeries[] = top.map((row) => ({
    label: row.server ?? String(row.server_id),
    values: aligned(
      rows.filter(({ server_id: id }) => id === row.server_id),
      times,
      unit,
    ),
  }));
  if (sorted.length > top.length)
    series.push({
      label: `${sorted.length - top.length} other servers`,
      values: whole.map((row, at) => {
        const value = valueOf(row, unit);
        const named = series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0);
        return value === null ? null : Math.max(0, value - named);
      }),
    });
  return { times: times.map((time) => Date.parse(time) / 1000), partial: whole.map(isPartial), series };
}
