// The same on the command line.
import type { SourceKind } from "../../types";
import { CodeBox } from "../../ui/codebox";

/** As a word of a POSIX shell. */
const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

export function commandOf({
  source,
  zone = "example.com.",
  file = "example.com.zone",
  primary,
  servers = [],
  tsig = false,
  others = false,
}: {
  source: SourceKind;
  zone?: string;
  file?: string;
  primary?: string;
  servers?: readonly number[];
  tsig?: boolean;
  others?: boolean;
}): string {
  const parts = [`zonepulse zone add ${quoted(zone)}`];
  if (source === "transfer") {
    parts.push(`--primary ${quoted(primary?.trim() || "192.0.2.1")}`);
    if (tsig) parts.push("--tsig-file transfer.key");
  } else parts.push(`--file ${quoted(file)}`);
  for (const id of servers) parts.push(`--server ${id}`);
  if (others) parts.push("--others-serve-it");
  parts.push(`--url ${quoted(location.origin)}`, "--credentials FILE");
  return parts.join(" \\\n  ");
}

export function Commands({ open = false, ...props }: Parameters<typeof commandOf>[0] & { open?: boolean }) {
  // The command line has no files on the central's disk.
  if (props.source === "file") return null;
  return (
    <details class="zones-more" open={open}>
      <summary>The same on the command line</summary>
      <CodeBox label="Command" code={commandOf(props)} />
      <p class="hint">
        <code>FILE</code> has <code>user = "…"</code> and <code>password = "…"</code>, a line each.
        {props.tsig && (
          <>
            {" "}
            <code>transfer.key</code> has the key as <code>ALGORITHM:NAME:SECRET</code>, or as BIND or Knot
            write it.
          </>
        )}
      </p>
    </details>
  );
}
