// Ranges of time in the address: `range=24h`, or `from` and `to`, and `step`.
import { useEffect, useId, useState } from "preact/hooks";
import { clock } from "../preferences";
import { change, oneOf, route, text } from "../route";
import { zoneName } from "../text";
import { Button } from "./button";
import { type Invalid, invalidChoice, InvalidNotice } from "./invalid";
import { SelectField } from "./field";

export const RANGES = ["1h", "24h", "7d", "30d"] as const;
type Relative = (typeof RANGES)[number];
const LENGTH_S: Record<Relative, number> = { "1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 };
const WORDS: Record<Relative, string> = {
  "1h": "Last hour",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
};

export interface TimeRange {
  /** `all` has no limits. */
  is: Relative | "custom" | "all";
  /** For the API; empty for `all`. */
  date_from: string;
  /** For the API; empty up to now. */
  date_to: string;
  /** How long it is, seconds; for `all`, 0. */
  length: number;
  /** "last 24 hours" */
  words: string;
  /** Changes when the range does: part of a query's key. */
  key: string;
}

function parsed(value: string): number | undefined {
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : at;
}

/** The range in the address. */
export function rangeOf(params: URLSearchParams, standard: Relative | "all" = "24h"): TimeRange {
  const from = parsed(text(params, "from"));
  const to = parsed(text(params, "to"));
  if (from !== undefined && (to === undefined || to > from)) {
    const [date_from, date_to] = [
      new Date(from).toISOString(),
      to === undefined ? "" : new Date(to).toISOString(),
    ];
    return {
      is: "custom",
      date_from,
      date_to,
      length: ((to ?? Date.now()) - from) / 1000,
      words: "chosen range",
      key: `${date_from}/${date_to}`,
    };
  }
  const is = oneOf(params, "range", [...RANGES, "all"] as const, standard);
  if (is === "all") return { is, date_from: "", date_to: "", length: 0, words: "all time", key: "all" };
  return {
    is,
    date_from: `-${is}`,
    date_to: "",
    length: LENGTH_S[is],
    words: WORDS[is].toLowerCase(),
    key: is,
  };
}

/** What the address says of the range, and does not count. */
export function invalidRange(params: URLSearchParams, standard: Relative | "all" = "24h"): Invalid[] {
  const { is, words } = rangeOf(params, standard);
  const [from, to] = [text(params, "from"), text(params, "to")];
  const instead =
    is === "custom" ? "the time from its start until now" : is === "all" ? words : `the ${words}`;
  const [start, end] = [parsed(from), parsed(to)];
  const invalid: Invalid[] = [];
  if (from !== "" && start === undefined) invalid.push({ what: "start", value: from, instead });
  if (to !== "" && end === undefined) invalid.push({ what: "end", value: to, instead });
  else if (to !== "" && from === "")
    invalid.push({ what: "end", value: to, why: "there is no start", instead });
  else if (start !== undefined && end !== undefined && end <= start)
    invalid.push({ what: "range", value: `${from} to ${to}`, why: "it ends before it starts", instead });
  if (is !== "custom") invalid.push(...invalidChoice(params, "range", [...RANGES, "all"], "range", instead));
  return invalid;
}

export const invalidStep = (params: URLSearchParams): Invalid[] =>
  invalidChoice(params, "step", STEPS_MIN.map(String), "step", "steps whose length is chosen automatically");

export const STEPS_MIN = [5, 15, 30, 60] as const;

/** The length of a step in seconds: the chosen one, or one that gives at most some 300 points. */
export function stepOf(params: URLSearchParams, range: TimeRange): number {
  const chosen = STEPS_MIN.find((minutes) => String(minutes) === text(params, "step"));
  if (chosen !== undefined) return chosen * 60;
  return (STEPS_MIN.find((minutes) => range.length / (minutes * 60) <= 300) ?? 60) * 60;
}

/** A step as the `interval` of the API: `5m`, `15m`, `30m`, `1h`. */
export const intervalOf = (step: number): string => (step === 3600 ? "1h" : `${step / 60}m`);

/** Parameters for a range that was drawn on a chart; seconds since 1970. */
export const zoomTo = (from: number, to: number): void =>
  change({ range: null, from: iso(from * 1000), to: iso(to * 1000) });

/** For an address: to the minute, so that it stays short. */
export const iso = (at: number): string => `${new Date(at).toISOString().slice(0, 16)}Z`;

/** The value of a datetime-local input, in the chosen clock. */
export function local(at: number): string {
  const shift = clock.value === "utc" ? 0 : new Date(at).getTimezoneOffset() * 60_000;
  return new Date(at - shift).toISOString().slice(0, 16);
}

/** Milliseconds since 1970 of such a value. */
export const fromLocal = (value: string): number | undefined =>
  parsed(clock.value === "utc" ? `${value}Z` : value);

function Custom({ range }: { range: TimeRange }) {
  const id = useId();
  const start =
    range.date_from.startsWith("-") || range.date_from === "" ? undefined : Date.parse(range.date_from);
  const [from, setFrom] = useState(() => local(start ?? Date.now() - (range.length || 86_400) * 1000));
  const [to, setTo] = useState(() => local(range.date_to === "" ? Date.now() : Date.parse(range.date_to)));
  const [error, setError] = useState("");
  useEffect(() => {
    if (start !== undefined) setFrom(local(start));
    if (range.date_to !== "") setTo(local(Date.parse(range.date_to)));
  }, [range.key, clock.value]);
  return (
    <form
      class="range-custom"
      onSubmit={(event) => {
        event.preventDefault();
        const [a, b] = [fromLocal(from), fromLocal(to)];
        if (a === undefined || b === undefined) setError("Enter both times.");
        else if (b <= a) setError("The end must be after the start.");
        else {
          setError("");
          change({ range: null, from: iso(a), to: iso(b) });
        }
      }}
    >
      <div class="field">
        <label for={`${id}-from`}>From ({zoneName()})</label>
        <input
          id={`${id}-from`}
          type="datetime-local"
          value={from}
          aria-invalid={error ? "true" : undefined}
          aria-describedby={error ? `${id}-error` : undefined}
          onInput={(event) => setFrom(event.currentTarget.value)}
        />
      </div>
      <div class="field">
        <label for={`${id}-to`}>To</label>
        <input
          id={`${id}-to`}
          type="datetime-local"
          value={to}
          aria-invalid={error ? "true" : undefined}
          aria-describedby={error ? `${id}-error` : undefined}
          onInput={(event) => setTo(event.currentTarget.value)}
        />
      </div>
      <Button type="submit">Apply</Button>
      {error && (
        <p class="field-error" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </form>
  );
}

/** Chooses the range, and the step if `steps`. `all` adds a choice without limits, which is then the default. */
export function Range({ standard = "24h", steps = false }: { standard?: Relative | "all"; steps?: boolean }) {
  const params = route.value.params;
  const range = rangeOf(params, standard);
  const [opened, setOpened] = useState(false);
  const custom = range.is === "custom" || opened;
  const invalid = [...invalidRange(params, standard), ...(steps ? invalidStep(params) : [])];
  return (
    <div class="range">
      <InvalidNotice values={invalid} />
      <SelectField
        label="Time range"
        value={custom ? "custom" : range.is}
        choices={[
          ...(standard === "all" ? ([["all", "All time"]] as const) : []),
          ...RANGES.map((each) => [each, WORDS[each]] as const),
          ["custom", "Custom…"],
        ]}
        onValue={(value) => {
          setOpened(value === "custom");
          if (value !== "custom") change({ range: value === standard ? null : value, from: null, to: null });
        }}
      />
      {custom && <Custom range={range} />}
      {steps && (
        <SelectField
          label="Step"
          value={STEPS_MIN.some((each) => String(each) === text(params, "step")) ? text(params, "step") : ""}
          choices={[
            ["", "Automatic"],
            ...STEPS_MIN.map((each) => [String(each), each === 60 ? "1 hour" : `${each} min`] as const),
          ]}
          onValue={(value) => change({ step: value })}
        />
      )}
    </div>
  );
}
