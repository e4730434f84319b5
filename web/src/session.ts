// Who is logged in, and what they may do.
import { signal } from "@preact/signals";
import { ApiError, bindSession, call, malformed, send } from "./api";
import type { RightsBody } from "./types";

export interface Session {
  user: string;
  administrator: boolean;
  rights: RightsBody;
  /** Only if a cookie, rather than Basic or a token, is what authenticates the page. */
  csrf_token?: string;
  expires_at_ms?: number;
}

export type SessionState =
  | { is: "unknown" }
  | { is: "failed"; error: ApiError }
  /** `elsewhere`: somebody signed out in another tab of this browser. */
  | { is: "out"; expired: boolean; elsewhere?: true }
  | { is: "in"; session: Session };

export const session = signal<SessionState>({ is: "unknown" });

type Right = keyof RightsBody | "administrator";

/** Whether the user may do something. What they may not is not offered; the API refuses it in any case. */
export function may(right: Right): boolean {
  const state = session.value;
  if (state.is !== "in") return false;
  if (state.session.administrator) return true;
  return right !== "administrator" && state.session.rights[right];
}

export type { Right };

const ended = new Set<() => void>();
/** Runs when somebody signs out or the session ends: what was fetched for one user must not be shown to another. */
export function onSessionEnd(action: () => void): void {
  ended.add(action);
}

const left = new Set<() => void>();
/**
 * Runs when somebody signs out, or another user signs in. What was being typed is kept when the session expires, so that the
 * same user goes on with it.
 */
export function onUserLeft(action: () => void): void {
  left.add(action);
}

const LAST_USER = "zonepulse.user";

/** Who was signed in last in this tab, also before a reload. */
let lastUser = ((): string | undefined => {
  try {
    return sessionStorage.getItem(LAST_USER) ?? undefined;
  } catch {
    return undefined;
  }
})();

/** Texts in the storage of this tab that begin so are one user's. */
export const DRAFTS = "zonepulse.draft.";

function leave(): void {
  for (const action of left) action();
  try {
    // Also of views that have not been loaded.
    for (const name of Object.keys(sessionStorage))
      if (name.startsWith(DRAFTS)) sessionStorage.removeItem(name);
  } catch {
    // Without a storage there is nothing to forget.
  }
}

function become(user: string): void {
  if (lastUser !== user) leave();
  lastUser = user;
  try {
    sessionStorage.setItem(LAST_USER, user);
  } catch {
    // Storage may be forbidden; then nothing is kept over a reload either.
  }
}

function end(expired: boolean): void {
  bindSession("", lost);
  for (const action of ended) action();
  if (!expired) leave();
  session.value = { is: "out", expired };
}

/** All tabs of a browser share a session, so they are told when one of them ends it. */
const tabs = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel("zonepulse.session");
const SIGNED_OUT = "signed out";

tabs?.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
  if (data !== SIGNED_OUT) return;
  const state = session.value;
  // A call of this tab may have been refused before the message came.
  if (state.is !== "in" && !(state.is === "out" && state.expired)) return;
  // Without the token, it is not the shared cookie that lets this tab in.
  if (state.is === "in" && state.session.csrf_token === undefined) return;
  end(false);
  session.value = { is: "out", expired: false, elsewhere: true };
});

function lost(): void {
  if (session.value.is === "in") end(true);
}

function begin(value: unknown): void {
  if (
    typeof value !== "object" ||
    value === null ||
    !("user" in value && typeof value.user === "string") ||
    !("rights" in value && typeof value.rights === "object" && value.rights !== null)
  )
    throw malformed("The central's answer is not a session.");
  const made = value as unknown as Session;
  const before = session.value;
  if (before.is === "in" && before.session.user !== made.user) for (const action of ended) action();
  become(made.user);
  bindSession(made.csrf_token ?? "", lost, renew);
  session.value = { is: "in", session: made };
}

/**
 * A change was refused: perhaps somebody signed in again in another tab, so that this tab's token against forged requests
 * is no longer right, or the user's rights have changed. True if the same user may try again.
 */
async function renew(): Promise<boolean> {
  const before = session.value;
  if (before.is !== "in") return false;
  try {
    const response = await call("session", { anonymous: true });
    begin(await response.json());
  } catch {
    return false;
  }
  const after = session.value;
  return (
    after.is === "in" &&
    after.session.user === before.session.user &&
    after.session.csrf_token !== before.session.csrf_token
  );
}

/** Finds out who is logged in, at the start of the page. */
export async function resume(): Promise<void> {
  try {
    const response = await call("session", { anonymous: true });
    begin(await response.json());
  } catch (error) {
    if (error instanceof ApiError && error.trouble === "session")
      session.value = { is: "out", expired: false };
    else session.value = { is: "failed", error: asApiError(error) };
  }
}

const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : malformed("The central's answer is not a session.");

/** Throws an ApiError if the name or the password is wrong. */
export async function signIn(user: string, password: string): Promise<void> {
  begin(await send<unknown>("POST", "session", { user, password }, { anonymous: true }));
}

export async function signOut(): Promise<void> {
  try {
    await send("DELETE", "session", undefined, { anonymous: true });
  } catch (error) {
    // A session that has already ended is signed out.
    if (!(error instanceof ApiError && error.trouble === "session")) throw error;
  }
  tabs?.postMessage(SIGNED_OUT);
  end(false);
}
