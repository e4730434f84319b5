import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface CardProps {
  title?: ComponentChildren;
  /** Beside the title, at the end. */
  actions?: ComponentChildren;
  note?: ComponentChildren;
  /** Without padding, for a table that fills the card. */
  flush?: boolean;
  children: ComponentChildren;
}

export function Card({ title, actions, note, flush = false, children }: CardProps) {
  const id = useId();
  return (
    <section class={`card${flush ? " flush" : ""}`} aria-labelledby={title ? id : undefined}>
      {(title || actions) && (
        <div class="card-head">
          {title && <h2 id={id}>{title}</h2>}
          {note && <span class="muted small">{note}</span>}
          {actions && <div class="card-actions">{actions}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

/** A number that matters, with what it is. */
export function Figure({
  label,
  value,
  note,
}: {
  label: string;
  value: ComponentChildren;
  note?: ComponentChildren;
}) {
  return (
    <div class="figure">
      <dt>{label}</dt>
      <dd>
        {value}
        {note && <span class="muted small">{note}</span>}
      </dd>
    </div>
  );
}

export function Figures({ children }: { children: ComponentChildren }) {
  return <dl class="figures">{children}</dl>;
}
