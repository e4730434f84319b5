import type { ComponentChildren, JSX } from "preact";
import { Icon, type IconName } from "./icons";

interface Look {
  kind?: "plain" | "primary" | "danger" | "quiet";
  icon?: IconName;
  children?: ComponentChildren;
}

type ButtonProps = Look & { busy?: boolean } & Omit<JSX.ButtonHTMLAttributes<HTMLButtonElement>, "icon">;

export function Button({ kind = "plain", icon, busy = false, children, type, ...rest }: ButtonProps) {
  return (
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
