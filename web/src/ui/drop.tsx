import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { bytes, visible } from "../text";
import { Icon } from "./icons";
import { toast } from "./toast";

interface FileDropProps {
  label: string;
  hint?: ComponentChildren;
  /** The chosen file. */
  file?: File;
  disabled?: boolean;
  /** Of the file picker: `.zone,text/dns`. */
  accept?: string;
  onFile: (file: File) => void;
}

/** Takes one file, dropped or picked. */
export function FileDrop({ label, hint, file, disabled = false, accept, onFile }: FileDropProps) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const take = (files: FileList | null | undefined): void => {
    const [first] = files ?? [];
    if (!first || disabled) return;
    if ((files?.length ?? 0) > 1) toast("One file at a time: only the first one was taken.", "bad");
    onFile(first);
  };
  return (
    <div
      class={`filedrop${over ? " over" : ""}${disabled ? " disabled" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        if (event.dataTransfer) event.dataTransfer.dropEffect = disabled ? "none" : "copy";
        setOver(!disabled);
      }}
      onDragLeave={(event) => {
        if (!(event.relatedTarget instanceof Node && event.currentTarget.contains(event.relatedTarget)))
          setOver(false);
      }}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer?.files);
      }}
    >
      <Icon name={file ? "audit" : "download"} />
      <div class="filedrop-text">
        <label for={id}>{label}</label>
        <input
          ref={input}
          id={id}
          type="file"
          accept={accept}
          disabled={disabled}
          aria-describedby={hint ? `${id}-hint` : undefined}
          onChange={(event) => {
            take(event.currentTarget.files);
            // The same file can be chosen again after it was corrected.
            event.currentTarget.value = "";
          }}
        />
        {file ? (
          <p>
            <bdi class="filedrop-name">{visible(file.name)}</bdi>{" "}
            <span class="muted small nowrap">{bytes(file.size)}</span>
          </p>
        ) : null}
        {hint && (
          <p class="muted small" id={`${id}-hint`}>
            {hint}
          </p>
        )}
      </div>
      <button
        type="button"
        class="button"
        disabled={disabled}
        tabIndex={-1}
        aria-hidden="true"
        onClick={() => input.current?.click()}
      >
        {file ? "Another file…" : "Choose a file…"}
      </button>
    </div>
  );
}
