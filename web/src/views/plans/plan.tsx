import { get, list, send } from "../../api";
import { useDraft } from "../../draft";
import { useChange, useQuery } from "../../query";
import { go, href } from "../../route";
import { may } from "../../session";
import { plural } from "../../text";
import type { AlertBody, PlanBody, ZoneEntry } from "../../types";
import {
  Button,
  Card,
  Confirm,
  Dialog,
  DnsName,
  Failure,
  Field,
  Foreign,
  Loaded,
  Notice,
  Page,
  TextField,
  Time,
  toast,
} from "../../ui";
import { Items } from "./items";
import { ALERTS, AlertTable } from "./list";
import { CALL, stageCounts } from "./plans";
import { Simulation } from "./simulation";
import { stagesText } from "./stage";
import { Steps } from "./steps";

export function PlanPage({ id, params }: { id: string; params: URLSearchParams }) {
  const query = useQuery(`retirement ${id}`, (signal) =>
    get<PlanBody>(`${CALL}/${encodeURIComponent(id)}`, {}, signal),
  );
  const alerts = useQuery("retirement alerts", (signal) =>
    list<AlertBody>(ALERTS, { limit: 10_000 }, signal),
  );
  const [asked, setAsked] = useDraft<"rename" | "delete" | undefined>(`plan dialog ${id}`, undefined);
  const plan = query.data;
  const zone = useQuery(
    `zone ${plan?.zone_id ?? 0}`,
    (signal) => get<ZoneEntry>(`zones/${plan?.zone_id ?? 0}`, {}, signal),
    { enabled: plan !== undefined },
  );
  const own = (alerts.data?.rows ?? []).filter(({ retirement_id }) => String(retirement_id) === id);
  return (
    <Page
      title={plan ? `Plan ${plan.name}` : "Retirement plan"}
      heading={plan && <Foreign text={plan.name} />}
      intro={
        <>
          <a href={href("plans")}>Retirement plans</a>
          {plan && (
            <>
              {" · "}
              {stagesText(plan.resources)} · zone{" "}
              <a href={href(`zones/${plan.zone_id}`)}>
                <DnsName name={plan.zone} />
              </a>{" "}
              · made <Time at={plan.created} /> by <Foreign text={plan.created_by} />
            </>
          )}
        </>
      }
      actions={
        plan &&
        may("retirement") && (
          <>
            <Button onClick={() => setAsked("rename")}>Rename…</Button>
            <Button kind="danger" icon="delete" onClick={() => setAsked("delete")}>
              Delete plan…
            </Button>
          </>
        )
      }
    >
      <Loaded query={query} what="Reading the plan">
        {(shown) => (
          <div class="stack plans-plan">
            {shown.note !== "" && (
              <p>
                <Foreign text={shown.note} />
              </p>
            )}
            {alerts.error && (
              <Failure
                error={alerts.error}
                retry={alerts.retry}
                title={`${alerts.error.title}: alerts could not be read, so records may have been asked for`}
              />
            )}
            {own.length > 0 && (
              <>
                <Notice tone="bad">
                  <strong>{plural(own.length, "record")} asked for since marked.</strong> Do not remove what
                  somebody needs.
                </Notice>
                <Card flush title="Alerts">
                  <AlertTable alerts={own.slice(0, 20)} plan={false} />
                </Card>
              </>
            )}
            <Steps plan={shown} alerts={own} />
            <Items plan={shown} alerts={own} params={params} />
            <Simulation plan={shown} serial={zone.data?.serial} />
          </div>
        )}
      </Loaded>
      {plan && asked === "rename" && <Rename plan={plan} onClose={() => setAsked(undefined)} />}
      {plan && asked === "delete" && <Delete plan={plan} onClose={() => setAsked(undefined)} />}
    </Page>
  );
}

function Rename({ plan, onClose }: { plan: PlanBody; onClose: () => void }) {
  const [name, setName] = useDraft(`plan name ${plan.retirement_id}`, plan.name);
  const [note, setNote] = useDraft(`plan note ${plan.retirement_id}`, plan.note);
  const change = useChange(
    () => send<PlanBody>("PATCH", `${CALL}/${plan.retirement_id}`, { name: name.trim(), note: note.trim() }),
    () => {
      toast("The plan was renamed.");
      onClose();
    },
  );
  const save = (): void => {
    if (name.trim() !== "") change.run();
  };
  return (
    <Dialog
      title="Name and note"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" busy={change.busy} disabled={name.trim() === ""} onClick={save}>
            Save
          </Button>
        </>
      }
    >
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <TextField
          label="Name"
          value={name}
          onValue={setName}
          error={name.trim() === "" ? "Give the plan a name." : undefined}
        />
        <Field label="Note">
          {(attributes) => (
            <textarea
              {...attributes}
              rows={3}
              value={note}
              onInput={(event) => setNote(event.currentTarget.value)}
            />
          )}
        </Field>
      </form>
      {change.error && <Failure error={change.error} title="The plan was not renamed" />}
    </Dialog>
  );
}

function Delete({ plan, onClose }: { plan: PlanBody; onClose: () => void }) {
  const counts = stageCounts(plan.resources);
  const changed = counts.ttl_lowered + counts.removed;
  const change = useChange(
    () => send("DELETE", `${CALL}/${plan.retirement_id}`),
    () => {
      toast("The plan was deleted.");
      go(href("plans"));
    },
  );
  return (
    <Confirm
      title="Delete this plan?"
      action="Delete the plan"
      busy={change.busy}
      onConfirm={() => change.run()}
      onClose={onClose}
    >
      <p>
        Its {plural(plan.resources.length, "record")} are not watched any more. Nothing changes in the zone.
      </p>
      {changed > 0 && (
        <Notice tone="warn">
          {plural(changed, "record")} of it {changed === 1 ? "was" : "were"} changed in the zone. The scripts
          that undo that go with the plan: save them first.
        </Notice>
      )}
      {change.error && <Failure error={change.error} title="The plan was not deleted" />}
    </Confirm>
  );
}
