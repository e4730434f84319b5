// How a zone is: in words, and while it is being loaded.
import { useEffect } from "preact/hooks";
import { ago, count, visible } from "../../text";
import { Reason, State } from "../../ui";
import { STATE, type Zone } from "./zones";

const LOADING_POLL_MS = 1000;

/** Asks again every second while something is being loaded. */
export function usePolling(loading: boolean, retry: () => void): void {
  useEffect(() => {
    if (!loading) return;
    const timer = setInterval(() => {
      if (!document.hidden) retry();
    }, LOADING_POLL_MS);
    return () => clearInterval(timer);
  }, [loading, retry]);
}

/** Without the field's name that the API puts in front. */
function sentence(error: string): string {
  const text = error.replace(/^(primary|file|zone file): /, "");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const isLoading = (zone: Zone): boolean => zone.loading !== null && zone.loading !== undefined;

export function ZoneState({ zone, reason = true }: { zone: Zone; reason?: boolean }) {
  const { state, error, loading } = zone;
  const { word, tone, meaning } = STATE[state] ?? {
    word: visible(state),
    tone: "neutral" as const,
    meaning: "",
  };
  return (
    <div class="zones-state">
      {loading ? (
        <span class="zones-progress" role="status">
          <span class="spinner" aria-hidden="true" />
          <span>
            Loading: {visible(loading.phase.replaceAll("_", " "))}, {count(loading.done)} records
            <span class="muted small"> for {ago(loading.since, Date.now()).replace(/ ago$/, "")}</span>
          </span>
        </span>
      ) : (
        <State tone={tone}>{word}</State>
      )}
      {reason && !loading && error !== null && (
        <p class="small">
          <Reason text={sentence(error)} />
        </p>
      )}
      {reason && !loading && error === null && meaning !== "" && state !== "empty" && (
        <p class="muted small">{meaning}</p>
      )}
    </div>
  );
}
