// How numbers, times and names are written.
import { signal } from "@preact/signals";
import { clock } from "./preferences";

/** What stands where there is no value. */
export const NONE = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

export type Maybe<T> = T | null | undefined;

/** 1,234,567 */
export const count = (value: Maybe<number>): string =>
  value === null || value === undefined ? NONE : whole.format(value);

/** 1.2M, for axes and tiles; the full number belongs in a title. */
export const brief = (value: Maybe<number>): string =>
  value === null || value === undefined ? NONE : short.format(value);

/** A number with three significant digits or so: 0.034, 1.25, 17.3, 1,240. */
export function measure(value: Maybe<number>): string {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  const maximumFractionDigits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 || size === 0 ? 2 : 3;
  return value.toLocaleString("en", { maximumFractionDigits });
}

/** 0.123 as 12.3%. Only all is 100%, and only nothing 0%. */
export function share(value: Maybe<number>): string {
  if (value === null || value === undefined) return NONE;
  if (value > 0 && value < 0.0005) return "<0.1%";
  return percent.format(value < 1 ? Math.min(value, 0.999) : value);
}

/** A share that was promised: never rounded up. */
export const floored = (value: number): string =>
  share(value >= 1 ? 1 : value < 0.001 ? value : Math.floor(value * 1000 + 1e-9) / 1000);

/** 1536 as 1.5 KiB */
export function bytes(value: Maybe<number>): string {
  if (value === null || value === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(size) : measure(size)} ${units[unit]}`;
}

const LENGTHS = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
] as const;

/** 93784 s as "1 d 2 h": the two largest units. */
export function duration(seconds: Maybe<number>): string {
  if (seconds === null || seconds === undefined) return NONE;
  if (Math.abs(seconds) < 1) return seconds === 0 ? "0 s" : `${Math.round(seconds * 1000)} ms`;
  const parts: string[] = [];
  let rest = Math.round(Math.abs(seconds));
  for (const [name, length] of LENGTHS) {
    const whole = Math.floor(rest / length);
    rest -= whole * length;
    if (whole > 0) parts.push(`${whole} ${name}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return (seconds < 0 ? "-" : "") + parts.join(" ");
}

/** Moves on every half minute, so that relative times stay true. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 30_000);

export type When = Maybe<string | number | Date>;

/** Milliseconds; undefined if it is no time. */
export function instant(when: When): number | undefined {
  if (when === null || when === undefined || when === "") return undefined;
  const at = new Date(when).getTime();
  return Number.isNaN(at) ? undefined : at;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** 2026-01-31 13:05:09 in the chosen clock; ISO order, because it sorts and is read alike everywhere. */
export function moment(when: When, precision: "day" | "minute" | "second" = "second"): string {
  const at = instant(when);
  if (at === undefined) return NONE;
  const utc = clock.value === "utc";
  const shifted = new Date(utc ? at : at - new Date(at).getTimezoneOffset() * 60_000);
  const day = `${shifted.getUTCFullYear()}-${two(shifted.getUTCMonth() + 1)}-${two(shifted.getUTCDate())}`;
  if (precision === "day") return day;
  const time = `${two(shifted.getUTCHours())}:${two(shifted.getUTCMinutes())}`;
  return `${day} ${time}${precision === "second" ? `:${two(shifted.getUTCSeconds())}` : ""}`;
}

/** "UTC" or the name of the local zone: "Europe/Prague". */
export const zoneName = (): string =>
  clock.value === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;

/** "3 min ago", "in 2 d"; what has just happened is not ahead, although `now` moves in steps. */
export function ago(when: When, reference = Math.max(now.value, Date.now())): string {
  const at = instant(when);
  if (at === undefined) return NONE;
  const seconds = (reference - at) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const size = Math.abs(seconds);
  const [name, length] = LENGTHS.find(([, each]) => size >= each) ?? (["s", 1] as const);
  const words = `${Math.floor(size / length)} ${name}`;
  return seconds < 0 ? `in ${words}` : `${words} ago`;
}

// Control characters, and marks that reorder or hide text: they could make one name look like another.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}\p{DI}]|(?! )\p{Zs}/gu;

/** Text from the network with everything invisible written out: `\u202e`, or `\010` as DNS does. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (hidden) => {
    const code = hidden.codePointAt(0) ?? 0;
    if (code < 256) return `\\${String(code).padStart(3, "0")}`;
    const hex = code.toString(16);
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
  });
}

/** "1 server", "2 servers" */
export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;
const SECONDS = /(?<![\w.,:/-])(\d+) s\b(?!\/)/g;
const SHARE = /(?<![\w,:/-])(\d+(?:\.\d+)?) %/g;
// Counts stand before a word. Numbers that name something do not count anything.
const MANY =
  /(?<![\w.,:/#-])(?<!\b(?:ports?|serial|pid|process|id|number|from|to|of type) )(\d{5,})(?= [a-z])/g;

/** The same in words as the page writes them; what is quoted as code, and what the operator has written, stays. */
function written(text: string): string {
  if (/^protected/i.test(text)) return text;
  return text
    .split("`")
    .map((part, at) =>
      at % 2 === 1
        ? part
        : part
            .replace(TIME, (time) => moment(time))
            .replace(SECONDS, (_, seconds: string) => duration(Number(seconds)))
            .replace(SHARE, (_, percents: string) => floored(Number(percents) / 100))
            .replace(MANY, (digits) => count(Number(digits))),
    )
    .join("`");
}

/**
 * A text that the central has put into words, such as the reason of a state: its times in the chosen clock, and its
 * numbers as everywhere in the page.
 */
export const reason = (text: string): string => visible(written(text));
