// What came of an import: what changed, what is wrong in which line, or what needs confirmation.
import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "../../api";
import { count, plural, visible } from "../../text";
import type { ImportedBody } from "../../types";
import { Confirm, DnsName, Failure, Icon, Notice, State } from "../../ui";
import { problemsIn } from "./zones";

const MAX_SHOWN = 200;
/** Larger files are not read again to show the lines at fault. */
const MAX_READ_BYTES = 64 * 1024 * 1024;

/** Why a zone could not be loaded. With its file, the lines at fault are shown. */
export function ImportFailure({ error, file }: { error: ApiError; file?: File }) {
  const { problems, other } = problemsIn(error.message);
  const [lines, setLines] = useState<ReadonlyMap<number, string>>(new Map());
  const wanted = problems.slice(0, MAX_SHOWN).map(({ line }) => line);
  useEffect(() => {
    if (file === undefined || wanted.length === 0 || file.size > MAX_READ_BYTES) return;
    let current = true;
    file.text().then(
      (text) => {
        const all = text.split("\n");
        if (current) setLines(new Map(wanted.map((at) => [at, (all[at - 1] ?? "").replace(/\r$/, "")])));
      },
      // The file may have gone; then the problems are shown without its lines.
      () => {},
    );
    return () => {
      current = false;
    };
  }, [error, file]);
  if (problems.length === 0) return <Failure error={error} title="The zone was not loaded" />;
  const errors = problems.filter(({ is }) => is === "error").length;
  return (
    <div class="zones-problems" role="alert">
      <p class="zones-problems-head">
        <Icon name="warning" />
        <strong>
          The file has {plural(errors, "error")}
          {problems.length > errors && ` and ${plural(problems.length - errors, "warning")}`}, so nothing was
          loaded.
        </strong>
      </p>
      <ol tabIndex={0} role="list" aria-label="Errors in the file">
        {problems.slice(0, MAX_SHOWN).map(({ line, column, is, text }, at) => (
          <li key={at}>
            <span class="zones-problem-place">
              Line {count(line)}, column {count(column)}
            </span>
            <span class="zones-problem-what">
              {is === "warning" && <State tone="warn">Warning</State>} {visible(text)}
            </span>
            {lines.has(line) && <SourceLine text={lines.get(line) ?? ""} column={column} />}
          </li>
        ))}
      </ol>
      {problems.length > MAX_SHOWN && (
        <p class="muted small">
          The first {count(MAX_SHOWN)} of {count(problems.length)}. <code>zonepulse zone check FILE</code>{" "}
          lists all.
        </p>
      )}
      {other.map((text) => (
        <p class="muted small" key={text}>
          {visible(text)}
        </p>
      ))}
      <p class="muted">Correct the file, then choose it again.</p>
    </div>
  );
}

const CONTEXT = 60;

/** A line of the file with the place at fault marked. */
function SourceLine({ text, column }: { text: string; column: number }) {
  const at = Math.max(0, column - 1);
  const from = Math.max(0, at - CONTEXT);
  const end = /[\s()";]/.exec(text.slice(at + 1));
  const to = end ? at + 1 + end.index : text.length;
  const until = Math.min(text.length, to + CONTEXT);
  return (
    <code class="zones-source">
      {from > 0 && "…"}
      {clean(text.slice(from, at))}
      <mark>{clean(text.slice(at, to)) || " "}</mark>
      {clean(text.slice(to, until))}
      {until < text.length && "…"}
    </code>
  );
}

/** Tabs are common in zone files. */
const clean = (text: string): string => visible(text.replaceAll("\t", "  "));

function Examples({ title, names, total }: { title: string; names: readonly string[]; total: number }) {
  if (names.length === 0) return null;
  return (
    <div>
      <h3>{title}</h3>
      <ul class="zones-examples">
        {names.map((name) => (
          <li key={name}>
            <DnsName name={name} />
          </li>
        ))}
        {total > names.length && <li class="muted small">and {count(total - names.length)} more</li>}
      </ul>
    </div>
  );
}

/** What an import did; null if there was nothing to do. */
export function Imported({ result }: { result: ImportedBody | null }) {
  if (result === null) return <Notice tone="good">The zone was up to date.</Notice>;
  const { added, changed, removed, unchanged } = result;
  return (
    <Notice tone="good">
      <p>
        Loaded, serial {result.zone.serial ?? "–"}: {count(added)} added, {count(changed)} changed,{" "}
        {count(removed)} removed, {count(unchanged)} unchanged.
      </p>
      <div class="zones-imported">
        <Examples title="Removed" names={result.examples_removed} total={removed} />
        <Examples title="Changed" names={result.examples_changed} total={changed} />
        <Examples title="Added" names={result.examples_added} total={added} />
      </div>
    </Notice>
  );
}

/** The import would remove much of the zone. */
export function ConfirmRemoval({
  error,
  busy,
  onConfirm,
  onClose,
}: {
  error: ApiError;
  busy: boolean;
  onConfirm: () => void;
  onClose: () => void;
}) {
  const detail = error.message.replace(/:\s+(confirm it|repeat it)\b.*$/s, "");
  const [, removed, of] = /would remove ([\d,]+) of the ([\d,]+) resources/.exec(detail) ?? [];
  return (
    <Confirm
      title="Replace most of the zone?"
      action={removed ? `Load it and remove ${count(Number(removed))} records` : "Load it nevertheless"}
      busy={busy}
      onConfirm={onConfirm}
      onClose={onClose}
    >
      {removed && of ? (
        <p>
          The new contents lack <strong>{count(Number(removed))}</strong> of the {count(Number(of))} records
          (RRsets) that Zonepulse knows.
        </p>
      ) : (
        <p>{visible(detail)}</p>
      )}
      <p>
        An import that removes more than 30% of a zone, and more than 20 records, needs your confirmation,
        because it is often a wrong or incomplete file. Nothing has been changed so far.
      </p>
      <p class="muted">
        Only the catalogue of Zonepulse is about to change, not the zone on its servers. Records that come
        back keep their ids.
      </p>
    </Confirm>
  );
}

/** The button and its dialog belong to a change that may need confirmation. */
export const needsConfirmation = (error: ApiError | undefined): error is ApiError =>
  error !== undefined && error.status === 409 && error.message.includes("confirm");
