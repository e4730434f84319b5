// The records of a plan.
import { useState } from "preact/hooks";
import { list, send } from "../../api";
import { useChange, useQuery } from "../../query";
import { href, list as listParam } from "../../route";
import { may } from "../../session";
import { duration, plural } from "../../text";
import type { AlertBody, ItemBody, PlanBody, StageWord, VerdictRow } from "../../types";
import {
  Button,
  type Column,
  Confirm,
  DataTable,
  Empty,
  Failure,
  Menu,
  pageOf,
  RecordLink,
  RecordNames,
  SaveRows,
  Selected,
  State,
  tableState,
  Time,
  toast,
} from "../../ui";
import { VerdictState } from "../delete/verdict";
import { CALL, canLeave, STAGE, STAGES, takeRecordsOut } from "./plans";
import { StageState } from "./stage";

const VERDICTS = "monitoring/dns/verdicts";

/** Says how far records got. Nothing changes in the zone by that. */
export const setStage = (
  { retirement_id }: PlanBody,
  stage: StageWord,
  resource_ids: readonly number[],
): Promise<PlanBody> => send<PlanBody>("PATCH", `${CALL}/${retirement_id}`, { stage, resource_ids });

type Row = ItemBody & { verdict: VerdictRow | undefined; alert: AlertBody | undefined };

