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

function end(expired: boolean): void {
  bindSession("", lost);
  for (const action of ended) action();
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
