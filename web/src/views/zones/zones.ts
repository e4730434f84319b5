// Calls and words of zones.
import { send } from "../../api";
import { apexOf } from "../../names";
import type { ImportedBody, ZoneEntry } from "../../types";
import type { Tone } from "../../ui";

export const CALL = "zones";

/** Progress of an import, which centrals of the next API version report. */
export interface LoadingProgress {
  /** `reading`, `transfer`, `writing` and the like. */
  phase: string;
  /** Records so far. */
  done: number;
  since: string;
}
export type Zone = ZoneEntry & { loading?: LoadingProgress | null };

/** Large zones take a while. */
const IMPORT_TIMEOUT_MS = 900_000;

export const upload = (zone_id: number, file: Blob, confirm = false): Promise<ImportedBody> =>
  send<ImportedBody>("PUT", `${CALL}/${zone_id}/file`, file, {
    contentType: "text/dns",
    params: confirm ? { confirm } : {},
    timeoutMs: IMPORT_TIMEOUT_MS,
  });

/** Null if the zone was up to date. */
export const reload = (zone_id: number, confirm = false): Promise<ImportedBody | null> =>
  send<ImportedBody | null>("POST", `${CALL}/${zone_id}/refresh`, undefined, {
    params: confirm ? { confirm } : {},
    timeoutMs: IMPORT_TIMEOUT_MS,
  });

interface StateMeaning {
  word: string;
  tone: Tone;
  meaning: string;
}

export const STATE: Record<string, StateMeaning> = {
  loaded: { word: "Loaded", tone: "good", meaning: "" },
  empty: { word: "No contents yet", tone: "neutral", meaning: "Nothing has been loaded yet." },
  waiting: {
    word: "Waits for confirmation",
    tone: "warn",
    meaning: "The new contents would remove much of the zone. The old ones stay until you confirm.",
  },
  failed: {
    word: "Failed",
    tone: "bad",
    meaning: "The last attempt to load it failed. What was loaded before stays.",
  },
  expired: {
    word: "Expired",
    tone: "bad",
    meaning: "The primary has not answered for longer than the SOA's expire time.",
  },
};

export const SOURCE: Record<string, string> = {
  upload: "Upload",
  file: "File on the central",
  transfer: "Transfer",
};

/** The part of a zone file that is read to find its apex. */
const HEAD_BYTES = 64 * 1024;

/** The apex that a zone file is about: the owner of its SOA record. Empty if it does not say. */
export async function apexIn(file: File): Promise<string> {
  const text = await file.slice(0, HEAD_BYTES).text();
  let origin = "";
  let owner = "";
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.replace(/;.*$/, "");
    const [, named] = /^\$ORIGIN\s+(\S+)/i.exec(line) ?? [];
    if (named !== undefined) {
      origin = named.endsWith(".") ? named : origin === "" ? `${named}.` : `${named}.${origin}`;
      continue;
    }
    if (line.startsWith("$") || line.trim() === "") continue;
    const [, first] = /^(\S+)\s/.exec(line) ?? [];
    owner = first ?? owner;
    if (!/\sSOA(\s|$)/i.test(line)) continue;
    if (owner === "@") return apexOf(origin) ?? "";
    if (owner.endsWith(".")) return apexOf(owner) ?? "";
    return origin === "" ? "" : (apexOf(`${owner}.${origin}`) ?? "");
  }
  return "";
}

/** What a file's name suggests: `example.com.zone`, `db.example.com`. */
export function apexOfName(name: string): string {
  const bare = name.replace(/\.(zone|txt|db|dns|hosts|signed)$/i, "").replace(/^db\./i, "");
  return bare.includes(".") ? (apexOf(bare) ?? "") : "";
}

/** One problem in a zone file. */
export interface Problem {
  line: number;
  column: number;
  is: "error" | "warning";
  text: string;
}

/** The API lists what is wrong as `FILE:LINE:COLUMN: error: WHAT`, one per line. Others are returned as they are. */
export function problemsIn(detail: string): { problems: Problem[]; other: string[] } {
  const problems: Problem[] = [];
  const other: string[] = [];
  for (const line of detail.split("\n")) {
    const [, at, column, is, text] = /^.*?:(\d+):(\d+): (error|warning): (.*)$/.exec(line) ?? [];
    if (text === undefined) {
      if (line.trim() !== "") other.push(line);
    } else
      problems.push({
        line: Number(at),
        column: Number(column),
        is: is === "warning" ? "warning" : "error",
        text,
      });
  }
  return { problems, other };
}
