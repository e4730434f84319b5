// What the verdicts are called and mean.
import type { Tone } from "../../ui";
import { State } from "../../ui";
import type { IconName } from "../../ui/icons";

export const VERDICTS = ["never_used", "unused", "unobserved", "new", "used", "needed", "protected"] as const;
export type Verdict = (typeof VERDICTS)[number];

interface Meaning {
  word: string;
  tone: Tone;
  icon: IconName;
  /** What it means. */
  meaning: string;
}

export const MEANING: Record<Verdict, Meaning> = {
  never_used: {
    word: "Never used",
    tone: "good",
    icon: "check",
    meaning: "No query is known.",
  },
  unused: {
    word: "Unused",
    tone: "good",
    icon: "check",
    meaning: "Queried only before the window.",
  },
  unobserved: {
    word: "Unobserved",
    tone: "warn",
    icon: "unknown",
    meaning: "A query may have been missed.",
  },
  new: {
    word: "New",
    tone: "info",
    icon: "clock",
    meaning: "In the zone for less than 7 days.",
  },
  used: {
    word: "Used",
    tone: "neutral",
    icon: "records",
    meaning: "Queried within the window.",
  },
  needed: {
    word: "Needed",
    tone: "neutral",
    icon: "zones",
    meaning: "The zone or a used record needs it.",
  },
  protected: {
    word: "Protected",
    tone: "neutral",
    icon: "lock",
    meaning: "Kept by a rule, or by you.",
  },
};

export const GROUPS: readonly { title: string; verdicts: readonly Verdict[] }[] = [
  { title: "Candidates for deletion", verdicts: ["never_used", "unused"] },
  { title: "Cannot be judged yet", verdicts: ["unobserved", "new"] },
  { title: "Keep", verdicts: ["used", "needed", "protected"] },
];

/** Whether a record with this verdict may be retired without further thought. */
export const isCandidate = (verdict: string): boolean => verdict === "never_used" || verdict === "unused";

export const isVerdict = (word: string): word is Verdict => VERDICTS.some((each) => each === word);

export function VerdictState({ verdict }: { verdict: string }) {
  if (!isVerdict(verdict)) return <State tone="neutral">{verdict}</State>;
  const { word, tone, icon } = MEANING[verdict];
  return (
    <State tone={tone} icon={icon}>
      {word}
    </State>
  );
}

/** How long the verdicts look back. Each is just long enough to rule out one more rhythm of use. */
export const WINDOWS = [
  ["90d", "90 days"],
  ["8d", "8 days · weekly use"],
  ["35d", "35 days · monthly use"],
  ["100d", "100 days · quarterly use"],
  ["400d", "400 days · yearly use"],
] as const;
export const STANDARD_WINDOW = "90d";

const UNIT_S: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Seconds of a window such as `90d`; undefined if it is none. */
export function windowLength(window: string): number | undefined {
  const [, number, unit] = /^(\d{1,6})([smhdw])$/.exec(window) ?? [];
  const length = Number(number) * (UNIT_S[unit ?? ""] ?? NaN);
  return length > 0 ? length : undefined;
}

/** The API's reasons, one sentence each, and apart from them what holds for all records. */
export interface Reasons {
  own: string[];
  /** Which rhythm of use the window can rule out. */
  rhythm: string[];
}

/** Begins with a server's name, which has to stay as it is. */
const NAMED = /^.+ was not observed for /;
const RHYTHM = / can rule out | cannot rule out |^no rhythm of use/;
/** Said by the column "Evidence". */
const EVIDENCE = "based on queries only, not on what servers answered";

export function reasonsOf(text: string): Reasons {
  const reasons: Reasons = { own: [], rhythm: [] };
  for (const part of text.split("; ")) {
    if (part === "" || part === EVIDENCE) continue;
    const first = NAMED.test(part) ? part : part.charAt(0).toUpperCase() + part.slice(1);
    const sentence = /[.!?]$/.test(first) && !/\.$/.test(first) ? first : `${first.replace(/\.$/, "")}.`;
    (RHYTHM.test(part) ? reasons.rhythm : reasons.own).push(sentence);
  }
  return reasons;
}
