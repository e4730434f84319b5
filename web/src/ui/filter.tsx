import { type ComponentChildren, toChildArray } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { change, changeNow, changesSoon, changeSoon, route, text } from "../route";
import { SelectField, TextField } from "./field";

/** How long after the last key a filter takes effect. */
const PAUSE_MS = 400;

/** A text filter in the address. Typing replaces the history's entry, so that "back" does not step through letters. */
export function FilterField({
  name,
  label,
  placeholder,
}: {
  name: string;
  label: string;
  placeholder?: string;
}) {
  const now = route.value;
  const current = text(now.params, name);
  const [typed, setTyped] = useState(current);
  // With every change of the address, what was typed and has not taken effect is dropped.
  useEffect(() => {
    if (!changesSoon()) setTyped(current);
  }, [now, current]);
  return (
    <TextField
      type="search"
      label={label}
      value={typed}
      onValue={(value) => {
        setTyped(value);
        changeSoon({ [name]: value.trim() }, PAUSE_MS);
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter") changeNow();
      }}
      // Browsers also report this when the field goes away with its view: then nothing waits any more.
      onBlur={changeNow}
      placeholder={placeholder}
    />
  );
}

/** A choice in the address; the first choice is the default and is not written there. */
export function FilterSelect({
  name,
  label,
  choices,
}: {
  name: string;
  label: string;
  choices: readonly (readonly [value: string, text: string])[];
}) {
  const standard = choices[0]?.[0] ?? "";
  const current = text(route.value.params, name);
  const value = choices.some(([each]) => each === current) ? current : standard;
  return (
    <SelectField
      label={label}
      value={value}
      choices={choices}
      onValue={(chosen) => change({ [name]: chosen === standard ? null : chosen })}
    />
  );
}

/** The row of filters above a table. On narrow screens, all but the first are behind a button. */
export function Filters({
  children,
  reset = [],
}: {
  children: ComponentChildren;
  reset?: readonly string[];
}) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const [first, ...others] = toChildArray(children);
  const active = reset.filter((name) => route.value.params.has(name)).length;
  return (
    <form class="filters" role="search" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      {first}
      {others.length > 0 && (
        <>
          <button
            type="button"
            class="button filters-toggle"
            aria-expanded={open}
            aria-controls={id}
            onClick={() => setOpen(!open)}
          >
            {open ? "Fewer filters" : active > 0 ? `More filters (${active} set)` : "More filters"}
          </button>
          <div id={id} class={`filters-more${open ? " open" : ""}`}>
            {others}
          </div>
        </>
      )}
      {active > 0 && (
        <button
          type="button"
          class="button quiet"
          onClick={() => change(Object.fromEntries(reset.map((name) => [name, null])))}
        >
          Clear filters
        </button>
      )}
    </form>
  );
}
