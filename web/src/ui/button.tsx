import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { SLOW_MS } from "../query";
import { Icon, type IconName } from "./icons";

interface Look {
  kind?: "plain" | "primary" | "danger" | "quiet";
  icon?: IconName;
  children?: ComponentChildren;
}

type ButtonProps = Look & {
  busy?: boolean;
  /** What it does while it is busy. */
  doing?: string;
} & Omit<JSX.ButtonHTMLAttributes<HTMLButtonElement>, "icon">;

/** Says beside a button that what it does is under way, and after a while that this takes long. */
function Doing({ what }: { what: string }) {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <span class="doing muted small" role="status">
      {what}…{slow && " This takes longer than usual."}
    </span>
  );
}

export function Button({
  kind = "plain",
  icon,
  busy = false,
  doing = "Saving",
  children,
  type,
  ...rest
}: ButtonProps) {
  return (
    <>
      {busy && <Doing what={doing} />}
      <button
        type={type ?? "button"}
        class={`button ${kind}`}
        aria-busy={busy ? "true" : undefined}
        {...rest}
        disabled={busy || Boolean(rest.disabled)}
      >
        {icon && <Icon name={icon} />}
        {children}
      </button>
    </>
  );
}

/** A button with only an icon; its label is read and shown as a tooltip. */
export function IconButton({ label, icon, ...rest }: ButtonProps & { label: string; icon: IconName }) {
  return (
    <button type="button" class="button quiet icon-only" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

export function LinkButton({ kind = "plain", icon, href, children }: Look & { href: string }) {
  return (
    <a class={`button ${kind}`} href={href}>
      {icon && <Icon name={icon} />}
      {children}
    </a>
  );
}
