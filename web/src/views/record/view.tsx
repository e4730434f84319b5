// One record across all servers.
import { list, type Params } from "../../api";
import { useQuery } from "../../query";
import { href, oneOf, text } from "../../route";
import { count, measure, NONE, share } from "../../text";
import type { DnsAggregate, ObservationRow, ServerEntry, ZoneEntry } from "../../types";
import {
  Badge,
  Card,
  DnsName,
  Empty,
  Failure,
  Figure,
  Figures,
  Filters,
  FilterSelect,
  LinkButton,
  Loaded,
  Page,
  Range,
  rangeOf,
  SaveRows,
  stepOf,
  Table,
  Time,
} from "../../ui";
import { Chart } from "../../ui/chart";
import { Incomplete } from "../health/incomplete";
import { summaries } from "../health/ledger";
import type { ViewProps } from "../index";
import { exactly } from "../records/patterns";
import { ResourceCard, useResources, VerdictCard } from "./catalogue";
import { servingServers } from "./serving";
import { type Asked, type Rates, ratesOf } from "./series";
import { Servers, Types } from "./servers";

const AGGREGATE = "monitoring/dns/aggregate";

function Codes({ rates, words }: { rates: Rates; words: string }) {
  const unanswered = rates.queries - rates.responses;
  const rows: (readonly [string, number, number | undefined])[] = rates.codes.map(
    ([code, hits]) => [code, hits, hits / rates.responses] as const,
  );
  if (unanswered > 0) rows.push(["no response seen", unanswered, undefined]);
  return rows.length === 0 ? (
    <p class="record-nothing muted">No response in the {words}.</p>
  ) : (
    <Table
      caption="Response codes"
      rows={rows}
      rowKey={([code]) => code}
      columns={[
        { id: "code", title: "Response code", cell: ([code]) => code },
        { id: "hits", title: "Responses", numeric: true, cell: ([, hits]) => count(hits) },
        { id: "share", title: "Share", numeric: true, cell: ([, , part]) => share(part) },
      ]}
    />
  );
}

