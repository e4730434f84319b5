// Which records are asked for, how often, and when last.
import { list, type Page as Rows, type Params, select } from "../../api";
import { asciiName, filterError, idFilterFault, nameFilterFault } from "../../names";
import { type Query, useQuery } from "../../query";
import { href, hrefWith, oneOf, text } from "../../route";
import { count, duration, share, visible } from "../../text";
import type { DnsAggregate, ObservationRow, ServerEntry, ZoneEntry } from "../../types";
import {
  Badge,
  type Column,
  DataTable,
  DnsName,
  Empty,
  Figure,
  Figures,
  FilterField,
  Filters,
  invalidChoice,
  InvalidNotice,
  FilterSelect,
  LinkButton,
  Notice,
  Page,
  Sparkline,
  Tabs,
  tableState,
} from "../../ui";
import { Incomplete, observedShare, observedText } from "../health/incomplete";
import { summaries } from "../health/ledger";
import type { ViewProps } from "../index";
import { absolute, ACCESS_PARAMS, AccessFilter, accessOf, accessWords, invalidAccess } from "./access";
import { servingServers } from "../record/serving";
import { type Extras, extrasOf, keyOf } from "./extras";
import { patternsOf, totalsSql } from "./patterns";
import { When } from "./when";

const CALL = "monitoring/dns/aggregate";
const TYPES = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "HTTPS", "SVCB", "CAA", "DS"];
const CODES = ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"];

/** Ranges in which queries are counted; each in some 24 to 30 steps. */
const COUNTED = {
  "": { words: "of all time", length: 86_400, step: 3600 },
  "1h": { words: "of the last hour", length: 3600, step: 300 },
  "24h": { words: "of the last 24 hours", length: 86_400, step: 3600 },
  "7d": { words: "of the last 7 days", length: 604_800, step: 21_600 },
  "30d": { words: "of the last 30 days", length: 2_592_000, step: 86_400 },
} as const;
type Counted = keyof typeof COUNTED;

/** The ledger is kept for ever; further back, nobody reads it line by line. */
const LEDGER_DAYS = 90;
const LEDGER_ROWS = 20_000;

const PRESETS = [
  { id: "most", title: "Most used", sort: "-hits", access: "", names: "", range: undefined },
  { id: "least", title: "Least used", sort: "hits", access: "", names: "", range: undefined },
  { id: "30", title: "Not used for 30 days", sort: "last_access", access: "not-30d", names: "", range: "" },
  { id: "90", title: "Not used for 90 days", sort: "last_access", access: "not-90d", names: "", range: "" },
  { id: "new", title: "Newly seen", sort: "-first_seen", access: "", names: "", range: "" },
  { id: "missing", title: "NXDOMAIN names", sort: "-hits", access: "", names: "missing", range: "" },
] as const;

const recordHref = ({ host = "", type = "" }: DnsAggregate): string => href("record", { host, type });

function Presets({ params }: { params: URLSearchParams }) {
  const [sort, access, names] = [
    text(params, "sort") || "-hits",
    text(params, "access"),
    text(params, "names"),
  ];
  const free = params.has("accessed_from") || params.has("accessed_to");
  const current = free
    ? undefined
    : PRESETS.find(
        (each) =>
          each.sort === sort &&
          each.access === access &&
          each.names === names &&
          (each.range === undefined || text(params, "range") === each.range),
      );
  return (
    <Tabs
      label="Presets"
      current={current?.id ?? ""}
      tabs={PRESETS.map(({ id, title, sort: by, access: when, names: which, range }) => ({
        id,
        title,
        href: hrefWith({
          sort: by === "-hits" ? null : by,
          access: when,
          names: which,
          accessed_from: null,
          accessed_to: null,
          ...(range === undefined ? {} : { range }),
        }),
      }))}
    />
  );
}

