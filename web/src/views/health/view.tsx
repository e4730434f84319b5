// Can the numbers be trusted? What was observed, what was lost and why, and how the central is doing.
import { ApiError, call, get, list, malformed } from "../../api";
import { useQuery } from "../../query";
import { href } from "../../route";
import { may } from "../../session";
import { ago, bytes, count, duration, NONE, plural } from "../../text";
import type { GlobalAnswer, HeartbeatRow, ServerEntry } from "../../types";
import {
  Failure,
  Figure,
  Figures,
  FilterField,
  Filters,
  FilterSelect,
  Foreign,
  Icon,
  LinkButton,
  Loaded,
  Loading,
  Notice,
  Page,
  Reason,
  State,
} from "../../ui";
import { fetchFleet, HEALTH } from "../servers/fleet";
import type { ViewProps } from "../index";
import { Backups, Central, Ingest, Losses, Queries, Refusals, Store, Transport } from "./cards";
import { Fleet, RANGES, rangeName, useLedger } from "./fleet";
import { incomplete, observedShare, observedText } from "./incomplete";
import { causeOf, summaries, type Summary } from "./ledger";
import { overallOf } from "./overall";
import { Metrics } from "./prometheus";

async function fetchMetrics(signal: AbortSignal): Promise<Metrics> {
  const response = await call("/metrics", {
    signal,
    anonymous: true,
    accept: "application/openmetrics-text, text/plain",
  });
  const metrics = new Metrics(await response.text());
  if (metrics.size === 0) throw malformed("The central's answer has no metrics.", response.status);
  return metrics;
}

