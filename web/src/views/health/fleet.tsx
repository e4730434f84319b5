// The servers: strips of their observation, and how their reports arrive.
import { list } from "../../api";
import { type Query, useQuery } from "../../query";
import { href, hrefWith, oneOf, text } from "../../route";
import { bytes, count, duration, NONE, plural } from "../../text";
import type { HeartbeatRow, ObservationRow, ServerEntry } from "../../types";
import {
  arranged,
  type Column,
  DataTable,
  Empty,
  Foreign,
  LinkButton,
  pageOf,
  type SortKeys,
  State,
  tableState,
  Time,
  type Tone,
} from "../../ui";
import { Health } from "../servers/fleet";
import { When } from "../records/when";
import { observedText } from "./incomplete";
import { causeOf, type Kind, KIND_WORDS, type Period, summaries, type Summary } from "./ledger";
import type { Metrics } from "./prometheus";
import { Axis, causeWords, Legend, Strip } from "./strip";

export const RANGES = {
  "24h": { words: "last 24 hours", length: 86_400_000, cells: 288 },
  "7d": { words: "last 7 days", length: 7 * 86_400_000, cells: 336 },
  "30d": { words: "last 30 days", length: 30 * 86_400_000, cells: 360 },
} as const;
export type RangeName = keyof typeof RANGES;

export const rangeName = (params: URLSearchParams): RangeName =>
  oneOf(params, "range", Object.keys(RANGES) as RangeName[], "24h");

const CALL = "monitoring/dns/observation";
/** Periods of all servers; a server has few unless it loses something all the time. */
const LIMIT = 100_000;

export interface Ledger {
  from: number;
  to: number;
  rows: ObservationRow[];
  /** Whether there are more periods than were fetched. */
  cut: boolean;
}

export const useLedger = (range: RangeName): Query<Ledger> =>
  useQuery(`health ledger ${range}`, async (signal) => {
    const { rows, total } = await list<ObservationRow>(
      CALL,
      { date_from: `-${range}`, limit: LIMIT },
      signal,
    );
    const to = Date.now();
    return { from: to - RANGES[range].length, to, rows, cut: total > rows.length };
  });

interface Row {
  server: ServerEntry;
  heartbeat: HeartbeatRow | undefined;
  summary: Summary;
  discarded: number;
  refused: number;
}

const SORTS: SortKeys<Row> = {
  server: ({ server }) => server.server,
  observed: ({ summary }) => summary.share,
  newest: ({ summary }) => summary.newest ?? 0,
  waiting: ({ heartbeat }) => heartbeat?.spool?.batches,
  lost: ({ discarded, refused }) => discarded + refused,
};

const EMPTY: Summary = {
  periods: [],
  expected: 0,
  observed: 0,
  share: undefined,
  causes: [],
  newest: undefined,
};

const TONES: Record<Kind, Tone> = {
  before: "neutral",
  pending: "neutral",
  observed: "good",
  partial: "warn",
  gap: "bad",
  lost: "bad",
};

function columnsFor({ from, to }: Ledger, range: RangeName): Column<Row>[] {
  const { cells, words } = RANGES[range];
  return [
    {
      id: "server",
      title: "Server",
      sort: "server",
      cell: ({ server, heartbeat }) => (
        <div class="health-server">
          <a href={href(`servers/${server.server_id}`)}>
            <Foreign text={server.server} />
          </a>
          {server.sample ? (
            <span class="muted small">sample data</span>
          ) : (
            heartbeat && (
              <span class="small">
                <Health row={heartbeat} />
              </span>
            )
          )}
        </div>
      ),
    },
    {
      id: "strip",
      title: (
        <>
          <span class="visually-hidden">Observation</span>
          <Axis from={from} to={to} days={range !== "24h"} />
        </>
      ),
      label: "Observation",
      wide: true,
      cell: ({ server, summary }) => (
        <Strip name={server.server} summary={summary} from={from} to={to} cells={cells} words={words} />
      ),
    },
    {
      id: "observed",
      title: "Observed",
      sort: "observed",
      cell: ({ summary }) => (
        <div class="health-observed">
          <strong>{observedText(summary.share)}</strong>
          {summary.causes.slice(0, 1).map(([cause, length]) => (
            <span key={cause} class="muted small">
              {duration(length / 1000)}: {causeOf(cause).words}
              {summary.causes.length > 1 && `, and ${plural(summary.causes.length - 1, "more cause")}`}
            </span>
          ))}
        </div>
      ),
    },
    {
      id: "newest",
      title: "Reported up to",
      sort: "newest",
      cell: ({ summary }) => (
        <When
          at={summary.newest === undefined ? undefined : new Date(summary.newest).toISOString()}
          relative
        />
      ),
    },
    {
      id: "waiting",
      title: "Waiting",
      label: "Waiting at the probe",
      sort: "waiting",
      descends: true,
      numeric: true,
      cell: ({ heartbeat }) => {
        const spool = heartbeat?.spool;
        if (!spool) return <span class="muted">{NONE}</span>;
        return spool.batches === 0 ? (
          <span class="muted">0</span>
        ) : (
          <span class="nowrap">
            {count(spool.batches)} <span class="muted small">{bytes(spool.size_bytes)}</span>
          </span>
        );
      },
    },
    {
      id: "lost",
      title: "Lost, refused",
      sort: "lost",
      descends: true,
      numeric: true,
      cell: ({ discarded, refused }) =>
        discarded + refused === 0 ? (
          <span class="muted">0</span>
        ) : (
          <State tone="warn">
            {count(discarded)}, {count(refused)}
          </State>
        ),
    },
  ];
}

