import { ago, moment, NONE, zoneName } from "../../text";

/** A time to the minute or day, for tables with many columns; its title is exact. */
export function When({ at, relative = false }: { at?: string; relative?: boolean }) {
  if (at === undefined) return <span class="muted">{NONE}</span>;
  return (
    <time dateTime={at} title={`${moment(at)} ${zoneName()}`}>
      {relative ? (
        <>
          {ago(at)} <span class="muted small">{moment(at, "minute")}</span>
        </>
      ) : (
        moment(at, "day")
      )}
    </time>
  );
}
