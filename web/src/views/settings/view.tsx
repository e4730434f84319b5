// The settings for all servers: what is in effect, what was set, who has values of their own, and changing it.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, get, list, send } from "../../api";
import { useChange, useQuery } from "../../query";
import { href } from "../../route";
import { may, onUserLeft } from "../../session";
import { count, duration, plural, visible } from "../../text";
import type { GlobalAnswer, ServerDetail, SettingsSet } from "../../types";
import {
  Button,
  Card,
  Confirm,
  Failure,
  Field,
  Foreign,
  Loaded,
  Notice,
  Page,
  SaveRows,
  State,
  toast,
} from "../../ui";
import { Trial } from "./trial";
import {
  ALL,
  changesOf,
  complaint,
  type Declared,
  type Draft,
  faultOf,
  FOREVER,
  type Group,
  GROUPS,
  inEffect,
  INTERVALS,
  isSet,
  lossesOf,
  type Name,
  needsPassword,
  shownOf,
  standardOf,
  words,
} from "./model";

const CALL = "settings";

/** Survives a look at another view and signing in again, but is nobody else's. */
const draft = signal<Draft>({});
onUserLeft(() => {
  draft.value = {};
});

const enter = (name: Name, value: string | boolean | null | undefined): void => {
  const next = { ...draft.value };
  if (value === undefined) delete next[name];
  else next[name] = value;
  draft.value = next;
};

interface RowProps {
  declared: Declared;
  answer: GlobalAnswer;
  error?: string;
  /** Whether the user may change it. */
  editable: boolean;
  /** Servers with a value of their own. */
  own: readonly ServerDetail[];
}

interface ControlProps {
  declared: Declared;
  value: string | boolean;
  isSet: boolean;
  attributes: { id: string; "aria-describedby": string | undefined; "aria-invalid": "true" | undefined };
}

function Control({ declared: { name, kind, unit }, value, isSet: stored, attributes }: ControlProps) {
  const common = { ...attributes, name, autocomplete: "off", spellcheck: false } as const;
  switch (kind.is) {
    case "flag":
      return (
        <span class="settings-control">
          <input
            {...attributes}
            type="checkbox"
            role="switch"
            name={name}
            checked={value === true}
            onChange={(event) => enter(name, event.currentTarget.checked)}
          />
          <span aria-hidden="true">{value === true ? "On" : "Off"}</span>
        </span>
      );
    case "choice":
    case "interval": {
      const choices =
        kind.is === "choice" ? kind.choices : INTERVALS.map((each) => [String(each), `${each} s`] as const);
      return (
        <span class="settings-control">
          <select
            {...attributes}
            name={name}
            value={String(value)}
            onChange={(event) => enter(name, event.currentTarget.value)}
          >
            {choices.map(([each, text]) => (
              <option key={each} value={each}>
                {text}
              </option>
            ))}
          </select>
        </span>
      );
    }
    case "number":
      return (
        <span class="settings-control">
          <input
            {...common}
            type="text"
            inputMode="numeric"
            class="settings-number"
            value={String(value)}
            onInput={(event) => enter(name, event.currentTarget.value)}
          />
          {unit && <span class="muted">{unit}</span>}
        </span>
      );
    case "retention": {
      const forever = Number(value) === FOREVER;
      const length = Number(value) * kind.unitS;
      const inWords = /^\d+$/.test(String(value).trim()) && length >= 86_400 && kind.unitS < 86_400;
      return (
        <span class="settings-control">
          <input
            {...common}
            type="text"
            inputMode="numeric"
            class="settings-number"
            disabled={forever}
            value={forever ? "" : String(value)}
            onInput={(event) => enter(name, event.currentTarget.value)}
          />
          {unit && (
            <span class="muted">
              {unit}
              {!forever && inWords && ` = ${duration(length)}`}
            </span>
          )}
          <label class="settings-forever">
            <input
              type="checkbox"
              checked={forever}
              onChange={(event) => enter(name, event.currentTarget.checked ? String(FOREVER) : undefined)}
            />
            For ever
          </label>
        </span>
      );
    }
    case "secret":
      return (
        <span class="settings-control">
          <input
            {...common}
            type="password"
            autocomplete="new-password"
            value={String(value)}
            placeholder={draft.value[name] === null ? "(removed when saved)" : stored ? "(unchanged)" : ""}
            onInput={(event) => enter(name, event.currentTarget.value || undefined)}
          />
        </span>
      );
    case "text":
    case "url":
      return (
        <span class="settings-control">
          <input
            {...common}
            type="text"
            inputMode={kind.is === "url" ? "url" : undefined}
            value={String(value)}
            onInput={(event) => enter(name, event.currentTarget.value)}
          />
        </span>
      );
  }
}

