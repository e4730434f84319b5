// All servers. One call lists them, and one more has the rates of those on the visible page, however many there are.
import { useMemo, useState } from "preact/hooks";
import { list } from "../../api";
import { useQuery } from "../../query";
import { href, oneOf, text } from "../../route";
import { may } from "../../session";
import { measure, NONE, visible } from "../../text";
import type { DnsRate, HeartbeatRow } from "../../types";
import {
  arranged,
  Badge,
  Button,
  type Column,
  DataTable,
  Empty,
  FilterField,
  Filters,
  FilterSelect,
  Foreign,
  LinkButton,
  Page,
  pageOf,
  SaveRows,
  type SortKeys,
  Sparkline,
  tableState,
} from "../../ui";
import type { MenuItem } from "../../ui";
import { type Chosen, NewToken, RemoveServer } from "./dialogs";
import {
  COMPONENTS,
  fetchFleet,
  HEALTH,
  Health,
  HEARTBEATS,
  Heartbeats,
  Running,
  Version,
  versionOf,
} from "./fleet";

const STATES = ["", "running", "stopped", "conflict"] as const;
const RATES = "monitoring/dns/rps";
const STEP_S = 300;
/** Steps of a sparkline: two hours. */
const STEPS = 24;

const HEALTHS = Object.keys(HEALTH);

const SORTS: SortKeys<HeartbeatRow> = {
  server: (row) => row.server,
  state: (row) => row.state,
  health: (row) => (row.health === null ? undefined : HEALTHS.indexOf(row.health)),
  requests: (row) => (row.sample && row.last_heartbeat === null ? undefined : row.requests),
  ...Object.fromEntries(
    COMPONENTS.map(([name]) => [name, (row: HeartbeatRow) => versionOf(row.components[name])]),
  ),
};

interface Rates {
  values: (number | null)[];
  /** The newest; null if nothing was observed lately. */
  last: number | null;
}

/** Of the visible servers, by id. Every row has a step, observed or not. */
async function fetchRates(servers: readonly number[], signal: AbortSignal): Promise<Map<number, Rates>> {
  const asked = { server_id: servers, by: "server", step: STEP_S, date_from: `-${(STEPS * STEP_S) / 3600}h` };
  const { rows } = await list<DnsRate>(RATES, { ...asked, limit: servers.length * (STEPS + 2) }, signal);
  const found = new Map<number, Rates>();
  for (const row of rows) {
    if (row.server_id === undefined) continue;
    const rates = found.get(row.server_id) ?? { values: [], last: null };
    rates.values.push(row.rps);
    found.set(row.server_id, rates);
  }
  // The newest step may have begun a moment ago.
  for (const rates of found.values()) rates.last = rates.values.at(-1) ?? rates.values.at(-2) ?? null;
  return found;
}

function Rate({
  row,
  rates,
  failed,
}: {
  row: HeartbeatRow;
  rates: Map<number, Rates> | undefined;
  failed: boolean;
}) {
  if (rates === undefined) return <span class="muted small">{failed ? "not available" : "…"}</span>;
  const own = rates.get(row.server_id);
  if (!own || own.values.every((value) => value === null))
    return <span class="muted small">not observed</span>;
  const now = own.last === null ? "not observed now" : `now ${measure(own.last)}`;
  const top = Math.max(...own.values.map((value) => value ?? 0));
  return (
    <span class="servers-rate">
      <Sparkline
        values={own.values}
        label={`Requests per second of the last two hours: ${now}, at most ${measure(top)}`}
      />
      <span class="servers-now">{own.last === null ? NONE : measure(own.last)}</span>
    </span>
  );
}

const serverHref = (row: { server_id: number }, part = ""): string =>
  href(`servers/${row.server_id}${part === "" ? "" : `/${part}`}`);

function columnsFor(rates: Map<number, Rates> | undefined, failed: boolean): Column<HeartbeatRow>[] {
  return [
    {
      id: "server",
      title: "Name",
      sort: "server",
      wide: true,
      cell: (row) => (
        <span class="servers-name">
          <a href={serverHref(row)}>
            <Foreign text={row.server} />
          </a>{" "}
          {row.sample && <Badge>sample</Badge>}
          {row.hostname && row.hostname !== row.server && (
            <span class="muted small">
              <Foreign text={row.hostname} />
            </span>
          )}
        </span>
      ),
    },
    { id: "state", title: "State", sort: "state", cell: (row) => <Running row={row} /> },
    {
      id: "requests",
      title: "Heartbeats",
      sort: "requests",
      descends: true,
      cell: (row) => <Heartbeats row={row} />,
    },
    { id: "health", title: "Health", sort: "health", cell: (row) => <Health row={row} /> },
    ...COMPONENTS.map(([name, title]): Column<HeartbeatRow> => ({
      id: name,
      title,
      sort: name,
      cell: (row) => <Version part={row.components[name]} />,
    })),
    {
      id: "rps",
      title: "Requests/s",
      cell: (row) => <Rate row={row} rates={rates} failed={failed} />,
    },
  ];
}

