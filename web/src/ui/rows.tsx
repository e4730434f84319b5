import { useEffect, useRef, useState } from "preact/hooks";
import { asApiError } from "../api";
import { Button } from "./button";
import { csvOf, saveFile } from "./csv";
import { toast } from "./toast";

type Line = readonly (string | number | null)[];

/** Saves rows as CSV that the API does not offer as such. `rows` may have to fetch them first. */
export function SaveRows({
  name,
  header,
  rows,
}: {
  /** Of the file, without its ending. */
  name: string;
  header: readonly string[];
  rows: (signal: AbortSignal) => readonly Line[] | Promise<readonly Line[]>;
}) {
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController>();
  useEffect(() => () => running.current?.abort(), []);
  const save = async (): Promise<void> => {
    setBusy(true);
    const control = new AbortController();
    running.current = control;
    try {
      saveFile(`${name}.csv`, csvOf(header, await rows(control.signal)));
    } catch (error) {
      if (control.signal.aborted) return;
      toast(`The file could not be saved: ${asApiError(error).message}`, "bad");
    }
    setBusy(false);
  };
  return (
    <Button kind="quiet" icon="download" busy={busy} doing="Fetching" onClick={() => void save()}>
      CSV
    </Button>
  );
}
