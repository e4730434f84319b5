// A new server in five steps, then the command for its node.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { hostFault, urlFault } from "../../address";
import { get, list, send } from "../../api";
import { useChange, useQuery } from "../../query";
import { go, href, number, oneOf } from "../../route";
import { may } from "../../session";
import { visible } from "../../text";
import type { AddressRow, GlobalAnswer, Handover } from "../../types";
import {
  AreaField,
  Button,
  Card,
  CheckField,
  Empty,
  Failure,
  Foreign,
  Icon,
  LinkButton,
  Page,
  SelectField,
  TextField,
} from "../../ui";
import type { ViewProps } from "../index";
import { ArrivalLine, HandoverView } from "../servers/handover";
import {
  Advanced,
  BROKER,
  BrokerTrial,
  type Draft,
  faultAt,
  type Faults,
  labelOf,
  messageOf,
  settingChanges,
  settingFaults,
  SettingRows,
  type SettingName,
  shownValue,
} from "../servers/settings";
import { change, created, draft as kept } from "./draft";

const STEPS = [
  ["common", "Common"],
  ["communication", "Communication"],
  ["monitoring", "Monitoring"],
  ["services", "Services"],
  ["confirm", "Confirmation"],
] as const;
type Step = (typeof STEPS)[number][0];
const DONE = "done";

const SERVICES = [
  ["dns", "DNS"],
  ["dhcp4", "DHCP (IPv4)"],
  ["dhcp6", "DHCP (IPv6)"],
  ["backup", "Backup"],
] as const;

/** The fields of each step, so that a fault leads there. */
const FIELDS: Record<Step, readonly string[]> = {
  common: ["server", "address", "os", "notes", "sample"],
  communication: [
    ...["communication", "pull_url", "pull_token", "api_url", "verify_ca", "api_timeout_ms"],
    ...BROKER,
    "credential",
  ],
  monitoring: [
    ...["dns_monitoring", "dns_interval_s", "dns_served", "system_monitoring", "system_interval_s"],
    ...["raw_retention_minutes", "aggregated_retention_days", "overlapping_probes"],
  ],
  services: ["services"],
  confirm: [],
};

const MONITORING: readonly SettingName[] = [
  ...(["dns_monitoring", "dns_interval_s", "dns_served", "system_monitoring", "system_interval_s"] as const),
  ...(["raw_retention_minutes", "aggregated_retention_days"] as const),
];

const bytesOf = (text: string): number => new TextEncoder().encode(text).length;

export function serverFaults(draft: Draft): Faults {
  const faults = settingFaults(draft);
  const name = draft.server ?? "";
  if (name.trim() === "") faults.server = "Enter a name.";
  else if (bytesOf(name) > 128 || visible(name) !== name)
    faults.server = "It has at most 128 bytes and no invisible characters.";
  const address = draft.address?.trim() ?? "";
  const wrong = address === "" ? undefined : hostFault(address);
  if (wrong) faults.address = wrong;
  if (bytesOf(draft.os ?? "") > 255) faults.os = "It has at most 255 bytes.";
  if (bytesOf(draft.notes ?? "") > 4096) faults.notes = "It has at most 4,096 bytes.";
  const pull = draft.pull_url?.trim() ?? "";
  const broken = pull === "" ? undefined : urlFault(pull);
  if (broken) faults.pull_url = broken;
  if (draft.communication === "pull" && pull === "" && may("administrator"))
    faults.pull_url = "Pulling needs the URL of the probe.";
  return faults;
}

const servicesOf = (draft: Draft): string[] => (draft.services ?? "dns").split(",").filter(Boolean);

function bodyOf(draft: Draft): Record<string, unknown> {
  const settings = settingChanges(draft);
  const body: Record<string, unknown> = {
    server: draft.server?.trim(),
    services: servicesOf(draft),
    credential: draft.credential ?? "enrollment_token",
  };
  for (const name of ["address", "os", "notes", "pull_url", "pull_token"] as const) {
    const value = draft[name]?.trim();
    if (value) body[name] = value;
  }
  if (draft.sample === "true") body.sample = true;
  if (Object.keys(settings).length > 0) body.settings = settings;
  return body;
}

