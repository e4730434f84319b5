import { list } from "../../api";
import { useQuery } from "../../query";
import { href, list as listParam, text } from "../../route";
import { may } from "../../session";
import { count, plural } from "../../text";
import type { AlertBody, PlanBody } from "../../types";
import {
  arranged,
  Card,
  type Column,
  DataTable,
  DnsName,
  Empty,
  Failure,
  FilterField,
  Filters,
  FilterSelect,
  Foreign,
  LinkButton,
  Page,
  pageOf,
  RecordLink,
  SaveRows,
  type SortKeys,
  State,
  Table,
  tableState,
  Time,
} from "../../ui";
import { CALL, stageCounts, STAGE, STAGES } from "./plans";
import { StageState, stagesText } from "./stage";

export const ALERTS = `${CALL}/alerts`;
const SHOWN_ALERTS = 20;

const ALERT_COLUMNS: Column<AlertBody>[] = [
  {
    id: "record",
    title: "Record",
    wide: true,
    cell: ({ host, type }) => <RecordLink host={host} type={type} />,
  },
  {
    id: "plan",
    title: "Plan",
    cell: ({ retirement_id, retirement }) => (
      <a href={href(`plans/${retirement_id}`)}>
        <Foreign text={retirement} />
      </a>
    ),
  },
  { id: "stage", title: "Stage", cell: ({ stage }) => <StageState stage={stage} /> },
  { id: "last_access", title: "Last access", cell: ({ last_access }) => <Time at={last_access} relative /> },
];

export function AlertTable({ alerts, plan = true }: { alerts: readonly AlertBody[]; plan?: boolean }) {
  return (
    <Table
      caption="Records asked for since marked"
      columns={plan ? ALERT_COLUMNS : ALERT_COLUMNS.filter(({ id }) => id !== "plan")}
      rows={alerts}
      rowKey={({ retirement_id, resource_id }) => `${retirement_id} ${resource_id}`}
    />
  );
}

type Row = PlanBody & { alerts: number };

const SORTS: SortKeys<Row> = {
  name: ({ name }) => name,
  zone: ({ zone }) => zone,
  records: ({ resources }) => resources.length,
  alerts: ({ alerts }) => alerts,
  created: ({ created }) => created,
};

const COLUMNS: Column<Row>[] = [
  {
    id: "name",
    title: "Plan",
    sort: "name",
    wide: true,
    cell: ({ retirement_id, name, note }) => (
      <>
        <a href={href(`plans/${retirement_id}`)}>
          <Foreign text={name} />
        </a>
        {note !== "" && (
          <span class="muted small plans-note">
            <Foreign text={note} />
          </span>
        )}
      </>
    ),
  },
  { id: "zone", title: "Zone", sort: "zone", cell: ({ zone }) => <DnsName name={zone} /> },
  {
    id: "records",
    title: "Records",
    sort: "records",
    descends: true,
    numeric: true,
    cell: ({ resources }) => count(resources.length),
  },
  {
    id: "stages",
    title: "Stages",
    cell: ({ resources }) => {
      const counts = stageCounts(resources);
      return (
        <span class="plans-counts">
          {STAGES.filter((stage) => counts[stage] > 0).map((stage) => (
            <span key={stage} class="nowrap">
              {count(counts[stage])} <StageState stage={stage} />
            </span>
          ))}
        </span>
      );
    },
  },
  {
    id: "alerts",
    title: "Alerts",
    sort: "alerts",
    descends: true,
    cell: ({ alerts }) =>
      alerts === 0 ? (
        <State tone="good">None</State>
      ) : (
        <State tone="bad">{plural(alerts, "record")} asked for</State>
      ),
  },
  {
    id: "created",
    title: "Made",
    sort: "created",
    descends: true,
    cell: ({ created, created_by }) => (
      <div>
        <Time at={created} relative />
        <span class="muted small">
          {" "}
          by <Foreign text={created_by} />
        </span>
      </div>
    ),
  },
];