/** What is missing; nothing if the central is ready. */
async function fetchProblems(signal: AbortSignal): Promise<string[]> {
  try {
    await call("/readyz", { signal, anonymous: true });
    return [];
  } catch (error) {
    if (error instanceof ApiError && error.status === 503)
      return error.reasons.length > 0 ? [...error.reasons] : [error.message];
    throw error;
  }
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const FINDINGS = 6;
const CAUSES = 3;

interface Finding {
  key: string;
  tone: "bad" | "warn";
  server?: ServerEntry;
  words: string;
}

/** What is wrong with servers now, the worst first. */
function findingsOf(heartbeats: readonly HeartbeatRow[]): Finding[] {
  const rank = Object.keys(HEALTH);
  return heartbeats
    .flatMap((row) =>
      row.reasons
        .filter(({ health }) => HEALTH[health]?.tone === "bad" || HEALTH[health]?.tone === "warn")
        .map(({ health, reason }) => ({
          at: rank.indexOf(health),
          key: `${row.server_id} ${reason}`,
          tone: HEALTH[health].tone === "bad" ? ("bad" as const) : ("warn" as const),
          server: { server_id: row.server_id, server: row.server, sample: row.sample, created: "" },
          words: reason,
        })),
    )
    .sort((a, b) => a.at - b.at);
}

function zoneFinding(metrics: Metrics | undefined): Finding[] {
  const of = (state: string): number => metrics?.sum("zonepulse_zones", { state }) ?? 0;
  const parts = [
    of("failed") > 0 ? `${plural(of("failed"), "zone")} could not be loaded` : "",
    of("expired") > 0 ? `${plural(of("expired"), "zone")} expired` : "",
    of("waiting") > 0 ? `${plural(of("waiting"), "import")} to be confirmed` : "",
  ].filter(Boolean);
  return parts.length === 0 ? [] : [{ key: "zones", tone: "warn", words: parts.join(", ") }];
}

/** What was lost, by cause, the longest first, and what to do. */
function lossesOf(missing: readonly [ServerEntry, Summary][]): { cause: string; words: string }[] {
  const causes = new Map<string, { length: number; servers: string[] }>();
  for (const [{ server }, { causes: why }] of missing)
    for (const [cause, length] of why) {
      const known = causes.get(cause) ?? { length: 0, servers: [] };
      known.length += length;
      known.servers.push(server);
      causes.set(cause, known);
    }
  return [...causes]
    .sort((a, b) => b[1].length - a[1].length)
    .slice(0, CAUSES)
    .map(([cause, { length, servers }]) => ({
      cause,
      words: `${duration(length / 1000)} ${servers.length === 1 ? `on ${servers[0]}` : `in all, on ${plural(servers.length, "server")}`}. ${causeOf(cause).advice}`,
    }));
}

export default function View({ params }: ViewProps) {
  const range = rangeName(params);
  const { words } = RANGES[range];
  const ledger = useLedger(range);
  const servers = useQuery("servers fresh", (signal) => list<ServerEntry>("servers", {}, signal));
  const heartbeats = useQuery("heartbeats", fetchFleet);
  const metrics = useQuery("metrics", fetchMetrics);
  const problems = useQuery("readyz", fetchProblems);
  const settings = useQuery("settings", (signal) => get<GlobalAnswer>("settings", {}, signal), {
    enabled: may("server_read"),
  });

  const data = ledger.stale ? undefined : ledger.data;
  const managed = (servers.data?.rows ?? []).filter(({ sample }) => !sample);
  const samples = (servers.data?.rows.length ?? 0) - managed.length;
  const all = data && servers.data ? summaries(data.rows, managed, data.to) : undefined;
  const missing = all ? incomplete(managed, all) : [];
  const beats = heartbeats.data?.rows ?? [];
  const findings = [...findingsOf(beats), ...zoneFinding(metrics.data)];
  const troubled = new Set(findings.flatMap(({ server }) => (server ? [server.server_id] : []))).size;
  const added = data ? managed.filter(({ created }) => Date.parse(created) > data.from).length : 0;
  const overall =
    all && problems.data && heartbeats.data
      ? overallOf({
          servers: managed.length,
          incomplete: missing.length,
          unknown: managed.filter(({ server_id }) => all.get(server_id)?.share === undefined).length,
          added,
          troubled,
          ready: problems.data.length === 0,
          words,
        })
      : undefined;
  const failed = [ledger, servers, heartbeats, problems].find(({ error }) => error !== undefined);

  const newest = all
    ? [...all.values()].flatMap((each) => (each.newest === undefined ? [] : [each.newest]))
    : [];
  const waiting = beats.reduce((sum, { spool }) => sum + (spool?.batches ?? 0), 0);
  const waitingBytes = beats.reduce((sum, { spool }) => sum + (spool?.size_bytes ?? 0), 0);
  const total = (name: string): number | undefined => metrics.data?.sum(`zonepulse_${name}_total`);
  const waitingFor = ({ error }: { error?: unknown }): string => (error ? NONE : "…");
  const hidden = findings.length - FINDINGS;

  return (
    <Page title="Health" intro="Can the numbers be trusted?">
      {failed?.error &&
        (failed === ledger || failed === servers ? (
          <Notice tone="bad">
            <strong>Whether the numbers can be trusted is not known,</strong> because the observation of the
            servers could not be fetched.
          </Notice>
        ) : (
          <Failure
            error={failed.error}
            retry={failed.retry}
            title={`${failed.error.title}: whether the numbers can be trusted is not known`}
          />
        ))}
      {!overall && !failed && <Loading what="Checking" slow={ledger.slow || heartbeats.slow} />}
      {overall && !failed && (
        <section class={`card health-overall ${overall.tone}`} aria-labelledby="health-overall">
          <h2 id="health-overall">
            <Icon name={overall.tone === "good" ? "check" : overall.tone === "info" ? "info" : "warning"} />
            {overall.sentence}
          </h2>
          <p>{overall.meaning}</p>
          {(problems.data?.length ?? 0) + findings.length + missing.length > 0 && (
            <ul class="health-findings">
              {problems.data?.map((problem) => (
                <li key={problem}>
                  <State tone="bad">Central</State>
                  <Foreign text={problem} />
                </li>
              ))}
              {lossesOf(missing).map(({ cause, words: why }) => (
                <li key={cause}>
                  <State tone="warn">{capital(causeOf(cause).words)}</State>
                  <Foreign text={why} />
                </li>
              ))}
              {findings.slice(0, FINDINGS).map(({ key, tone, server, words: why }) => (
                <li key={key}>
                  <State tone={tone}>
                    {server ? (
                      <a href={href(`servers/${server.server_id}`)}>
                        <Foreign text={server.server} />
                      </a>
                    ) : (
                      <a href={href("zones")}>Zones</a>
                    )}
                  </State>
                  <Reason text={why} />
                </li>
              ))}
              {hidden > 0 && (
                <li>
                  <a href={href("servers")}>{`${count(hidden)} more`}</a>
                </li>
              )}
            </ul>
          )}
          {managed.length === 0 && may("server_create") && (
            <p>
              <LinkButton kind="primary" icon="plus" href={href("servers/add")}>
                Add a server
              </LinkButton>
            </p>
          )}
          {(added > 0 || samples > 0) && (
            <p class="muted small">
              {added > 0 &&
                `${plural(added, "server")} ${added === 1 ? "was" : "were"} added in the ${words} and ${added === 1 ? "counts" : "count"} from then on. `}
              {samples > 0 &&
                `${plural(samples, "server")} with sample data ${samples === 1 ? "is" : "are"} left out.`}
            </p>
          )}
        </section>
      )}
      <Figures>
        <Figure
          label={`Observed, ${words}`}
          value={all ? observedText(observedShare(all.values())) : waitingFor(ledger)}
          note={
            missing.length > 0 ? plural(missing.length, "server incomplete", "servers incomplete") : undefined
          }
        />
        <Figure
          label="Slowest server, up to"
          value={newest.length > 0 ? ago(Math.min(...newest)) : all ? NONE : waitingFor(ledger)}
          note={
            newest.length > 0 && newest.length < managed.length
              ? `${plural(managed.length - newest.length, "server")} never reported`
              : undefined
          }
        />
        <Figure
          label="Waiting at the probes"
          value={heartbeats.data ? plural(waiting, "batch", "batches") : waitingFor(heartbeats)}
          note={waiting > 0 ? bytes(waitingBytes) : undefined}
        />
        <Figure
          label="Refused since the start"
          value={
            metrics.data ? plural(total("batches_refused") ?? 0, "batch", "batches") : waitingFor(metrics)
          }
        />
        <Figure
          label="Store"
          value={metrics.data ? bytes(metrics.data.sum("zonepulse_store_size_bytes")) : waitingFor(metrics)}
          note={metrics.data ? `${bytes(metrics.data.sum("zonepulse_disk_free_bytes"))} free` : undefined}
        />
      </Figures>
      <Filters reset={["name", "range"]}>
        <FilterField name="name" label="Server" placeholder="part of its name" />
        <FilterSelect
          name="range"
          label="Time range"
          choices={[
            ["24h", "Last 24 hours"],
            ["7d", "Last 7 days"],
            ["30d", "Last 30 days"],
          ]}
        />
      </Filters>
      {data?.cut && (
        <Notice tone="warn">
          There are more periods than are shown: the last servers are missing. Choose a shorter range.
        </Notice>
      )}
      <Fleet params={params} ledger={ledger} servers={servers} heartbeats={beats} metrics={metrics.data} />
      {all && managed.length > 0 && <Losses range={range} servers={managed} all={all} />}
      <Loaded query={metrics} what="The central's metrics">
        {(known) => (
          <div class="stack">
            <Refusals metrics={known} />
            <div class="health-cards">
              <div class="stack">
                <Central metrics={known} problems={problems.data ?? []} />
                <Transport metrics={known} />
                <Backups />
              </div>
              <div class="stack">
                <Ingest metrics={known} />
                <Queries metrics={known} />
              </div>
              <Store metrics={known} settings={settings.data} />
            </div>
            <p class="muted small">
              All figures, for Prometheus: <a href="/metrics">/metrics</a>
            </p>
          </div>
        )}
      </Loaded>
    </Page>
  );
}
