// The filter on the last access: presets and a free range of dates.
import { useEffect, useId, useState } from "preact/hooks";
import { clock } from "../../preferences";
import { change, oneOf, text } from "../../route";
import { instant, moment, zoneName } from "../../text";
import { Button, type Invalid, invalidChoice, SelectField } from "../../ui";
import { fromLocal, iso, local } from "../../ui/range";

const CHOICES = [
  ["", "At any time"],
  ["in-1h", "In the last hour"],
  ["in-24h", "In the last 24 hours"],
  ["in-7d", "In the last 7 days"],
  ["in-30d", "In the last 30 days"],
  ["not-1d", "Not for 1 day"],
  ["not-7d", "Not for 7 days"],
  ["not-30d", "Not for 30 days"],
  ["not-90d", "Not for 90 days"],
  ["not-365d", "Not for 1 year"],
] as const;

const IDS = CHOICES.map(([id]) => id);

export interface Access {
  is: string;
  /** For the API: relative, RFC 3339, or empty. */
  accessed_from: string;
  accessed_to: string;
}

export function accessOf(params: URLSearchParams): Access {
  const from = instant(text(params, "accessed_from"));
  const to = instant(text(params, "accessed_to"));
  if (from !== undefined || to !== undefined)
    return {
      is: "custom",
      accessed_from: from === undefined ? "" : new Date(from).toISOString(),
      accessed_to: to === undefined ? "" : new Date(to).toISOString(),
    };
  const is = oneOf(params, "access", IDS, "");
  const [how, length] = is.split("-");
  return {
    is,
    accessed_from: how === "in" ? `-${length}` : "",
    accessed_to: how === "not" ? `-${length}` : "",
  };
}

/** What the address says of the last access, and does not count. */
export function invalidAccess(params: URLSearchParams): Invalid[] {
  const [from, to] = [text(params, "accessed_from"), text(params, "accessed_to")];
  const shown = accessWords(accessOf(params));
  const instead = shown === "" ? "records whenever they were last accessed" : `records ${shown}`;
  const [start, end] = [instant(from), instant(to)];
  const invalid = [from, to]
    .filter((value) => value !== "" && instant(value) === undefined)
    .map((value) => ({ what: "time of the last access", value, instead }));
  if (start !== undefined && end !== undefined && end <= start)
    invalid.push({ what: "range of the last access", value: `${from} to ${to}`, instead: "no record" });
  return [...invalid, ...invalidChoice(params, "access", IDS, "choice of the last access", instead)];
}

const UNITS: Record<string, number> = { h: 3_600_000, d: 86_400_000 };

/** A time that may be relative, in RFC 3339. */
export function absolute(time: string, now = Date.now()): string {
  const [, amount, unit = ""] = /^-(\d+)([hd])$/.exec(time) ?? [];
  return amount === undefined ? time : new Date(now - Number(amount) * (UNITS[unit] ?? 0)).toISOString();
}

/** Parameters of this filter, to clear them. */
export const ACCESS_PARAMS = ["access", "accessed_from", "accessed_to"] as const;

function Custom({ access }: { access: Access }) {
  const id = useId();
  const shown = (time: string): string => {
    const at = instant(absolute(time));
    return at === undefined ? "" : local(at);
  };
  const [from, setFrom] = useState(() => shown(access.accessed_from));
  const [to, setTo] = useState(() => shown(access.accessed_to));
  const [error, setError] = useState("");
  useEffect(() => {
    setFrom(shown(access.accessed_from));
    setTo(shown(access.accessed_to));
  }, [access.accessed_from, access.accessed_to, clock.value]);
  const apply = (): void => {
    const [a, b] = [from === "" ? undefined : fromLocal(from), to === "" ? undefined : fromLocal(to)];
    if (a === undefined && b === undefined) setError("Enter at least one of the two times.");
    else if (a !== undefined && b !== undefined && b <= a) setError("The end must be after the start.");
    else {
      setError("");
      change({
        access: null,
        accessed_from: a === undefined ? null : iso(a),
        accessed_to: b === undefined ? null : iso(b),
      });
    }
  };
  const field = (name: string, label: string, value: string, set: (value: string) => void) => (
    <div class="field">
      <label for={`${id}-${name}`}>{label}</label>
      <input
        id={`${id}-${name}`}
        type="datetime-local"
        value={value}
        aria-invalid={error ? "true" : undefined}
        aria-describedby={error ? `${id}-error` : undefined}
        onInput={(event) => set(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") apply();
        }}
      />
    </div>
  );
  return (
    <div class="range-custom" role="group" aria-label="Range of the last access">
      {field("from", `From (${zoneName()})`, from, setFrom)}
      {field("to", "Before", to, setTo)}
      <Button onClick={apply}>Apply</Button>
      {error && (
        <p class="field-error" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

export function AccessFilter({ params }: { params: URLSearchParams }) {
  const access = accessOf(params);
  const [opened, setOpened] = useState(false);
  const custom = opened || access.is === "custom";
  return (
    <>
      <SelectField
        label="Last access"
        value={custom ? "custom" : access.is}
        choices={[...CHOICES, ["custom", "Custom…"]]}
        onValue={(value) => {
          setOpened(value === "custom");
          if (value !== "custom") change({ access: value, accessed_from: null, accessed_to: null });
        }}
      />
      {custom && <Custom access={access} />}
    </>
  );
}

/** "not accessed since 2026-01-31 13:05" */
export function accessWords({ accessed_from, accessed_to }: Access): string {
  const at = (time: string): string => moment(absolute(time), "minute");
  if (accessed_from !== "" && accessed_to !== "")
    return `last accessed from ${at(accessed_from)} to ${at(accessed_to)}`;
  if (accessed_to !== "") return `not accessed since ${at(accessed_to)}`;
  return accessed_from === "" ? "" : `accessed since ${at(accessed_from)}`;
}
