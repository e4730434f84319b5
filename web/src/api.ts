// The only way to the server: the public API.
import { withRightTitles } from "./rights";
import type { Problem } from "./types";

export type Params = Record<
  string,
  string | number | boolean | readonly (string | number)[] | null | undefined
>;

export type Trouble =
  | "network" // no answer at all
  | "timeout" // no answer in time
  | "malformed" // an answer that this page does not understand
  | "session" // not logged in, or no longer
  | "forbidden"
  | "missing"
  | "conflict"
  | "invalid" // a parameter or a field is at fault
  | "busy"
  | "server";

/** A call that failed. `message` says what happened, `advice` what can be done about it. */
export class ApiError extends Error {
  override name = "ApiError";
  constructor(
    readonly trouble: Trouble,
    readonly title: string,
    detail: string,
    readonly advice = "",
    readonly status = 0,
    /** The field or parameter at fault, if the server names one. */
    readonly parameter: string | null = null,
    /** How long the server asks to wait, seconds; 0 if it does not say. */
    readonly retryAfterS = 0,
    /** The single reasons, where the server lists them. */
    readonly reasons: readonly string[] = [],
  ) {
    super(detail);
  }
}

const ADVICE: Record<Trouble, string> = {
  network: "Check that the central is running and that this machine reaches it, then try again.",
  timeout: "Try again, or ask for less: a shorter range or fewer servers.",
  malformed: "Reload the page. If that does not help, the page and the central may be of different versions.",
  session: "Sign in again.",
  forbidden: "Ask an administrator for the right to do this.",
  missing: "It may have been removed. Go back to the list.",
  conflict: "Reload to see the current state, then try again.",
  invalid: "Correct the value, then try again.",
  busy: "The central is busy. Try again in a moment.",
  server: "The central's log has the details.",
};

function troubleOf(status: number): Trouble {
  if (status === 401) return "session";
  if (status === 403) return "forbidden";
  if (status === 404 || status === 410) return "missing";
  if (status === 409 || status === 412) return "conflict";
  if (status === 408 || status === 504) return "timeout";
  if (status === 429 || status === 503) return "busy";
  // From a proxy, which does not reach the central.
  if (status === 502) return "network";
  return status >= 500 ? "server" : "invalid";
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "title" in value && typeof value.title === "string";
}

/** Seconds of a Retry-After header, which has a number or a date (RFC 9110 section 10.2.3); 0 without one. */
export function retryAfter(value: string | null, now = Date.now()): number {
  if (value === null) return 0;
  const seconds = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now) / 1000);
  return seconds > 0 ? Math.min(seconds, 86_400) : 0;
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export async function problemOf(response: Response): Promise<ApiError> {
  const trouble = troubleOf(response.status);
  const retry = trouble === "busy" ? retryAfter(response.headers.get("retry-after")) : 0;
  const advice = retry > 0 ? `Try again in ${retry} ${retry === 1 ? "second" : "seconds"}.` : ADVICE[trouble];
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    body = null;
  }
  if (!isProblem(body)) {
    return new ApiError(
      trouble,
      "The call failed",
      `The server answered with status ${response.status}.`,
      advice,
      response.status,
      null,
      retry,
    );
  }
  const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
  const parameter = text(body.parameter) ?? null;
  const said = text(body.detail) ?? body.title;
  const detail = trouble === "forbidden" ? withRightTitles(said) : said;
  return new ApiError(
    trouble,
    body.title,
    // "limit: …" begins with a name as the API has it.
    parameter !== null && detail.startsWith(parameter) ? detail : sentence(detail),
    advice,
    response.status,
    parameter,
    retry,
    Array.isArray(body.reasons) ? body.reasons.filter((each) => typeof each === "string").map(sentence) : [],
  );
}

/** Set by the session; sent with every call that changes something. */
let csrfToken = "";
let onSessionLost: (error: ApiError) => void = () => {};
let renewSession: () => Promise<boolean> = () => Promise.resolve(false);

/** `renew` is asked when a change was refused, and says whether it is worth sending it again. */
export function bindSession(
  token: string,
  lost: (error: ApiError) => void,
  renew?: () => Promise<boolean>,
): void {
  csrfToken = token;
  onSessionLost = lost;
  renewSession = renew ?? (() => Promise.resolve(false));
}