function columnsFor(
  counted: Counted,
  code: string,
  extras: Query<Map<string, Extras>>,
): Column<DnsAggregate>[] {
  const limited = counted !== "";
  const length = COUNTED[counted].length;
  const over = length === 3600 ? "last hour" : length === 86_400 ? "last 24 h" : `last ${length / 86_400} d`;
  const extra = (row: DnsAggregate): Extras | undefined =>
    extras.stale ? undefined : extras.data?.get(keyOf(row));
  const pending = (
    <span class="muted" title={extras.error ? visible(extras.error.message) : "Loading"}>
      {extras.error ? "not available" : "…"}
    </span>
  );
  const columns: Column<DnsAggregate>[] = [
    {
      id: "host",
      title: "Name",
      sort: "host",
      wide: true,
      cell: (row) => (
        <a href={recordHref(row)}>
          <DnsName name={row.host ?? ""} />
        </a>
      ),
    },
    { id: "type", title: "Type", sort: "type", cell: (row) => <Badge>{row.type}</Badge> },
    {
      id: "resource",
      title: "Resource id",
      sort: "resource_id",
      cell: (row) =>
        row.resource_id === 0 ? (
          <span class="muted nowrap">{row.folded ? "names counted together" : "not in any zone"}</span>
        ) : (
          <span>{row.resource_id}</span>
        ),
    },
    {
      id: "hits",
      title: code === "" ? "Queries" : `${code} responses`,
      sort: "hits",
      descends: true,
      numeric: true,
      cell: (row) => count(row.hits),
    },
    {
      id: "nxdomain",
      title: "NXDOMAIN",
      numeric: true,
      cell: (row) => {
        const known = extra(row);
        if (!known) return pending;
        if (!known.missing) return <span class="muted">{share(known.missing)}</span>;
        return known.missing > 0.5 ? <strong>{share(known.missing)}</strong> : share(known.missing);
      },
    },
    {
      id: "spark",
      title: over[0]?.toUpperCase() + over.slice(1),
      label: `Queries, ${over}`,
      cell: (row) => {
        const known = extra(row);
        if (!known) return pending;
        const seen = known.spark.filter((each) => each !== null);
        const sum = seen.reduce((a, b) => a + b, 0);
        return (
          <Sparkline
            values={known.spark}
            label={`${count(sum)} queries in the ${over}, at most ${count(Math.max(0, ...seen))} in ${duration(COUNTED[counted].step)}`}
          />
        );
      },
    },
    {
      id: "last_access",
      title: "Last access",
      sort: "last_access",
      descends: true,
      cell: (row) => <When at={row.last_access} relative />,
    },
  ];
  // The API knows the first query only for totals of all time.
  if (!limited)
    columns.push({
      id: "first_seen",
      title: "First seen",
      sort: "first_seen",
      descends: true,
      cell: (row) => <When at={row.first_seen} />,
    });
  return columns;
}

interface Sums {
  records: number;
  hits: number;
  nxdomain: number;
  responses: number;
}

const sumOf = (page: Rows<DnsAggregate>): number => page.rows.reduce((sum, { hits }) => sum + hits, 0);

