// What was typed into the wizard. It outlives steps, back, reload and
// signing in again, but is nobody else's; secrets stay in memory.
import { signal } from "@preact/signals";
import { DRAFTS, onUserLeft } from "../../session";
import type { Handover } from "../../types";
import type { Draft } from "../servers/settings";

const KEY = `${DRAFTS}add-server`;
const SECRETS = ["rabbitmq_password", "pull_token"];

function stored(): Draft {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    if (typeof value !== "object" || value === null) return {};
    return Object.fromEntries(
      Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    );
  } catch {
    return {};
  }
}

export const draft = signal<Draft>(stored());
/** What was created last: its secret is shown once, and kept nowhere. */
export const created = signal<Handover | undefined>(undefined);

export function change(next: Draft): void {
  draft.value = next;
  try {
    const kept = Object.entries(next).filter(([name, value]) => !SECRETS.includes(name) && value !== null);
    if (kept.length === 0) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    // Storage may be forbidden; then a reload begins anew.
  }
}

onUserLeft(() => {
  change({});
  created.value = undefined;
});
