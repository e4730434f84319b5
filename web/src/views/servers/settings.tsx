// The settings of a server: what is inherited from those for all servers, and what is its own.
import { useState } from "preact/hooks";
import { hostFault, urlFault } from "../../address";
import { type ApiError, send } from "../../api";
import { useChange } from "../../query";
import { may } from "../../session";
import { count, duration, visible } from "../../text";
import type { EffectiveSettings, SettingsSet, TrialAnswer } from "../../types";
import { Button, Failure, Field, Notice } from "../../ui";
import {
  ALL,
  complaint,
  type Declared,
  faultOf,
  FOREVER,
  INTERVALS,
  lossesOf,
  type Name as SettingName,
  type Value,
  words,
} from "../settings/model";

export type { SettingName };

/** What was typed: null resets to what is inherited, undefined leaves it as it is. */
export type Draft = Partial<Record<string, string | null>>;
/** What is wrong, by field. */
export type Faults = Partial<Record<string, string>>;

/** In the order of the forms. */
export const BROKER: readonly SettingName[] = [
  "rabbitmq_address",
  "rabbitmq_port",
  "rabbitmq_tls",
  "rabbitmq_virtual_host",
  "rabbitmq_user",
  "rabbitmq_password",
];

const SETTINGS = new Map(ALL.map((declared) => [declared.name, declared]));

const isSetting = (name: string): name is SettingName => SETTINGS.has(name as SettingName);

function declaredOf(name: SettingName): Declared {
  const declared = SETTINGS.get(name);
  if (!declared) throw new Error(`${name} is not declared`);
  return declared;
}

const isForAdministrators = (name: SettingName): boolean =>
  name === "api_url" || name === "verify_ca" || BROKER.includes(name);

export function labelOf(name: SettingName): string {
  const { title } = declaredOf(name);
  if (!BROKER.includes(name)) return title;
  return `RabbitMQ ${title === "TLS" ? title : title.toLowerCase()}`;
}

/** A value in words, with its unit. */
export function shownValue(name: SettingName, value: Value | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (name === "api_url" && value === "") return "the address it enrolled with";
  const declared = declaredOf(name);
  const said = words(declared, value);
  if (declared.unit === "min" && typeof value === "number" && value !== FOREVER && value >= 120)
    return `${said} (${duration(value * 60)})`;
  return visible(said);
}

/** As it stands in a field. */
function typedOf(value: Value | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "on" : "off";
  return value === FOREVER ? "for ever" : String(value);
}

const isNumber = (name: SettingName): boolean =>
  ["number", "retention", "interval"].includes(declaredOf(name).kind.is);

/** "for ever" as the API writes it. */
const digitsOf = (name: SettingName, typed: string): string =>
  declaredOf(name).kind.is === "retention" && /^for ?ever$/i.test(typed.trim())
    ? String(FOREVER)
    : typed.trim();

/** For the API. */
function valueOf(name: SettingName, typed: string): Value {
  const { is } = declaredOf(name).kind;
  if (is === "flag") return typed === "on";
  if (isNumber(name)) return Number(digitsOf(name, typed));
  return is === "secret" ? typed : typed.trim();
}

function typedFault(name: SettingName, typed: string): string | undefined {
  if (name === "rabbitmq_address") return hostFault(typed.trim());
  if (name === "api_url") return urlFault(typed.trim());
  return faultOf(declaredOf(name), isNumber(name) ? digitsOf(name, typed) : typed);
}

/** What is wrong with what was typed. */
export function settingFaults(draft: Draft): Faults {
  const faults: Faults = {};
  for (const [name, typed] of Object.entries(draft)) {
    if (!isSetting(name) || typed === null || typed === undefined || typed === "") continue;
    const fault = typedFault(name, typed);
    if (fault !== undefined) faults[name] = fault;
  }
  return faults;
}

