// The settings of a server. Only what was touched is sent.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { hostFault, urlFault } from "../../address";
import { get, send } from "../../api";
import { useChange, useQuery } from "../../query";
import { may, onUserLeft } from "../../session";
import { plural, visible } from "../../text";
import type { GlobalAnswer, ServerDetail } from "../../types";
import {
  AreaField,
  Button,
  Card,
  CheckField,
  Confirm,
  Failure,
  Loaded,
  Notice,
  TextField,
  toast,
} from "../../ui";
import {
  Advanced,
  BROKER,
  BrokerTrial,
  type Draft,
  faultAt,
  type Faults,
  messageOf,
  settingChanges,
  settingFaults,
  settingLosses,
  SettingRows,
  type SettingName,
} from "../servers/settings";
import type { PartProps } from "./view";

/** By server: so that neither looking at another part nor signing in again loses anything. */
const drafts = signal<ReadonlyMap<number, Draft>>(new Map());
onUserLeft(() => {
  drafts.value = new Map();
});

const COMMUNICATION: readonly SettingName[] = ["communication", "api_url", "verify_ca"];
const MONITORING: readonly SettingName[] = [
  ...(["dns_monitoring", "dns_interval_s", "dns_served", "system_monitoring", "system_interval_s"] as const),
  ...(["raw_retention_minutes", "aggregated_retention_days"] as const),
];
const ADVANCED: readonly SettingName[] = ["api_timeout_ms", "overlapping_probes"];
const TEXTS = ["server", "address", "os", "notes", "pull_url", "pull_token"] as const;

function faultsOf(draft: Draft): Faults {
  const faults = settingFaults(draft);
  const { server, address, pull_url } = draft;
  if (server !== undefined && (server ?? "").trim() === "") faults.server = "Enter a name.";
  else if (server && (visible(server) !== server || new TextEncoder().encode(server).length > 128))
    faults.server = "It has at most 128 bytes and no invisible characters.";
  const noHost = address?.trim() ? hostFault(address.trim()) : undefined;
  if (noHost) faults.address = noHost;
  const noUrl = pull_url?.trim() ? urlFault(pull_url.trim()) : undefined;
  if (noUrl) faults.pull_url = noUrl;
  return faults;
}

function changesOf(draft: Draft): Record<string, unknown> {
  const changes: Record<string, unknown> = {};
  for (const name of TEXTS) if (draft[name] !== undefined) changes[name] = draft[name]?.trim() ?? "";
  if (draft.services !== undefined)
    changes.services = (draft.services ?? "")
      .split(",")
      .map((each) => each.trim())
      .filter(Boolean);
  for (const name of ["sample", "trusted"] as const)
    if (draft[name] !== undefined) changes[name] = draft[name] === "true";
  const settings = settingChanges(draft);
  if (Object.keys(settings).length > 0) changes.settings = settings;
  return changes;
}

