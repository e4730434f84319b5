// The audit log: its words, and what changed.
import { list, type Page } from "../../api";
import { onSessionEnd } from "../../session";
import type { AuditRow } from "../../types";

/** Every action of the central, in words. */
export const ACTIONS: Record<string, string> = {
  "server.create": "Server added",
  "server.change": "Server changed",
  "server.token": "Server's token renewed",
  "server.enroll": "Probe enrolled",
  "server.remove": "Server removed",
  "server.purge": "Server's history deleted",
  "server.diagnose": "Diagnostics requested",
  "server.download_debug": "Diagnostics downloaded",
  "server.rebuild": "Server list rebuilt",
  "settings.change": "Settings changed",
  "user.create": "User added",
  "user.change": "User changed",
  "user.token": "Token created or revoked",
  "user.remove": "User removed",
  "zone.create": "Zone added",
  "zone.change": "Zone changed",
  "zone.import": "Zone loaded",
  "zone.remove": "Zone removed",
  "resource.change": "Record annotated",
  "resource.labels": "Labels imported",
  "retirement.create": "Plan created",
  "retirement.change": "Plan changed",
  "retirement.remove": "Plan removed",
  "backup.start": "Backup started",
  "store.restore": "Restored from a backup",
};

export const AREAS: readonly (readonly [prefix: string, title: string])[] = [
  ["server.", "Servers"],
  ["settings.", "Settings"],
  ["user.", "Users and tokens"],
  ["zone.", "Zones"],
  ["resource.", "Records"],
  ["retirement.", "Retirement plans"],
  ["backup.", "Backups"],
  ["store.", "The store"],
];

/** One value that differs. */
export interface Difference {
  /** Where it is: "rights.zones". */
  name: string;
  /** Undefined where there was none. */
  before: unknown;
  after: unknown;
}

type Members = Record<string, unknown>;

const isObject = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The items by their ids, if all have one: tokens of a user. */
function byId(value: unknown): Map<unknown, Members> | undefined {
  if (!Array.isArray(value) || !value.every((item) => isObject(item) && "id" in item)) return undefined;
  return new Map((value as Members[]).map((item) => [item.id, item]));
}

/** The values that differ, with nested ones apart. Items of lists that have ids are compared one by one. */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  const [old, next] = [byId(before ?? []), byId(after ?? [])];
  if ((Array.isArray(before) || Array.isArray(after)) && old && next)
    return [...new Set([...old.keys(), ...next.keys()])].flatMap((id) => {
      const [a, b] = [old.get(id), next.get(id)];
      if (a && b) return differences(a, b, `${path}.${String(id)}`);
      return [{ name: path, before: a, after: b }];
    });
  if (!isObject(before) && !isObject(after)) {
    if (path === "" && before == null && after == null) return [];
    return same(before, after)
      ? []
      : [{ name: path, before: before ?? undefined, after: after ?? undefined }];
  }
  const [a, b] = [isObject(before) ? before : {}, isObject(after) ? after : {}];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names.flatMap((name) => differences(a[name], b[name], path === "" ? name : `${path}.${name}`));
}

export interface Wanted {
  who: string;
  /** An action, or the beginning of several: "user." */
  action: string;
  what: string;
  /** Milliseconds; undefined for no limit. */
  from: number | undefined;
  to: number | undefined;
}

/** What was done, in words; undefined for an action that is not known here. */
export function actionWords({ action, before, after }: AuditRow): string | undefined {
  if (action === "user.token") {
    const tokens = differences(before, after).filter(({ name }) => name === "tokens");
    if (tokens.length > 0 && tokens.every((each) => each.before === undefined)) return "Token created";
    if (tokens.length > 0 && tokens.every((each) => each.after === undefined)) return "Token revoked";
  }
  return ACTIONS[action];
}

const contains = (text: string, part: string): boolean =>
  part === "" || text.toLowerCase().includes(part.toLowerCase());

export function isWanted(row: AuditRow, { who, action, what, from, to }: Wanted): boolean {
  const at = Date.parse(row.time);
  return (
    (contains(row.who, who) || contains(row.from, who)) &&
    (action === "" || (action.endsWith(".") ? row.action.startsWith(action) : row.action === action)) &&
    (contains(row.what, what) || contains(row.action, what)) &&
    (from === undefined || at >= from) &&
    (to === undefined || at < to)
  );
}

const CALL = "audit";
const AT_ONCE = 1000;

/** What was fetched so far, newest first. The log only grows, so only what is new is fetched again. */
let known: AuditRow[] = [];
onSessionEnd(() => {
  known = [];
});

/** All entries that the central keeps, because it cannot filter them. */
export async function everything(signal?: AbortSignal): Promise<Page<AuditRow>> {
  const newest = known[0]?.id ?? -1;
  const fresh: AuditRow[] = [];
  let page: Page<AuditRow>;
  let offset = 0;
  do {
    page = await list<AuditRow>(CALL, { offset, limit: AT_ONCE }, signal);
    // What was added in the meantime moves the others on, so that some come twice.
    const oldest = fresh.at(-1)?.id ?? Number.POSITIVE_INFINITY;
    fresh.push(...page.rows.filter(({ id }) => id > newest && id < oldest));
    offset += AT_ONCE;
  } while (page.rows.length === AT_ONCE && page.rows.every((row) => row.id > newest));
  known = [...fresh, ...known].slice(0, page.total);
  return { rows: known, total: known.length };
}

/** One page, as the central has it. */
export const some = (offset: number, limit: number, signal?: AbortSignal): Promise<Page<AuditRow>> =>
  list<AuditRow>(CALL, { offset, limit }, signal);
