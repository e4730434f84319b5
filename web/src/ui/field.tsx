// Form fields: a label, a hint, and what is wrong, beside the field it is about.
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { visible } from "../text";

interface Described {
  label: string;
  hint?: ComponentChildren;
  /** What is wrong with the value. */
  error?: string;
  /** Hides the label from view where the context says it; it is still read. */
  quiet?: boolean;
}

interface Attributes {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": "true" | undefined;
}

/** The frame of any field; `children` gets the attributes that the control must carry. */
export function Field({
  label,
  hint,
  error,
  quiet = false,
  children,
}: Described & { children: (attributes: Attributes) => ComponentChildren }) {
  const id = useId();
  const described = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  return (
    <div class={`field${error ? " invalid" : ""}`}>
      <label for={id} class={quiet ? "visually-hidden" : undefined}>
        {label}
      </label>
      {children({
        id,
        "aria-describedby": described === "" ? undefined : described,
        "aria-invalid": error ? "true" : undefined,
      })}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

type Value = { value: string; onValue: (value: string) => void };

export function TextField({
  label,
  hint,
  error,
  quiet,
  value,
  onValue,
  ...rest
}: Described & Value & JSX.InputHTMLAttributes<HTMLInputElement>) {
  return (
    <Field label={label} hint={hint} error={error} quiet={quiet}>
      {(attributes) => (
        <input
          type="text"
          autocomplete="off"
          spellcheck={false}
          {...rest}
          {...attributes}
          value={value}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** Text of several lines. */
export function AreaField({
  label,
  hint,
  error,
  quiet,
  value,
  onValue,
  ...rest
}: Described & Value & JSX.TextareaHTMLAttributes<HTMLTextAreaElement>) {
  return (
    <Field label={label} hint={hint} error={error} quiet={quiet}>
      {(attributes) => (
        <textarea
          rows={3}
          {...rest}
          {...attributes}
          value={value}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function SelectField({
  label,
  hint,
  error,
  quiet,
  value,
  onValue,
  choices,
}: Described & Value & { choices: readonly (readonly [value: string, text: string])[] }) {
  return (
    <Field label={label} hint={hint} error={error} quiet={quiet}>
      {(attributes) => (
        <select {...attributes} value={value} onChange={(event) => onValue(event.currentTarget.value)}>
          {choices.map(([each, text]) => (
            <option key={each} value={each}>
              {visible(text)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function CheckField({
  label,
  hint,
  checked,
  disabled = false,
  onChecked,
}: {
  label: ComponentChildren;
  hint?: ComponentChildren;
  checked: boolean;
  disabled?: boolean;
  onChecked: (checked: boolean) => void;
}) {
  const id = useId();
  return (
    <div class="field check">
      <input
        type="checkbox"
        id={id}
        checked={checked}
        disabled={disabled}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChecked(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