export default function View({ params }: ViewProps) {
  const counted = oneOf(params, "range", Object.keys(COUNTED) as Counted[], "");
  const limited = counted !== "";
  const code = text(params, "code");
  const addressed = tableState(params, "-hits");
  // Only totals of all time have this column.
  const state =
    limited && addressed.sort.includes("first_seen") ? { ...addressed, sort: "-hits" } : addressed;
  // Names that do not exist are what one looks for among NXDOMAIN responses.
  const standard = code === "NXDOMAIN" ? "all" : "existing";
  const names = oneOf(params, "names", ["existing", "missing", "all"] as const, standard);
  const access = accessOf(params);
  const [zone, server, type] = [text(params, "zone"), text(params, "server"), text(params, "type")];
  const outside = zone === "none";
  const resource = outside ? "0" : text(params, "resource");
  const typed = text(params, "host");
  const wrong = filterError(nameFilterFault(typed), idFilterFault(resource, "Resource id"));
  const hosts = patternsOf(asciiName(typed), outside ? "" : zone);
  const exists = names === "all" ? null : names === "existing";

  const chosen: Params = { host: hosts, type, server_id: server, resource_id: resource, rcode: code };
  const asked: Params = {
    ...chosen,
    sort: state.sort,
    ...(limited
      ? { interval: "all", by: "record", date_from: `-${counted}` }
      : { exists, accessed_from: access.accessed_from, accessed_to: access.accessed_to }),
  };
  const query = useQuery(`${CALL} ${JSON.stringify([asked, state])}`, (signal) =>
    wrong
      ? Promise.reject(wrong)
      : list<DnsAggregate>(CALL, { ...asked, offset: state.offset, limit: state.limit }, signal),
  );
  const servers = useQuery("servers", (signal) => list<ServerEntry>("servers", {}, signal), {
    refreshes: false,
  });
  const zones = useQuery("zones", (signal) => list<ZoneEntry>("zones", { limit: 10_000 }, signal), {
    refreshes: false,
  });

  const selected = {
    hosts,
    type,
    server,
    resource,
    code,
    exists,
    accessedFrom: access.accessed_from,
    accessedTo: access.accessed_to,
  };
  const sums = useQuery(
    `records totals ${JSON.stringify([selected, counted])}`,
    async (signal): Promise<Sums> => {
      if (wrong) throw wrong;
      if (!limited) {
        const sql = totalsSql({
          ...selected,
          accessedFrom: absolute(selected.accessedFrom),
          accessedTo: absolute(selected.accessedTo),
        });
        const [row] = await select<Sums>(sql, signal);
        return row ?? { records: 0, hits: 0, nxdomain: 0, responses: 0 };
      }
      const range = { ...chosen, interval: "all", date_from: `-${counted}` };
      const [hits, nxdomain, responses] = await Promise.all(
        [{}, { rcode: "NXDOMAIN" }, { rcode: null, action: "response" }].map(async (more) =>
          sumOf(await list<DnsAggregate>(CALL, { ...range, ...more }, signal)),
        ),
      );
      return { records: -1, hits: hits ?? 0, nxdomain: nxdomain ?? 0, responses: responses ?? 0 };
    },
  );
  const rows = query.stale ? [] : (query.data?.rows ?? []);
  const extras = useQuery(
    `records extras ${JSON.stringify([server, counted, rows.map(keyOf)])}`,
    (signal) =>
      extrasOf(
        rows,
        {
          server,
          from: `-${COUNTED[counted].length}s`,
          to: "",
          step: COUNTED[counted].step,
          limited,
        },
        signal,
      ),
    { enabled: rows.length > 0 },
  );
  const since = limited ? `-${counted}` : `-${LEDGER_DAYS}d`;
  const ledger = useQuery(`observation ${since} ${server}`, (signal) =>
    list<ObservationRow>(
      "monitoring/dns/observation",
      { date_from: since, server_id: server, limit: LEDGER_ROWS },
      signal,
    ),
  );
  const serving =
    zone === "" || outside
      ? (servers.data?.rows ?? [])
      : servingServers(zone, zones.data?.rows ?? [], servers.data?.rows ?? []);
  const contributing = serving.filter((each) => server === "" || String(each.server_id) === server);
  const observed =
    ledger.data && !ledger.stale ? summaries(ledger.data.rows, contributing, Date.now()) : undefined;

  // Sums of other rows than those listed would mislead.
  const total = query.data && !query.stale ? query.data.total : undefined;
  const shown = sums.stale ? undefined : sums.data;
  const same = shown && total !== undefined && (limited || Math.abs(shown.records - total) <= total * 0.01);
  const words = accessWords(access);
  const ledgerWords = limited ? COUNTED[counted].words.replace("of the ", "") : `last ${LEDGER_DAYS} days`;
  const shareObserved = observed && observedShare(observed.values());
  const unavailable = sums.error
    ? "not available"
    : shown && total !== undefined
      ? "not available for this filter"
      : "…";

  return (
    <Page title="Records" intro="Which records are queried, how often, and when last.">
      <Presets params={params} />
      <Filters
        reset={["host", "zone", "resource", "type", "server", "code", "names", ...ACCESS_PARAMS, "range"]}
      >
        <FilterField name="host" label="Name" placeholder="part of a name, or *.example.com" />
        <FilterSelect
          name="zone"
          label="Zone"
          choices={[
            ["", "All"],
            ...(zones.data?.rows ?? [])
              .filter((each, at, all) => all.findIndex((other) => other.zone === each.zone) === at)
              .map((each) => [each.zone, each.zone] as const),
            ["none", "Not in any zone"],
          ]}
        />
        <FilterSelect
          name="type"
          label="Type"
          choices={[["", "All"], ...TYPES.map((each) => [each, each] as const)]}
        />
        <FilterSelect
          name="server"
          label="Server"
          choices={[
            ["", "All"],
            ...(servers.data?.rows ?? []).map((each) => [String(each.server_id), each.server] as const),
          ]}
        />
        <FilterSelect
          name="code"
          label="Response code"
          choices={[["", "Any"], ...CODES.map((each) => [each, each] as const)]}
        />
        <FilterSelect
          name="range"
          label="Count queries"
          choices={(Object.keys(COUNTED) as Counted[]).map((id) => [id, COUNTED[id].words] as const)}
        />
        {!limited && (
          <FilterSelect
            key={standard}
            name="names"
            label="Names"
            choices={
              standard === "existing"
                ? [
                    ["existing", "That exist"],
                    ["missing", "NXDOMAIN only"],
                    ["all", "All"],
                  ]
                : [
                    ["all", "All"],
                    ["missing", "NXDOMAIN only"],
                    ["existing", "That exist"],
                  ]
            }
          />
        )}
        {!limited && <AccessFilter params={params} />}
        {!outside && <FilterField name="resource" label="Resource id" placeholder="a number" />}
      </Filters>
      <InvalidNotice
        values={[
          ...invalidChoice(params, "range", Object.keys(COUNTED), "range", "queries of all time"),
          ...invalidChoice(
            params,
            "names",
            ["existing", "missing", "all"],
            "choice of names",
            "the usual one",
          ),
          ...(limited ? [] : invalidAccess(params)),
        ]}
      />
      <Figures>
        <Figure
          label={words === "" ? "Records" : `Records ${words}`}
          value={total === undefined ? "…" : count(total)}
          note={
            limited || names === "all"
              ? "including names that do not exist"
              : names === "missing"
                ? "names and types that do not exist"
                : "each a name that exists and a type"
          }
        />
        <Figure
          label={`${code === "" ? "Queries" : `${code} responses`} for them, ${COUNTED[counted].words}`}
          value={same && shown ? count(shown.hits) : <span class="records-none">{unavailable}</span>}
        />
        <Figure
          label="NXDOMAIN share, all names"
          value={
            same && shown ? (
              share(shown.responses > 0 ? shown.nxdomain / shown.responses : undefined)
            ) : (
              <span class="records-none">{unavailable}</span>
            )
          }
          note={
            same && shown && shown.nxdomain > 0 ? (
              names === "existing" && !limited ? (
                <a href={hrefWith({ names: "missing" })}>{count(shown.nxdomain)} responses</a>
              ) : (
                `${count(shown.nxdomain)} responses`
              )
            ) : undefined
          }
        />
        <Figure
          label={`Observed, ${ledgerWords}`}
          value={
            observed ? (
              observedText(shareObserved)
            ) : ledger.error ? (
              <span class="records-none">not available</span>
            ) : (
              "…"
            )
          }
          note={
            <>
              servers count from when they were added · <a href={href("health")}>Health</a>
            </>
          }
        />
      </Figures>
      {observed && (
        <Incomplete servers={contributing} all={observed} what="These totals" words={ledgerWords} />
      )}
      {limited && (
        <Notice>
          Totals of a range include names that do not exist, and cannot be filtered by last access. Count
          queries <a href={hrefWith({ range: null })}>of all time</a> for both.
        </Notice>
      )}
      <DataTable
        caption="Records"
        query={query}
        state={state}
        columns={columnsFor(counted, code, extras)}
        rowKey={keyOf}
        csv={{ path: CALL, params: asked, name: "records" }}
        menu={(row) => [
          { text: "Details", href: recordHref(row) },
          ...(row.resource_id
            ? [{ text: "Safe to delete?", href: href("delete", { host: row.host, type: row.type }) }]
            : []),
          {
            text: "All types of this name",
            href: hrefWith({ host: row.host, type: null, zone: null, resource: null, names: "all" }),
          },
        ]}
        empty={
          <Empty title="No record matches.">
            <p>
              Records appear here once a probe has reported a query for them. Try fewer filters, or check:
            </p>
            <LinkButton href={href("health")}>Do the probes report?</LinkButton>
          </Empty>
        }
      />
    </Page>
  );
}
