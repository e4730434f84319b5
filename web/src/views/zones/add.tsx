// Adds a zone: from a file that is dropped here, a file on the central's disk, or a transfer.
import { useState } from "preact/hooks";
import { ApiError, list, send } from "../../api";
import { useDraft } from "../../draft";
import { apexFault, apexOf } from "../../names";
import { useChange, useQuery } from "../../query";
import { go, href } from "../../route";
import { plural } from "../../text";
import type { ImportedBody, NewZone, SourceKind } from "../../types";
import { Button, Failure, FileDrop, LinkButton, TextField, toast } from "../../ui";
import { Commands } from "./commands";
import { bodyOf, DiskFields, draftOf, fieldOf, problemsOf, ServingFields, TransferFields } from "./form";
import { ImportFailure } from "./import";
import { apexIn, apexOfName, CALL, upload, type Zone } from "./zones";

export const SOURCES: readonly (readonly [SourceKind, string])[] = [
  ["upload", "Upload a file"],
  ["transfer", "Transfer from a primary"],
  ["file", "File on the central's disk"],
];

interface Added {
  zone: Zone;
  imported?: ImportedBody;
}

/** Makes the zone and loads the file. A zone whose file is refused is not left behind. */
async function addAndUpload(body: NewZone, file: File): Promise<Added> {
  const zone = await send<Zone>("POST", CALL, body);
  try {
    const imported = await upload(zone.zone_id, file);
    return { zone: imported.zone, imported };
  } catch (error) {
    if (error instanceof ApiError && error.trouble === "invalid")
      await send("DELETE", `${CALL}/${zone.zone_id}`).catch(() => {});
    throw error;
  }
}

/** `first` shows the command line at once. */
export function AddZone({ source, first = false }: { source: SourceKind; first?: boolean }) {
  const [file, setFile] = useState<File>();
  const [apex, setApex] = useDraft("zone apex", "");
  const [draft, setDraft] = useDraft("zone", draftOf());
  const [tried, setTried] = useState(false);
  const zones = useQuery("zones", (signal) => list<Zone>(CALL, { limit: 10_000 }, signal));
  const change = useChange(
    (): Promise<Added> => {
      const body: NewZone = { zone: apexOf(apex) ?? apex, ...bodyOf(draft, source) };
      if (source === "upload" && file) return addAndUpload(body, file);
      return send<Zone>("POST", CALL, body).then((zone) => ({ zone }));
    },
    ({ zone, imported }) => {
      toast(
        imported
          ? `${zone.zone} was added with ${plural(imported.added, "record")}.`
          : `${zone.zone} was added and is being loaded.`,
      );
      go(imported ? href("delete", { zone: zone.zone }) : href(`zones/${zone.zone_id}`));
    },
  );
  const take = (chosen: File): void => {
    setFile(chosen);
    change.reset();
    apexIn(chosen).then(
      (found) => setApex((typed) => found || typed || apexOfName(chosen.name)),
      () => setApex((typed) => typed || apexOfName(chosen.name)),
    );
  };

  const zone = apexOf(apex);
  const view = draft.view.trim() === "" ? "default" : draft.view.trim();
  const there = zones.data?.rows.find((each) => each.zone === zone && each.view === view);
  const problems = { ...problemsOf(draft, source), ...fieldOf(change.error) };
  const shown = tried ? problems : fieldOf(change.error);
  const blocked =
    zone === undefined ||
    there !== undefined ||
    (source === "upload" && file === undefined) ||
    Object.keys(problemsOf(draft, source)).length > 0;
  const atField = Object.keys(fieldOf(change.error)).length > 0;
  return (
    <form
      class="form zones-form"
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (!blocked) change.run();
      }}
    >
      {source === "upload" && (
        <FileDrop
          label={file ? "Zone file" : "Drop a zone file here"}
          hint="In master file format (RFC 1035 section 5). Its contents go to your central and nowhere else."
          file={file}
          disabled={change.busy}
          onFile={take}
        />
      )}
      {change.error &&
        !atField &&
        (change.error.trouble === "invalid" && source === "upload" ? (
          <ImportFailure error={change.error} file={file} />
        ) : (
          <Failure error={change.error} title="The zone was not added" />
        ))}
      <TextField
        label="Zone"
        hint={
          source === "upload"
            ? "Its apex. It is taken from the file where that says it: the owner of the SOA record."
            : "Its apex, the name of the SOA record."
        }
        placeholder="example.com."
        value={apex}
        onValue={setApex}
        error={
          // An empty field is no fault before something was sent.
          (tried || apex.trim() !== "") && zone === undefined
            ? apexFault(apex)
            : there
              ? "Zonepulse has this zone already."
              : undefined
        }
      />
      {there && source === "upload" && (
        <p>
          <LinkButton href={href(`zones/${there.zone_id}`)}>Upload new contents for {there.zone}</LinkButton>
        </p>
      )}
      {source === "transfer" && <TransferFields draft={draft} problems={shown} onDraft={setDraft} />}
      {source === "file" && <DiskFields draft={draft} problems={shown} onDraft={setDraft} />}
      <ServingFields draft={draft} problems={shown} onDraft={setDraft} />
      <details class="zones-more">
        <summary>View</summary>
        <TextField
          label="View"
          hint="Only for split-horizon DNS: the same apex can be in several views, each with contents of its own."
          value={draft.view}
          onValue={(each) => setDraft({ ...draft, view: each })}
          error={shown.view}
        />
      </details>
      <div class="row">
        <Button
          kind="primary"
          type="submit"
          busy={change.busy}
          disabled={there !== undefined || (source === "upload" && file === undefined)}
        >
          {change.busy && source === "upload" ? "Loading the file…" : "Add zone"}
        </Button>
        {source === "upload" && file === undefined && <span class="muted">Choose a file first.</span>}
      </div>
      <Commands
        open={first}
        source={source}
        zone={zone}
        primary={draft.primary}
        servers={draft.some ? draft.servers : []}
        file={file?.name}
        tsig={draft.tsig}
        others={draft.others}
      />
    </form>
  );
}
