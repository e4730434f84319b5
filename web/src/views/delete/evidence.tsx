// What was observed during the window: verdicts are worth as much as that.
import { list } from "../../api";
import { useQuery } from "../../query";
import { change, flag, href, hrefWith, route } from "../../route";
import { count, duration, floored, moment, plural, zoneName, visible } from "../../text";
import type { ObservationRow, ZoneEntry } from "../../types";
import {
  Button,
  Card,
  type Column,
  CsvButton,
  DnsName,
  Empty,
  Foreign,
  Loaded,
  Notice,
  State,
  Table,
  Time,
} from "../../ui";
import { windowLength } from "./verdict";

const CALL = "monitoring/dns/observation";
/** Periods that are fetched; servers come one after the other. */
const MAX_PERIODS = 20_000;
/** Servers with gaps that are shown unasked. */
const SHOWN = 3;
/** The newest report is under way: that is not a gap. */
const PENDING_MS = 11 * 60_000;

const WHY: Record<string, string> = {
  gap: "no report arrived",
  kernel_drop: "packets dropped by the kernel",
  interface_drop: "packets dropped by the network interface",
  evicted: "the probe's spool was full",
  unreadable: "unreadable messages",
  folded: "a flood of names",
  blind: "the probe did not see the DNS server's messages",
  wrong_port: "the DNS server used ports that are not observed",
};

interface Span {
  from: number;
  to: number;
  observed: boolean;
  why: string[];
}

interface Server {
  id: number;
  name: string;
  spans: Span[];
  share: number;
  /** Since when it has been observed without a gap; undefined if it is not observed now. */
  since: number | undefined;
  /** Milliseconds that were not observed, by reason. */
  missed: [why: string, length: number][];
}

/** The periods of each server within the window. */
function serversOf(rows: readonly ObservationRow[], start: number, now: number): Server[] {
  const servers = new Map<number, Server>();
  for (const { server_id, server, from, to, observed, why } of rows) {
    const known = servers.get(server_id) ?? {
      id: server_id,
      name: server,
      spans: [],
      share: 0,
      since: undefined,
      missed: [],
    };
    servers.set(server_id, known);
    const span = {
      from: Math.max(start, Date.parse(from)),
      to: Math.min(now, Date.parse(to)),
      observed,
      why: (why ?? "").split(/[\s,]+/).filter(Boolean),
    };
    if (span.to > span.from) known.spans.push(span);
  }
  for (const server of servers.values()) {
    const last = server.spans.at(-1);
    if (last && !last.observed && server.spans.length > 1 && last.to - last.from < PENDING_MS)
      server.spans.pop();
    const end = server.spans.at(-1);
    const length = (end?.to ?? now) - start;
    const missed = new Map<string, number>();
    let seen = 0;
    for (const { from, to, observed, why } of server.spans) {
      if (observed) seen += to - from;
      else
        for (const each of why.length === 0 ? ["gap"] : why)
          missed.set(each, (missed.get(each) ?? 0) + to - from);
    }
    server.share = length > 0 ? seen / length : 0;
    server.since = end?.observed ? end.from : undefined;
    server.missed = [...missed].sort(([, a], [, b]) => b - a);
  }
  return [...servers.values()].sort((a, b) => a.share - b.share || a.name.localeCompare(b.name));
}

/** The shortest window that verdicts are offered for, seconds. */
const SHORTEST_S = 60;

/** The longest window that ends now and was observed without a gap by all servers, if the chosen one was not. */
function gaplessWindow(servers: readonly Server[], start: number, now: number): string | undefined {
  const since = Math.max(...servers.map((server) => server.since ?? Infinity));
  if (servers.length === 0 || since === Infinity || since <= start) return undefined;
  const length = (now - since) / 1000;
  const [unit, unitLength] =
    length >= 2 * 86_400 ? ["d", 86_400] : length >= 2 * 3600 ? ["h", 3600] : ["m", 60];
  return length < SHORTEST_S ? undefined : `${Math.floor(length / unitLength)}${unit}`;
}

