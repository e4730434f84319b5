import { useRef, useState } from "preact/hooks";
import { asApiError, csv, type Params } from "../api";
import { count } from "../text";
import { Button } from "./button";
import { toast } from "./toast";

export function saveFile(name: string, file: Blob): void {
  const address = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export interface CsvSource {
  /** The call whose rows are saved, with the view's filters and sorting. */
  path: string;
  params?: Params;
  /** Of the file, without its ending. */
  name: string;
}

/** Saves all pages of a call as CSV. */
export function CsvButton({ path, params, name }: CsvSource) {
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController>();
  const save = async (): Promise<void> => {
    setBusy(true);
    running.current = new AbortController();
    try {
      const { file, total, cut } = await csv(path, params, running.current.signal);
      saveFile(`${name}.csv`, file);
      if (cut)
        toast(`${name}.csv has only the first rows of ${count(total)}. The API has the others.`, "bad");
    } catch (error) {
      toast(`The file could not be saved: ${asApiError(error).message}`, "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button kind="quiet" icon="download" busy={busy} doing="Fetching" onClick={() => void save()}>
      CSV
    </Button>
  );
}

/** A text that a spreadsheet could take for a formula gets an apostrophe in front, as the API does. */
function cell(value: string | number | null): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** CSV of what is already here, such as the points of a chart. */
export function csvOf(
  header: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): Blob {
  const lines = [header, ...rows].map((row) => row.map(cell).join(","));
  return new Blob([lines.join("\n"), "\n"], { type: "text/csv" });
}
