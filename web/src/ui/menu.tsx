import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";

export interface MenuItem {
  text: string;
  href?: string;
  onSelect?: () => void;
  danger?: boolean;
}

/** A button that opens a list of actions. Escape, a click elsewhere or leaving by Tab closes it. */
export function Menu({
  label,
  button,
  items,
  children,
  buttonClass = "button quiet icon-only",
}: {
  label: string;
  button: ComponentChildren;
  items?: readonly MenuItem[];
  /** Anything instead of items. */
  children?: ComponentChildren;
  buttonClass?: string;
}) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();

  useEffect(() => {
    if (!open) return;
    const elsewhere = (event: Event): void => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", elsewhere);
    document.addEventListener("focusin", elsewhere);
    if (items)
      root.current
        ?.querySelector<HTMLElement>(".menu-list a, .menu-list button")
        ?.focus({ preventScroll: true });
    return () => {
      document.removeEventListener("pointerdown", elsewhere);
      document.removeEventListener("focusin", elsewhere);
    };
  }, [open, items !== undefined]);

  // Placed in the window, because a table that scrolls would cut it off.
  useLayoutEffect(() => {
    const [shown, from] = [list.current, opener.current];
    if (!open || !shown || !from) return;
    const place = from.getBoundingClientRect();
    const below = place.bottom + 4 + shown.offsetHeight <= innerHeight;
    shown.style.top = `${Math.max(4, below ? place.bottom + 4 : place.top - 4 - shown.offsetHeight)}px`;
    shown.style.left = `${Math.max(4, Math.min(place.right, innerWidth - 4) - shown.offsetWidth)}px`;
    const leave = (): void => setOpen(false);
    addEventListener("scroll", leave, { capture: true, passive: true });
    addEventListener("resize", leave);
    return () => {
      removeEventListener("scroll", leave, { capture: true });
      removeEventListener("resize", leave);
    };
  }, [open]);

  const close = (): void => {
    setOpen(false);
    opener.current?.focus();
  };

  const move = (event: KeyboardEvent): void => {
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
      return;
    }
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!open || !items || step === 0) return;
    event.preventDefault();
    const all = [...(root.current?.querySelectorAll<HTMLElement>(".menu-list a, .menu-list button") ?? [])];
    const at = all.findIndex((each) => each === document.activeElement);
    all[(at + step + all.length) % all.length]?.focus();
  };

  return (
    <div class="menu" ref={root} onKeyDown={move}>
      <button
        ref={opener}
        type="button"
        class={buttonClass}
        aria-label={label}
        title={label}
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div class="menu-list" id={id} ref={list}>
          {children}
          {items && (
            <ul>
              {items.map((item) => (
                <li key={item.text}>
                  {item.href ? (
                    <a
                      href={item.href}
                      class={item.danger ? "danger" : undefined}
                      onClick={() => setOpen(false)}
                    >
                      {item.text}
                    </a>
                  ) : (
                    <button
                      type="button"
                      class={item.danger ? "danger" : undefined}
                      onClick={() => {
                        close();
                        item.onSelect?.();
                      }}
                    >
                      {item.text}
                    </button>
                  )}
                </li>
              ))}
            </ul>
          )}
        </div>
      )}
    </div>
  );
}
