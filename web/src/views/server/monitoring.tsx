// What a server measured, each chart with a call of its own, so that one that fails takes no other with it.
import { useMemo } from "preact/hooks";
import { list, select } from "../../api";
import { useQuery } from "../../query";
import { oneOf } from "../../route";
import { bytes, measure } from "../../text";
import type { DnsRate, SystemBucket, SystemMetric } from "../../types";
import { Card, Empty, Filters, FilterSelect, intervalOf, Loaded, Range, rangeOf, stepOf } from "../../ui";
import type { TimeRange } from "../../ui";
import { Chart, type ChartSeries } from "../../ui/chart";
import type { PartProps } from "./view";

const SYSTEM = "monitoring/system/aggregate";
const SYNC = "server";
/** More lines than this cannot be told apart; the rest is summed up. */
const MOST_LINES = 6;

/** What a chart can draw and a page can hold: 30 days of 5 minutes. */
export const MOST_STEPS = 9000;

export function TooManySteps() {
  return (
    <Card>
      <Empty title="That is too many steps for a chart.">
        <p>Choose a longer step or a shorter range. The API has everything.</p>
      </Empty>
    </Card>
  );
}

type Statistic = "avg" | "max";

interface Span {
  server: number;
  step: number;
  range: TimeRange;
  statistic: Statistic;
}

interface Drawn {
  times: number[];
  series: ChartSeries[];
  /** Instead of a chart. */
  remark?: string;
  partial?: boolean[];
}

/** Start and end of what is shown, at full steps; seconds. */
function limitsOf({ range, step }: Span): [number, number] {
  const now = Date.now() / 1000;
  const end = range.date_to === "" ? now : Math.min(now, Date.parse(range.date_to) / 1000);
  const start = range.date_from.startsWith("-") ? now - range.length : Date.parse(range.date_from) / 1000;
  return [Math.floor(start / step) * step, end];
}

const isoOf = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** Buckets by metric and label, on a grid of all steps: those without a bucket were not observed. */
class Grid {
  readonly times: number[] = [];
  readonly #values = new Map<string, Map<string, (number | null)[]>>();

  constructor(rows: readonly SystemBucket[], [start, end]: [number, number], { step, statistic }: Span) {
    for (let at = start; at < end; at += step) this.times.push(at);
    for (const row of rows) {
      const at = Math.round((Date.parse(row.time) / 1000 - start) / step);
      if (at < 0 || at >= this.times.length) continue;
      const labels = this.#values.get(row.metric) ?? new Map<string, (number | null)[]>();
      this.#values.set(row.metric, labels);
      const values = labels.get(row.label) ?? this.times.map(() => null);
      labels.set(row.label, values);
      values[at] = row[statistic];
    }
  }

