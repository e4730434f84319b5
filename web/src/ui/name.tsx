// Names and times as they appear in tables and headings.
import { ago, instant, moment, NONE, reason, visible, zoneName, type When } from "../text";

/** A name from the network: shown as it is, character by character, never as markup, and never cut off. */
export function DnsName({ name }: { name: string }) {
  return (
    <bdi dir="ltr" class="dns-name">
      {visible(name)}
    </bdi>
  );
}

/** Other text that people or machines outside have written: server names, labels, notes, messages. */
export function Foreign({ text }: { text: string }) {
  return <bdi class="foreign">{visible(text)}</bdi>;
}

/** What the central says in words: why something is as it is. */
export function Reason({ text }: { text: string }) {
  return <bdi class="foreign">{reason(text)}</bdi>;
}

/** A time. `relative` shows "3 min ago" with the exact time below. */
export function Time({ at, relative = false }: { at: When; relative?: boolean }) {
  const time = instant(at);
  if (time === undefined) return <span class="muted">{NONE}</span>;
  const exact = moment(time);
  return (
    <time dateTime={new Date(time).toISOString()} title={`${exact} ${zoneName()}`}>
      {relative ? (
        <>
          {ago(time)} <span class="muted small nowrap">{moment(time, "minute")}</span>
        </>
      ) : (
        exact
      )}
    </time>
  );
}