function Record({ host, type, params }: { host: string; type: string; params: URLSearchParams }) {
  const range = rangeOf(params, "24h");
  const unit = oneOf(params, "unit", ["rate", "count"] as const, "rate");
  const record: Params = { host: exactly(host), type };
  const limits: Params = { date_from: range.date_from, date_to: range.date_to };
  const asked: Asked = { host: exactly(host), type, range, step: stepOf(params, range) };

  const totals = useQuery(`record totals ${host} ${type}`, (signal) =>
    list<DnsAggregate>(AGGREGATE, { ...record, by: "server", limit: 10_000 }, signal).then(
      ({ rows }) => rows,
    ),
  );
  const types = useQuery(`record types ${host}`, (signal) =>
    list<DnsAggregate>(AGGREGATE, { host: record.host, sort: "-hits", limit: 100 }, signal).then(
      ({ rows }) => rows,
    ),
  );
  const rates = useQuery(`record rates ${JSON.stringify([asked, unit])}`, (signal) =>
    ratesOf(asked, unit, signal),
  );
  const resources = useResources(host, type);
  const servers = useQuery("servers", (signal) => list<ServerEntry>("servers", {}, signal), {
    refreshes: false,
  });
  const zones = useQuery("zones", (signal) => list<ZoneEntry>("zones", { limit: 10_000 }, signal), {
    refreshes: false,
  });
  const ledger = useQuery(`observation ${JSON.stringify(limits)}`, (signal) =>
    list<ObservationRow>("monitoring/dns/observation", { ...limits, limit: 20_000 }, signal),
  );
  const known = servers.data?.rows ?? [];
  const observed = ledger.data && !ledger.stale ? summaries(ledger.data.rows, known, Date.now()) : undefined;
  const format = unit === "rate" ? (value: number) => `${measure(value)}/s` : measure;

  const sums = totals.stale ? undefined : totals.data;
  const firsts = (sums ?? []).flatMap(({ first_seen }) => (first_seen === undefined ? [] : [first_seen]));
  const lasts = (sums ?? []).map(({ last_access }) => last_access);
  const now = rates.stale ? undefined : rates.data;
  const nxdomain = now?.codes.find(([code]) => code === "NXDOMAIN")?.[1] ?? 0;
  // A name that the API does not take has no figures either.
  if (totals.error?.trouble === "invalid")
    return (
      <Page title={`${host} ${type}`} heading={<DnsName name={host} />}>
        <Failure error={totals.error} title="There is no such record" />
        <p>
          <LinkButton href={href("records")}>Records</LinkButton>
        </p>
      </Page>
    );
  const waiting = (query: { error?: unknown }): string => (query.error ? NONE : "…");

  return (
    <Page
      title={`${host} ${type}`}
      heading={
        <>
          <DnsName name={host} /> <Badge>{type}</Badge>
        </>
      }
      intro={
        <>
          <a href={href("records")}>Records</a> ·{" "}
          <a href={href("records", { host, names: "all" })}>all types of this name</a>
        </>
      }
    >
      <Figures>
        <Figure
          label="Queries, all time"
          value={sums ? count(sums.reduce((sum, { hits }) => sum + hits, 0)) : waiting(totals)}
        />
        <Figure
          label={`Queries, ${range.words}`}
          value={now ? (now.observed ? count(now.queries) : "not observed") : waiting(rates)}
        />
        <Figure
          label={`NXDOMAIN, ${range.words}`}
          value={now ? share(now.responses > 0 ? nxdomain / now.responses : undefined) : waiting(rates)}
        />
        <Figure
          label="Last access"
          value={
            sums ? (
              <span class="record-time">
                <Time at={lasts.sort().at(-1)} relative />
              </span>
            ) : (
              waiting(totals)
            )
          }
        />
        <Figure
          label="First seen"
          value={
            sums ? (
              <span class="record-time">
                <Time at={firsts.sort()[0]} />
              </span>
            ) : (
              waiting(totals)
            )
          }
        />
      </Figures>
      <Filters>
        <Range steps />
        <FilterSelect
          name="unit"
          label="Show"
          choices={[
            ["rate", "Per second"],
            ["count", "Per step"],
          ]}
        />
      </Filters>
      {observed && (zones.data ?? zones.error) && (
        <Incomplete
          servers={servingServers(host, zones.data?.rows ?? [], known)}
          all={observed}
          what="What is shown"
          words={range.words}
        />
      )}
      <Card>
        <Loaded query={rates} what="Queries and responses">
          {(data) =>
            data.times.length === 0 ? (
              <Empty title="The range has no step.">
                <p>Choose a longer range, or a shorter step.</p>
              </Empty>
            ) : (
              <Chart
                title={
                  unit === "rate" ? "Queries and responses per second" : "Queries and responses per step"
                }
                times={data.times}
                series={data.series}
                partial={data.partial}
                stacked
                format={format}
                sync="record"
                name="record"
              />
            )
          }
        </Loaded>
      </Card>
      <div class="grid record-grid">
        <div class="stack">
          <VerdictCard host={host} type={type} params={params} />
          {resources.data?.rows.map((each) => (
            <ResourceCard key={each.resource_id} resource={each} />
          ))}
        </div>
        <div class="stack">
          <Card
            title="Responses by code"
            note={range.words}
            flush
            actions={
              now && (
                <SaveRows
                  name="record-codes"
                  header={["rcode", "hits"]}
                  rows={() => now.codes.map(([code, hits]) => [code, hits])}
                />
              )
            }
          >
            <Loaded query={rates}>{(data) => <Codes rates={data} words={range.words} />}</Loaded>
          </Card>
          <Types host={host} type={type} query={types} />
        </div>
      </div>
      <Servers
        params={params}
        asked={asked}
        words={range.words}
        unit={unit}
        format={format}
        totals={totals}
        servers={known}
        observed={observed}
      />
    </Page>
  );
}

export default function View({ params }: ViewProps) {
  const [host, type] = [text(params, "host"), text(params, "type")];
  if (host === "" || type === "")
    return (
      <Page title="Record">
        <Empty title="The address names no record.">
          <p>A record is a name and a type. Choose one from the list.</p>
          <LinkButton href={href("records")}>Records</LinkButton>
        </Empty>
      </Page>
    );
  return <Record key={`${host} ${type}`} host={host} type={type} params={params} />;
}
