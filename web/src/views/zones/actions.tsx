// What can be done with a zone that is there.
import { useState } from "preact/hooks";
import { send } from "../../api";
import { useChange } from "../../query";
import { plural, visible } from "../../text";
import type { ImportedBody } from "../../types";
import { Button, Dialog, DnsName, Failure, FileDrop, Notice, TextField, toast } from "../../ui";
import { ConfirmRemoval, Imported, ImportFailure, needsConfirmation } from "./import";
import { CALL, reload, upload, type Zone } from "./zones";

/** Loads a zone now, in a dialog that tells what came of it. `confirmed` was asked for before. */
export function RefreshDialog({ zone, onClose }: { zone: Zone; onClose: () => void }) {
  const waiting = zone.state === "waiting";
  const [result, setResult] = useState<ImportedBody | null>();
  const change = useChange((confirm: boolean) => reload(zone.zone_id, confirm), setResult);
  if (needsConfirmation(change.error))
    return (
      <ConfirmRemoval
        error={change.error}
        busy={change.busy}
        onConfirm={() => change.run(true)}
        onClose={onClose}
      />
    );
  const where =
    zone.source === "transfer" ? `its primary, ${zone.primary ?? ""}` : `its file, ${zone.file ?? ""}`;
  return (
    <Dialog
      title={`Load ${visible(zone.zone)} now`}
      onClose={onClose}
      actions={
        result === undefined ? (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button kind="primary" icon="refresh" busy={change.busy} onClick={() => change.run(false)}>
              {change.busy ? "Loading…" : "Load now"}
            </Button>
          </>
        ) : (
          <Button kind="primary" onClick={onClose}>
            Close
          </Button>
        )
      }
    >
      {result === undefined ? (
        <>
          <p>
            The zone is compared with {visible(where)}, and loaded if it differs. That also happens by itself
            {zone.source === "transfer" ? " by the timers of its SOA and on NOTIFY" : " every 30 seconds"}.
          </p>
          {waiting && (
            <Notice tone="warn">
              The new contents would remove much of the zone. You will be asked before that is done.
            </Notice>
          )}
          {change.error && <ImportFailure error={change.error} />}
        </>
      ) : (
        <Imported result={result} />
      )}
    </Dialog>
  );
}

/** New contents from a file. */
export function Upload({ zone }: { zone: Zone }) {
  const [file, setFile] = useState<File>();
  const [result, setResult] = useState<ImportedBody>();
  const change = useChange(
    (chosen: File, confirm: boolean) => upload(zone.zone_id, chosen, confirm),
    (imported) => {
      setResult(imported);
      setFile(undefined);
    },
  );
  return (
    <div class="zones-upload">
      <FileDrop
        label={
          change.busy
            ? "Loading…"
            : zone.state === "empty"
              ? "Drop the zone file here"
              : "Drop the new zone file here"
        }
        hint="It replaces all contents, or nothing if anything in it is wrong. Records that stay keep their ids."
        file={file}
        disabled={change.busy}
        onFile={(chosen) => {
          setFile(chosen);
          setResult(undefined);
          change.run(chosen, false);
        }}
      />
      {change.busy && <p role="status">Reading the file and comparing it with what is loaded…</p>}
      {result && <Imported result={result} />}
      {change.error && !needsConfirmation(change.error) && <ImportFailure error={change.error} file={file} />}
      {needsConfirmation(change.error) && file && (
        <ConfirmRemoval
          error={change.error}
          busy={change.busy}
          onConfirm={() => change.run(file, true)}
          onClose={() => {
            change.reset();
            setFile(undefined);
          }}
        />
      )}
    </div>
  );
}

export function UploadDialog({ zone, onClose }: { zone: Zone; onClose: () => void }) {
  return (
    <Dialog
      title={`New contents for ${visible(zone.zone)}`}
      wide
      onClose={onClose}
      actions={<Button onClick={onClose}>Close</Button>}
    >
      {zone.source !== "upload" && (
        <Notice tone="warn">
          This zone comes from its {zone.source === "transfer" ? "primary" : "file on the central"}, which
          replaces an uploaded file with the next refresh.
        </Notice>
      )}
      <Upload zone={zone} />
    </Dialog>
  );
}

export function RemoveDialog({ zone, onClose }: { zone: Zone; onClose: (done: boolean) => void }) {
  const [typed, setTyped] = useState("");
  const change = useChange(
    () => send("DELETE", `${CALL}/${zone.zone_id}`),
    () => {
      toast(`${zone.zone} was removed from the catalogue.`);
      onClose(true);
    },
  );
  const bare = (name: string): string => name.trim().toLowerCase().replace(/\.$/, "");
  const same = bare(typed) === bare(zone.zone);
  return (
    <Dialog
      title="Remove this zone from Zonepulse?"
      onClose={() => onClose(false)}
      actions={
        <>
          <Button onClick={() => onClose(false)}>Cancel</Button>
          <Button kind="danger" busy={change.busy} disabled={!same} onClick={() => change.run()}>
            Remove the zone
          </Button>
        </>
      }
    >
      <p>
        <DnsName name={zone.zone} /> with its {plural(zone.resources, "record")} leaves the catalogue:
        verdicts, labels, notes and protections of its records are lost, and their ids are never used again.
        Loading the zone again does not bring them back.
      </p>
      <p class="muted">On its servers, nothing changes. What was asked for stays in Records.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (same) change.run();
        }}
      >
        <TextField label={`Type ${visible(zone.zone)} to confirm`} value={typed} onValue={setTyped} />
      </form>
      {change.error && <Failure error={change.error} title="The zone was not removed" />}
    </Dialog>
  );
}