export function query(params: Params = {}): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === null || value === undefined || value === "") continue;
    if (typeof value === "object") for (const item of value) pairs.append(name, String(item));
    else pairs.append(name, String(value));
  }
  const written = pairs.toString();
  return written === "" ? "" : `?${written}`;
}

/** `monitoring/dns/rps` is below /api/v2; `/readyz` is not. */
const address = (path: string): URL =>
  new URL(path.startsWith("/") ? path : `/api/v2/${path}`, location.origin);

export interface CallOptions {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  params?: Params;
  /** Sent as JSON, unless `contentType` names another type. */
  body?: unknown;
  contentType?: string;
  accept?: string;
  signal?: AbortSignal;
  timeoutMs?: number;
  /** Leaves a 401 to the caller, for the login itself. */
  anonymous?: boolean;
  /** Whether this is the second attempt, which is the last. */
  again?: boolean;
}

/** One call; throws an ApiError unless the server answers with success. An abort by `signal` throws an AbortError. */
export async function call(path: string, options: CallOptions = {}): Promise<Response> {
  const { method = "GET", params, body, contentType, accept = "application/json", signal } = options;
  const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
  const headers = new Headers({ Accept: accept, "X-Zonepulse-Page": "1" });
  if (method !== "GET" && csrfToken !== "") headers.set("X-CSRF-Token", csrfToken);
  if (body !== undefined) headers.set("Content-Type", contentType ?? "application/json");
  const url = address(path);
  if (params) url.search = query(params);
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? null : contentType === undefined ? JSON.stringify(body) : (body as BodyInit),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch (error) {
    throw failure(error, signal);
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401 && !options.anonymous) onSessionLost(problem);
  if (response.status === 403 && method !== "GET" && !options.anonymous && !options.again)
    if (await renewSession()) return call(path, { ...options, again: true });
  throw problem;
}

function failure(error: unknown, signal?: AbortSignal): Error {
  if (signal?.aborted) return new DOMException("The call was aborted", "AbortError");
  if (error instanceof DOMException && error.name === "TimeoutError") return noAnswer();
  return new ApiError("network", "No connection", "The central could not be reached.", ADVICE.network);
}

async function json(response: Response, signal?: AbortSignal): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed("The central's answer is not JSON.", response.status);
    throw failure(error, signal);
  }
}

export const malformed = (detail: string, status = 0): ApiError =>
  new ApiError("malformed", "An unexpected answer", detail, ADVICE.malformed, status);

/** How long an answer may take unless a call says otherwise. */
export const TIMEOUT_MS = 30_000;

export const noAnswer = (): ApiError =>
  new ApiError("timeout", "No answer in time", "The central took too long to answer.", ADVICE.timeout);

/** Why the central cannot be reached now; undefined if it can, whatever it answers. */
export async function unreachable(): Promise<ApiError | undefined> {
  try {
    await call("/healthz", { anonymous: true, timeoutMs: 5000 });
  } catch (error) {
    const why = asApiError(error);
    return why.trouble === "network" || why.trouble === "timeout" ? why : undefined;
  }
  return undefined;
}

/** What any failure is to the user, who has no use for the words of a programming error. */
export const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : malformed("The central's answer is not what this page expects.");

/**
 * Members that lists and objects must have because views go through them or show them as names, by path. An answer
 * without them is refused here rather than kept and shown.
 */
const SHAPES: readonly [path: RegExp, members: Record<string, "list" | "text" | "number" | "object">][] = [
  [/^retirements\/alerts$/, { resource_id: "number" }],
  [/^retirements\/[^/]+\/simulation$/, {}],
  [/^retirements(\/[^/]+)?$/, { retirement_id: "number", name: "text", resources: "list" }],
  [/^zones(\/[^/]+)?$/, { zone_id: "number", zone: "text", servers: "list" }],
  [/^backups$/, { backup_id: "text", state: "text", time: "text", destination: "text" }],
  [/^servers$/, { server_id: "number", server: "text" }],
  [/^pvservers\/diagnostics\/[^/]+$/, { run: "number", state: "text", findings: "list" }],
  [/^pvservers(\/[^/]+)?$/, { server_id: "number", server: "text", services: "list", settings: "object" }],
  [/^users(\/[^/]+)?$/, { user: "text", rights: "object", tokens: "list" }],
  [/^resources$/, { resource_id: "number", host: "text", type: "text" }],
  [/^monitoring\/dns\/verdicts$/, { resource_id: "number", host: "text", verdict: "text", reasons: "text" }],
  [/^monitoring\/dns\/observation$/, { server_id: "number", from: "text", to: "text" }],
];

