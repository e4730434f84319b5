import { useState } from "preact/hooks";
import { list, type Params } from "../../api";
import { asciiName, filterError, nameFilterFault } from "../../names";
import { useQuery } from "../../query";
import { change, href, list as listParam, oneOf, text } from "../../route";
import { may } from "../../session";
import { duration, plural } from "../../text";
import type { ProtectionWord, VerdictRow, ZoneEntry } from "../../types";
import {
  Button,
  type Column,
  DataTable,
  Empty,
  FilterField,
  Filters,
  FilterSelect,
  Foreign,
  invalidChoice,
  InvalidNotice,
  LinkButton,
  Loaded,
  Page,
  Reason,
  RecordLink,
  Selected,
  SelectField,
  tableState,
  Time,
} from "../../ui";
import type { ViewProps } from "../index";
import { FirstZone } from "../zones/first";
import { CALL, countAll, countByZone, isCountable, together } from "./counts";
import { Evidence } from "./evidence";
import { PlanDialog } from "./plan-dialog";
import { ResourceDialog } from "./resource-dialog";
import { Tiles, ZoneTable } from "./summary";
import {
  GROUPS,
  isCandidate,
  isVerdict,
  MEANING,
  reasonsOf,
  STANDARD_WINDOW,
  VERDICTS,
  VerdictState,
  windowLength,
  WINDOWS,
} from "./verdict";

const TYPES = [
  "A",
  "AAAA",
  "CNAME",
  "MX",
  "NS",
  "PTR",
  "SOA",
  "SRV",
  "TXT",
  "HTTPS",
  "CAA",
  "DS",
  "TLSA",
  "NAPTR",
];
const FILTERS = ["zone", "host", "type", "verdict", "window", "order"];
/** Part of a name finds the names that contain it; with an asterisk, the user has said where. */
const pattern = (typed: string): string => (typed === "" || typed.includes("*") ? typed : `*${typed}*`);

/** Choices of the filter that stand for more than one verdict. */
const [CANDIDATES, SEVERAL] = ["candidates", "several"];

const Why = ({ row }: { row: VerdictRow }) => (
  <div class="delete-why">
    {reasonsOf(row.reasons).own.map((sentence) => (
      <p key={sentence}>
        <Reason text={sentence} />
      </p>
    ))}
  </div>
);

const COLUMNS: Column<VerdictRow>[] = [
  {
    id: "host",
    title: "Record",
    wide: true,
    cell: (row) => (
      <>
        <RecordLink host={row.host} type={row.type} />
        {row.view !== "default" && (
          <span class="muted small">
            {" "}
            view <Foreign text={row.view} />
          </span>
        )}
      </>
    ),
  },
  { id: "verdict", title: "Verdict", cell: ({ verdict }) => <VerdictState verdict={verdict} /> },
  { id: "why", title: "Why", cell: (row) => <Why row={row} /> },
  {
    id: "last_access",
    title: "Last access",
    cell: ({ last_access }) =>
      last_access === null ? (
        <span class="muted nowrap">none known</span>
      ) : (
        <span class="delete-when">
          <Time at={last_access} relative />
        </span>
      ),
  },
  {
    id: "quiet",
    title: "Quiet for",
    cell: ({ quiet_for_s, rules_out }) => (
      <div>
        <span class="nowrap">{duration(quiet_for_s)}</span>
        <span class="muted small delete-below">
          {rules_out === null ? "too short to rule out any rhythm of use" : `rules out ${rules_out} use`}
        </span>
      </div>
    ),
  },
  {
    id: "evidence",
    title: "Based on",
    cell: ({ evidence, asked }) => (
      <span class="nowrap">
        {evidence === "queries"
          ? plural(asked, "query", "queries")
          : `${plural(asked, "query", "queries")}, ${evidence}`}
      </span>
    ),
  },
];

/** Only where another system's ids were imported. */
const LABEL: Column<VerdictRow> = {
  id: "label",
  title: "Label",
  cell: ({ label }) => (label === "" ? <span class="muted">–</span> : <Foreign text={label} />),
};

type Asked = { is: "plan" } | { is: "resource"; rows: VerdictRow[]; protection?: ProtectionWord };