/** The changes for the API: only what was touched, null for what is to be inherited again. */
export function settingChanges(draft: Draft): Partial<Record<SettingName, Value | null>> {
  const changes: Partial<Record<SettingName, Value | null>> = {};
  for (const [name, typed] of Object.entries(draft))
    if (isSetting(name) && typed !== undefined)
      changes[name] = typed === null || typed === "" ? null : valueOf(name, typed);
  return changes;
}

/** What the changes take away, in sentences. */
export function settingLosses(
  draft: Draft,
  effective: EffectiveSettings,
  inherited: EffectiveSettings | undefined,
): string[] {
  const changes = Object.entries(settingChanges(draft)).map(([name, value]) => [
    name,
    value ?? (inherited as Record<string, Value> | undefined)?.[name],
  ]);
  return lossesOf(
    { effective_settings: effective, settings: {}, settings_version: 0 },
    Object.fromEntries(changes.filter(([, value]) => value !== undefined)) as SettingsSet,
  );
}

/** Where a problem of the API belongs. */
export function faultAt(error: ApiError | undefined): string | undefined {
  if (!error) return undefined;
  if (error.parameter) return error.parameter.split(".").at(-1);
  // A name that is taken is a conflict and names no parameter; a refusal begins with the field.
  if (error.trouble === "conflict" && error.message.includes("name")) return "server";
  return /^([a-z_]+): /.exec(error.message)?.[1];
}

