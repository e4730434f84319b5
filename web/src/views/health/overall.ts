// The answer to "can the numbers be trusted?" in a sentence.

export interface Facts {
  /** Servers that a probe observes, samples left out. */
  servers: number;
  /** How many of them were not observed completely. */
  incomplete: number;
  /** How many have not reported anything of that time yet. */
  unknown: number;
  /** How many were added within the time, and count from then on. */
  added: number;
  /** How many have something wrong now. */
  troubled: number;
  ready: boolean;
  /** "last 24 hours" */
  words: string;
}

export interface Overall {
  tone: "good" | "warn" | "bad" | "info";
  sentence: string;
  /** What follows from it, and what must be done now. */
  meaning: string;
}

const written = (count: number): string => count.toLocaleString("en");
const of = (part: number, all: number): string =>
  all === 1 ? "The server" : `${written(part)} of ${written(all)} servers`;
const was = (count: number): string => (count === 1 ? "was" : "were");

export function overallOf(facts: Facts): Overall {
  const past = observation(facts);
  const { troubled } = facts;
  if (troubled === 0) return past;
  // The list of troubles follows, whatever was observed.
  const who = troubled === 1 ? "a server needs" : `${written(troubled)} servers need`;
  const meaning =
    past.tone === "good" ? `But ${who} attention now:` : `${past.meaning} Also, ${who} attention now:`;
  return { ...past, tone: past.tone === "bad" ? "bad" : "warn", meaning };
}

/** What can be said of the past. */
function observation({ servers, incomplete, unknown, added, ready, words }: Facts): Overall {
  const since = added === servers ? `, or since ${servers === 1 ? "it was" : "they were"} added` : "";
  const complete =
    servers === 1
      ? `The server was observed completely in the ${words}${since}.`
      : `All ${written(servers)} servers were observed completely in the ${words}${since}.`;
  const partly = `${of(incomplete, servers)} ${was(incomplete)} not observed completely in the ${words}.`;
  if (!ready)
    return {
      tone: "bad",
      sentence: "The central is not ready.",
      meaning: "New numbers are missing until this is repaired. The probes keep their reports meanwhile.",
    };
  if (servers === 0)
    return {
      tone: "info",
      sentence: "No server is observed yet.",
      meaning: "Add a server, and install its probe.",
    };
  if (incomplete > 0)
    return {
      tone: "warn",
      sentence: partly,
      meaning:
        "Counts of that time may be too low, and are marked where they are shown. No record is called unused on incomplete evidence.",
    };
  if (unknown > 0)
    return {
      tone: "warn",
      sentence: `${of(unknown, servers)} ${servers > 1 && unknown > 1 ? "have" : "has"} not reported anything of the ${words} yet.`,
      meaning: "Nothing can be said of what they count until their first report arrives.",
    };
  return { tone: "good", sentence: complete, meaning: "The numbers can be trusted." };
}
