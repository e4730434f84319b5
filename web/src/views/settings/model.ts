// What is known about each setting, what is being entered, and what of it has to be sent.
import { hostFault, urlFault } from "../../address";
import type { GlobalAnswer, SettingsSet } from "../../types";

export type Name = keyof Omit<SettingsSet, "rabbitmq_password_set">;
export type Value = string | number | boolean;
/** What was entered and not saved: texts as they were typed; null goes back to the default. */
export type Draft = Partial<Record<Name, string | boolean | null>>;

type Kind =
  | { is: "flag" }
  | { is: "choice"; choices: readonly (readonly [value: string, text: string])[] }
  | { is: "interval" }
  | { is: "number"; min: number; max: number }
  | { is: "retention"; unitS: number }
  | { is: "text"; max: number }
  | { is: "url" }
  | { is: "secret" };

export interface Declared {
  name: Name;
  title: string;
  help: string;
  kind: Kind;
  unit?: string;
  /** The default, as the central has it without a configuration file. */
  standard: Value;
  /** The central's configuration file can change the default. */
  configurable?: boolean;
}

export interface Group {
  id: string;
  title: string;
  note?: string;
  settings: readonly Declared[];
}

/** The API's word for never. */
export const FOREVER = 4_294_967_295;

/** Sums of five minutes stay exact only with these. */
export const INTERVALS = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 25, 30, 50, 60, 75, 100, 150, 300] as const;

export const GROUPS: readonly Group[] = [
  {
    id: "communication",
    title: "Communication",
    settings: [
      {
        name: "communication",
        title: "Delivery of batches",
        help: "How what a probe has counted reaches the central. Pulling suits networks that let no connection in to the central.",
        kind: {
          is: "choice",
          choices: [
            ["http", "The probe sends over HTTP"],
            ["rabbitmq", "The probe sends through RabbitMQ"],
            ["pull", "The central pulls from the probe"],
          ],
        },
        standard: "http",
      },
      {
        name: "api_url",
        title: "API address for probes",
        help: "http://… or https://…; empty for the address a probe was enrolled with. A probe follows only to hosts that its own configuration allows.",
        kind: { is: "url" },
        standard: "",
      },
      {
        name: "verify_ca",
        title: "Verify certificates",
        help: "Probes refuse a central or a broker whose certificate they cannot verify. A probe whose own configuration requires this always verifies.",
        kind: { is: "flag" },
        standard: true,
      },
      {
        name: "api_timeout_ms",
        title: "Connection timeout",
        help: "How long the central waits for a probe or a broker to accept its connection. 10 to 60,000 ms.",
        kind: { is: "number", min: 10, max: 60_000 },
        unit: "ms",
        standard: 300,
      },
    ],
  },
  {
    id: "monitoring",
    title: "Monitoring",
    settings: [
      {
        name: "dns_monitoring",
        title: "Count DNS messages",
        help: "While this is off, nothing is observed, and no record can be called unused.",
        kind: { is: "flag" },
        standard: true,
      },
      {
        name: "dns_interval_s",
        title: "DNS interval",
        help: "Messages are summed over this time before they are sent. It must divide 5 minutes.",
        kind: { is: "interval" },
        standard: 60,
      },
      {
        name: "dns_served",
        title: "Count what was served",
        help: "Which records responses used: through aliases and wildcards, in referrals, and as glue.",
        kind: { is: "flag" },
        standard: true,
      },
      {
        name: "system_monitoring",
        title: "Measure the system",
        help: "CPU, memory, disks, network and connections of each server.",
        kind: { is: "flag" },
        standard: true,
      },
      {
        name: "system_interval_s",
        title: "System interval",
        help: "How often the system is measured. It must divide 5 minutes.",
        kind: { is: "interval" },
        standard: 5,
      },
      {
        name: "overlapping_probes",
        title: "Two probes at the same time",
        help: "What happens to a batch whose time another run of a probe of the same server already covers, as when two probes use one token.",
        kind: {
          is: "choice",
          choices: [
            ["count", "Both count; the overlap is shown"],
            ["refuse", "Each time counts only once"],
          ],
        },
        standard: "count",
      },
    ],
  },
  {
    id: "retention",
    title: "Retention",
    note: "Applies at once. Totals, first seen and last access are kept for all time.",
    settings: [
      {
        name: "raw_retention_minutes",
        title: "Raw points",
        help: "Every interval as the probe has sent it. At least 1 minute.",
        kind: { is: "retention", unitS: 60 },
        unit: "min",
        standard: 1440,
        configurable: true,
      },
      {
        name: "aggregated_retention_days",
        title: "Roll-ups",
        help: "Sums of 5, 15, 30 and 60 minutes, which the charts are drawn from. At least 1 day.",
        kind: { is: "retention", unitS: 86_400 },
        unit: "d",
        standard: 30,
        configurable: true,
      },
    ],
  },
  {
    id: "broker",
    title: "RabbitMQ broker",
    note: "For servers whose probes send through RabbitMQ.",
    settings: [
      {
        name: "rabbitmq_address",
        title: "Address",
        help: "FQDN or IP address, without a port; empty if there is no broker.",
        kind: { is: "text", max: 255 },
        standard: "",
      },
      {
        name: "rabbitmq_port",
        title: "Port",
        help: "1 to 65535. By default 5672, or 5671 with TLS.",
        kind: { is: "number", min: 1, max: 65_535 },
        standard: 5672,
      },
      {
        name: "rabbitmq_tls",
        title: "TLS",
        help: "Without it, the password and all batches cross the network readable.",
        kind: { is: "flag" },
        standard: false,
      },
      {
        name: "rabbitmq_virtual_host",
        title: "Virtual host",
        help: "Every broker has the one called /.",
        kind: { is: "text", max: 255 },
        standard: "/",
      },
      {
        name: "rabbitmq_user",
        title: "User",
        help: "Probes log in to the broker with this name.",
        kind: { is: "text", max: 255 },
        standard: "",
      },
      {
        name: "rabbitmq_password",
        title: "Password",
        help: "Can be set but is never shown.",
        kind: { is: "secret" },
        standard: "",
      },
    ],
  },
];

