// What the table shows beside the rows of the list: only for the visible page, in a few calls.
import { list, query } from "../../api";
import type { DnsAggregate, DnsRate } from "../../types";
import { exactly } from "./patterns";

export interface Extras {
  /** Requests in each step; null where nothing was observed. */
  spark: (number | null)[];
  /** NXDOMAIN among all responses, from 0 to 1; undefined without responses. */
  missing: number | undefined;
}

export const keyOf = (row: { host?: string; type?: string }): string => `${row.host} ${row.type}`;

/** The API takes addresses of up to 16 KiB. */
const MOST_BYTES = 12_000;

/** Names, each once, in groups that fit an address. */
function groups(rows: readonly DnsAggregate[]): string[][] {
  const all: string[][] = [[]];
  let size = 0;
  for (const host of new Set(rows.map((row) => row.host ?? ""))) {
    const bytes = query({ host: exactly(host) }).length;
    if (size + bytes > MOST_BYTES) {
      all.push([]);
      size = 0;
    }
    size += bytes;
    all.at(-1)?.push(exactly(host));
  }
  return all.filter((hosts) => hosts.length > 0);
}

export async function extrasOf(
  rows: readonly DnsAggregate[],
  asked: { server: string; from: string; to: string; step: number; limited: boolean },
  signal: AbortSignal,
): Promise<Map<string, Extras>> {
  if (rows.length === 0) return new Map();
  const type = [...new Set(rows.map((row) => row.type ?? ""))];
  const range = { date_from: asked.from, date_to: asked.to };
  const common = { server_id: asked.server, limit: 100_000 };
  const totals = asked.limited ? { interval: "all", by: "record", ...range } : {};
  const [whole, ...parts] = await Promise.all([
    list<DnsRate>("monitoring/dns/rps", { ...common, ...range, step: asked.step }, signal),
    ...groups(rows).map((host) =>
      Promise.all([
        list<DnsRate>(
          "monitoring/dns/rps",
          { ...common, ...range, host, type, step: asked.step, by: "record" },
          signal,
        ),
        list<DnsAggregate>(
          "monitoring/dns/aggregate",
          { ...common, ...totals, host, type, rcode: "NXDOMAIN" },
          signal,
        ),
        list<DnsAggregate>(
          "monitoring/dns/aggregate",
          { ...common, ...totals, host, type, action: "response" },
          signal,
        ),
      ]),
    ),
  ]);
  const times = new Map(whole.rows.map(({ time }, at) => [time, at]));
  // A record that is not listed at all had no request; whether the step was observed, the whole says.
  const none = whole.rows.map(({ hits }) => (hits === null ? null : 0));
  const sparks = new Map<string, (number | null)[]>();
  const sums = new Map<string, [missing: number, all: number]>();
  for (const [rates, missing, all] of parts) {
    for (const row of rates.rows) {
      const at = times.get(row.time);
      if (at === undefined) continue;
      let spark = sparks.get(keyOf(row));
      if (!spark) sparks.set(keyOf(row), (spark = [...none]));
      spark[at] = row.hits;
    }
    for (const row of all.rows) sums.set(keyOf(row), [0, row.hits]);
    for (const row of missing.rows) {
      const sum = sums.get(keyOf(row));
      if (sum) sum[0] = row.hits;
    }
  }
  return new Map(
    rows.map((row) => {
      const [missing, all] = sums.get(keyOf(row)) ?? [0, 0];
      return [
        keyOf(row),
        { spark: sparks.get(keyOf(row)) ?? none, missing: all > 0 ? missing / all : undefined },
      ];
    }),
  );
}