function Form({ server, detail }: { server: number; detail: ServerDetail }) {
  const draft = drafts.value.get(server) ?? {};
  const setDraft = (next: Draft): void => {
    const all = new Map(drafts.value);
    if (Object.keys(next).length === 0) all.delete(server);
    else all.set(server, next);
    drafts.value = all;
  };
  const globals = useQuery("settings", (signal) => get<GlobalAnswer>("settings", {}, signal));
  const inherited = globals.data?.effective_settings;
  const readOnly = !may("server_update") || detail.removed !== null;
  const administrator = may("administrator");
  const saving = useChange(
    () => send<ServerDetail>("PATCH", `pvservers/${server}`, changesOf(draft)),
    () => {
      setDraft({});
      toast("Saved. A running probe applies it within half a minute.");
    },
  );
  const { error } = saving;
  const [asking, setAsking] = useState(false);
  const losses = settingLosses(draft, detail.effective_settings, inherited);
  const faults = faultsOf(draft);
  const refused = faultAt(error);
  const known = [...TEXTS, ...COMMUNICATION, ...MONITORING, ...ADVANCED, ...BROKER, "services"] as string[];
  const placed = refused !== undefined && known.includes(refused);
  if (error && placed && !faults[refused]) faults[refused] = messageOf(error);
  const wrong = Object.keys(faults).length;
  const count = Object.keys(draft).length;

  useEffect(() => {
    if (error && placed)
      requestAnimationFrame(() => document.querySelector<HTMLElement>("main [aria-invalid]")?.focus());
  }, [error]);

  const field = (name: (typeof TEXTS)[number]) => {
    const stored = name === "pull_token" ? "" : detail[name];
    return {
      name,
      value: draft[name] ?? stored,
      error: faults[name],
      disabled: readOnly,
      onValue: (value: string) => {
        const next = { ...draft };
        if (value === stored) delete next[name];
        else next[name] = value;
        setDraft(next);
        if (refused === name) saving.reset();
      },
    };
  };
  const flag = (name: "sample" | "trusted") => ({
    checked: (draft[name] ?? String(detail[name])) === "true",
    onChecked: (checked: boolean) => {
      const next = { ...draft };
      if (checked === detail[name]) delete next[name];
      else next[name] = String(checked);
      setDraft(next);
    },
  });
  const rows = {
    draft,
    onDraft: (next: Draft) => {
      setDraft(next);
      if (placed) saving.reset();
    },
    own: detail.settings,
    inherited,
    faults,
    readOnly,
  };
  const services = detail.services.join(", ");
  const typeNow = draft.communication ?? detail.effective_settings.communication;
  const isIn = (names: readonly string[]): boolean =>
    names.some((name) => draft[name] !== undefined || faults[name] !== undefined);
  const usesBroker = typeNow === "rabbitmq" || isIn(BROKER) || BROKER.some((name) => name in detail.settings);
  return (
    <form
      class="server-settings stack"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (wrong > 0 && !placed) document.querySelector<HTMLElement>("main [aria-invalid]")?.focus();
        else if (losses.length > 0) setAsking(true);
        else saving.run();
      }}
    >
      {readOnly && (
        <Notice>
          {detail.removed === null
            ? "You may see these settings, but not change them."
            : "A removed server's settings cannot be changed."}
        </Notice>
      )}
      {globals.error && (
        <Failure error={globals.error} retry={globals.retry} title="What is inherited is not known" />
      )}
      <Card title="Common">
        <div class="server-common">
          <TextField label="Display name" {...field("server")} />
          <TextField label="FQDN or IP address" hint="Without a port." {...field("address")} />
          <TextField label="Operating system" {...field("os")} />
          <TextField
            label="Used for"
            hint="Separated by commas, such as dns, dhcp4, dhcp6, backup."
            value={draft.services ?? services}
            error={faults.services}
            disabled={readOnly}
            onValue={(value) => {
              const next = { ...draft };
              if (value === services) delete next.services;
              else next.services = value;
              setDraft(next);
            }}
          />
          <AreaField label="Notes" {...field("notes")} />
        </div>
      </Card>
      <Card title="Communication" note="Empty fields inherit what is set for all servers.">
        <SettingRows names={COMMUNICATION} {...rows} />
        {administrator &&
          (typeNow === "pull" || detail.pull_url !== "" || isIn(["pull_url", "pull_token"])) && (
            <div class="server-common">
              <TextField
                label="URL of the probe, for pulling"
                hint="Such as https://ns1.example:8054. A change needs the token again."
                {...field("pull_url")}
              />
              <TextField
                label="Token for pulling"
                type="password"
                autocomplete="new-password"
                placeholder={detail.pull_url === "" ? "generated" : "unchanged"}
                {...field("pull_token")}
              />
            </div>
          )}
        <Advanced title="RabbitMQ" open={usesBroker}>
          <div class="stack">
            <SettingRows names={BROKER} {...rows} />
            <BrokerTrial draft={draft} server={server} inherited={detail.effective_settings} />
          </div>
        </Advanced>
      </Card>
      <Card title="Monitoring and retention">
        <SettingRows names={MONITORING} {...rows} />
      </Card>
      <Card>
        <Advanced open={isIn([...ADVANCED, "sample", "trusted"])}>
          <div class="stack">
            <SettingRows names={ADVANCED} {...rows} />
            <CheckField
              label="Sample data"
              hint="The server stands for recorded traffic: no heartbeats are expected."
              disabled={readOnly}
              {...flag("sample")}
            />
            <CheckField
              label="Trusted with secrets"
              hint="Its probe gets the broker's password, or the token for pulling, if it needs them. For administrators."
              disabled={readOnly || !administrator}
              {...flag("trusted")}
            />
          </div>
        </Advanced>
      </Card>
      {error && !placed && <Failure error={error} title="Nothing was saved" />}
      {!readOnly && (
        <div class={`server-save${count > 0 ? " due" : ""}`}>
          <span role="status">
            {count === 0 ? "No changes" : plural(count, "unsaved change")}
            {wrong > 0 && <span class="field-error"> · {plural(wrong, "value")} to correct</span>}
          </span>
          <span class="spring" />
          <Button
            disabled={count === 0}
            onClick={() => {
              setDraft({});
              saving.reset();
            }}
          >
            Discard
          </Button>
          <Button kind="primary" type="submit" busy={saving.busy} disabled={count === 0}>
            Save
          </Button>
        </div>
      )}
      {asking && (
        <Confirm
          title="Save these changes?"
          action="Save"
          onConfirm={() => {
            setAsking(false);
            saving.run();
          }}
          onClose={() => setAsking(false)}
        >
          <ul class="server-losses">
            {losses.map((loss) => (
              <li key={loss}>{loss}</li>
            ))}
          </ul>
        </Confirm>
      )}
    </form>
  );
}

export function Settings({ server, detail }: PartProps) {
  if (!may("server_read"))
    return <Notice>Settings can be seen by users with the right to read servers.</Notice>;
  return <Loaded query={detail}>{(known) => <Form server={server} detail={known} />}</Loaded>;
}