export const ALL: readonly Declared[] = GROUPS.flatMap((group) => group.settings);

/** Whether a value was set for all servers, as opposed to the default. */
export function isSet({ settings }: GlobalAnswer, name: Name): boolean {
  if (name === "rabbitmq_password") return settings.rabbitmq_password_set === true;
  return settings[name] !== undefined && settings[name] !== null;
}

/** The value in effect, without what is being entered. The password's is empty. */
export function inEffect({ effective_settings }: GlobalAnswer, name: Name): Value {
  return name === "rabbitmq_password" ? "" : effective_settings[name];
}

/** The default. The broker's port follows TLS. */
export function standardOf(declared: Declared, answer: GlobalAnswer, draft: Draft): Value {
  if (declared.name !== "rabbitmq_port") return declared.standard;
  const tls = draft.rabbitmq_tls ?? inEffect(answer, "rabbitmq_tls");
  return draft.rabbitmq_tls !== null && tls === true ? 5671 : 5672;
}

/** What a field shows: what was entered, else what is in effect. */
export function shownOf(declared: Declared, answer: GlobalAnswer, draft: Draft): string | boolean {
  const entered = draft[declared.name];
  const value =
    entered === null
      ? standardOf(declared, answer, draft)
      : (entered ??
        (declared.name === "rabbitmq_port" && !isSet(answer, declared.name)
          ? standardOf(declared, answer, draft)
          : inEffect(answer, declared.name)));
  return typeof value === "number" ? String(value) : value;
}

/** What the API gets for what was entered. */
function parsed({ kind }: Declared, entered: string | boolean): Value {
  const isNumber = kind.is === "number" || kind.is === "retention" || kind.is === "interval";
  if (typeof entered === "boolean") return entered;
  if (isNumber) return Number(entered.trim());
  return kind.is === "secret" ? entered : entered.trim();
}

/** Only what differs from what is in effect; null goes back to the default. */
export function changesOf(answer: GlobalAnswer, draft: Draft): SettingsSet {
  const changes: Partial<Record<Name, Value | null>> = {};
  for (const declared of ALL) {
    const { name } = declared;
    const entered = draft[name];
    if (entered === undefined) continue;
    if (entered === null) {
      if (isSet(answer, name)) changes[name] = null;
    } else {
      const value = parsed(declared, entered);
      if (value !== inEffect(answer, name)) changes[name] = value;
    }
  }
  return changes as SettingsSet;
}

