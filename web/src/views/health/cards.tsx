// The central's own state, from its metrics.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { asApiError, list, select, send } from "../../api";
import { invalidate, useQuery } from "../../query";
import { may } from "../../session";
import { brief, bytes, count, duration, measure, NONE, plural, visible } from "../../text";
import type { GlobalAnswer, ServerEntry } from "../../types";
import { Button, Card, Foreign, Notice, SaveRows, State, Table, Time, toast } from "../../ui";
import { RANGES, type RangeName } from "./fleet";
import { causeOf, type Summary } from "./ledger";
import type { Metrics } from "./prometheus";
import { refusalsOf } from "./refusals";

function Facts({ rows }: { rows: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts health-facts">
      {rows.map(([name, value]) => (
        <>
          <dt key={name}>{name}</dt>
          <dd key={`${name}.`}>{value}</dd>
        </>
      ))}
    </dl>
  );
}

/** Names of labels do not matter here. */
const Z = "zonepulse_";

/** What the list of backups says of one. */
interface BackupRow {
  backup_id: string;
  state: "running" | "complete" | "damaged" | "failed";
  time: string;
  kind: string | null;
  size_bytes: number | null;
  new_bytes: number | null;
  done_bytes: number | null;
  total_bytes: number | null;
  destination: string;
  error: string | null;
}

const BACKUP_STATES: Record<BackupRow["state"], readonly ["good" | "info" | "bad", string]> = {
  running: ["info", "Being made"],
  complete: ["good", "Complete"],
  damaged: ["bad", "Damaged"],
  failed: ["bad", "Failed"],
};

/** How many backups are shown. */
const BACKUPS_SHOWN = 5;

