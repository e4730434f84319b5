// The whole state of a view is in the address: `#/records?host=*.example.com&sort=-hits&page=2`.
// So a view can be shared, and back, forward and reload work without further code.
import { signal } from "@preact/signals";

export interface Route {
  /** `["servers", "7", "rps"]` for `#/servers/7/rps`. */
  path: string[];
  params: URLSearchParams;
}

/** Values of parameters; null, undefined, "" and [] remove the parameter. */
export type Changes = Record<
  string,
  string | number | boolean | readonly (string | number)[] | null | undefined
>;

/** Parameters that belong to a page of a table, and start over when anything else changes. */
const PAGE = "page";

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function parse(hash: string): Route {
  const text = hash.replace(/^#?\/?/, "");
  const query = text.indexOf("?");
  const path = query < 0 ? text : text.slice(0, query);
  return {
    path: path.split("/").filter(Boolean).map(decode),
    params: new URLSearchParams(query < 0 ? "" : text.slice(query + 1)),
  };
}

export const route = signal<Route>(parse(location.hash));

/** Whether the new view's heading takes the focus: not on the first load, nor when only parameters change. */
let headingTakesFocus = false;

export function takeFocusRequest(): boolean {
  const taken = headingTakesFocus;
  headingTakesFocus = false;
  return taken;
}

function follow(): void {
  forget();
  const next = parse(location.hash);
  if (next.path.join("/") !== route.value.path.join("/")) {
    headingTakesFocus = true;
    scrollTo(0, 0);
  }
  route.value = next;
}

addEventListener("hashchange", follow);

function apply(params: URLSearchParams, changes: Changes): URLSearchParams {
  for (const [name, value] of Object.entries(changes)) {
    params.delete(name);
    if (value === null || value === undefined || value === "") continue;
    if (typeof value === "object") for (const item of value) params.append(name, String(item));
    else params.append(name, String(value));
  }
  return params;
}

function write(path: string, params: URLSearchParams): string {
  const query = params.toString();
  return `#/${path}${query === "" ? "" : `?${query}`}`;
}

/** The address of a view: `href("records", { host: "www.example.com." })`. Encode ids with `segment`. */
export const href = (path: string, params: Changes = {}): string =>
  write(path, apply(new URLSearchParams(), params));

/** One part of a path, for values that may contain a slash. */
export const segment = (value: string | number): string => encodeURIComponent(String(value));

/** The address of the current view with some parameters changed; back to the first page unless `page` is among them. */
export function hrefWith(changes: Changes): string {
  const params = new URLSearchParams(route.value.params);
  if (!(PAGE in changes)) params.delete(PAGE);
  return write(route.value.path.map(segment).join("/"), apply(params, changes));
}

/** Goes to an address. With `replace`, the back button skips the current one. */
export function go(address: string, { replace = false } = {}): void {
  if (address === location.hash) return;
  if (replace) {
    history.replaceState(null, "", address);
    follow();
  } else location.hash = address;
}

/** Changes parameters of the current view. */
export const change = (changes: Changes, options?: { replace?: boolean }): void =>
  go(hrefWith(changes), options);

/** Changes that wait until the user stops typing. They are about the address at which they were typed. */
let waiting:
  { changes: Record<string, string>; at: string; timer: ReturnType<typeof setTimeout> } | undefined;

function forget(): void {
  clearTimeout(waiting?.timer);
  waiting = undefined;
}

/** Changes parameters in place after a pause, so that "back" does not step through letters. */
export function changeSoon(changes: Record<string, string>, pauseMs: number): void {
  const all = { ...(waiting?.at === location.hash ? waiting.changes : {}), ...changes };
  forget();
  waiting = { changes: all, at: location.hash, timer: setTimeout(changeNow, pauseMs) };
}

/** Makes the changes that wait, if any, without waiting further. */
export function changeNow(): void {
  const due = waiting;
  forget();
  // The address may be another one already, which the page has yet to hear of.
  if (due?.at !== location.hash) return;
  const { params } = route.value;
  if (Object.entries(due.changes).some(([name, value]) => value !== text(params, name)))
    change(due.changes, { replace: true });
}

/** Whether a change waits. */
export const changesSoon = (): boolean => waiting !== undefined;

// Readers of parameters. Anybody can write an address, so what is not valid counts as absent.

export const text = (params: URLSearchParams, name: string): string => params.get(name) ?? "";

export const list = (params: URLSearchParams, name: string): string[] => params.getAll(name).filter(Boolean);

export const flag = (params: URLSearchParams, name: string): boolean => params.get(name) === "true";

export function number(
  params: URLSearchParams,
  name: string,
  otherwise: number,
  { min = 0, max = Number.MAX_SAFE_INTEGER } = {},
): number {
  const value = params.get(name);
  if (value === null || !/^\d{1,16}$/.test(value)) return otherwise;
  return Math.min(max, Math.max(min, Number(value)));
}

export function oneOf<T extends string>(
  params: URLSearchParams,
  name: string,
  choices: readonly T[],
  otherwise: T,
): T {
  const value = params.get(name);
  return choices.find((choice) => choice === value) ?? otherwise;
}
