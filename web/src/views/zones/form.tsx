// Where a zone comes from and who serves it.
import { useId } from "preact/hooks";
import { primaryFault } from "../../address";
import { list, type ApiError } from "../../api";
import { useQuery } from "../../query";
import { visible } from "../../text";
import type { NewZone, ServerEntry, SourceKind, ZoneEntry } from "../../types";
import { CheckField, Failure, SelectField, TextField } from "../../ui";

export const ALGORITHMS = ["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha1"] as const;

export interface Draft {
  view: string;
  file: string;
  primary: string;
  tsig: boolean;
  tsigName: string;
  algorithm: string;
  secret: string;
  /** Empty for all. */
  servers: number[];
  /** Whether only the chosen servers serve it. */
  some: boolean;
  others: boolean;
  waived: boolean;
}

export const draftOf = (zone?: ZoneEntry): Draft => ({
  view: zone?.view ?? "default",
  file: zone?.file ?? "",
  primary: zone?.primary ?? "",
  tsig: zone !== undefined && zone.tsig_name !== null,
  tsigName: zone?.tsig_name ?? "",
  algorithm: zone?.tsig_algorithm ?? "hmac-sha256",
  secret: "",
  servers: zone?.servers ?? [],
  some: (zone?.servers.length ?? 0) > 0,
  others: zone?.others_serve_it ?? false,
  waived: zone?.others_waived ?? false,
});

export type Problems = Partial<Record<keyof Draft, string>>;

/** What is wrong with a draft, by field. `had` is the key that is stored already. */
export function problemsOf(draft: Draft, source: SourceKind, had?: ZoneEntry): Problems {
  const problems: Problems = {};
  if (source === "file" && draft.file.trim() === "") problems.file = "Enter the file's path.";
  if (source === "transfer") {
    const wrong = primaryFault(draft.primary.trim());
    if (wrong !== undefined) problems.primary = wrong;
    if (draft.tsig) {
      if (draft.tsigName.trim() === "") problems.tsigName = "Enter the key's name.";
      const same =
        had?.tsig_name === draft.tsigName &&
        had.tsig_algorithm === draft.algorithm &&
        had.primary === draft.primary;
      if (draft.secret.trim() === "" && !same)
        problems.secret = had?.tsig_name
          ? "Another key or primary needs the secret again."
          : "Enter the key's secret.";
      else if (draft.secret.trim() !== "" && !/^[A-Za-z0-9+/]+={0,2}$/.test(draft.secret.trim()))
        problems.secret = "The secret is not base64.";
    }
  }
  if (draft.some && draft.servers.length === 0) problems.servers = "Choose at least one server.";
  return problems;
}

/** The draft as the API takes it, without the apex. */
export function bodyOf(draft: Draft, source: SourceKind): Omit<NewZone, "zone"> {
  const key = source === "transfer" && draft.tsig && draft.secret.trim() !== "";
  return {
    view: draft.view.trim() === "" ? "default" : draft.view.trim(),
    source,
    ...(source === "file" ? { file: draft.file.trim() } : {}),
    ...(source === "transfer" ? { primary: withPort(draft.primary.trim()) } : {}),
    ...(key
      ? { tsig: { name: draft.tsigName.trim(), algorithm: draft.algorithm, secret: draft.secret.trim() } }
      : {}),
    servers: draft.some ? draft.servers : [],
    others_serve_it: draft.others,
    others_waived: draft.others && draft.waived,
  };
}

/** Port 53 unless one is given. */
function withPort(primary: string): string {
  if (/^\[.*\]:\d+$/.test(primary) || /^[^:[\]]+:\d+$/.test(primary)) return primary;
  if (primary.startsWith("[")) return `${primary}:53`;
  return primary.includes(":") ? `[${primary}]:53` : `${primary}:53`;
}

interface Part {
  draft: Draft;
  problems: Problems;
  onDraft: (draft: Draft) => void;
}