interface Line extends Period {
  server: ServerEntry;
}

const LINES: Column<Line>[] = [
  {
    id: "server",
    title: "Server",
    wide: true,
    cell: ({ server }) => (
      <a href={href(`servers/${server.server_id}`)}>
        <Foreign text={server.server} />
      </a>
    ),
  },
  { id: "from", title: "From", cell: (line) => <Time at={line.from} /> },
  { id: "to", title: "To", cell: (line) => <Time at={line.to} /> },
  { id: "length", title: "Length", numeric: true, cell: (line) => duration((line.to - line.from) / 1000) },
  {
    id: "state",
    title: "State",
    cell: ({ kind }) => (
      <span class="nowrap">
        <State tone={TONES[kind]}>{KIND_WORDS[kind]}</State>
      </span>
    ),
  },
  { id: "cause", title: "Cause", cell: ({ causes }) => causeWords(causes) },
];

export function Fleet({
  params,
  ledger,
  servers,
  heartbeats,
  metrics,
}: {
  params: URLSearchParams;
  ledger: Query<Ledger>;
  servers: Query<{ rows: ServerEntry[] }>;
  heartbeats: readonly HeartbeatRow[];
  metrics: Metrics | undefined;
}) {
  const range = rangeName(params);
  const asTable = text(params, "as") === "table";
  const state = tableState(params, "observed", 25);
  const wanted = text(params, "name").toLowerCase();
  const data = ledger.stale ? undefined : ledger.data;
  const chosen = (servers.data?.rows ?? []).filter(({ server }) => server.toLowerCase().includes(wanted));
  const all = data ? summaries(data.rows, chosen, data.to) : new Map<number, Summary>();
  const beats = new Map(heartbeats.map((row) => [row.server_id, row]));
  const counter = (name: string): Map<string, number> =>
    new Map(
      metrics
        ?.all(`zonepulse_server_batches_${name}_total`)
        .map(({ labels, value }) => [labels.server ?? "", value]),
    );
  const [discarded, refused] = [counter("evicted"), counter("refused")];

  const base = {
    error: servers.error ?? ledger.error,
    loading: ledger.loading || servers.loading,
    slow: ledger.slow || servers.slow,
    stale: false,
    retry: () => {
      ledger.retry();
      servers.retry();
    },
  };
  const ready = data !== undefined && servers.data !== undefined;
  const empty =
    wanted !== "" ? (
      <Empty title="No server's name has this part." />
    ) : (
      <Empty title="There is no server yet.">
        <LinkButton href={href("servers/add")}>Add a server</LinkButton>
      </Empty>
    );
  const tools = (
    <>
      {!asTable && <Legend />}
      <LinkButton
        kind="quiet"
        icon={asTable ? "chart" : "table"}
        href={hrefWith({ as: asTable ? null : "table" })}
      >
        {asTable ? "Strips" : "Table"}
      </LinkButton>
    </>
  );
  const csv = { path: CALL, params: { date_from: `-${range}` }, name: "observation" };
  if (asTable) {
    const lines = chosen.flatMap((server) =>
      (all.get(server.server_id)?.periods ?? []).map((period) => ({ ...period, server })),
    );
    return (
      <DataTable
        caption="Periods of observation"
        query={{ ...base, data: ready ? pageOf(lines, state) : undefined }}
        state={state}
        columns={LINES}
        rowKey={(line) => `${line.server.server_id} ${line.from} ${line.kind}`}
        tools={tools}
        csv={csv}
        empty={empty}
      />
    );
  }
  const unsorted = chosen.map((server): Row => ({
    server,
    heartbeat: beats.get(server.server_id),
    summary: all.get(server.server_id) ?? EMPTY,
    discarded: discarded.get(String(server.server_id)) ?? 0,
    refused: refused.get(String(server.server_id)) ?? 0,
  }));
  const rows = arranged(unsorted, state.sort, SORTS, "observed");
  return (
    <div class="health-strips">
      <DataTable
        caption="Observation of the servers"
        query={{ ...base, data: ready ? pageOf(rows, state) : undefined }}
        state={state}
        columns={data ? columnsFor(data, range) : []}
        rowKey={({ server }) => String(server.server_id)}
        tools={tools}
        csv={csv}
        empty={empty}
      />
    </div>
  );
}