export function Items({
  plan,
  alerts,
  params,
}: {
  plan: PlanBody;
  alerts: readonly AlertBody[];
  params: URLSearchParams;
}) {
  const state = tableState(params, "");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [removing, setRemoving] = useState<readonly number[]>();
  const [stage] = listParam(params, "stage");
  const all = plan.resources.filter((each) => stage === undefined || each.stage === stage);
  const shown = pageOf(all, state).rows;
  const ids = shown.map(({ resource_id }) => resource_id);
  const verdicts = useQuery(
    `${VERDICTS} of ${ids.join(" ")}`,
    (signal) => list<VerdictRow>(VERDICTS, { resource_id: ids, limit: ids.length }, signal),
    { enabled: ids.length > 0 },
  );
  const known = new Map((verdicts.data?.rows ?? []).map((row) => [row.resource_id, row]));
  const raised = new Map(alerts.map((alert) => [alert.resource_id, alert]));
  const advance = useChange(
    (to: StageWord, which: readonly number[]) => setStage(plan, to, which),
    () => {
      setChosen(new Set());
      toast("The stage was recorded.");
    },
  );
  const remove = useChange(
    (which: readonly number[]) => takeRecordsOut(plan, which),
    ({ resources }) => {
      setRemoving(undefined);
      setChosen(new Set());
      toast(`The plan has ${plural(resources.length, "record")} now.`);
    },
  );
  const mayPlan = may("retirement");
  const numbers = [...chosen].map(Number);
  const leaving = plan.resources.filter(({ resource_id }) => chosen.has(String(resource_id)));

  const columns: Column<Row>[] = [
    {
      id: "record",
      title: "Record",
      wide: true,
      cell: ({ host, type }) => <RecordLink host={host} type={type} />,
    },
    {
      id: "stage",
      title: "Stage",
      cell: ({ stage: at, since }) => (
        <div>
          <StageState stage={at} />
          <span class="muted small plans-note">
            <Time at={since} />
          </span>
        </div>
      ),
    },
    {
      id: "verdict",
      title: "Verdict (90 days)",
      cell: ({ verdict }) =>
        verdict ? (
          <VerdictState verdict={verdict.verdict} />
        ) : (
          <span class="muted">{verdicts.data ? "not in the zone" : verdicts.error ? "not known" : "…"}</span>
        ),
    },
    {
      id: "asked",
      title: "Asked for since marked",
      cell: ({ alert }) =>
        alert ? (
          <State tone="bad">
            <span class="plans-when">
              <Time at={alert.last_access} relative />
            </span>
          </State>
        ) : (
          <State tone="good">No</State>
        ),
    },
    {
      id: "last_access",
      title: "Last access",
      cell: ({ verdict }) =>
        verdict === undefined ? (
          <span class="muted">–</span>
        ) : verdict.last_access === null ? (
          <span class="muted">none known</span>
        ) : (
          <span class="plans-when">
            <Time at={verdict.last_access} relative />
          </span>
        ),
    },
    {
      id: "marked",
      title: "Marked",
      cell: ({ marked }) => (
        <span class="plans-when">
          <Time at={marked} relative />
        </span>
      ),
    },
    {
      id: "ttl",
      title: "TTL",
      numeric: true,
      cell: ({ ttl }) => <span class="nowrap">{duration(ttl)}</span>,
    },
  ];
  const close = (): void => {
    setRemoving(undefined);
    remove.reset();
  };
  return (
    <section class="stack" aria-labelledby="records">
      <h2 id="records">Records</h2>
      {verdicts.error && (
        <Failure error={verdicts.error} retry={verdicts.retry} title="The verdicts could not be read" />
      )}
      {advance.error && <Failure error={advance.error} title="The stage was not recorded" />}
      <DataTable
        caption="Records of the plan"
        query={{
          data: {
            rows: shown.map((item): Row => ({
              ...item,
              verdict: known.get(item.resource_id),
              alert: raised.get(item.resource_id),
            })),
            total: all.length,
          },
          error: undefined,
          loading: false,
          stale: false,
          slow: false,
          retry: () => {},
        }}
        state={state}
        columns={columns}
        rowKey={({ resource_id }) => String(resource_id)}
        rowName={({ host, type }) => `${host} ${type}`}
        selection={mayPlan ? { chosen, onChange: setChosen } : undefined}
        tools={
          <>
            {chosen.size > 0 && (
              <div class="row" role="group" aria-label="Selected records">
                <Selected chosen={[...chosen]} shown={ids.map(String)} />
                <Menu
                  label="Record a stage for the selected records"
                  button="Record stage"
                  buttonClass="button"
                  items={STAGES.map((to) => ({
                    text: STAGE[to].word,
                    onSelect: () => advance.run(to, numbers),
                  }))}
                />
                {leaving.every(canLeave) && chosen.size < plan.resources.length && (
                  <Button onClick={() => setRemoving(numbers)}>Take out of the plan…</Button>
                )}
                <Button kind="quiet" onClick={() => setChosen(new Set())}>
                  Clear
                </Button>
              </div>
            )}
            <div class="table-tools">
              <SaveRows
                name={`plan-${plan.retirement_id}`}
                header={[
                  "resource_id",
                  "host",
                  "type",
                  "ttl",
                  "stage",
                  "since",
                  "marked",
                  "asked_since_marked",
                ]}
                rows={() =>
                  all.map((item) => [
                    item.resource_id,
                    item.host,
                    item.type,
                    item.ttl,
                    item.stage,
                    item.since,
                    item.marked,
                    raised.get(item.resource_id)?.last_access ?? null,
                  ])
                }
              />
            </div>
          </>
        }
        menu={(row) => [
          { text: "Queries over time", href: href("record", { host: row.host, type: row.type }) },
          { text: "Verdict and reasons", href: href("delete", { host: row.host, type: row.type }) },
          ...(mayPlan
            ? STAGES.filter((to) => to !== row.stage).map((to) => ({
                text: `Record as ${STAGE[to].word.toLowerCase().replace("ttl", "TTL")}`,
                onSelect: () => advance.run(to, [row.resource_id]),
              }))
            : []),
          ...(mayPlan && canLeave(row) && plan.resources.length > 1
            ? [
                {
                  text: "Take out of the plan…",
                  danger: true,
                  onSelect: () => setRemoving([row.resource_id]),
                },
              ]
            : []),
        ]}
        empty={<Empty title="No record of the plan is at this stage." />}
      />
      {removing && (
        <Confirm
          title={`Take ${plural(removing.length, "record")} out of the plan?`}
          action="Take out"
          busy={remove.busy}
          onConfirm={() => remove.run(removing)}
          onClose={close}
        >
          <RecordNames rows={plan.resources.filter(({ resource_id }) => removing.includes(resource_id))} />
          <p>Nothing changes in the zone. These records are not watched any more.</p>
          {remove.error && <Failure error={remove.error} title="The plan was not changed" />}
        </Confirm>
      )}
    </section>
  );
}
