// Text that is meant to be run or saved elsewhere, as it is.
import { useRef, useState } from "preact/hooks";
import { visible } from "../text";
import { Button } from "./button";
import { saveFile } from "./csv";
import { toast } from "./toast";

/** Longer texts are shown in part; copies and files are complete. */
const MAX_SHOWN = 200_000;

interface CodeBoxProps {
  /** What it is, for screen readers. */
  label: string;
  code: string;
  /** Of the file; without it, the text cannot be saved. */
  name?: string;
}

/** Text with buttons to copy and to save it. */
export function CodeBox({ label, code, name }: CodeBoxProps) {
  const box = useRef<HTMLPreElement>(null);
  const [copied, setCopied] = useState(false);
  const shown = code.length > MAX_SHOWN ? code.slice(0, MAX_SHOWN) : code;
  const copy = (): void => {
    const done = (): void => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2500);
    };
    const select = (): void => {
      if (box.current) getSelection()?.selectAllChildren(box.current);
      // Deprecated, but the only way on pages without TLS.
      if (document.execCommand("copy")) done();
      else toast("The browser refused to copy. The text is selected: copy it with the keyboard.", "bad");
    };
    const clipboard = navigator.clipboard as Clipboard | undefined;
    if (clipboard === undefined) select();
    else clipboard.writeText(code).then(done, select);
  };
  return (
    <div class="codebox">
      <div class="codebox-tools">
        <Button kind="quiet" icon={copied ? "check" : "copy"} aria-label={`Copy ${label}`} onClick={copy}>
          {copied ? "Copied" : "Copy"}
        </Button>
        {name !== undefined && (
          <Button
            kind="quiet"
            icon="download"
            aria-label={`Save ${label} as ${name}`}
            onClick={() => saveFile(name, new Blob([code], { type: "text/plain" }))}
          >
            Save
          </Button>
        )}
        <span class="visually-hidden" role="status">
          {copied ? "Copied" : ""}
        </span>
      </div>
      <pre ref={box} tabIndex={0} role="region" aria-label={label}>
        {shown.split("\n").map((line, at) => (at === 0 ? visible(line) : `\n${visible(line)}`))}
      </pre>
      {shown !== code && (
        <p class="muted small">Only the beginning is shown. Copies and the saved file are complete.</p>
      )}
    </div>
  );
}
