import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { takeFocusRequest } from "../route";
import { visible } from "../text";

interface PageProps {
  /** The document's title, and the heading unless `heading` says more. */
  title: string;
  heading?: ComponentChildren;
  /** One line below the heading. */
  intro?: ComponentChildren;
  /** Beside the heading. */
  actions?: ComponentChildren;
  children: ComponentChildren;
}

/** The frame of every view. */
export function Page({ title, heading, intro, actions, children }: PageProps) {
  const head = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${visible(title)} · Zonepulse`;
  }, [title]);
  useEffect(() => {
    if (takeFocusRequest()) head.current?.focus({ preventScroll: true });
  });
  return (
    <>
      <div class="page-head">
        <div>
          <h1 ref={head} tabIndex={-1}>
            {heading ?? title}
          </h1>
          {intro && <p class="muted">{intro}</p>}
        </div>
        {actions && <div class="page-actions">{actions}</div>}
      </div>
      {children}
    </>
  );
}