/** The message without the name of the field that it stands beside. */
export function messageOf(error: ApiError): string {
  const text = visible(complaint(error.message, faultAt(error) ?? ""));
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

export interface SettingsProps {
  names: readonly SettingName[];
  draft: Draft;
  onDraft: (draft: Draft) => void;
  /** The server's own values; empty for a new one. */
  own?: SettingsSet;
  /** What applies to all servers; undefined if the user may not see it. */
  inherited: EffectiveSettings | undefined;
  faults: Faults;
  readOnly?: boolean;
}

/** A row for each setting: the value, and where it comes from. */
export function SettingRows({ names, ...rest }: SettingsProps) {
  return (
    <div class="servers-settings">
      {names.map((name) => (
        <SettingRow key={name} name={name} {...rest} />
      ))}
    </div>
  );
}

function SettingRow({
  name,
  draft,
  onDraft,
  own,
  inherited,
  faults,
  readOnly = false,
}: Omit<SettingsProps, "names"> & { name: SettingName }) {
  const { kind, help, unit } = declaredOf(name);
  const label = labelOf(name);
  const forbidden = isForAdministrators(name) && !may("administrator");
  const choices: readonly (readonly [string, string])[] | undefined =
    kind.is === "flag"
      ? [
          ["on", "On"],
          ["off", "Off"],
        ]
      : kind.is === "choice"
        ? kind.choices
        : kind.is === "interval"
          ? INTERVALS.map((each) => [String(each), `${each} s`])
          : undefined;
  const secret = kind.is === "secret";
  const stored =
    name === "rabbitmq_password" ? (own?.rabbitmq_password_set ? "" : undefined) : (own?.[name] ?? undefined);
  const touched = draft[name];
  const typed = touched === undefined ? typedOf(stored) : touched === null ? "" : touched;
  const isOwn = touched === undefined ? stored !== undefined : touched !== null && touched !== "";
  const below =
    name === "rabbitmq_password"
      ? inherited && (inherited.rabbitmq_password_set ? "set" : "none")
      : inherited && shownValue(name, inherited[name]);
  const set = (value: string): void => {
    const next = { ...draft };
    if (value === typedOf(stored) && !(secret && value !== "")) delete next[name];
    else next[name] = value === "" ? null : value;
    onDraft(next);
  };
  const reset = (): void => {
    const next = { ...draft };
    if (stored === undefined) delete next[name];
    else next[name] = null;
    onDraft(next);
  };
  const disabled = readOnly || forbidden;
  const nothing = below === undefined ? "Inherited" : `Inherited: ${below}`;
  return (
    <div class={`setting servers-setting ${isOwn ? "own" : "inherited"}`}>
      <Field
        label={label}
        hint={
          forbidden
            ? "Only administrators may change it."
            : kind.is === "retention"
              ? `${help} Or “for ever”.`
              : help
        }
        error={faults[name]}
      >
        {(attributes) =>
          choices ? (
            <select
              {...attributes}
              disabled={disabled}
              value={typed}
              onChange={(event) => set(event.currentTarget.value)}
            >
              <option value="">{nothing}</option>
              {choices.map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          ) : (
            <span class="servers-input">
              <input
                {...attributes}
                type={secret ? "password" : "text"}
                inputMode={isNumber(name) ? "numeric" : undefined}
                autocomplete={secret ? "new-password" : "off"}
                spellcheck={false}
                disabled={disabled}
                class={isNumber(name) ? "short" : undefined}
                placeholder={secret && stored !== undefined ? "unchanged" : nothing}
                value={typed}
                onInput={(event) => set(event.currentTarget.value)}
              />
              {unit && <span class="muted">{unit === "d" ? "days" : unit}</span>}
            </span>
          )
        }
      </Field>
      <div class="servers-origin">
        <span class={`servers-tag ${isOwn ? "own" : ""}`}>{isOwn ? "Own value" : "Inherited"}</span>
        {isOwn && !disabled && (
          <Button kind="quiet" onClick={reset} title={label}>
            Reset to inherited
          </Button>
        )}
        {isOwn && below !== undefined && <span class="small muted">All servers: {below}</span>}
        {touched !== undefined && own !== undefined && <span class="small servers-unsaved">Not saved</span>}
      </div>
    </div>
  );
}

/** Tries the broker as a probe would, and says which step fails. */
export function BrokerTrial({
  draft,
  server,
  inherited,
}: {
  draft: Draft;
  server?: number;
  inherited: EffectiveSettings | undefined;
}) {
  const [answer, setAnswer] = useState<TrialAnswer>();
  const touched = [...BROKER, "verify_ca"].some((name) => draft[name] !== undefined);
  const trial = useChange(() => {
    const stored = server !== undefined && !touched;
    const value = (name: SettingName): Value | undefined => {
      const typed = draft[name];
      if (typed) return valueOf(name, typed);
      return name === "rabbitmq_password" ? undefined : (inherited?.[name] ?? undefined);
    };
    const body = stored
      ? { server_id: server }
      : Object.fromEntries(
          [...BROKER, "verify_ca" as const]
            // Unless it is set, the port follows TLS.
            .filter((name) => name !== "rabbitmq_port" || draft.rabbitmq_port)
            .map((name) => [name, value(name)]),
        );
    return send<TrialAnswer>("POST", "monitoring/testrabbitmqcred", body);
  }, setAnswer);
  if (!may("administrator")) return null;
  return (
    <div class="servers-trial">
      <Button
        busy={trial.busy}
        doing="Testing"
        onClick={() => {
          setAnswer(undefined);
          trial.run();
        }}
      >
        Test the connection
      </Button>
      {answer && (
        <Notice tone={answer.success ? "good" : "bad"}>
          <strong>{answer.success ? "It works." : "It failed."}</strong> {visible(answer.detail)}{" "}
          <span class="muted">({count(answer.duration_ms)} ms)</span>
        </Notice>
      )}
      {trial.error && <Failure error={trial.error} title="The connection could not be tested" />}
    </div>
  );
}

/** What is rarely needed; opens by itself when something in it is wrong. */
export function Advanced({
  title = "Advanced",
  open,
  children,
}: {
  title?: string;
  open: boolean;
  children: preact.ComponentChildren;
}) {
  return (
    <details class="servers-advanced" open={open || undefined}>
      <summary>{title}</summary>
      {children}
    </details>
  );
}
