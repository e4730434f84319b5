// Which servers were asked for a record.
import { list, type Params } from "../../api";
import { type Query, useQuery } from "../../query";
import { href } from "../../route";
import { count, share } from "../../text";
import type { DnsAggregate, ServerEntry } from "../../types";
import {
  arranged,
  Card,
  type Column,
  DataTable,
  Empty,
  Foreign,
  Loaded,
  pageOf,
  type SortKeys,
  Table,
  tableState,
} from "../../ui";
import { Chart } from "../../ui/chart";
import { observedText } from "../health/incomplete";
import { causeOf, type Summary } from "../health/ledger";
import { When } from "../records/when";
import { type Asked, limitsOf, serverRatesOf, type Unit } from "./series";

const AGGREGATE = "monitoring/dns/aggregate";

interface Row {
  id: number;
  name: string;
  /** In the range; undefined if not known yet. */
  hits: number;
  share: number | undefined;
  total: number;
  first_seen?: string;
  last_access?: string;
  observed: Summary | undefined;
  sample: boolean;
}

const SORTS: SortKeys<Row> = {
  server: ({ name }) => name,
  hits: ({ hits }) => hits,
  total: ({ total }) => total,
  first_seen: ({ first_seen }) => first_seen ?? undefined,
  last_access: ({ last_access }) => last_access ?? undefined,
  observed: ({ observed }) => observed?.share ?? undefined,
};

function columnsFor(words: string): Column<Row>[] {
  return [
    {
      id: "server",
      title: "Server",
      sort: "server",
      wide: true,
      cell: (row) => (
        <a href={href(`servers/${row.id}`)}>
          <Foreign text={row.name} />
        </a>
      ),
    },
    {
      id: "hits",
      title: `Queries, ${words}`,
      sort: "hits",
      descends: true,
      numeric: true,
      cell: (row) => count(row.hits),
    },
    { id: "share", title: "Share", numeric: true, cell: (row) => share(row.share) },
    {
      id: "observed",
      title: `Observed, ${words}`,
      sort: "observed",
      cell: ({ observed, sample }) =>
        sample ? (
          <span class="muted">sample data</span>
        ) : (
          <>
            {observedText(observed?.share)}
            {observed?.causes[0] && observed.share !== 1 && (
              <span class="muted small"> {causeOf(observed.causes[0][0]).words}</span>
            )}
          </>
        ),
    },
    {
      id: "total",
      title: "Queries, all time",
      sort: "total",
      descends: true,
      numeric: true,
      cell: (row) => count(row.total),
    },
    {
      id: "first_seen",
      title: "First seen",
      sort: "first_seen",
      descends: true,
      cell: (row) => <When at={row.first_seen} />,
    },
    {
      id: "last_access",
      title: "Last access",
      sort: "last_access",
      descends: true,
      cell: (row) => <When at={row.last_access} relative />,
    },
  ];
}

export function Servers({
  params,
  asked,
  words,
  unit,
  format,
  totals,
  servers,
  observed,
}: {
  params: URLSearchParams;
  asked: Asked;
  words: string;
  unit: Unit;
  format: (value: number) => string;
  /** Of all time, by server. */
  totals: Query<DnsAggregate[]>;
  servers: readonly ServerEntry[];
  observed: ReadonlyMap<number, Summary> | undefined;
}) {
  const record: Params = { host: asked.host, type: asked.type };
  const inRange = useQuery(`record servers ${JSON.stringify(asked)}`, (signal) =>
    list<DnsAggregate>(
      AGGREGATE,
      { ...record, ...limitsOf(asked), interval: "all", by: "server", limit: 10_000 },
      signal,
    ),
  );
  const hits = inRange.stale ? undefined : inRange.data?.rows;
  const ids = hits?.map(({ server_id, hits: each }) => [server_id, each]);
  const rates = useQuery(
    `record server rates ${JSON.stringify([asked, unit, ids?.map(([id]) => id)])}`,
    (signal) => serverRatesOf(asked, hits ?? [], unit, signal),
    { enabled: hits !== undefined && hits.length > 0 },
  );
  const state = tableState(params, "-hits");

  const rowsOf = (): Row[] => {
    const sum = (hits ?? []).reduce((all, each) => all + each.hits, 0);
    const rows = new Map<number, Row>();
    const rowOf = (id: number, name: string, sample = false): Row => {
      const known = rows.get(id);
      if (known) return known;
      const made: Row = {
        id,
        name,
        hits: 0,
        share: undefined,
        total: 0,
        observed: observed?.get(id),
        sample,
      };
      rows.set(id, made);
      return made;
    };
    for (const { server_id, server, sample } of servers) rowOf(server_id, server, sample);
    for (const each of totals.data ?? []) {
      const row = rowOf(each.server_id ?? 0, each.server ?? "");
      Object.assign(row, { total: each.hits, first_seen: each.first_seen, last_access: each.last_access });
    }
    for (const each of hits ?? []) {
      const row = rowOf(each.server_id ?? 0, each.server ?? "");
      row.hits = each.hits;
      row.share = sum > 0 ? each.hits / sum : undefined;
    }
    return arranged([...rows.values()], state.sort, SORTS, "server");
  };
  const ready = hits !== undefined && totals.data !== undefined;
  const rows = ready ? rowsOf() : [];
  const shown: Query<{ rows: Row[]; total: number }> = {
    ...inRange,
    error: inRange.error ?? totals.error,
    retry: () => {
      inRange.retry();
      totals.retry();
    },
    data: ready ? pageOf(rows, state) : undefined,
    stale: false,
  };
  return (
    <>
      {hits?.length !== 0 && !inRange.error && (
        <Card>
          <Loaded query={rates} what="Queries by server">
            {(data) => (
              <Chart
                title={unit === "rate" ? "Queries per second by server" : "Queries per step by server"}
                times={data.times}
                series={data.series}
                partial={data.partial}
                stacked
                format={format}
                sync="record"
                name="record-servers"
              />
            )}
          </Loaded>
        </Card>
      )}
      <DataTable
        caption="Servers"
        query={shown}
        state={state}
        columns={columnsFor(words)}
        rowKey={(row) => String(row.id)}
        tools={<h2 class="record-table-title">Servers</h2>}
        csv={{ path: AGGREGATE, params: { ...record, by: "server" }, name: "record-servers" }}
        empty={<Empty title="There is no server." />}
      />
    </>
  );
}

/** The other types of the same name, each a record of its own. */
export function Types({ host, type, query }: { host: string; type: string; query: Query<DnsAggregate[]> }) {
  return (
    <Card title="Types of this name" flush>
      <Loaded query={query}>
        {(rows) =>
          rows.length === 0 ? (
            <p class="record-nothing muted">No query for this name is known.</p>
          ) : (
            <Table
              caption="Records of this name"
              rows={rows}
              rowKey={(row) => row.type ?? ""}
              columns={[
                {
                  id: "type",
                  title: "Type",
                  cell: (row) =>
                    row.type === type ? (
                      <strong>{row.type}</strong>
                    ) : (
                      <a href={href("record", { host, type: row.type })}>{row.type}</a>
                    ),
                },
                { id: "hits", title: "Queries", numeric: true, cell: (row) => count(row.hits) },
                {
                  id: "resource",
                  title: "Resource id",
                  cell: (row) =>
                    row.resource_id === 0 ? <span class="muted">not in any zone</span> : row.resource_id,
                },
                { id: "last", title: "Last access", cell: (row) => <When at={row.last_access} relative /> },
              ]}
            />
          )
        }
      </Loaded>
    </Card>
  );
}
