// Loading, failed, empty: what stands where data should.
import type { ComponentChildren } from "preact";
import type { ApiError } from "../api";
import type { Query } from "../query";
import { reason, visible } from "../text";
import { Button } from "./button";
import { Icon } from "./icons";

export function Loading({ slow = false, what = "Loading" }: { slow?: boolean; what?: string }) {
  return (
    <div class="feedback loading" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>
        {what}…{slow && <span class="muted"> This takes longer than usual.</span>}
      </p>
    </div>
  );
}

export function Failure({ error, retry, title }: { error: ApiError; retry?: () => void; title?: string }) {
  return (
    <div class="feedback failure" role="alert">
      <Icon name="warning" />
      <div>
        <p>
          <strong>{visible(title ?? error.title)}</strong>
        </p>
        <p>{reason(error.message)}</p>
        {error.advice && <p class="muted">{error.advice}</p>}
        {retry && (
          <p>
            <Button icon="refresh" onClick={retry}>
              Try again
            </Button>
          </p>
        )}
      </div>
    </div>
  );
}

/** Nothing to show, and what can be done about it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="feedback empty">
      <p>
        <strong>{title}</strong>
      </p>
      {children}
    </div>
  );
}

/** A remark that belongs to what follows: incomplete numbers, a pending confirmation. */
export function Notice({
  tone = "info",
  children,
}: {
  tone?: "info" | "warn" | "bad" | "good";
  children: ComponentChildren;
}) {
  return (
    <div class={`notice ${tone}`} role="note">
      <Icon name={tone === "info" ? "info" : tone === "good" ? "check" : "warning"} />
      <div>{children}</div>
    </div>
  );
}

/** The state of a query, then what it fetched. Old data stays visible below a failure, and says that it is old. */
export function Loaded<T>({
  query,
  children,
  what,
}: {
  query: Query<T>;
  children: (data: T) => ComponentChildren;
  what?: string;
}) {
  const { data, error, slow, stale, retry } = query;
  return (
    <>
      {error && (
        <Failure
          error={error}
          retry={retry}
          title={data === undefined ? undefined : `${error.title}: what follows is not up to date`}
        />
      )}
      {data === undefined && !error && <Loading slow={slow} what={what} />}
      {data !== undefined && (
        <div class={stale ? "stale" : undefined} aria-busy={stale}>
          {slow && <Loading slow what="Updating" />}
          {children(data)}
        </div>
      )}
    </>
  );
}