const WIDTH = 320;
const HEIGHT = 14;
const SHORT = 2;

/** The window as a strip: filled where observed, hatched where not. */
function Strip({
  server: { spans, name, share },
  start,
  now,
}: {
  server: Server;
  start: number;
  now: number;
}) {
  const x = (at: number): number => ((at - start) / Math.max(1, now - start)) * WIDTH;
  return (
    <svg
      class="delete-strip"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${visible(name)}: observed ${floored(share)} of the window`}
    >
      <rect class="delete-strip-gap" width={WIDTH} height={HEIGHT} />
      {spans
        .filter(({ observed }) => observed)
        .map(({ from, to }) => (
          <rect
            key={from}
            class="delete-strip-observed"
            x={x(from)}
            width={Math.max(0.6, x(to) - x(from))}
            height={HEIGHT}
          />
        ))}
      {/* A short gap must not vanish: it decides as much as a long one. */}
      {spans
        .filter(({ from, to, observed }) => !observed && x(to) - x(from) < SHORT)
        .map(({ from, to }) => (
          <rect
            key={from}
            class="delete-strip-short"
            x={Math.min(x(from), WIDTH - SHORT)}
            width={Math.max(SHORT, x(to) - x(from))}
            height={HEIGHT}
          />
        ))}
    </svg>
  );
}

const reasons = ({ missed, share }: Server): string =>
  share >= 1 || missed.length === 0
    ? ""
    : missed
        .map(([why, length]) => `${WHY[why] ?? why.replaceAll("_", " ")} (${duration(length / 1000)})`)
        .join(", ");

const RHYTHMS: readonly [days: number, name: string][] = [
  [400, "yearly"],
  [100, "quarterly"],
  [35, "monthly"],
  [8, "weekly"],
];

function rhythm(length: number): string {
  const at = RHYTHMS.findIndex(([days]) => length >= days * 86_400);
  const [, name] = RHYTHMS[at] ?? [];
  if (name === undefined) return "That is too short to rule out even weekly use.";
  const [days, rarer] = RHYTHMS[at - 1] ?? [];
  return rarer === undefined
    ? `That rules out ${name} use.`
    : `That rules out ${name} use; ruling out ${rarer} use takes ${days} days.`;
}

/** `zones` are those that the verdicts are about. */
export function Evidence({
  zones,
  window,
  brief,
}: {
  zones: readonly ZoneEntry[];
  window: string;
  /** Only the summary, until servers are asked for. */
  brief: boolean;
}) {
  // A zone without a list is served by all.
  const ids = zones.some(({ servers }) => servers.length === 0)
    ? []
    : [...new Set(zones.flatMap(({ servers }) => servers))].sort((a, b) => a - b);
  const asked = { server_id: ids, date_from: `-${window}` };
  const query = useQuery(`${CALL} ${JSON.stringify(asked)}`, (signal) =>
    list<ObservationRow>(CALL, { ...asked, limit: MAX_PERIODS }, signal),
  );
  const all = flag(route.value.params, "servers");
  const length = windowLength(window) ?? 0;
  const others = zones.filter(({ others_serve_it, others_waived }) => others_serve_it && !others_waived);
  return (
    <Loaded query={query} what="Reading the ledger">
      {({ rows, total }) => {
        // The window as the central's clock has it.
        const start = Math.min(...rows.map(({ from }) => Date.parse(from)));
        const now = Math.max(...rows.map(({ to }) => Date.parse(to)));
        const servers = serversOf(rows, start, now);
        const shown = all ? servers : brief ? [] : servers.filter(({ share }) => share < 1).slice(0, SHOWN);
        const complete = servers.filter(({ share }) => share >= 1).length;
        const gapless = gaplessWindow(servers, start, now);
        const columns: Column<Server>[] = [
          {
            id: "server",
            title: "Server",
            wide: true,
            cell: ({ id, name }) => (
              <a href={href(`servers/${id}`)}>
                <Foreign text={name} />
              </a>
            ),
          },
          {
            id: "share",
            title: "Observed of the whole window",
            cell: ({ share }) => <State tone={share >= 1 ? "good" : "warn"}>{floored(share)}</State>,
          },
          {
            id: "strip",
            title: (
              <span class="delete-strip-head">
                <span>{moment(start, "day")}</span>
                <span>now</span>
              </span>
            ),
            label: "Window",
            cell: (server) => <Strip server={server} start={start} now={now} />,
          },
          {
            id: "since",
            title: "Without a gap since",
            cell: ({ since }) =>
              since === undefined ? (
                <State tone="bad">not observed now</State>
              ) : since <= start ? (
                <span>the start of the window</span>
              ) : (
                <Time at={since} />
              ),
          },
          {
            id: "why",
            title: "Not observed because",
            cell: (server) => reasons(server) || <span class="muted">–</span>,
          },
        ];
        return (
          <Card
            flush
            title="What was observed"
            actions={
              <>
                {servers.length > 0 && (
                  <Button
                    kind="quiet"
                    aria-expanded={all}
                    onClick={() => change({ servers: all ? null : true }, { replace: true })}
                  >
                    {all ? "Fewer servers" : `Show ${plural(servers.length, "server")}`}
                  </Button>
                )}
                <CsvButton path={CALL} params={asked} name="observation" />
              </>
            }
          >
            <div class="delete-evidence">
              {servers.length === 0 ? (
                <Empty title="No server is known to serve these zones.">
                  <p>
                    Without observation no verdict can say that nobody asked. Add a server, then its probe.
                  </p>
                </Empty>
              ) : (
                <p>
                  {complete === servers.length ? (
                    <State tone="good">
                      {servers.length === 1
                        ? "The server was observed without a gap"
                        : `All ${count(servers.length)} servers were observed without a gap`}
                    </State>
                  ) : (
                    <State tone="warn">
                      {servers.length === 1
                        ? "The server was not always observed"
                        : `${count(complete)} of ${plural(servers.length, "server")} observed without a gap`}
                    </State>
                  )}{" "}
                  {servers.length === 1 && complete === 0 ? "in" : "for"} the {duration(length)} since{" "}
                  {moment(start, "minute")} {zoneName()}.{" "}
                  {complete === servers.length
                    ? rhythm(length)
                    : "A record is unused only if all of its zone's servers were observed for the whole window."}
                  {gapless !== undefined && (
                    <>
                      {" "}
                      <a href={hrefWith({ window: gapless })}>
                        Judge by the last {duration(windowLength(gapless) ?? 0)}, which were observed without
                        a gap
                      </a>
                    </>
                  )}
                </p>
              )}
              {others.length > 0 && (
                <Notice tone="warn">
                  {others.length === 1 ? (
                    <DnsName name={others[0]?.zone ?? ""} />
                  ) : (
                    `${count(others.length)} zones`
                  )}{" "}
                  {others.length === 1 ? "is" : "are"} also served by servers that Zonepulse does not observe,
                  so {others.length === 1 ? "its" : "their"} records stay unobserved.{" "}
                  <a href={href(others.length === 1 ? `zones/${others[0]?.zone_id ?? ""}` : "zones")}>
                    {others.length === 1 ? "Settings of the zone" : "Zones"}
                  </a>
                </Notice>
              )}
              {total > rows.length && (
                <Notice tone="warn">
                  The ledger has {count(total)} periods in this window, of which the first{" "}
                  {count(rows.length)} are shown. Choose a zone to see its servers.
                </Notice>
              )}
            </div>
            {shown.length > 0 && (
              <Table
                caption="Servers and how much of the window was observed"
                columns={columns}
                rows={shown}
                rowKey={({ id }) => String(id)}
              />
            )}
          </Card>
        );
      }}
    </Loaded>
  );
}
