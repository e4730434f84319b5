// Puts selected records into a retirement plan.
import { useState } from "preact/hooks";
import { list, send } from "../../api";
import { useChange, useQuery } from "../../query";
import { go, href } from "../../route";
import { count, plural } from "../../text";
import type { PlanBody, VerdictRow } from "../../types";
import {
  Button,
  CheckField,
  Dialog,
  DnsName,
  Failure,
  Field,
  Loading,
  Notice,
  RecordNames,
  SelectField,
  TextField,
  toast,
} from "../../ui";
import { addRecords, CALL } from "../plans/plans";
import { isCandidate, VERDICTS, VerdictState } from "./verdict";

const NEW = "new";

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

export function PlanDialog({
  rows,
  onClose,
}: {
  rows: readonly VerdictRow[];
  onClose: (done: boolean) => void;
}) {
  const [into, setInto] = useState(NEW);
  const zones = [...new Map(rows.map(({ zone_id, zone }) => [zone_id, zone])).entries()];
  const [name, setName] = useState(`${(zones[0]?.[1] ?? "").replace(/\.$/, "")} ${today()}`);
  const [note, setNote] = useState("");
  const [ttl, setTtl] = useState("60");
  const [sure, setSure] = useState(false);
  const plans = useQuery("retirements", (signal) => list<PlanBody>(CALL, {}, signal));
  const doubtful = rows.filter(({ verdict }) => !isCandidate(verdict));
  const extendable = (plans.data?.rows ?? []).filter(
    (plan) => zones.length === 1 && plan.zone_id === zones[0]?.[0],
  );
  const extended = extendable.find(({ retirement_id }) => String(retirement_id) === into);
  const seconds = /^\d{1,7}$/.test(ttl) ? Number(ttl) : undefined;

  const change = useChange(
    async (): Promise<PlanBody[]> => {
      if (extended) {
        const has = new Set(extended.resources.map(({ resource_id }) => resource_id));
        const ids = rows.map(({ resource_id }) => resource_id).filter((id) => !has.has(id));
        return [ids.length === 0 ? extended : await addRecords(extended, ids)];
      }
      const made: PlanBody[] = [];
      for (const [zone_id, zone] of zones) {
        made.push(
          await send<PlanBody>("POST", CALL, {
            name: zones.length > 1 ? `${name.trim()} (${zone})` : name.trim(),
            note: note.trim(),
            lowered_ttl: seconds,
            resource_ids: rows.filter((row) => row.zone_id === zone_id).map(({ resource_id }) => resource_id),
          }),
        );
      }
      return made;
    },
    (made) => {
      toast(`${plural(rows.length, "record")} marked. Whoever asks for one from now on raises an alert.`);
      onClose(true);
      const [first] = made;
      go(made.length === 1 && first ? href(`plans/${first.retirement_id}`) : href("plans"));
    },
  );

  const missing = extended
    ? ""
    : name.trim() === ""
      ? "Give the plan a name."
      : seconds === undefined
        ? "Enter the TTL in seconds."
        : "";
  const blocked = missing !== "" || (doubtful.length > 0 && !sure);
  return (
    <Dialog
      title={`Retire ${plural(rows.length, "record")}`}
      onClose={() => onClose(false)}
      actions={
        <>
          <Button onClick={() => onClose(false)}>Cancel</Button>
          <Button kind="primary" busy={change.busy} disabled={blocked} onClick={() => change.run()}>
            {extended
              ? "Extend the plan"
              : zones.length > 1
                ? `Make ${count(zones.length)} plans`
                : "Make the plan"}
          </Button>
        </>
      }
    >
      <RecordNames rows={rows} />
      <p>
        A plan only marks records and watches them: whoever asks for one raises an alert. Nothing changes in
        the zone until you run what the plan exports.
      </p>
      {zones.length > 1 && (
        <Notice>
          A plan is about one zone. The selection has records of {count(zones.length)} zones, so each gets a
          plan of its own.
        </Notice>
      )}
      {plans.data === undefined && !plans.error && zones.length === 1 && <Loading what="Reading plans" />}
      {extendable.length > 0 && (
        <SelectField
          label="Plan"
          value={extended ? into : NEW}
          onValue={setInto}
          choices={[
            [NEW, "A new plan"],
            ...extendable.map(
              (plan) =>
                [
                  String(plan.retirement_id),
                  `${plan.name} (${plural(plan.resources.length, "record")})`,
                ] as const,
            ),
          ]}
        />
      )}
      {extended ? (
        <Notice>
          They are marked now. What the plan has already keeps its stage, and the date on which it got there.
        </Notice>
      ) : (
        <>
          <TextField label="Name" value={name} onValue={setName} required />
          <Field label="Note" hint="Such as a ticket, or who was asked.">
            {(attributes) => (
              <textarea
                {...attributes}
                rows={2}
                value={note}
                onInput={(event) => setNote(event.currentTarget.value)}
              />
            )}
          </Field>
          <TextField
            label="Lowered TTL, seconds"
            hint="Before the removal, TTLs are lowered to this at most, so that an undo is quick."
            inputMode="numeric"
            value={ttl}
            onValue={setTtl}
            error={seconds === undefined ? "Enter a whole number of seconds." : undefined}
          />
        </>
      )}
      {doubtful.length > 0 && (
        <Notice tone="bad">
          <p>
            <strong>
              {doubtful.length === rows.length
                ? rows.length === 1
                  ? "This record is not known to be unused."
                  : "None of these records is known to be unused."
                : `${count(doubtful.length)} of these records are not known to be unused.`}
            </strong>
          </p>
          <ul class="delete-doubtful">
            {VERDICTS.map((verdict) => {
              const those = doubtful.filter((row) => row.verdict === verdict);
              return those.length === 0 ? null : (
                <li key={verdict}>
                  <VerdictState verdict={verdict} />{" "}
                  {those.slice(0, 5).map(({ resource_id, host, type }, at) => (
                    <span key={resource_id}>
                      {at > 0 && ", "}
                      <DnsName name={host} /> {type}
                    </span>
                  ))}
                  {those.length > 5 && ` and ${count(those.length - 5)} more`}
                </li>
              );
            })}
          </ul>
          <CheckField label="Mark them nevertheless" checked={sure} onChecked={setSure} />
        </Notice>
      )}
      {change.error && <Failure error={change.error} />}
    </Dialog>
  );
}