const isEntered = (answer: GlobalAnswer, name: Name): boolean =>
  name in changesOf(answer, { [name]: draft.value[name] });

/** Where a value comes from, and the way back. */
function Origin({ declared, answer, editable }: RowProps) {
  const { name, title, kind } = declared;
  const stored = isSet(answer, name);
  const secret = kind.is === "secret";
  if (isEntered(answer, name)) {
    const before = secret ? (stored ? "set" : "not set") : words(declared, inEffect(answer, name));
    return (
      <>
        <State tone="info" icon="info">
          {draft.value[name] === null ? (secret ? "Will be removed" : "Will be the default") : "Changed"}
        </State>
        <span class="muted small">
          now: <Foreign text={before} />
        </span>
        <Button
          kind="quiet"
          aria-label={`Undo the change of ${title}`}
          onClick={() => enter(name, undefined)}
        >
          Undo
        </Button>
      </>
    );
  }
  if (secret && !stored) return <span class="muted">Not set</span>;
  if (!stored) return <span class="muted">Default</span>;
  const standard = words(declared, standardOf(declared, answer, {}));
  return (
    <>
      <span>Set</span>
      {!secret && (
        <span class="muted small">
          {declared.configurable
            ? `default: ${standard}, or that of the configuration file`
            : `default: ${standard}`}
        </span>
      )}
      {editable && (
        <Button
          kind="quiet"
          aria-label={secret ? "Remove the password" : `Reset ${title} to the default`}
          onClick={() => enter(name, null)}
        >
          {secret ? "Remove" : "Reset"}
        </Button>
      )}
    </>
  );
}

function Own({ own, name }: { own: readonly ServerDetail[]; name: Name }) {
  const affecting = own.filter((server) =>
    name === "rabbitmq_password"
      ? server.settings.rabbitmq_password_set === true
      : server.settings[name] !== undefined && server.settings[name] !== null,
  );
  if (affecting.length === 0) return null;
  return (
    <details class="settings-own">
      <summary>
        {affecting.length === 1
          ? "1 server has another value of its own"
          : `${count(affecting.length)} servers have another value of their own`}
      </summary>
      <ul>
        {affecting.slice(0, 50).map((server) => (
          <li key={server.server_id}>
            <a href={href(`servers/${server.server_id}`)}>
              <Foreign text={server.server} />
            </a>
          </li>
        ))}
        {affecting.length > 50 && <li class="muted">and {count(affecting.length - 50)} more</li>}
      </ul>
    </details>
  );
}

