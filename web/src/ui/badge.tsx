import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icons";

export type Tone = "good" | "warn" | "bad" | "info" | "neutral";

const ICONS: Record<Tone, IconName> = {
  good: "check",
  warn: "warning",
  bad: "cross",
  info: "info",
  neutral: "unknown",
};

/** A state in words with an icon; the colour only repeats it. */
export function State({
  tone,
  icon,
  children,
}: {
  tone: Tone;
  icon?: IconName;
  children: ComponentChildren;
}) {
  return (
    <span class={`state ${tone}`}>
      <Icon name={icon ?? ICONS[tone]} />
      <span>{children}</span>
    </span>
  );
}

/** A small label without a judgement: a record type, a count. */
export function Badge({ children }: { children: ComponentChildren }) {
  return <span class="badge">{children}</span>;
}