export function Backups() {
  const query = useQuery("backups", (signal) => list<BackupRow>("backups", { limit: 50 }, signal), {
    enabled: may("administrator"),
  });
  const [busy, setBusy] = useState(false);
  if (!may("administrator")) return null;
  const rows = query.data?.rows ?? [];
  const start = async (): Promise<void> => {
    setBusy(true);
    try {
      const { backup_id } = await send<{ backup_id: string }>("POST", "backups");
      toast(`Backup ${backup_id} was started`);
      invalidate();
    } catch (error) {
      toast(asApiError(error).message, "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card title="Backups" note={rows[0] ? visible(rows[0].destination) : undefined}>
      {query.error && <Notice tone="bad">{query.error.message}</Notice>}
      {query.data && rows.length === 0 && <p class="muted">There are no backups.</p>}
      <ul class="health-checks">
        {rows.slice(0, BACKUPS_SHOWN).map((row) => {
          const [tone, words] = BACKUP_STATES[row.state];
          return (
            <li key={row.backup_id}>
              <State tone={tone}>{words}</State> <Time at={row.time} />{" "}
              <span class="muted">
                {row.state === "running"
                  ? `${bytes(row.done_bytes)} of ${bytes(row.total_bytes)}`
                  : row.kind && `${row.kind}, ${bytes(row.size_bytes)}, ${bytes(row.new_bytes)} new`}
                {row.error && <Foreign text={row.error} />}
              </span>
            </li>
          );
        })}
      </ul>
      <Button busy={busy} doing="Starting" onClick={() => void start()}>
        Back up now
      </Button>
    </Card>
  );
}

export function Central({ metrics, problems }: { metrics: Metrics; problems: readonly string[] }) {
  const free = metrics.sum(`${Z}disk_free_bytes`);
  const needed = metrics.sum(`${Z}disk_min_free_bytes`);
  const writes = metrics.sum(`${Z}committer_running`);
  const consuming = metrics.sum(`${Z}rabbitmq_consuming`);
  const hasRoom = (free ?? 0) >= (needed ?? 0);
  return (
    <Card title="Readiness" note="what /readyz says">
      <ul class="health-checks">
        {problems.length > 0 && (
          <li>
            <State tone="bad">Not ready</State>
            <ul>
              {problems.map((problem) => (
                <li key={problem}>
                  <Foreign text={problem} />
                </li>
              ))}
            </ul>
          </li>
        )}
        {problems.length === 0 && (
          <li>
            <State tone="good">Ready: the store answers</State>
          </li>
        )}
        <li>
          <State tone={hasRoom ? "good" : "bad"}>
            {hasRoom ? "The disk has room" : "The disk is nearly full"}
          </State>{" "}
          <span class="muted">
            {bytes(free)} free, {bytes(needed)} needed
          </span>
        </li>
        <li>
          <State tone={writes === 0 ? "bad" : "good"}>
            {writes === 0 ? "Batches cannot be written" : "Batches can be written"}
          </State>
        </li>
        <li>
          {consuming === undefined ? (
            <span class="muted">No broker is configured.</span>
          ) : (
            <State tone={consuming > 0 ? "good" : "bad"}>
              {consuming > 0 ? "The broker's queue is consumed" : "The broker's queue is not consumed"}
            </State>
          )}
        </li>
      </ul>
    </Card>
  );
}

export function Ingest({ metrics }: { metrics: Metrics }) {
  const total = (name: string): number | undefined => metrics.sum(`${Z}${name}_total`);
  const [commits, seconds] = [total("commits"), total("commit_seconds")];
  return (
    <Card title="Ingest" note="since the central started">
      <Facts
        rows={[
          [
            "Written",
            `${count(total("batches_committed"))} batches, ${brief(total("points"))} points, ${bytes(total("batches_received_bytes"))}`,
          ],
          ["Received again", `${count(total("batches_duplicate"))}, without effect`],
          ["Postponed", count(total("batches_postponed"))],
          ["Refused", count(total("batches_refused"))],
          ["Mean time of a write", commits ? `${measure(((seconds ?? 0) / commits) * 1000)} ms` : NONE],
          [
            "On the way in now",
            `${count(metrics.sum(`${Z}ingest_queue_batches`))} of ${count(metrics.sum(`${Z}ingest_queue_limit_batches`))} batches`,
          ],
          [
            "Being received now",
            `${bytes(metrics.sum(`${Z}batches_pending_bytes`))} of ${bytes(metrics.sum(`${Z}batches_pending_limit_bytes`))}`,
          ],
        ]}
      />
    </Card>
  );
}

export function Store({ metrics, settings }: { metrics: Metrics; settings: GlobalAnswer | undefined }) {
  const kept = settings?.effective_settings;
  const hidden = (
    <span class="muted">{may("server_read") ? NONE : "only for those who may read servers"}</span>
  );
  const failures = metrics.sum(`${Z}store_upkeep_failures_total`);
  return (
    <Card title="Store and retention">
      <Facts
        rows={[
          ["Size", `${bytes(metrics.sum(`${Z}store_size_bytes`))}, without the write-ahead log`],
          ["Free on its disk", bytes(metrics.sum(`${Z}disk_free_bytes`))],
          ["Records", count(metrics.sum(`${Z}store_records`))],
          ["Series of metrics", count(metrics.sum(`${Z}store_series`))],
          ["Hours not sealed", count(metrics.sum(`${Z}store_open_hours`))],
          [
            "Failures of upkeep",
            failures ? <State tone="warn">{count(failures)}: see the log</State> : count(failures),
          ],
          ["Raw points kept", kept ? duration(kept.raw_retention_minutes * 60) : hidden],
          ["Aggregates kept", kept ? plural(kept.aggregated_retention_days, "day") : hidden],
          ["Totals and observation", "kept for ever"],
        ]}
      />
    </Card>
  );
}

export function Transport({ metrics }: { metrics: Metrics }) {
  const pull = (state: string): number => metrics.sum(`${Z}pull_servers`, { state }) ?? 0;
  const consuming = metrics.sum(`${Z}rabbitmq_consuming`);
  const refused = metrics.sum(`${Z}rabbitmq_messages_refused_total`);
  const failing = pull("failing");
  const pulled = pull("pulled");
  const unprotected = metrics.sum(`${Z}rabbitmq_queues_unprotected`);
  return (
    <Card title="Broker and pull">
      <Facts
        rows={[
          [
            "Broker",
            consuming === undefined ? (
              <span class="muted">not configured</span>
            ) : (
              <State tone={consuming > 0 ? "good" : "bad"}>
                {consuming > 0 ? "consuming" : "not consuming"}
              </State>
            ),
          ],
          ...(consuming === undefined
            ? []
            : ([
                ["Connections so far", count(metrics.sum(`${Z}rabbitmq_connections_total`))],
                ["Ended by the broker", count(metrics.sum(`${Z}rabbitmq_consumers_cancelled_total`))],
                ["Messages refused", count(refused)],
                ...(unprotected ? ([["Unprotected queues", count(unprotected)]] as const) : []),
              ] as const)),
          [
            "Servers pulled from",
            pulled + failing === 0 ? (
              <span class="muted">none</span>
            ) : failing > 0 ? (
              <State tone="bad">{`${count(failing)} of ${count(pulled + failing)} cannot be reached`}</State>
            ) : (
              <State tone="good">{count(pulled)}</State>
            ),
          ],
          ...(pulled + failing === 0
            ? []
            : ([
                ["Pulled and confirmed", `${count(metrics.sum(`${Z}pull_batches_confirmed_total`))} batches`],
                ["Pulled and refused", `${count(metrics.sum(`${Z}pull_batches_refused_total`))} batches`],
                ["Failed attempts", count(metrics.sum(`${Z}pull_failures_total`))],
              ] as const)),
        ]}
      />
    </Card>
  );
}

export function Queries({ metrics }: { metrics: Metrics }) {
  const of = (kind: string): string =>
    `${count(metrics.sum(`${Z}queries_running`, { kind }))} of ${count(metrics.sum(`${Z}queries_limit`, { kind }))} running, ${bytes(metrics.sum(`${Z}query_memory_bytes`, { kind }))}`;
  const requests = metrics.all(`${Z}http_requests_total`);
  const failed = requests.reduce(
    (sum, { labels, value }) => (labels.status?.startsWith("5") ? sum + value : sum),
    0,
  );
  return (
    <Card title="Queries and connections">
      <Facts
        rows={[
          ["Questions of the API", of("question")],
          ["SQL workers", of("sql")],
          ["Requests answered", count(metrics.sum(`${Z}http_requests_total`))],
          [
            "With a status of 5xx",
            failed > 0 ? <State tone="warn">{count(failed)}: see the log</State> : "0",
          ],
          [
            "Open connections",
            `${count(metrics.sum(`${Z}http_connections`))} of ${count(metrics.sum(`${Z}http_connections_limit`))}`,
          ],
          [
            "Answers not yet read",
            `${bytes(metrics.sum(`${Z}answers_unread_bytes`))} of ${bytes(metrics.sum(`${Z}answers_unread_limit_bytes`))}`,
          ],
        ]}
      />
    </Card>
  );
}

export function Refusals({ metrics }: { metrics: Metrics }) {
  const rows = refusalsOf(metrics);
  return (
    <Card
      title="Refused and left out"
      note="since the central started"
      flush
      actions={
        rows.length > 0 && (
          <SaveRows
            name="refusals"
            header={["what", "count", "meaning"]}
            rows={() => rows.map(({ what, count: all, meaning }) => [what, all, meaning])}
          />
        )
      }
    >
      {rows.length === 0 ? (
        <p class="health-nothing">
          <State tone="good">Nothing was refused.</State>
        </p>
      ) : (
        <Table
          caption="What was refused"
          rows={rows}
          rowKey={({ id }) => id}
          columns={[
            { id: "what", title: "What", cell: ({ what }) => what },
            { id: "count", title: "Number", numeric: true, cell: (row) => count(row.count) },
            {
              id: "meaning",
              title: "What it means",
              wide: true,
              cell: ({ meaning }) => <span class="health-advice">{meaning}</span>,
            },
          ]}
        />
      )}
    </Card>
  );
}

interface Counts {
  seen: number | null;
  counted: number | null;
  not_counted: number | null;
  kernel_drop: number | null;
  interface_drop: number | null;
  evicted: number | null;
}

const DAYS: Record<RangeName, number> = { "24h": 1, "7d": 7, "30d": 30 };
/** What a cause's number counts. */
const UNITS: Record<string, readonly [one: string, many: string]> = {
  kernel_drop: ["packet", "packets"],
  interface_drop: ["packet", "packets"],
  evicted: ["batch", "batches"],
};

export function Losses({
  range,
  servers,
  all,
}: {
  range: RangeName;
  servers: readonly ServerEntry[];
  all: ReadonlyMap<number, Summary>;
}) {
  // The coverage has a row per server and minute; only its sums are of interest.
  const counts = useQuery(`health counts ${range}`, async (signal) => {
    const sql = `SELECT sum(messages_seen) AS seen, sum(hits) AS counted, sum(not_counted) AS not_counted,
 sum(kernel_dropped) AS kernel_drop, sum(interface_dropped) AS interface_drop, sum(batches_evicted) AS evicted
 FROM coverage WHERE time >= now() - interval '${DAYS[range]} days'`;
    const [row] = await select<Counts>(sql, signal);
    return row;
  });
  const causes = new Map<string, { length: number; servers: ServerEntry[] }>();
  for (const server of servers)
    for (const [cause, length] of all.get(server.server_id)?.causes ?? []) {
      const known = causes.get(cause) ?? { length: 0, servers: [] };
      known.length += length;
      known.servers.push(server);
      causes.set(cause, known);
    }
  const rows = [...causes].sort((a, b) => b[1].length - a[1].length);
  const number = (cause: string): number | undefined => {
    const value = counts.data?.[cause as keyof Counts];
    return typeof value === "number" && cause in UNITS ? value : undefined;
  };
  return (
    <Card
      title="Losses by cause"
      note={RANGES[range].words}
      flush
      actions={
        rows.length > 0 && (
          <SaveRows
            name="losses"
            header={["cause", "seconds", "servers", "count"]}
            rows={() =>
              rows.map(([cause, { length, servers: of }]) => [
                cause,
                Math.round(length / 1000),
                of.length,
                number(cause) ?? null,
              ])
            }
          />
        )
      }
    >
      {rows.length === 0 ? (
        <p class="health-nothing">
          <State tone="good">Nothing was lost.</State>
        </p>
      ) : (
        <Table
          caption="Causes of losses"
          rows={rows}
          rowKey={([cause]) => cause}
          columns={[
            {
              id: "cause",
              title: "Cause",
              cell: ([cause]) => {
                const { words } = causeOf(cause);
                return <span class="health-cause">{words.charAt(0).toUpperCase() + words.slice(1)}</span>;
              },
            },
            {
              id: "time",
              title: "Time",
              numeric: true,
              cell: ([, { length }]) => <span class="nowrap">{duration(length / 1000)}</span>,
            },
            {
              id: "count",
              title: "Number",
              numeric: true,
              cell: ([cause]) => {
                const value = number(cause);
                const [one, many] = UNITS[cause] ?? ["", ""];
                return value === undefined ? <span class="muted">{NONE}</span> : plural(value, one, many);
              },
            },
            {
              id: "servers",
              title: "Servers",
              cell: ([, { servers: of }]) => (
                <>
                  {of.slice(0, 2).map(({ server_id, server }, at) => (
                    <span key={server_id}>
                      {at > 0 && ", "}
                      <Foreign text={server} />
                    </span>
                  ))}
                  {of.length > 2 && ` and ${count(of.length - 2)} more`}
                </>
              ),
            },
            {
              id: "advice",
              title: "What to do",
              wide: true,
              cell: ([cause]) => <span class="health-advice">{causeOf(cause).advice}</span>,
            },
          ]}
        />
      )}
      <div class="health-nothing">
        {counts.error ? (
          <Notice tone="warn">
            The numbers of messages and packets could not be fetched: {counts.error.message}{" "}
            {counts.error.advice}
          </Notice>
        ) : (
          <span class="muted">
            {counts.data && !counts.stale
              ? `${count(counts.data.seen ?? 0)} DNS messages seen, ${count(counts.data.counted ?? 0)} counted, ${count(counts.data.not_counted ?? 0)} not counted (updates, notifies, other classes, malformed).`
              : "Counting messages…"}
          </span>
        )}
      </div>
    </Card>
  );
}