function Progress({ step, reached }: { step: Step | typeof DONE; reached: number }) {
  return (
    <nav class="server-add-progress" aria-label="Steps">
      <ol>
        {STEPS.map(([id, title], at) => {
          const done = step === DONE || at < STEPS.findIndex(([each]) => each === step);
          const mark = done ? <Icon name="check" /> : <span>{at + 1}</span>;
          const open = step !== DONE && at <= reached;
          return (
            <li key={id} class={done ? "done" : undefined}>
              {open ? (
                <a href={href("servers/add", { step: id })} aria-current={id === step ? "step" : undefined}>
                  <span class="server-add-mark">{mark}</span>
                  {title}
                </a>
              ) : (
                <span class="server-add-later">
                  <span class="server-add-mark">{mark}</span>
                  {title}
                </span>
              )}
            </li>
          );
        })}
      </ol>
    </nav>
  );
}

function Common({ draft, faults }: { draft: Draft; faults: Faults }) {
  const set = (name: string) => (value: string) => change({ ...draft, [name]: value });
  return (
    <div class="form">
      <TextField
        label="Display name"
        name="server"
        required
        hint="Unique; shown wherever the server is."
        value={draft.server ?? ""}
        error={faults.server}
        onValue={set("server")}
      />
      <TextField
        label="FQDN or IP address"
        name="address"
        hint="Without a port. Optional."
        value={draft.address ?? ""}
        error={faults.address}
        onValue={set("address")}
      />
      <TextField
        label="Operating system"
        name="os"
        hint="Optional: the probe reports it when it enrols."
        value={draft.os ?? ""}
        error={faults.os}
        onValue={set("os")}
      />
      <AreaField
        label="Notes"
        name="notes"
        value={draft.notes ?? ""}
        error={faults.notes}
        onValue={set("notes")}
      />
      <Advanced open={draft.sample === "true"}>
        <CheckField
          label="Sample data"
          hint="The server stands for recorded traffic, not for a machine: no heartbeats are expected."
          checked={draft.sample === "true"}
          onChecked={(checked) => change({ ...draft, sample: checked ? "true" : "" })}
        />
      </Advanced>
    </div>
  );
}

type StepProps = { draft: Draft; faults: Faults; inherited: GlobalAnswer["effective_settings"] | undefined };

function Communication({ draft, faults, inherited }: StepProps) {
  const rows = { draft, onDraft: change, inherited, faults };
  const administrator = may("administrator");
  const addresses = useQuery("pvips", (signal) => list<AddressRow>("monitoring/pvips", {}, signal), {
    enabled: may("monitoring"),
    refreshes: false,
  });
  const type = draft.communication || inherited?.communication || "http";
  const known = (addresses.data?.rows ?? []).filter(({ url }) => url !== draft.api_url);
  const advanced = ["api_timeout_ms", "verify_ca"] as const;
  return (
    <div class="stack">
      <SettingRows names={["communication", "api_url"]} {...rows} />
      {administrator && known.length > 0 && (
        <p class="server-add-known small">
          <span class="muted">Addresses of this central:</span>
          {known.map(({ url }) => (
            <Button kind="quiet" key={url} onClick={() => change({ ...draft, api_url: url })}>
              Use <Foreign text={url} />
            </Button>
          ))}
        </p>
      )}
      {type === "pull" &&
        (administrator ? (
          <div class="form">
            <TextField
              label="URL of the probe"
              name="pull_url"
              required
              hint="Where the central fetches batches, such as https://ns1.example:8054."
              value={draft.pull_url ?? ""}
              error={faults.pull_url}
              onValue={(value) => change({ ...draft, pull_url: value })}
            />
            <TextField
              label="Token for pulling"
              name="pull_token"
              type="password"
              autocomplete="new-password"
              hint="Optional: one is generated. It is never shown."
              value={draft.pull_token ?? ""}
              error={faults.pull_token}
              onValue={(value) => change({ ...draft, pull_token: value })}
            />
          </div>
        ) : (
          <p class="field-error">
            Only administrators may enter the URL that the central pulls from. Ask one, or choose HTTP.
          </p>
        ))}
      {type === "rabbitmq" && (
        <>
          <h3>RabbitMQ</h3>
          <SettingRows names={BROKER} {...rows} />
          <BrokerTrial draft={draft} inherited={inherited} />
        </>
      )}
      <Advanced open={advanced.some((name) => draft[name] || faults[name])}>
        <SettingRows names={advanced} {...rows} />
      </Advanced>
      <div class="form">
        <SelectField
          label="How the probe gets its token"
          value={draft.credential ?? "enrollment_token"}
          hint={
            draft.credential === "token"
              ? "The file contains a secret that stays valid."
              : "The probe exchanges it for a token that nobody else sees."
          }
          choices={[
            ["enrollment_token", "One-time token: a command on the node"],
            ["token", "Configuration file: copied to the node"],
          ]}
          onValue={(value) => change({ ...draft, credential: value })}
        />
      </div>
    </div>
  );
}