const CSV_HEADER = [
  ...["server_id", "server", "hostname", "state", "health", "reasons", "heartbeats_2min", "last_heartbeat"],
  ...COMPONENTS.map(([name]) => name),
];

const csvRow = (row: HeartbeatRow): (string | number | null)[] => [
  ...[row.server_id, row.server, row.hostname, row.state, row.health],
  ...[row.reasons.map(({ reason }) => reason).join("; "), row.requests, row.last_heartbeat],
  ...COMPONENTS.map(([name]) => versionOf(row.components[name]) ?? null),
];

export default function View({ params }: { params: URLSearchParams }) {
  const state = tableState(params, "server");
  const name = text(params, "name");
  const shown = oneOf(params, "state", STATES, "");
  const [dialog, setDialog] = useState<{ is: "remove" | "token"; server: Chosen }>();

  const fleet = useQuery(HEARTBEATS, fetchFleet);
  const rows = useMemo(() => {
    const sought = name.toLowerCase();
    const matches = (row: HeartbeatRow): boolean =>
      (row.server.toLowerCase().includes(sought) || visible(row.server).toLowerCase().includes(sought)) &&
      (shown === "" || row.state === shown);
    return arranged((fleet.data?.rows ?? []).filter(matches), state.sort, SORTS, "server");
  }, [fleet.data, name, shown, state.sort]);
  const shownRows = pageOf(rows, state);
  const ids = shownRows.rows.map((row) => row.server_id).sort((a, b) => a - b);
  const rates = useQuery(`servers rates ${ids.join()}`, (signal) => fetchRates(ids, signal), {
    enabled: ids.length > 0,
  });

  const menu = (row: HeartbeatRow): MenuItem[] => [
    { text: "Details", href: serverHref(row) },
    { text: "Monitoring", href: serverHref(row, "monitoring") },
    ...(may("server_read") ? [{ text: "Settings", href: serverHref(row, "settings") }] : []),
    ...(may("server_update")
      ? [{ text: "New token…", onSelect: () => setDialog({ is: "token", server: row }) }]
      : []),
    ...(may("server_delete")
      ? [{ text: "Remove…", danger: true, onSelect: () => setDialog({ is: "remove", server: row }) }]
      : []),
  ];

  const add = may("server_create") && (
    <LinkButton kind="primary" icon="plus" href={href("servers/add")}>
      Add server
    </LinkButton>
  );
  return (
    <Page title="Servers" intro="The machines that run DNS, and their probes." actions={add}>
      <Filters reset={["name", "state"]}>
        <FilterField name="name" label="Name" placeholder="part of the name" />
        <FilterSelect
          name="state"
          label="State"
          choices={[
            ["", "All"],
            ["running", "Running"],
            ["stopped", "Stopped"],
            ["conflict", "Conflict"],
          ]}
        />
      </Filters>
      <div class="servers-table">
        <DataTable
          caption="Servers"
          query={{ ...fleet, data: fleet.data && shownRows }}
          state={state}
          columns={columnsFor(rates.stale ? undefined : rates.data, rates.error !== undefined)}
          rowKey={(row) => String(row.server_id)}
          rowName={(row) => visible(row.server)}
          menu={menu}
          tools={
            <>
              {rates.error && (
                <span class="servers-failed small" role="alert">
                  Requests per second: {visible(rates.error.message)}{" "}
                  <Button kind="quiet" icon="refresh" onClick={rates.retry}>
                    Try again
                  </Button>
                </span>
              )}
              <div class="table-tools">
                <SaveRows name="servers" header={CSV_HEADER} rows={() => rows.map(csvRow)} />
              </div>
            </>
          }
          empty={
            name !== "" || shown !== "" ? (
              <Empty title="No server matches.">
                <p>Try a shorter part of the name, or any state.</p>
              </Empty>
            ) : (
              <Empty title="There is no server yet.">
                <p>A server gets a name and a token here; its probe then enrols with one command.</p>
                {add}
              </Empty>
            )
          }
        />
      </div>
      {dialog?.is === "remove" && (
        <RemoveServer server={dialog.server} onClose={() => setDialog(undefined)} />
      )}
      {dialog?.is === "token" && <NewToken server={dialog.server} onClose={() => setDialog(undefined)} />}
    </Page>
  );
}