  labels(metric: string): string[] {
    const collator = new Intl.Collator("en", { numeric: true });
    return [...(this.#values.get(metric)?.keys() ?? [])].sort(collator.compare);
  }

  line(metric: string, label = ""): (number | null)[] | undefined {
    return this.#values.get(metric)?.get(label);
  }

  /** A series, if it was ever measured. */
  series(name: string, metric: string, label = "", limit = false): ChartSeries[] {
    const values = this.line(metric, label);
    return values ? [{ label: name, values, limit }] : [];
  }
}

const mean = (values: readonly (number | null)[]): number => {
  const seen = values.filter((value): value is number => value !== null);
  return seen.length === 0 ? 0 : seen.reduce((sum, value) => sum + value, 0) / seen.length;
};

/** The largest series in their order, and the sum of all others. What was always zero is left out. */
function foremost(series: readonly ChartSeries[], most = MOST_LINES): ChartSeries[] {
  const busy = series.filter(({ values }) => values.some((value) => value !== null && value !== 0));
  if (busy.length === 0) return series.slice(0, 1);
  if (busy.length <= most) return busy;
  const ranked = [...busy].sort((a, b) => mean(b.values) - mean(a.values));
  const kept = new Set(ranked.slice(0, most - 1));
  const rest = ranked.slice(most - 1);
  const sum = (rest[0]?.values ?? []).map((_, at) => {
    const seen = rest.map(({ values }) => values[at] ?? null).filter((value) => value !== null);
    return seen.length === 0 ? null : seen.reduce((total, value) => total + value, 0);
  });
  return [...busy.filter((each) => kept.has(each)), { label: `${rest.length} others`, values: sum }];
}

interface Figure {
  id: string;
  title: string;
  metrics: readonly string[];
  labels?: readonly string[];
  /** Only of means: maxima of parts do not add up. */
  stacked?: boolean;
  format: (value: number) => string;
  /** A sentence instead, if there is nothing to draw. */
  draw: (grid: Grid) => ChartSeries[] | string;
  /** Ticks at powers of two. */
  binary?: boolean;
  /** Whether there is no chart at all without data. */
  optional?: boolean;
}

const percent = (value: number): string => `${measure(value)}%`;
const perSecond = (value: number): string => `${bytes(value)}/s`;

/** Cores as lines; of many, only the busiest, the mean and the least busy. */
function cores(grid: Grid): ChartSeries[] {
  const labels = grid.labels("cpu_percent").filter((label) => label !== "total");
  const lines = labels.map((label) => ({
    label: `Core ${label}`,
    values: grid.line("cpu_percent", label) ?? [],
  }));
  if (lines.length <= 8) return lines;
  const over = (name: string, take: (seen: number[]) => number): ChartSeries => ({
    label: name,
    values: grid.times.map((_, at) => {
      const seen = lines.map(({ values }) => values[at] ?? null).filter((value) => value !== null);
      return seen.length === 0 ? null : take(seen);
    }),
  });
  return [
    over("Busiest core", (seen) => Math.max(...seen)),
    over(`Mean of ${lines.length} cores`, (seen) => mean(seen)),
    over("Least busy core", (seen) => Math.min(...seen)),
  ];
}

/** Both directions of every device. */
const directions =
  (metrics: readonly (readonly [string, string])[]) =>
  (grid: Grid): ChartSeries[] =>
    foremost(
      grid
        .labels(metrics[0]?.[0] ?? "")
        .flatMap((device) =>
          metrics.flatMap(([metric, word]) => grid.series(`${device} ${word}`, metric, device)),
        ),
    );

const STATES: Record<string, string> = {
  established: "Established",
  time_wait: "TIME_WAIT",
  close_wait: "CLOSE_WAIT",
  listen: "Listening",
  syn_recv: "SYN received",
  syn_sent: "SYN sent",
  fin_wait_1: "FIN_WAIT_1",
  fin_wait_2: "FIN_WAIT_2",
  last_ack: "LAST_ACK",
  closing: "CLOSING",
};

const FIGURES: readonly Figure[] = [
  {
    id: "cpu",
    title: "CPU",
    metrics: ["cpu_user_percent", "cpu_system_percent", "cpu_iowait_percent"],
    labels: ["total"],
    stacked: true,
    format: percent,
    draw: (grid) => [
      ...grid.series("User", "cpu_user_percent", "total"),
      ...grid.series("System", "cpu_system_percent", "total"),
      ...grid.series("Waiting for disks", "cpu_iowait_percent", "total"),
    ],
  },
  { id: "cores", title: "CPU by core", metrics: ["cpu_percent"], format: percent, draw: cores },
  {
    id: "load",
    title: "Load average",
    metrics: ["load_1m", "load_5m", "load_15m"],
    format: measure,
    draw: (grid) => [
      ...grid.series("1 min", "load_1m"),
      ...grid.series("5 min", "load_5m"),
      ...grid.series("15 min", "load_15m"),
    ],
  },
  {
    id: "memory",
    title: "Memory",
    metrics: ["memory_used_bytes", "memory_total_bytes"],
    format: bytes,
    binary: true,
    stacked: true,
    draw: (grid) => [
      ...grid.series("Used", "memory_used_bytes"),
      ...grid.series("Installed", "memory_total_bytes", "", true),
    ],
  },
  {
    id: "swap",
    title: "Swap",
    metrics: ["swap_used_bytes", "swap_total_bytes"],
    format: bytes,
    binary: true,
    stacked: true,
    draw: (grid) =>
      grid.line("swap_total_bytes")?.every((value) => !value)
        ? "The machine has no swap."
        : [
            ...grid.series("Used", "swap_used_bytes"),
            ...grid.series("Available", "swap_total_bytes", "", true),
          ],
  },
  {
    id: "disks",
    title: "Disk usage",
    metrics: ["disk_used_bytes", "disk_total_bytes"],
    format: percent,
    draw: (grid) => {
      const all = grid.labels("disk_used_bytes").map((mount) => {
        const total = grid.line("disk_total_bytes", mount) ?? [];
        const used = grid.line("disk_used_bytes", mount) ?? [];
        return {
          label: mount,
          values: used.map((value, at) => {
            const whole = total[at] ?? null;
            return value === null || whole === null || whole === 0 ? null : (100 * value) / whole;
          }),
        };
      });
      // Shares do not add up, so those beyond the fullest are left out.
      const shown = [...all].sort((a, b) => mean(b.values) - mean(a.values)).slice(0, MOST_LINES);
      return [
        ...all.filter((each) => shown.includes(each)),
        ...(all.length > 0
          ? [
              {
                label: "Full",
                values: (all[0]?.values ?? []).map((value) => (value === null ? null : 100)),
                limit: true,
              },
            ]
          : []),
      ];
    },
  },
  {
    id: "io",
    title: "Disk throughput",
    metrics: ["disk_read_bytes_per_s", "disk_written_bytes_per_s"],
    format: perSecond,
    binary: true,
    draw: directions([
      ["disk_read_bytes_per_s", "read"],
      ["disk_written_bytes_per_s", "written"],
    ]),
  },
  {
    id: "network",
    title: "Network",
    metrics: ["network_received_bytes_per_s", "network_sent_bytes_per_s"],
    format: perSecond,
    binary: true,
    draw: directions([
      ["network_received_bytes_per_s", "in"],
      ["network_sent_bytes_per_s", "out"],
    ]),
  },
  {
    id: "tcp",
    title: "TCP connections by state",
    metrics: ["tcp_connections"],
    format: measure,
    stacked: true,
    draw: (grid) =>
      foremost(
        grid
          .labels("tcp_connections")
          .flatMap((state) => grid.series(STATES[state] ?? state, "tcp_connections", state))
          .sort((a, b) => mean(b.values) - mean(a.values)),
        8,
      ),
  },
  {
    id: "sockets",
    title: "UDP sockets and processes",
    metrics: ["udp_sockets", "processes"],
    format: measure,
    draw: (grid) => [...grid.series("UDP sockets", "udp_sockets"), ...grid.series("Processes", "processes")],
  },
  {
    id: "probe-cpu",
    title: "CPU of the probe, of one core",
    metrics: ["probe_cpu_percent"],
    format: percent,
    draw: (grid) => grid.series("Probe", "probe_cpu_percent"),
  },
  {
    id: "probe-memory",
    title: "Memory of the probe",
    metrics: ["probe_memory_bytes"],
    format: bytes,
    binary: true,
    draw: (grid) => grid.series("Probe", "probe_memory_bytes"),
  },
];

/** Metrics of the machine that no chart needs. */
const UNCHARTED = ["disk_free_bytes", "memory_available_bytes", "uptime_s"];
const KNOWN = new Set([...FIGURES.flatMap(({ metrics }) => metrics), ...UNCHARTED]);

const UNITS: readonly (readonly [string, (value: number) => string])[] = [
  ["_bytes_per_s", perSecond],
  ["_bytes", bytes],
  ["_percent", percent],
  ["_per_s", (value) => `${measure(value)}/s`],
];

const ACRONYMS: Record<string, string> = { edns: "EDNS", nodata: "NODATA", rrl: "RRL", xdp: "XDP" };
const SERVICES: Record<string, string> = { dhcp4: "DHCPv4: ", dhcp6: "DHCPv6: ", knot: "Knot DNS: " };

/** A chart of a metric that this page knows nothing of but its name, which ends in the unit. */
export function figureOf(metric: string): Figure {
  const [unit, format] = UNITS.find(([ending]) => metric.endsWith(ending)) ?? ["", measure];
  const [first = "", ...rest] = metric
    .replace(/_(bytes|percent|per_s)$/, "")
    .split("_")
    .map((word) => (Object.hasOwn(ACRONYMS, word) ? (ACRONYMS[word] ?? word) : word));
  const service = Object.hasOwn(SERVICES, first) ? SERVICES[first] : undefined;
  const words = service === undefined ? [first, ...rest].join(" ") : rest.join(" ");
  const title = `${service ?? ""}${words.charAt(0).toUpperCase()}${words.slice(1)}`;
  return {
    id: metric,
    title,
    metrics: [metric],
    format,
    binary: unit.startsWith("_bytes"),
    optional: true,
    draw: (grid) =>
      foremost(
        grid.labels(metric).flatMap((label) => grid.series(label === "" ? title : label, metric, label)),
      ),
  };
}

/** Charts of all other metrics that the server has, such as those of services. */
function OtherCharts({ span, name }: { span: Span; name: string }) {
  const query = useQuery("system metrics", (signal) =>
    list<SystemMetric>("monitoring/system/metrics", { limit: 100_000 }, signal),
  );
  if (query.data === undefined)
    return query.error === undefined ? null : (
      <Card>
        <h2>Other metrics</h2>
        <Loaded query={query}>{() => null}</Loaded>
      </Card>
    );
  const others = new Set(query.data.rows.map(({ metric }) => metric).filter((metric) => !KNOWN.has(metric)));
  return (
    <>
      {[...others].sort().map((metric) => (
        <SystemChart key={metric} figure={figureOf(metric)} span={span} name={name} />
      ))}
    </>
  );
}

function SystemChart({ figure, span, name }: { figure: Figure; span: Span; name: string }) {
  const { server, step, range, statistic } = span;
  const key = `${SYSTEM} ${server} ${figure.id} ${step} ${range.key} ${statistic}`;
  const query = useQuery(key, async (signal): Promise<Drawn> => {
    const limits = limitsOf(span);
    const { rows } = await list<SystemBucket>(
      SYSTEM,
      {
        server_id: server,
        metric: figure.metrics,
        label: figure.labels ?? [],
        interval: intervalOf(step),
        date_from: isoOf(limits[0]),
        date_to: range.date_to,
        limit: 100_000,
      },
      signal,
    );
    const grid = new Grid(rows, limits, span);
    const drawn = rows.length === 0 ? [] : figure.draw(grid);
    return typeof drawn === "string"
      ? { times: grid.times, series: [], remark: drawn }
      : { times: grid.times, series: drawn };
  });
  if (figure.optional && !query.error && (query.data?.series.length ?? 0) === 0) return null;
  return (
    <Card>
      {query.data === undefined && <h2>{figure.title}</h2>}
      <Loaded query={query}>
        {({ times, series, remark }) =>
          series.length === 0 ? (
            <Unobserved title={figure.title} remark={remark} />
          ) : (
            <Chart
              title={figure.title}
              times={times}
              series={series}
              stacked={
                figure.stacked === true &&
                (statistic === "avg" || series.every((each, at) => at === 0 || each.limit))
              }
              format={figure.format}
              binary={figure.binary}
              sync={SYNC}
              height={190}
              name={`${name} ${figure.title}`}
            />
          )
        }
      </Loaded>
    </Card>
  );
}

function Unobserved({
  title,
  remark = "Nothing was observed in this range.",
}: {
  title: string;
  remark?: string;
}) {
  return (
    <div>
      <h2>{title}</h2>
      <Empty title={remark} />
    </div>
  );
}

async function fetchRates({ server, step, range }: Span, signal: AbortSignal): Promise<DnsRate[]> {
  const asked = { server_id: server, by: "action", step, date_from: range.date_from, date_to: range.date_to };
  return (await list<DnsRate>("monitoring/dns/rps", { ...asked, limit: 100_000 }, signal)).rows;
}

interface DnsRates extends Drawn {
  /** Seconds that were observed of each step: what hits are divided by. */
  seconds: number[];
}

function ratesOf(rows: readonly DnsRate[], step: number): DnsRates {
  const byTime = new Map<
    number,
    { request: number | null; response: number | null; partial: boolean; seconds: number }
  >();
  for (const row of rows) {
    const time = Date.parse(row.time) / 1000;
    const found = byTime.get(time) ?? { request: null, response: null, partial: false, seconds: step };
    found[row.action ?? "request"] = row.rps;
    found.partial = !row.open && row.observed_servers < row.servers;
    if (row.rps && row.hits) found.seconds = row.hits / row.rps;
    byTime.set(time, found);
  }
  const steps = [...byTime.values()];
  return {
    times: [...byTime.keys()],
    partial: steps.map(({ partial }) => partial),
    seconds: steps.map(({ seconds }) => seconds),
    series: [
      { label: "Requests", values: steps.map(({ request }) => request) },
      { label: "Responses", values: steps.map(({ response }) => response) },
    ],
  };
}

interface CodeRow {
  time: string;
  rcode: string | null;
  hits: number;
}

const TABLES: Record<number, string> = { 300: "dns_5m", 900: "dns_15m", 1800: "dns_30m", 3600: "dns_1h" };

/** Responses by code. The fixed calls cannot group by code, so this is a statement, of numbers and times only. */
async function fetchCodes(span: Span, signal: AbortSignal): Promise<CodeRow[]> {
  const [start] = limitsOf(span);
  const end =
    span.range.date_to === ""
      ? ""
      : ` AND time < TIMESTAMP '${isoOf(Date.parse(span.range.date_to) / 1000)}'`;
  const sql =
    `SELECT time, rcode, sum(hits) AS hits FROM ${TABLES[span.step] ?? "dns_1h"} ` +
    `WHERE server_id = ${span.server} AND action = 'response' AND time >= TIMESTAMP '${isoOf(start)}'${end} ` +
    "GROUP BY time, rcode ORDER BY time";
  return select<CodeRow>(sql, signal);
}

const CODE_ORDER = ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"];

function codesOf(rows: readonly CodeRow[], { times, series, seconds }: DnsRates): ChartSeries[] {
  const observed = series.map(({ values }) => values);
  const places = new Map(times.map((time, at) => [time, at]));
  const lines = new Map<string, (number | null)[]>();
  for (const { time, rcode, hits } of rows) {
    const at = places.get(Date.parse(time) / 1000);
    if (at === undefined) continue;
    const code = rcode ?? "unknown";
    const values =
      lines.get(code) ?? times.map((_, step) => (observed.every((line) => line[step] === null) ? null : 0));
    lines.set(code, values);
    if (values[at] !== null) values[at] = hits / (seconds[at] ?? 1);
  }
  const rank = (code: string): number =>
    CODE_ORDER.includes(code) ? CODE_ORDER.indexOf(code) : CODE_ORDER.length;
  const sorted = [...lines].sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
  return foremost(
    sorted.map(([label, values]) => ({ label, values })),
    8,
  );
}

function DnsCharts({ span, name }: { span: Span; name: string }) {
  const { server, step, range } = span;
  const key = `${server} ${step} ${range.key}`;
  const rates = useQuery(`server rates ${key}`, (signal) => fetchRates(span, signal));
  const codes = useQuery(`server codes ${key}`, (signal) => fetchCodes(span, signal));
  const drawn = useMemo(() => ratesOf(rates.data ?? [], step), [rates.data, step]);
  const empty = drawn.series.every(({ values }) => values.every((value) => value === null));
  const byCode = useMemo(() => codesOf(codes.data ?? [], drawn), [codes.data, drawn]);
  const common = { times: drawn.times, sync: SYNC, height: 190, partial: drawn.partial };
  const format = (value: number): string => `${measure(value)}/s`;
  return (
    <>
      <Card>
        {rates.data === undefined && <h2>DNS requests and responses</h2>}
        <Loaded query={rates}>
          {() =>
            empty ? (
              <Unobserved title="DNS requests and responses" />
            ) : (
              <Chart
                {...common}
                title="DNS requests and responses"
                series={drawn.series}
                format={format}
                name={`${name} DNS`}
              />
            )
          }
        </Loaded>
      </Card>
      <Card>
        {codes.data === undefined && <h2>Responses by code</h2>}
        <Loaded query={codes}>
          {() =>
            empty || byCode.length === 0 ? (
              <Unobserved title="Responses by code" />
            ) : (
              <Chart
                {...common}
                title="Responses by code"
                series={byCode}
                stacked
                format={format}
                name={`${name} response codes`}
              />
            )
          }
        </Loaded>
      </Card>
    </>
  );
}

export function Monitoring({ server, name, params }: PartProps) {
  const range = rangeOf(params, "24h");
  const statistic = oneOf(params, "value", ["avg", "max"] as const, "avg");
  const span: Span = { server, step: stepOf(params, range), range, statistic };
  const file = name || `server ${server}`;
  const tooMany = range.length / span.step > MOST_STEPS;
  return (
    <div class="stack">
      <Filters reset={["range", "from", "to", "step", "value"]}>
        <Range steps />
        <FilterSelect
          name="value"
          label="Values"
          choices={[
            ["", "Mean"],
            ["max", "Maximum"],
          ]}
        />
      </Filters>
      {tooMany ? (
        <TooManySteps />
      ) : (
        <>
          <p class="muted small">Drag across a chart to look closer. Shaded steps were not observed.</p>
          <div class="grid server-charts">
            <DnsCharts span={span} name={file} />
            {FIGURES.map((figure) => (
              <SystemChart key={figure.id} figure={figure} span={span} name={file} />
            ))}
            <OtherCharts span={span} name={file} />
          </div>
        </>
      )}
    </div>
  );
}
