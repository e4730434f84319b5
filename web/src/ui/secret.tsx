import { useRef, useState } from "preact/hooks";
import { Button } from "./button";
import { Notice } from "./feedback";
import { Field } from "./field";

/** A secret that the API shows only once, ready to be copied. */
export function SecretOnce({ label, value }: { label: string; value: string }) {
  const input = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState<boolean>();
  const copy = async (): Promise<void> => {
    try {
      // Browsers offer this over TLS and on this machine only.
      await navigator.clipboard.writeText(value);
      setCopied(true);
    } catch {
      input.current?.focus();
      input.current?.select();
      setCopied(false);
    }
  };
  return (
    <>
      <Notice tone="warn">It is shown only once. Copy it now; it cannot be retrieved later.</Notice>
      <Field label={label}>
        {(attributes) => (
          <span class="secret-once">
            <input
              {...attributes}
              ref={input}
              type="text"

              readOnly
              value={value}
              onFocus={(event) => event.currentTarget.select()}
            />
            <Button icon={copied ? "check" : "copy"} onClick={() => void copy()}>
              {copied ? "Copied" : "Copy"}
            </Button>
          </span>
        )}
      </Field>
      <p class="muted small" role="status">
        {copied === true && "Copied to the clipboard."}
        {copied === false &&
          "This browser does not let pages copy. The text is selected: press Ctrl+C or ⌘C."}
      </p>
    </>
  );
}
