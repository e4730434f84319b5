// Requests per second of a server: as a chart, and step by step.
import { list, type Params } from "../../api";
import { asciiName, idFilterFault, nameFilterFault } from "../../names";
import { useQuery } from "../../query";
import { href, oneOf, text } from "../../route";
import { count, measure, NONE } from "../../text";
import type { DnsRate } from "../../types";
import {
  Card,
  type Column,
  DataTable,
  Empty,
  FilterField,
  Filters,
  FilterSelect,
  LinkButton,
  Loaded,
  Range,
  rangeOf,
  State,
  stepOf,
  tableState,
  Time,
} from "../../ui";
import { Chart } from "../../ui/chart";
import { MOST_STEPS, TooManySteps } from "./monitoring";
import type { PartProps } from "./view";

const CALL = "monitoring/dns/rps";
const TYPES = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "HTTPS", "CAA", "DS"];
const ACTIONS = ["", "response", "both"] as const;
const WORDS: Record<string, string> = { request: "Requests", response: "Responses" };

const pattern = (typed: string): string => (typed === "" || typed.includes("*") ? typed : `*${typed}*`);

const isPartial = (row: DnsRate): boolean => !row.open && row.observed_servers < row.servers;

/** A line for each action; every step is in the answer, observed or not. */
function seriesOf(rows: readonly DnsRate[], action: string) {
  const times: number[] = [];
  const partial: boolean[] = [];
  const lines = new Map<string, (number | null)[]>();
  for (const row of rows) {
    const time = Date.parse(row.time) / 1000;
    if (times.at(-1) !== time) {
      times.push(time);
      partial.push(isPartial(row));
    }
    const label = WORDS[row.action ?? action] ?? "Requests";
    const line = lines.get(label) ?? [];
    line[times.length - 1] = row.rps;
    lines.set(label, line);
  }
  return { times, partial, series: [...lines].map(([label, values]) => ({ label, values })) };
}

function Observed({ row }: { row: DnsRate }) {
  if (row.rps === null) return <State tone="neutral">No</State>;
  if (row.open)
    return (
      <State tone="info" icon="clock">
        Not complete yet
      </State>
    );
  return isPartial(row) ? <State tone="warn">In part</State> : <State tone="good">Yes</State>;
}

function columnsFor(both: boolean): Column<DnsRate>[] {
  return [
    {
      id: "time",
      title: "Time",
      sort: "time",
      descends: true,
      wide: true,
      cell: (row) => <Time at={row.time} />,
    },
    ...(both
      ? [
          {
            id: "action",
            title: "Action",
            sort: "action",
            cell: (row: DnsRate) => WORDS[row.action ?? ""] ?? NONE,
          },
        ]
      : []),
    {
      id: "rps",
      title: "Per second",
      sort: "rps",
      descends: true,
      numeric: true,
      cell: (row) => (row.rps === null ? <span class="muted">not observed</span> : measure(row.rps)),
    },
    {
      id: "hits",
      title: "Hits",
      sort: "hits",
      descends: true,
      numeric: true,
      cell: (row) => (row.hits === null ? <span class="muted">{NONE}</span> : count(row.hits)),
    },
    { id: "observed", title: "Observed", cell: (row) => <Observed row={row} /> },
  ];
}

export function Rates({ server, name, params }: PartProps) {
  const range = rangeOf(params, "24h");
  const action = oneOf(params, "action", ACTIONS, "");
  const record = text(params, "record");
  const fault = nameFilterFault(text(params, "host")) ?? idFilterFault(record, "Record id");
  const wrong = fault !== undefined;
  const state = tableState(params, "-time");
  const chosen = text(params, "step");
  // Raw points of the last hour are certainly there, so that it need not be coarse.
  const step = range.is === "1h" && chosen === "" ? 60 : stepOf(params, range);
  const tooMany = range.length / step > MOST_STEPS;
  const asked: Params = {
    server_id: server,
    host: pattern(asciiName(text(params, "host"))),
    type: text(params, "type"),
    resource_id: record,
    action: action === "both" ? "" : action,
    by: action === "both" ? "action" : "",
    date_from: range.date_from,
    date_to: range.date_to,
    step,
  };
  const key = JSON.stringify(asked);
  const query = useQuery(
    `${CALL} ${key}`,
    (signal) => list<DnsRate>(CALL, { ...asked, limit: 100_000 }, signal),
    { enabled: !tooMany && !wrong },
  );
  const steps = useQuery(
    `${CALL} ${key} ${JSON.stringify(state)}`,
    (signal) =>
      list<DnsRate>(CALL, { ...asked, sort: state.sort, offset: state.offset, limit: state.limit }, signal),
    { enabled: !tooMany && !wrong },
  );
  const filters = ["action", "host", "type", "record", "range", "from", "to", "step"];
  return (
    <div class="stack">
      <Filters reset={filters}>
        <FilterField name="host" label="Host" placeholder="part of a name, or *.example.com" />
        <FilterSelect
          name="action"
          label="Action"
          choices={[
            ["", "Requests"],
            ["response", "Responses"],
            ["both", "Both"],
          ]}
        />
        <FilterSelect
          name="type"
          label="Type"
          choices={[["", "All"], ...TYPES.map((each) => [each, each] as const)]}
        />
        <div class="server-record">
          <FilterField name="record" label="Record id" placeholder="any" />
        </div>
        <Range steps />
      </Filters>
      {wrong && (
        <p class="field-error" role="alert">
          {fault}
        </p>
      )}
      {wrong ? null : tooMany ? (
        <TooManySteps />
      ) : (
        <>
          {" "}
          <Card>
            <Loaded query={query}>
              {({ rows }) => {
                const { times, partial, series } = seriesOf(rows, action);
                return rows.length === 0 || rows.every((row) => row.rps === null) ? (
                  <Empty title="Nothing was observed in this range.">
                    <p>Choose a longer range, or check whether the probe reports.</p>
                    <LinkButton href={href(`servers/${server}`)}>Services of this server</LinkButton>
                  </Empty>
                ) : (
                  <Chart
                    title={`${action === "both" ? "Requests and responses" : (WORDS[action || "request"] ?? "")} per second`}
                    times={times}
                    series={series}
                    partial={partial}
                    height={260}
                    format={(value) => `${measure(value)}/s`}
                    name={`${name} rps`}
                  />
                );
              }}
            </Loaded>
          </Card>
          <DataTable
            caption="Steps"
            query={steps}
            state={state}
            columns={columnsFor(action === "both")}
            rowKey={(row) => `${row.time} ${row.action ?? ""}`}
            csv={{ path: CALL, params: { ...asked, sort: state.sort }, name: `${name || "server"} rps` }}
            empty={<Empty title="There is no step in this range." />}
          />
        </>
      )}{" "}
    </div>
  );
}
