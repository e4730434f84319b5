// Sorting and paging of rows that are all here, as the API does it for those that are not.
import type { Page } from "../api";
import type { TableState } from "./table";

/** What the columns sort by, by their names in `sort`. Undefined comes last in either direction. */
export type SortKeys<Row> = Record<string, (row: Row) => string | number | undefined>;

/** Texts as people expect them: `ns10` after `ns9`, whatever the case. */
const { compare: compareTexts } = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Rows in the order of `sort`, such as `-hits`; equal ones in that of the column `standard`. */
export function arranged<Row>(
  rows: readonly Row[],
  sort: string,
  keys: SortKeys<Row>,
  standard: string,
): Row[] {
  const falling = sort.startsWith("-");
  const column = falling ? sort.slice(1) : sort;
  const chosen = keys[Object.hasOwn(keys, column) ? column : standard];
  const tie = keys[standard];
  return rows
    .map((row) => ({ row, key: chosen?.(row), tie: tie?.(row) }))
    .sort((a, b) => compareKeys(a.key, b.key, falling) || compareKeys(a.tie, b.tie, false))
    .map(({ row }) => row);
}

function compareKeys(
  a: string | number | undefined,
  b: string | number | undefined,
  falling: boolean,
): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
  const order = typeof a === "number" && typeof b === "number" ? a - b : compareTexts(String(a), String(b));
  return falling ? -order : order;
}

/** The rows of the table's page. */
export function pageOf<Row>(rows: readonly Row[], { offset, limit }: TableState): Page<Row> {
  return { rows: rows.slice(offset, offset + limit), total: rows.length };
}