function Verdicts({ zones, params }: { zones: readonly ZoneEntry[]; params: URLSearchParams }) {
  const zone = text(params, "zone");
  const window =
    windowLength(text(params, "window")) === undefined ? STANDARD_WINDOW : text(params, "window");
  const verdicts = listParam(params, "verdict").filter(isVerdict);
  const several = verdicts.length < 2 ? "" : verdicts.every(isCandidate) ? CANDIDATES : SEVERAL;
  const order = oneOf(params, "order", ["quiet", "zone"] as const, "quiet");
  const state = tableState(params, "");
  const [chosen, setChosen] = useState<ReadonlyMap<string, VerdictRow>>(new Map());
  const [asked, setAsked] = useState<Asked>();

  const filters: Params = {
    zone,
    host: pattern(asciiName(text(params, "host"))),
    type: text(params, "type"),
    not_accessed_for: window,
  };
  const wrong = filterError(nameFilterFault(text(params, "host")));
  const call: Params = { ...filters, verdict: verdicts, order: order === "quiet" ? null : order };
  const query = useQuery(`${CALL} ${JSON.stringify([call, state])}`, (signal) =>
    wrong
      ? Promise.reject(wrong)
      : list<VerdictRow>(CALL, { ...call, offset: state.offset, limit: state.limit }, signal),
  );
  // Whoever looks for certain records wants to see them rather than summaries.
  const filtered = verdicts.length > 0 || text(params, "host") !== "" || text(params, "type") !== "";
  const concerned = zone === "" ? zones : zones.filter((each) => each.zone === zone);
  const whole = text(params, "host") === "" && text(params, "type") === "";
  const countable = isCountable(zones, window);
  const byZone = useQuery(
    `verdicts by zone ${window} ${zones.map(({ zone_id }) => zone_id).join(" ")}`,
    (signal) => countByZone(zones, window, signal),
    { enabled: countable && whole },
  );
  const some = useQuery(
    `${CALL} counts ${JSON.stringify(filters)}`,
    (signal) => (wrong ? Promise.reject(wrong) : countAll(filters, signal)),
    {
      enabled: !(countable && whole),
    },
  );
  const counts =
    countable && whole ? { ...byZone, data: byZone.data && together(concerned, byZone.data) } : some;
  const windows = WINDOWS.some(([each]) => each === window)
    ? WINDOWS
    : [...WINDOWS, [window, duration(windowLength(window))] as const];
  const names = [...new Set(zones.map((each) => each.zone))].sort();
  const rows = [...chosen.values()];
  const [mayPlan, mayProtect] = [may("retirement"), may("zones")];
  const close = (done: boolean): void => {
    setAsked(undefined);
    if (done) setChosen(new Map());
  };
  return (
    <>
      <Filters reset={FILTERS}>
        <FilterField name="host" label="Name" placeholder="part of a name, or *.example.com" />
        <FilterSelect
          name="zone"
          label="Zone"
          choices={[
            ["", "All"],
            ...(zone === "" || names.includes(zone) ? names : [zone, ...names]).map(
              (each) => [each, each] as const,
            ),
          ]}
        />
        <SelectField
          label="Verdict"
          value={verdicts.length < 2 ? (verdicts[0] ?? "") : several}
          onValue={(value) => change({ verdict: value === CANDIDATES ? GROUPS[0]?.verdicts : value })}
          choices={[
            ["", "All"],
            [CANDIDATES, "Candidates for deletion"],
            ...VERDICTS.map((each) => [each, MEANING[each].word] as const),
            ...(several === SEVERAL ? [[SEVERAL, "Several"] as const] : []),
          ]}
        />
        <FilterSelect
          name="type"
          label="Type"
          choices={[["", "All"], ...TYPES.map((each) => [each, each] as const)]}
        />
        <FilterSelect name="window" label="Not used for" choices={windows} />
      </Filters>
      <InvalidNotice
        values={[
          ...(text(params, "window") === "" || windowLength(text(params, "window")) !== undefined
            ? []
            : [{ what: "window", value: text(params, "window"), instead: "90 days" }]),
          ...listParam(params, "verdict")
            .filter((each) => !isVerdict(each))
            .map((value) => ({
              what: "verdict",
              value,
              instead: verdicts.length > 0 ? "the other verdicts" : "all verdicts",
            })),
          ...invalidChoice(params, "order", ["quiet", "zone"], "order", "the longest quiet first"),
        ]}
      />
      <Tiles query={counts} />
      <Evidence zones={concerned} window={window} brief={filtered} />
      {zone === "" && zones.length > 1 && !filtered && (
        <ZoneTable zones={zones} query={countable ? byZone : undefined} />
      )}
      <DataTable
        caption="Verdicts"
        query={query}
        state={state}
        columns={query.data?.rows.some(({ label }) => label !== "") ? [...COLUMNS, LABEL] : COLUMNS}
        rowKey={({ resource_id }) => String(resource_id)}
        rowName={({ host, type }) => `${host} ${type}`}
        csv={{ path: CALL, params: call, name: "verdicts" }}
        selection={
          mayPlan || mayProtect
            ? {
                chosen: new Set(chosen.keys()),
                onChange: (keys) => {
                  const known = new Map([
                    ...chosen,
                    ...(query.data?.rows ?? []).map((row) => [String(row.resource_id), row] as const),
                  ]);
                  setChosen(
                    new Map(
                      [...keys].flatMap((key) => {
                        const row = known.get(key);
                        return row ? [[key, row] as const] : [];
                      }),
                    ),
                  );
                },
              }
            : undefined
        }
        menu={(row) => [
          { text: "Queries over time", href: href("record", { host: row.host, type: row.type }) },
          ...(mayPlan
            ? [
                {
                  text: "Retire…",
                  onSelect: () => {
                    setChosen(new Map([[String(row.resource_id), row]]));
                    setAsked({ is: "plan" });
                  },
                },
              ]
            : []),
          ...(mayProtect
            ? [
                {
                  text: "Protect…",
                  onSelect: () => setAsked({ is: "resource", rows: [row], protection: "protect" as const }),
                },
                {
                  text: "Allow deletion…",
                  onSelect: () => setAsked({ is: "resource", rows: [row], protection: "allow" as const }),
                },
                { text: "Note and label…", onSelect: () => setAsked({ is: "resource", rows: [row] }) },
              ]
            : []),
        ]}
        tools={
          <>
            {rows.length > 0 && (
              <div class="row delete-selection" role="group" aria-label="Selected records">
                <Selected
                  chosen={[...chosen.keys()]}
                  shown={(query.data?.rows ?? []).map(({ resource_id }) => String(resource_id))}
                />
                {mayPlan && (
                  <Button kind="primary" icon="plans" onClick={() => setAsked({ is: "plan" })}>
                    Retire…
                  </Button>
                )}
                {mayProtect && (
                  <Button
                    icon="lock"
                    onClick={() => setAsked({ is: "resource", rows, protection: "protect" })}
                  >
                    Protect…
                  </Button>
                )}
                {mayProtect && (
                  <Button onClick={() => setAsked({ is: "resource", rows, protection: "allow" })}>
                    Allow deletion…
                  </Button>
                )}
                <Button kind="quiet" onClick={() => setChosen(new Map())}>
                  Clear
                </Button>
              </div>
            )}
            <div class="delete-order">
              <FilterSelect
                name="order"
                label="Order"
                choices={[
                  ["quiet", "Longest quiet first"],
                  ["zone", "By zone and name"],
                ]}
              />
            </div>
          </>
        }
        empty={
          <Empty title="No record matches.">
            <p>
              {zones.every(({ resources }) => resources === 0)
                ? "The zones have no contents yet."
                : `The ${plural(zones.length, "zone")} of the catalogue have no record that matches all filters.`}
            </p>
            {zones.every(({ resources }) => resources === 0) ? (
              <LinkButton href={href("zones")}>What happened to the zones?</LinkButton>
            ) : (
              <LinkButton href={href("delete")}>Show all records</LinkButton>
            )}
          </Empty>
        }
      />
      {asked?.is === "plan" && <PlanDialog rows={rows} onClose={close} />}
      {asked?.is === "resource" && (
        <ResourceDialog rows={asked.rows} protection={asked.protection} onClose={close} />
      )}
    </>
  );
}

export default function View({ params }: ViewProps) {
  const zones = useQuery("zones", (signal) => list<ZoneEntry>("zones", { limit: 10_000 }, signal));
  return (
    <Page
      title="Safe to delete?"
      intro="For every RRset of your zones: does anybody need it, and what does that answer rest on?"
    >
      <Loaded query={zones} what="Reading zones">
        {({ rows }) => (
          <div class="stack">
            {rows.length === 0 ? <FirstZone /> : <Verdicts zones={rows} params={params} />}
          </div>
        )}
      </Loaded>
    </Page>
  );
}