function hasShape(path: string, value: object): boolean {
  const members = SHAPES.find(([pattern]) => pattern.test(path))?.[1] ?? {};
  return Object.entries(members).every(([name, kind]) => {
    const member: unknown = (value as Record<string, unknown>)[name];
    switch (kind) {
      case "list":
        return Array.isArray(member);
      case "text":
        return typeof member === "string";
      case "number":
        return typeof member === "number";
      case "object":
        return typeof member === "object" && member !== null;
    }
  });
}

function rowsOf<T extends object>(value: unknown, path: string, status = 0): T[] {
  const isRow = (row: unknown): boolean => typeof row === "object" && row !== null && hasShape(path, row);
  if (!Array.isArray(value) || !value.every(isRow))
    throw malformed("The central's answer is not a list of the rows that this page expects.", status);
  return value as T[];
}

/** An object. */
export async function get<T extends object>(path: string, params?: Params, signal?: AbortSignal): Promise<T> {
  const response = await call(path, { params, signal });
  const value = await json(response, signal);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed("The central's answer is not an object.", response.status);
  if (!hasShape(path, value))
    throw malformed("The central's answer is not the object that this page expects.", response.status);
  return value as T;
}

/** One page of a list. */
export interface Page<T> {
  rows: T[];
  /** Number of rows before paging. */
  total: number;
}

export async function list<T extends object>(
  path: string,
  params?: Params,
  signal?: AbortSignal,
): Promise<Page<T>> {
  const response = await call(path, { params, signal });
  const value = await json(response, signal);
  const rows = rowsOf<T>(value, path, response.status);
  const total = response.headers.get("x-total-count");
  return { rows, total: total !== null && /^\d+$/.test(total) ? Number(total) : rows.length };
}

/** A change. The answer is undefined if it has no body. */
export async function send<T = undefined>(
  method: "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
  options: Omit<CallOptions, "method" | "body"> = {},
): Promise<T> {
  const response = await call(path, { ...options, method, body });
  if (response.status === 204 || response.headers.get("content-length") === "0") return undefined as T;
  return (await json(response, options.signal)) as T;
}

/** What an SQL statement selects. */
export const select = async <T extends object>(sql: string, signal?: AbortSignal): Promise<T[]> =>
  rowsOf<T>(await send<unknown>("POST", "sql", { sql }, { signal }), "sql");

/** Rows of a CSV file that are fetched at a time, and the most that one file has: about what a spreadsheet opens. */
const CSV_ROWS = 100_000;
const CSV_PAGES = 10;

export interface SavedCsv {
  file: Blob;
  /** Rows before paging. */
  total: number;
  /** Whether rows are missing because there are too many. */
  cut: boolean;
}

function nextPage(response: Response): string | undefined {
  return /<([^>]*)>;\s*rel="?next"?/.exec(response.headers.get("link") ?? "")?.[1];
}

/** Everything that a call lists, as CSV. Names come from the network, so none may become a spreadsheet's formula. */
export async function csv(path: string, params: Params = {}, signal?: AbortSignal): Promise<SavedCsv> {
  const options: CallOptions = { accept: "text/csv", timeoutMs: 300_000, signal };
  let response = await call(path, {
    ...options,
    params: { ...params, limit: CSV_ROWS, offset: null, escape: "spreadsheet" },
  });
  const pages: string[] = [];
  let next: string | undefined;
  for (;;) {
    const text = await response.text();
    // Every page begins with the header line.
    pages.push(pages.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
    next = nextPage(response);
    if (next === undefined || pages.length >= CSV_PAGES) break;
    response = await call(next, options);
  }
  const total = Number(response.headers.get("x-total-count") ?? 0);
  return { file: new Blob(pages, { type: "text/csv" }), total, cut: next !== undefined };
}
