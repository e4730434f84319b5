// What the operator says of records: protection, a note, a label.
import { useState } from "preact/hooks";
import { list, malformed, send } from "../../api";
import { useChange, useQuery } from "../../query";
import { plural } from "../../text";
import type { ProtectionWord, ResourceRow } from "../../types";
import { Button, Dialog, DnsName, Failure, Field, Loaded, RecordNames, TextField, toast } from "../../ui";

interface About {
  resource_id: number;
  host: string;
  type: string;
}

const CHOICES: readonly [ProtectionWord, string, string][] = [
  ["none", "As its name and type suggest", "No declaration of yours: the rules for names and types apply."],
  ["protect", "Protect", "Never call it unused, for example because it is for disaster recovery."],
  ["allow", "Allow deletion", "Judge it by its use, although its name or type suggests that it must stay."],
];

const MAX_NOTE = 1000;

function Form({
  rows,
  known,
  protection: wanted,
  onClose,
}: {
  rows: readonly About[];
  known: ResourceRow | undefined;
  protection?: ProtectionWord;
  onClose: (done: boolean) => void;
}) {
  const [protection, setProtection] = useState<ProtectionWord>(
    wanted ?? CHOICES.find(([word]) => word === known?.protection)?.[0] ?? "none",
  );
  const [note, setNote] = useState(known?.note ?? "");
  const [label, setLabel] = useState(known?.label ?? "");
  const change = useChange(
    async () => {
      const body = known
        ? { protection, note: note.trim(), label: label.trim() }
        : { protection, ...(note.trim() === "" ? {} : { note: note.trim() }) };
      for (const { resource_id } of rows) await send("PATCH", `resources/${resource_id}`, body);
    },
    () => {
      toast(`${plural(rows.length, "record")} changed.`);
      onClose(true);
    },
  );
  const incomplete = protection === "protect" && note.trim() === "";
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        if (!incomplete) change.run();
      }}
    >
      <fieldset class="delete-choices">
        <legend>May it be called unused?</legend>
        {CHOICES.map(([word, title, meaning]) => (
          <label key={word}>
            <input
              type="radio"
              name="protection"
              checked={protection === word}
              onChange={() => setProtection(word)}
            />
            <span>
              {title}
              <span class="hint">{meaning}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <Field
        label={protection === "protect" ? "Why it is protected" : "Note"}
        hint={
          protection === "protect"
            ? "Shown as the reason of the verdict."
            : known
              ? "Shown to whoever looks at the record."
              : "Empty leaves the notes as they are."
        }
      >
        {(attributes) => (
          <textarea
            {...attributes}
            rows={2}
            maxLength={MAX_NOTE}
            value={note}
            required={protection === "protect"}
            onInput={(event) => setNote(event.currentTarget.value)}
          />
        )}
      </Field>
      {known && (
        <TextField
          label="Label"
          hint="Its id in another system, such as an IPAM."
          value={label}
          onValue={setLabel}
        />
      )}
      {change.error && <Failure error={change.error} />}
      <div class="row delete-form-actions">
        <Button onClick={() => onClose(false)}>Cancel</Button>
        <Button kind="primary" type="submit" busy={change.busy} disabled={incomplete}>
          Save
        </Button>
      </div>
    </form>
  );
}

export function ResourceDialog({
  rows,
  protection,
  onClose,
}: {
  rows: readonly About[];
  /** What is proposed. */
  protection?: ProtectionWord;
  onClose: (done: boolean) => void;
}) {
  const [only] = rows;
  const single = rows.length === 1 && only ? only : undefined;
  const id = single?.resource_id ?? 0;
  const query = useQuery(
    `resource ${id}`,
    async (signal) => {
      const { rows: found } = await list<ResourceRow>("resources", { resource_id: id }, signal);
      const [row] = found;
      if (!row) throw malformed("The record is not in the catalogue any more.");
      return row;
    },
    { enabled: single !== undefined, refreshes: false },
  );
  return (
    <Dialog
      title={single ? "Protection, note and label" : `Protection of ${plural(rows.length, "record")}`}
      onClose={() => onClose(false)}
    >
      {single ? (
        <>
          <p>
            <DnsName name={single.host} /> {single.type}
          </p>
          <Loaded query={query}>
            {(known) => (
              <>
                <pre class="delete-data" tabIndex={0} role="region" aria-label="Data">
                  {known.data.split("\n").map((line, at) => (
                    <div key={at}>
                      <DnsName name={line} />
                    </div>
                  ))}
                </pre>
                <Form rows={rows} known={known} protection={protection} onClose={onClose} />
              </>
            )}
          </Loaded>
        </>
      ) : (
        <>
          <RecordNames rows={rows} />
          <Form rows={rows} known={undefined} protection={protection} onClose={onClose} />
        </>
      )}
    </Dialog>
  );
}