const octets = (text: string): number => new TextEncoder().encode(text).length;

/** What is wrong with a value; undefined if nothing is. The API checks again, and knows more. */
export function faultOf({ name, kind }: Declared, entered: string | boolean | null): string | undefined {
  if (entered === null || typeof entered === "boolean") return undefined;
  const text = entered.trim();
  switch (kind.is) {
    case "number":
    case "retention": {
      const [min, max] = kind.is === "number" ? [kind.min, kind.max] : [1, FOREVER];
      if (!/^\d+$/.test(text)) return "Enter a whole number.";
      if (Number(text) >= min && Number(text) <= max) return undefined;
      if (kind.is === "number")
        return `Enter a number from ${min.toLocaleString("en")} to ${max.toLocaleString("en")}.`;
      return Number(text) < min
        ? "Enter at least 1, or keep it for ever."
        : `Enter at most ${(max - 1).toLocaleString("en")}, or keep it for ever.`;
    }
    case "url":
      return text === "" ? undefined : urlFault(text);
    case "text":
      if (name === "rabbitmq_virtual_host" && text === "")
        return "Enter a name; the one that every broker has is /.";
      if (name === "rabbitmq_address" && text !== "") return hostFault(text);
      return octets(text) > kind.max ? `Enter at most ${kind.max} bytes.` : undefined;
    case "secret":
      return octets(entered) > 255 ? "Enter at most 255 bytes." : undefined;
    case "flag":
    case "choice":
    case "interval":
      return undefined;
  }
}

/** Whether a change would take the stored password to another broker, or there less securely: then it is needed again. */
export function needsPassword(answer: GlobalAnswer, draft: Draft): boolean {
  const { effective_settings: before } = answer;
  if (!before.rabbitmq_password_set || typeof draft.rabbitmq_password === "string") return false;
  const shown = (name: Name) => {
    const declared = ALL.find((each) => each.name === name);
    return declared ? shownOf(declared, answer, draft) : "";
  };
  const address = String(shown("rabbitmq_address")).trim();
  if (address === "") return false;
  return (
    address.toLowerCase() !== before.rabbitmq_address.toLowerCase() ||
    Number(shown("rabbitmq_port")) !== before.rabbitmq_port ||
    String(shown("rabbitmq_user")).trim() !== before.rabbitmq_user ||
    (before.rabbitmq_tls && shown("rabbitmq_tls") === false) ||
    (before.verify_ca && shown("verify_ca") === false)
  );
}

/** A value in words, with its unit: "60 s", "1,440 min (1 d)", "for ever", "off". */
export function words(declared: Declared, value: Value): string {
  const { kind, unit } = declared;
  if (typeof value === "boolean") return value ? "on" : "off";
  if (kind.is === "choice") return kind.choices.find(([each]) => each === value)?.[1] ?? String(value);
  if (kind.is === "retention") {
    if (Number(value) === FOREVER) return "for ever";
    return `${Number(value).toLocaleString("en")} ${unit}`;
  }
  if (kind.is === "interval") return `${Number(value)} s`;
  if (value === "") return "none";
  return unit === undefined ? String(value) : `${Number(value).toLocaleString("en")} ${unit}`;
}

/** What a change takes away, said before it is made. */
export function lossesOf(answer: GlobalAnswer, changes: SettingsSet): string[] {
  const losses: string[] = [];
  for (const declared of ALL) {
    const { name, kind, title } = declared;
    if (!(name in changes)) continue;
    const after = changes[name] ?? declared.standard;
    const before = inEffect(answer, name);
    if (kind.is === "retention" && Number(after) < Number(before))
      losses.push(
        `${title} older than ${words(declared, after)} are deleted. They cannot be restored. Until now they were kept ${
          Number(before) === FOREVER ? "for ever" : `for ${words(declared, before)}`
        }.`,
      );
    if (name === "dns_monitoring" && after === false)
      losses.push("Nothing more is counted. Verdicts become “unobserved” from now on.");
    if (name === "verify_ca" && after === false)
      losses.push(
        "Probes no longer notice if somebody between them and the central or the broker reads or changes what they send.",
      );
  }
  return losses;
}

/** The text of the API's complaint about a field, without the field's name. */
export function complaint(message: string, name: string): string {
  const text = message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