/** The primary and its key. */
export function TransferFields({ draft, problems, onDraft, had }: Part & { had?: ZoneEntry }) {
  const set = (change: Partial<Draft>): void => onDraft({ ...draft, ...change });
  return (
    <>
      <TextField
        label="Primary"
        hint="Address of the server that the zone is transferred from; port 53 unless you give one. It must allow AXFR over TCP to this central."
        placeholder="192.0.2.1:53"
        value={draft.primary}
        onValue={(primary) => set({ primary })}
        error={problems.primary}
      />
      <CheckField
        label="Sign transfers with TSIG"
        checked={draft.tsig}
        disabled={Boolean(had?.tsig_name)}
        onChecked={(tsig) => set({ tsig })}
        hint={
          had?.tsig_name
            ? "A stored key can be replaced, but not dropped: to transfer without one, remove the zone and add it again."
            : "Recommended: without a key, nothing proves that an answer comes from the primary."
        }
      />
      {draft.tsig && (
        <div class="zones-key">
          <TextField
            label="Key name"
            placeholder="transfer.example."
            value={draft.tsigName}
            onValue={(tsigName) => set({ tsigName })}
            error={problems.tsigName}
          />
          <SelectField
            label="Algorithm"
            value={draft.algorithm}
            onValue={(algorithm) => set({ algorithm })}
            choices={ALGORITHMS.map((each) => [each, each] as const)}
          />
          <TextField
            label="Secret (base64)"
            type="password"
            autocomplete="new-password"
            placeholder={had?.tsig_name ? "unchanged" : ""}
            hint="It is stored on the central and never shown again."
            value={draft.secret}
            onValue={(secret) => set({ secret })}
            error={problems.secret}
          />
        </div>
      )}
    </>
  );
}

export function DiskFields({ draft, problems, onDraft }: Part) {
  return (
    <TextField
      label="File"
      hint={
        <>
          Its path below the directory of zone files on the central (<code>[zones] directory</code> in its
          configuration). The file is looked at every 30 seconds.
        </>
      }
      placeholder="example.com.zone"
      value={draft.file}
      onValue={(file) => onDraft({ ...draft, file })}
      error={problems.file}
    />
  );
}

/** Which servers' observation the zone's verdicts rest on. */
export function ServingFields({ draft, problems, onDraft }: Part) {
  const set = (change: Partial<Draft>): void => onDraft({ ...draft, ...change });
  const id = useId();
  const servers = useQuery("servers", (signal) => list<ServerEntry>("servers", {}, signal), {
    refreshes: false,
  });
  const rows = servers.data?.rows ?? [];
  return (
    <>
      <fieldset class="zones-choices">
        <legend>Which servers serve it?</legend>
        <label>
          <input type="radio" name={id} checked={!draft.some} onChange={() => set({ some: false })} />
          <span>
            All servers
            <span class="hint">
              A verdict needs the observation of every one of them, also of those added later.
            </span>
          </span>
        </label>
        <label>
          <input type="radio" name={id} checked={draft.some} onChange={() => set({ some: true })} />
          <span>Only these</span>
        </label>
        {draft.some && (
          <div class="zones-servers">
            {servers.error && <Failure error={servers.error} retry={servers.retry} />}
            {rows.map(({ server_id, server }) => (
              <CheckField
                key={server_id}
                label={visible(server)}
                checked={draft.servers.includes(server_id)}
                onChecked={(checked) =>
                  set({
                    servers: checked
                      ? [...draft.servers, server_id].sort((a, b) => a - b)
                      : draft.servers.filter((each) => each !== server_id),
                  })
                }
              />
            ))}
            {servers.data && rows.length === 0 && <p class="muted">No server has been added yet.</p>}
          </div>
        )}
        {problems.servers && <p class="field-error">{problems.servers}</p>}
      </fieldset>
      <CheckField
        label="Servers that Zonepulse does not observe serve it, too"
        hint="Such as secondaries of a provider. Their clients cannot be seen, so no verdict claims that nobody asked: records stay unobserved."
        checked={draft.others}
        onChecked={(others) => set({ others, waived: others && draft.waived })}
      />
      {draft.others && (
        <CheckField
          label="Give verdicts nevertheless"
          hint="Only if clients do not ask those servers, or the same clients ask yours as well. The reasons of each verdict say so."
          checked={draft.waived}
          onChecked={(waived) => set({ waived })}
        />
      )}
    </>
  );
}

/** Puts an API's complaint to the field it is about. */
export function fieldOf(error: ApiError | undefined): Problems {
  if (!error?.parameter) return {};
  const text = error.message.replace(/^[a-z_ ]+: /, "");
  const fields: Record<string, keyof Draft> = {
    primary: "primary",
    file: "file",
    view: "view",
    servers: "servers",
    tsig_name: "tsigName",
    tsig_algorithm: "algorithm",
    tsig_secret: "secret",
    tsig: "secret",
  };
  const field = fields[error.parameter];
  return field ? { [field]: `${text.charAt(0).toUpperCase()}${text.slice(1)}.` } : {};
}
