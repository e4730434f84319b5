// What is being typed into a form, kept while its user signs in again.
import { useEffect, useRef, useState } from "preact/hooks";
import { onUserLeft, session } from "./session";

const kept = new Map<string, unknown>();
onUserLeft(() => kept.clear());

/** Keeps what a form has when it goes away because the session has expired; otherwise it goes away with its form. */
export function keepDraft(key: string, value: unknown): void {
  const state = session.peek();
  if (state.is === "out" && state.expired) kept.set(key, value);
  else kept.delete(key);
}

export const keptDraft = <T>(key: string): T | undefined => kept.get(key) as T | undefined;

/** As `useState`, for what would be a loss to type again. `key` names the form, the field and what it is about. No secrets. */
export function useDraft<T>(key: string, initial: T): [T, (value: T | ((before: T) => T)) => void] {
  const [value, setValue] = useState<T>(() => keptDraft<T>(key) ?? initial);
  const latest = useRef(value);
  latest.current = value;
  useEffect(() => {
    kept.delete(key);
    return () => keepDraft(key, latest.current);
  }, [key]);
  return [value, setValue];
}
