// What the user has chosen for this browser: it belongs to the reader, not to the view, so it is not in the address.
import { effect, signal, type Signal } from "@preact/signals";

function kept<T extends string>(name: string, choices: readonly T[], otherwise: T): Signal<T> {
  const key = `zonepulse.${name}`;
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(key);
  } catch {
    // Storage may be forbidden; then the choice lasts until the page is left.
  }
  const value = signal(choices.find((choice) => choice === stored) ?? otherwise);
  effect(() => {
    try {
      localStorage.setItem(key, value.value);
    } catch {
      // As above.
    }
  });
  return value;
}

export const THEMES = ["system", "light", "dark"] as const;
export const theme = kept("theme", THEMES, "system");

export const CLOCKS = ["local", "utc"] as const;
export const clock = kept("clock", CLOCKS, "local");

/** Seconds between automatic refreshes; "0" is never. */
export const REFRESHES = ["0", "10", "60"] as const;
export const refreshEvery = kept("refresh", REFRESHES, "60");

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
/** The theme in effect, for what is drawn on a canvas. */
export const dark = signal(false);

effect(() => {
  const chosen = theme.value;
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  dark.value = chosen === "dark" || (chosen === "system" && systemIsDark.matches);
});
systemIsDark.addEventListener("change", () => {
  if (theme.value === "system") dark.value = systemIsDark.matches;
});
