// Anybody can write an address; what is not valid in it must not be passed over in silence.
import { oneOf, text } from "../route";
import { visible } from "../text";
import { Notice } from "./feedback";

export interface Invalid {
  /** What the value is for: "time range". */
  what: string;
  value: string;
  /** Why it does not count, if that is not obvious. */
  why?: string;
  /** What is shown now: "the last 24 hours". */
  instead: string;
}

/** Nothing unless the parameter has a value that is none of the choices. */
export function invalidChoice(
  params: URLSearchParams,
  name: string,
  choices: readonly string[],
  what: string,
  instead: string,
): Invalid[] {
  const value = text(params, name);
  return value === "" || oneOf(params, name, choices, "") !== "" ? [] : [{ what, value, instead }];
}

export function InvalidNotice({ values }: { values: readonly Invalid[] }) {
  if (values.length === 0) return null;
  return (
    <Notice tone="warn">
      {values.map(({ what, value, why, instead }) => (
        <p key={what}>
          The address has a {what} that is not valid: <bdi class="foreign">{visible(value)}</bdi>
          {why ? ` (${why})` : ""}. Shown instead: {instead}.
        </p>
      ))}
    </Notice>
  );
}