function Monitoring({ draft, faults, inherited }: StepProps) {
  const rows = { draft, onDraft: change, inherited, faults };
  return (
    <div class="stack">
      <SettingRows names={MONITORING} {...rows} />
      <Advanced open={Boolean(draft.overlapping_probes)}>
        <SettingRows names={["overlapping_probes"]} {...rows} />
      </Advanced>
    </div>
  );
}

function Services({ draft, faults }: { draft: Draft; faults: Faults }) {
  const chosen = servicesOf(draft);
  return (
    <fieldset class="server-add-services">
      <legend>What the server is used for</legend>
      <p class="hint">A note for people. The probe finds out by itself what runs.</p>
      {SERVICES.map(([id, title]) => (
        <CheckField
          key={id}
          label={title}
          checked={chosen.includes(id)}
          onChecked={(checked) =>
            change({
              ...draft,
              // A lone comma is none: "" would be as good as untouched.
              services: checked
                ? [...chosen, id].join(",")
                : chosen.filter((each) => each !== id).join(",") || ",",
            })
          }
        />
      ))}
      {faults.services && <p class="field-error">{faults.services}</p>}
    </fieldset>
  );
}

function Confirmation({ draft, inherited }: Omit<StepProps, "faults">) {
  const own = Object.entries(settingChanges(draft)).filter(([, value]) => value !== null);
  const type = draft.communication || inherited?.communication;
  const rows: [string, ComponentChildren, Step][] = [
    ["Display name", <Foreign text={draft.server ?? ""} />, "common"],
    ["FQDN or IP address", draft.address ? <Foreign text={draft.address} /> : "not given", "common"],
    ["Operating system", draft.os ? <Foreign text={draft.os} /> : "as the probe reports", "common"],
    ...(draft.notes
      ? [["Notes", <Foreign text={draft.notes} />, "common"] as [string, ComponentChildren, Step]]
      : []),
    ...(draft.sample === "true" ? [["Data", "sample", "common"] as [string, ComponentChildren, Step]] : []),
    [
      "Communication",
      `${shownValue("communication", type)}${draft.communication ? "" : " (inherited)"}`,
      "communication",
    ],
    ...(draft.pull_url
      ? [
          ["URL of the probe", <Foreign text={draft.pull_url} />, "communication"] as [
            string,
            ComponentChildren,
            Step,
          ],
        ]
      : []),
    [
      "Token",
      draft.credential === "token" ? "in a configuration file" : "one-time token for the command",
      "communication",
    ],
    ...own
      .filter(([name]) => name !== "communication")
      .map(([name, value]): [string, ComponentChildren, Step] => {
        const setting = name as SettingName;
        return [
          labelOf(setting),
          setting === "rabbitmq_password" ? "set" : shownValue(setting, value),
          FIELDS.monitoring.includes(name) ? "monitoring" : "communication",
        ];
      }),
    ["Other settings", "inherited from those for all servers", "monitoring"],
    [
      "Services",
      servicesOf(draft)
        .map((id) => SERVICES.find(([each]) => each === id)?.[1] ?? id)
        .join(", ") || "none",
      "services",
    ],
  ];
  return (
    <dl class="server-add-summary">
      {rows.map(([label, value, step]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
          <dd>
            <a href={href("servers/add", { step })} aria-label={`Change: ${label}`}>
              Change
            </a>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Done({ server }: { server: number }) {
  const handover = created.value?.server.server_id === server ? created.value : undefined;
  return (
    <div class="server-add-form">
      <Card title={handover ? `${visible(handover.server.server)} was created` : "The server was created"}>
        {handover ? (
          <HandoverView handover={handover} />
        ) : (
          <div class="stack">
            <Empty title="The token was shown once, and is not kept.">
              <p>If you do not have it, make a new token from the server's page.</p>
            </Empty>
            <ArrivalLine server={server} expires={undefined} />
          </div>
        )}
        <div class="server-add-actions">
          <LinkButton href={href(`servers/${server}`)}>Open the server</LinkButton>
          <LinkButton href={href("servers")}>All servers</LinkButton>
          <span class="spring" />
          <LinkButton kind="primary" icon="plus" href={href("servers/add")}>
            Add another
          </LinkButton>
        </div>
      </Card>
    </div>
  );
}

export default function View({ params }: ViewProps) {
  const ids = STEPS.map(([id]) => id);
  const step = oneOf(params, "step", [...ids, DONE] as const, "common");
  const server = number(params, "server", 0);
  const draft = kept.value;
  /** Faults are shown once the step has been left, and at once where the API found them. */
  const [asked, setAsked] = useState<ReadonlySet<Step>>(new Set());
  const [refused, setRefused] = useState<{
    field: string;
    value: string | null | undefined;
    message: string;
  }>();
  const body = useRef<HTMLDivElement>(null);

  const globals = useQuery("settings", (signal) => get<GlobalAnswer>("settings", {}, signal), {
    enabled: may("server_read"),
    refreshes: false,
  });
  const inherited = globals.data?.effective_settings;
  const all = serverFaults(draft);
  // As long as the value is what the API refused, its message stands.
  if (refused && draft[refused.field] === refused.value) all[refused.field] = refused.message;
  const faultsOf = (of: Step): Faults =>
    Object.fromEntries(FIELDS[of].flatMap((name) => (all[name] ? [[name, all[name]]] : [])));
  const firstWrong = ids.findIndex((each) => Object.keys(faultsOf(each)).length > 0);
  const reached = firstWrong < 0 ? STEPS.length - 1 : firstWrong;

  const creation = useChange(
    () => send<Handover>("POST", "pvservers", bodyOf(draft)),
    (handover) => {
      created.value = handover;
      change({});
      go(href("servers/add", { step: DONE, server: handover.server.server_id }), { replace: true });
    },
  );
  const error = creation.error;
  useEffect(() => {
    const field = faultAt(error);
    const at = ids.find((each) => field !== undefined && FIELDS[each].includes(field));
    if (!error || field === undefined || at === undefined) return;
    setRefused({ field, value: draft[field], message: messageOf(error) });
    setAsked((before) => new Set([...before, at]));
    go(href("servers/add", { step: at }));
  }, [error]);

  // The first fault of a step takes the focus.
  const focusFault = (): void => {
    requestAnimationFrame(() => body.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus());
  };
  useEffect(() => {
    if (refused) focusFault();
  }, [refused]);

  if (step === DONE)
    return (
      <Page title="Add server">
        <Progress step={DONE} reached={0} />
        <Done server={server} />
      </Page>
    );

  const at = ids.indexOf(step);
  const title = STEPS[at]?.[1] ?? "";
  const shown = asked.has(step) ? faultsOf(step) : {};
  // Before that, what was typed is judged, but what is still empty is not.
  const early = Object.fromEntries(
    Object.entries(faultsOf(step)).filter(([name]) => (draft[name] ?? "") !== "" && name !== "server"),
  );
  const faults: Faults = { ...early, ...shown };
  const next = (): void => {
    setAsked(new Set([...asked, step]));
    if (Object.keys(faultsOf(step)).length > 0) {
      focusFault();
      return;
    }
    const following = ids[at + 1];
    if (following) go(href("servers/add", { step: following }));
    else if (firstWrong >= 0) {
      const wrong = ids[firstWrong];
      if (wrong === undefined) return;
      setAsked(new Set(ids));
      go(href("servers/add", { step: wrong }));
    } else creation.run();
  };
  const before = ids[at - 1];
  const props = { draft, faults, inherited };
  return (
    <Page
      title="Add server"
      intro={
        <>
          <a href={href("servers")}>Servers</a> · Gives a machine a name, settings and a token for its probe.
        </>
      }
    >
      <Progress step={step} reached={Math.max(reached, at)} />
      <form
        class="server-add-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          next();
        }}
      >
        <Card title={`Step ${at + 1} of ${STEPS.length}: ${title}`}>
          <div ref={body}>
            {globals.error && step !== "common" && (
              <Failure error={globals.error} retry={globals.retry} title="What is inherited is not known" />
            )}
            {step === "common" && <Common draft={draft} faults={faults} />}
            {step === "communication" && <Communication {...props} />}
            {step === "monitoring" && <Monitoring {...props} />}
            {step === "services" && <Services draft={draft} faults={faults} />}
            {step === "confirm" && <Confirmation draft={draft} inherited={inherited} />}
          </div>
          {error && step === "confirm" && <Failure error={error} title="The server was not created" />}
          <div class="server-add-actions">
            <LinkButton kind="quiet" href={href("servers")}>
              Cancel
            </LinkButton>
            <span class="spring" />
            {before && (
              <LinkButton icon="left" href={href("servers/add", { step: before })}>
                Back
              </LinkButton>
            )}
            <Button kind="primary" type="submit" busy={creation.busy}>
              {step === "confirm" ? "Create server" : "Next"}
            </Button>
          </div>
        </Card>
      </form>
    </Page>
  );
}
