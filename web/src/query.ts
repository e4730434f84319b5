// Fetches what a view shows, and keeps it fresh.
import { signal } from "@preact/signals";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, asApiError } from "./api";
import { refreshEvery } from "./preferences";
import { onSessionEnd } from "./session";
import { toast } from "./ui/toast";

/** Increases with every refresh, manual or automatic. */
const refreshes = signal(0);
/** When something last arrived, for the header. */
export const updatedAt = signal<number | null>(null);
/** How many calls are under way. */
export const underway = signal(0);

export function refresh(): void {
  refreshes.value += 1;
}

let timer: ReturnType<typeof setInterval> | undefined;
refreshEvery.subscribe((seconds) => {
  clearInterval(timer);
  // A page that nobody sees asks for nothing.
  if (seconds !== "0")
    timer = setInterval(
      () => {
        if (!document.hidden) refresh();
      },
      Number(seconds) * 1000,
    );
});

/** The last answers, so that going back shows something at once while it is fetched again. */
const KEPT = 40;
const kept = new Map<string, unknown>();
onSessionEnd(() => kept.clear());

function keep(key: string, value: unknown): void {
  kept.delete(key);
  kept.set(key, value);
  const oldest = kept.keys().next();
  if (kept.size > KEPT && !oldest.done) kept.delete(oldest.value);
}

/** Forgets answers: after a change, or because one of them could not be displayed. */
export const forgetAnswers = (): void => kept.clear();

/** Forgets answers, and fetches what is shown again. */
export function invalidate(): void {
  forgetAnswers();
  refresh();
}

/** Runs with every refresh until the returned function is called. */
export function onRefresh(action: () => void): () => void {
  const before = refreshes.peek();
  return refreshes.subscribe((now) => {
    if (now !== before) action();
  });
}

/** A call that has taken this long is said to be slow. */
export const SLOW_MS = 2000;

export interface Query<T> {
  /** What was fetched last; perhaps for the key before, in which case `stale` is set. */
  data: T | undefined;
  /** Why the last attempt failed. `data` may still be there, from an earlier one. */
  error: ApiError | undefined;
  loading: boolean;
  /** Whether `data` answers an earlier question than the one asked now. */
  stale: boolean;
  /** Whether the call has been under way for more than two seconds. */
  slow: boolean;
  retry: () => void;
}

interface Held<T> {
  key: string;
  data?: T;
  error?: ApiError;
}

export interface QueryOptions {
  /** Does nothing until true. */
  enabled?: boolean;
  /** Takes part in automatic and manual refreshes; true unless said otherwise. */
  refreshes?: boolean;
}

/**
 * Calls `fetcher` whenever `key` changes and with every refresh, and aborts what is out of date.
 * `key` must contain everything that the fetcher depends on.
 */
export function useQuery<T>(
  key: string,
  fetcher: (signal: AbortSignal) => Promise<T>,
  { enabled = true, refreshes: follows = true }: QueryOptions = {},
): Query<T> {
  const [held, hold] = useState<Held<T>>(() => ({ key, data: kept.get(key) as T | undefined }));
  const [loading, setLoading] = useState(enabled);
  const [slow, setSlow] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const latest = useRef(fetcher);
  latest.current = fetcher;
  const tick = follows ? refreshes.value : 0;

  useEffect(() => {
    if (!enabled) {
      setLoading(false);
      return;
    }
    const control = new AbortController();
    const slowTimer = setTimeout(() => setSlow(true), SLOW_MS);
    setLoading(true);
    setSlow(false);
    const known = kept.get(key) as T | undefined;
    if (known !== undefined) hold((before) => (before.key === key ? before : { key, data: known }));
    underway.value += 1;
    latest
      .current(control.signal)
      .then(
        (data) => {
          if (control.signal.aborted) return;
          keep(key, data);
          updatedAt.value = Date.now();
          hold({ key, data });
        },
        (error: unknown) => {
          if (control.signal.aborted) return;
          const why = asApiError(error);
          // An old answer to the same question stays; one to another question would mislead.
          hold((before) => ({ key, data: before.key === key ? before.data : undefined, error: why }));
        },
      )
      .finally(() => {
        underway.value -= 1;
        clearTimeout(slowTimer);
        if (control.signal.aborted) return;
        setLoading(false);
        setSlow(false);
      });
    return () => {
      clearTimeout(slowTimer);
      control.abort();
    };
  }, [key, tick, attempt, enabled]);

  const retry = useCallback(() => setAttempt((before) => before + 1), []);
  const current = held.key === key;
  return {
    data: held.data,
    error: current ? held.error : undefined,
    loading: loading || !current,
    stale: !current && held.data !== undefined,
    slow,
    retry,
  };
}

/** A change that can be run, such as a form that is sent. */
export interface Change<A extends unknown[]> {
  run: (...values: A) => void;
  busy: boolean;
  error: ApiError | undefined;
  reset: () => void;
}

/** Runs a change once at a time, and keeps why it failed. After success everything shown is fetched again. */
export function useChange<A extends unknown[], T>(
  action: (...values: A) => Promise<T>,
  done?: (value: T) => void,
): Change<A> {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const latest = useRef({ action, done });
  latest.current = { action, done };
  const left = useRef(false);
  useEffect(() => {
    left.current = false;
    return () => {
      left.current = true;
    };
  }, []);
  const run = (...values: A): void => {
    if (busy) return;
    setBusy(true);
    setError(undefined);
    const where = document.title.replace(/ · Zonepulse$/, "");
    latest.current.action(...values).then(
      (value) => {
        setBusy(false);
        invalidate();
        // What comes next, such as going to what was made, is not for whoever has gone elsewhere.
        if (left.current) return toast(`What you changed in “${where}” was saved.`);
        latest.current.done?.(value);
      },
      (failed: unknown) => {
        setBusy(false);
        const why = asApiError(failed);
        setError(why);
        if (left.current && why.trouble !== "session")
          toast(`What you changed in “${where}” was not saved: ${why.message}`, "bad");
      },
    );
  };
  return { run, busy, error, reset: () => setError(undefined) };
}