function Row(props: RowProps) {
  const { declared, answer, error, editable, own } = props;
  const { name, title, help, kind } = declared;
  const secret = kind.is === "secret";
  const changed = editable && isEntered(answer, name);
  return (
    <div class={`setting settings-row${changed ? " changed" : ""}`} data-setting={name}>
      {editable ? (
        <Field label={title} hint={help} error={error}>
          {(attributes) => (
            <Control
              declared={declared}
              value={shownOf(declared, answer, draft.value)}
              isSet={isSet(answer, name)}
              attributes={attributes}
            />
          )}
        </Field>
      ) : (
        <div class="field">
          <span class="settings-title">{title}</span>
          <span class="settings-control">
            {secret ? (
              answer.effective_settings.rabbitmq_password_set ? (
                "Set, not shown"
              ) : (
                <span class="muted">Not set</span>
              )
            ) : (
              <Foreign text={capital(words(declared, inEffect(answer, name)))} />
            )}
          </span>
          <p class="hint">{help}</p>
        </div>
      )}
      <div class="settings-origin">
        <Origin {...props} />
        <Own own={own} name={name} />
      </div>
    </div>
  );
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** How many servers these values reach. */
function Reach({ servers }: { servers: readonly ServerDetail[] }) {
  const owners = servers.filter((server) =>
    ALL.some(({ name }) => server.settings[name as keyof SettingsSet] != null),
  );
  if (servers.length === 0) return <>For all servers. There is none yet.</>;
  if (owners.length === 0)
    return servers.length === 1 ? (
      <>For all servers. The only one has no values of its own.</>
    ) : (
      <>For all servers. All {count(servers.length)} inherit every value.</>
    );
  return (
    <>
      For all servers. {count(owners.length)} of {count(servers.length)}{" "}
      {owners.length === 1 ? "has values of its own" : "have values of their own"}, which take precedence.
    </>
  );
}

function SaveBar({
  changes,
  busy,
  faulty,
  error,
}: {
  changes: SettingsSet;
  busy: boolean;
  faulty: boolean;
  /** Of the last attempt, unless it is about a field. */
  error: ApiError | undefined;
}) {
  const names = Object.keys(changes);
  const titles = ALL.filter(({ name }) => names.includes(name)).map(({ title }) => title);
  return (
    <div class="settings-save" role="region" aria-label="Unsaved changes">
      {error && <Failure error={error} title={`Not saved: ${error.title}`} />}
      <span>
        <strong>{plural(titles.length, "unsaved change")}</strong>
        <span class="muted settings-save-titles">{titles.join(", ")}</span>
      </span>
      <span class="row">
        {faulty && (
          <State tone="bad" icon="warning">
            See the marked fields
          </State>
        )}
        <Button
          disabled={busy}
          onClick={() => {
            draft.value = {};
          }}
        >
          Discard
        </Button>
        <Button kind="primary" type="submit" busy={busy}>
          Save
        </Button>
      </span>
    </div>
  );
}

function Settings({ answer, servers }: { answer: GlobalAnswer; servers: readonly ServerDetail[] }) {
  const editable = may("administrator");
  const [checked, setChecked] = useState(false);
  const [losses, setLosses] = useState<string[]>();
  const form = useRef<HTMLDivElement>(null);
  const changes = changesOf(answer, draft.value);
  const dirty = Object.keys(changes).length > 0;
  const save = useChange(
    (patch: SettingsSet) => send<GlobalAnswer>("PATCH", CALL, patch),
    () => {
      draft.value = {};
      setChecked(false);
      toast("The settings are saved. Probes follow with their next heartbeat, within 30 seconds or so.");
    },
  );
  const failed = save.error;
  const atField =
    failed?.parameter && ALL.some(({ name }) => name === failed.parameter) ? failed.parameter : null;

  useEffect(() => {
    if (!dirty) return;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [dirty]);

  const errorOf = (declared: Declared): string | undefined => {
    const { name } = declared;
    if (failed && atField === name) return complaint(visible(failed.message), name);
    const entered = draft.value[name];
    const fault = entered === undefined ? undefined : faultOf(declared, entered);
    if (fault !== undefined) return fault;
    if (checked && name === "rabbitmq_password" && needsPassword(answer, draft.value))
      return "Enter the password again: the change would send it to another broker, for another user, or less securely.";
    return undefined;
  };
  const faulty = ALL.some((declared) => errorOf(declared) !== undefined);

  const focusFault = (): void => {
    requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
  };
  useEffect(() => {
    if (failed) focusFault();
  }, [failed]);
  // What the API said is about what was sent.
  const sent = useRef(draft.value);
  useEffect(() => {
    if (failed && draft.value !== sent.current) save.reset();
  }, [draft.value]);

  const submit = (confirmed: boolean): void => {
    setChecked(true);
    const fault = ALL.some(
      ({ name, ...rest }) =>
        draft.value[name] !== undefined && faultOf({ name, ...rest }, draft.value[name] ?? null),
    );
    if (fault || needsPassword(answer, draft.value)) {
      focusFault();
      return;
    }
    const losing = lossesOf(answer, changes);
    if (losing.length > 0 && !confirmed) {
      setLosses(losing);
      return;
    }
    setLosses(undefined);
    sent.current = draft.value;
    save.run(changes);
  };

  const card = (group: Group) => (
    <Card key={group.id} title={group.title} note={group.note}>
      <div class="settings-rows">
        {group.settings.map((declared) => (
          <Row
            key={declared.name}
            declared={declared}
            answer={answer}
            error={editable ? errorOf(declared) : undefined}
            editable={editable}
            own={servers}
          />
        ))}
      </div>
      {group.id === "broker" && editable && <Trial answer={answer} draft={draft.value} servers={servers} />}
    </Card>
  );

  return (
    <div class="stack">
      {!editable && <Notice>You see these settings. Only an administrator may change them.</Notice>}
      <form
        noValidate
        aria-label="Settings"
        onSubmit={(event) => {
          event.preventDefault();
          if (dirty) submit(false);
        }}
      >
        <div class="stack" ref={form}>
          {GROUPS.map(card)}
        </div>
        {editable && dirty && (
          <SaveBar
            error={atField === null ? failed : undefined}
            changes={changes}
            busy={save.busy}
            faulty={faulty}
          />
        )}
      </form>
      {losses && (
        <Confirm
          title={losses.length === 1 ? "Save this change?" : "Save these changes?"}
          action="Save"
          onClose={() => setLosses(undefined)}
          onConfirm={() => submit(true)}
        >
          {losses.map((each) => (
            <p key={each}>{each}</p>
          ))}
        </Confirm>
      )}
    </div>
  );
}

/** Every setting as a line, for a file. */
function lines(answer: GlobalAnswer, servers: readonly ServerDetail[]): (string | number | null)[][] {
  return ALL.map(({ name, standard }) => {
    const secret = name === "rabbitmq_password";
    const value = inEffect(answer, name);
    const own = servers.filter((server) => server.settings[name as keyof SettingsSet] != null).length;
    return [
      name,
      secret ? (answer.effective_settings.rabbitmq_password_set ? "(set)" : "") : String(value),
      isSet(answer, name) ? "set" : "default",
      secret ? "" : String(standard),
      own,
    ];
  });
}

export default function View() {
  const query = useQuery(CALL, (signal) => get<GlobalAnswer>(CALL, {}, signal));
  const servers = useQuery("pvservers", (signal) =>
    list<ServerDetail>("pvservers", { limit: 100_000 }, signal),
  );
  const rows = servers.data?.rows;
  return (
    <Page
      title="Settings"
      intro={rows ? <Reach servers={rows} /> : "For all servers."}
      actions={
        query.data && (
          <SaveRows
            name="settings"
            header={["setting", "value", "source", "default", "servers_with_own_value"]}
            rows={() => (query.data ? lines(query.data, rows ?? []) : [])}
          />
        )
      }
    >
      {servers.error && (
        <Notice tone="warn">
          Which servers have values of their own could not be read: {visible(servers.error.message)}
        </Notice>
      )}
      <Loaded query={query}>{(answer) => <Settings answer={answer} servers={rows ?? []} />}</Loaded>
    </Page>
  );
}