export function PlanList({ params }: { params: URLSearchParams }) {
  const plans = useQuery("retirements", (signal) => list<PlanBody>(CALL, { limit: 10_000 }, signal));
  const alerts = useQuery("retirement alerts", (signal) =>
    list<AlertBody>(ALERTS, { limit: 10_000 }, signal),
  );
  const state = tableState(params, "-created");
  const raised = new Map<number, number>();
  for (const { retirement_id } of alerts.data?.rows ?? [])
    raised.set(retirement_id, (raised.get(retirement_id) ?? 0) + 1);
  const part = text(params, "name").toLowerCase();
  const [stage] = listParam(params, "stage");
  const chosen = (plans.data?.rows ?? [])
    .map((plan): Row => ({ ...plan, alerts: raised.get(plan.retirement_id) ?? 0 }))
    .filter(
      ({ name, zone, resources }) =>
        (name.toLowerCase().includes(part) || zone.includes(part)) &&
        (stage === undefined || resources.some((each) => each.stage === stage)),
    );
  const rows = arranged(chosen, state.sort, SORTS, "created");
  const none = plans.data?.rows.length === 0;
  return (
    <Page
      title="Retirement plans"
      intro="Records on their way out of a zone: marked, watched, then removed, with the way back at every stage."
      actions={
        may("retirement") && (
          <LinkButton kind="primary" icon="plus" href={href("delete", { verdict: ["never_used", "unused"] })}>
            Choose records
          </LinkButton>
        )
      }
    >
      {alerts.error && (
        <Failure
          error={alerts.error}
          retry={alerts.retry}
          title={`${alerts.error.title}: alerts could not be read, so records may have been asked for`}
        />
      )}
      {alerts.data && alerts.data.rows.length > 0 && (
        <Card
          flush
          title={`${plural(alerts.data.total, "record")} of a plan asked for since marked`}
          note={alerts.data.total > SHOWN_ALERTS ? `the last ${SHOWN_ALERTS}` : undefined}
          actions={
            <SaveRows
              name="alerts"
              header={["retirement_id", "retirement", "zone", "host", "type", "stage", "last_access"]}
              rows={() =>
                (alerts.data?.rows ?? []).map((alert) => [
                  alert.retirement_id,
                  alert.retirement,
                  alert.zone,
                  alert.host,
                  alert.type,
                  alert.stage,
                  alert.last_access,
                ])
              }
            />
          }
        >
          <AlertTable
            alerts={[...alerts.data.rows]
              .sort((a, b) => b.last_access.localeCompare(a.last_access))
              .slice(0, SHOWN_ALERTS)}
          />
        </Card>
      )}
      {!none && (
        <Filters reset={["name", "stage"]}>
          <FilterField name="name" label="Plan or zone" placeholder="part of the name" />
          <FilterSelect
            name="stage"
            label="Stage"
            choices={[["", "All"], ...STAGES.map((each) => [each, STAGE[each].word] as const)]}
          />
        </Filters>
      )}
      <DataTable
        caption="Retirement plans"
        query={{ ...plans, data: plans.data && pageOf(rows, state) }}
        state={state}
        columns={COLUMNS}
        rowKey={({ retirement_id }) => String(retirement_id)}
        rowName={({ name }) => name}
        tools={
          rows.length > 0 && (
            <div class="table-tools">
              <SaveRows
                name="plans"
                header={[
                  "retirement_id",
                  "name",
                  "zone",
                  "records",
                  "stages",
                  "alerts",
                  "created",
                  "created_by",
                  "note",
                ]}
                rows={() =>
                  rows.map((plan) => [
                    plan.retirement_id,
                    plan.name,
                    plan.zone,
                    plan.resources.length,
                    stagesText(plan.resources),
                    plan.alerts,
                    plan.created,
                    plan.created_by,
                    plan.note,
                  ])
                }
              />
            </div>
          )
        }
        empty={
          none ? (
            <Empty title="There is no retirement plan yet.">
              <p>
                Choose records that nobody has needed, and put them into a plan. It shows what their removal
                changes, raises an alert if one of them is asked for, and writes the scripts for each stage.
              </p>
              <LinkButton href={href("delete", { verdict: ["never_used", "unused"] })}>
                Show candidates for deletion
              </LinkButton>
            </Empty>
          ) : (
            <Empty title="No plan matches.">
              <LinkButton href={href("plans")}>Show all plans</LinkButton>
            </Empty>
          )
        }
      />
    </Page>
  );
}
