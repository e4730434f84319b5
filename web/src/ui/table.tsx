// Plain tables, sorted and paged by the server; their state is in the address.
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Page } from "../api";
import type { Query } from "../query";
import { change, hrefWith, number, text } from "../route";
import { count, visible } from "../text";
import { CsvButton, type CsvSource } from "./csv";
import { Failure, Loading } from "./feedback";
import { Icon } from "./icons";
import { Menu, type MenuItem } from "./menu";

export interface Column<Row> {
  id: string;
  title: ComponentChildren;
  cell: (row: Row) => ComponentChildren;
  /** The API's name of the column in `sort`; without it, the column cannot be sorted by. */
  sort?: string;
  /** Whether the first click sorts the largest or newest first. */
  descends?: boolean;
  /** Numbers are aligned to the right. */
  numeric?: boolean;
  /** Takes the room that is left. */
  wide?: boolean;
  /** What the card of a narrow screen calls it, if `title` is not a text. */
  label?: string;
}

export interface TableState {
  sort: string;
  page: number;
  per: number;
  /** For the API. */
  offset: number;
  limit: number;
}

export const PER_PAGE = [25, 50, 100, 200] as const;

/** Sorting and page of a table, from the address. */
export function tableState(params: URLSearchParams, sort: string, standard = 50): TableState {
  const chosen = number(params, "per", standard);
  const per = PER_PAGE.find((each) => each === chosen) ?? standard;
  const page = number(params, "page", 1, { min: 1, max: 1_000_000 });
  return { sort: text(params, "sort") || sort, page, per, offset: (page - 1) * per, limit: per };
}

export interface Selection {
  chosen: ReadonlySet<string>;
  onChange: (chosen: Set<string>) => void;
}

interface TableProps<Row> {
  /** What the table is about, for screen readers. */
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  /** The current sorting, such as `-hits`. */
  sort?: string;
  selection?: Selection;
  /** What a row's checkbox and menu are about. */
  rowName?: (row: Row) => string;
  menu?: (row: Row) => readonly MenuItem[];
}

function SortButton<Row>({ column, sort }: { column: Column<Row>; sort: string }) {
  const name = column.sort ?? "";
  const first = sort.split(",")[0] ?? "";
  const now = first === name ? "up" : first === `-${name}` ? "down" : undefined;
  const next = now === undefined ? (column.descends ? `-${name}` : name) : now === "up" ? `-${name}` : name;
  return (
    <button type="button" class="sort" onClick={() => change({ sort: next })}>
      {column.title}
      <Icon name={now ?? "sort"} />
    </button>
  );
}

function ariaSort(column: { sort?: string }, sort = ""): "ascending" | "descending" | undefined {
  const first = sort.split(",")[0];
  if (column.sort === undefined) return undefined;
  return first === column.sort ? "ascending" : first === `-${column.sort}` ? "descending" : undefined;
}

const labelOf = <Row,>(column: Column<Row>): string =>
  column.label ?? (typeof column.title === "string" ? column.title : column.id);

function SelectAll({ keys, selection }: { keys: readonly string[]; selection: Selection }) {
  const box = useRef<HTMLInputElement>(null);
  const chosen = keys.filter((key) => selection.chosen.has(key)).length;
  useEffect(() => {
    if (box.current) box.current.indeterminate = chosen > 0 && chosen < keys.length;
  });
  return (
    <input
      ref={box}
      type="checkbox"
      aria-label="Select all rows of this page"
      checked={keys.length > 0 && chosen === keys.length}
      onChange={(event) => {
        const next = new Set(selection.chosen);
        for (const key of keys) {
          if (event.currentTarget.checked) next.add(key);
          else next.delete(key);
        }
        selection.onChange(next);
      }}
    />
  );
}

/** Whether the table fits its region: then its head sticks to the window, which a scrolling region would prevent. */
function useFits(): [RefObject<HTMLDivElement>, boolean] {
  const region = useRef<HTMLDivElement>(null);
  const [fits, setFits] = useState(true);
  useLayoutEffect(() => {
    const outer = region.current;
    const inner = outer?.firstElementChild;
    if (!outer || !inner) return;
    const observer = new ResizeObserver(() => setFits(inner.scrollWidth <= outer.clientWidth + 1));
    observer.observe(outer);
    observer.observe(inner);
    return () => observer.disconnect();
  }, []);
  return [region, fits];
}

/** The table itself. On narrow screens every row becomes a card. The roles survive that change of display. */
export function Table<Row>({
  caption,
  columns,
  rows,
  rowKey,
  sort,
  selection,
  rowName = rowKey,
  menu,
}: TableProps<Row>) {
  const id = useId();
  const [region, fits] = useFits();
  const sortable = columns.filter((column) => column.sort !== undefined);
  return (
    <>
      {sort !== undefined && sortable.length > 0 && (
        <div class="narrow-sort">
          <label for={id}>Sort by</label>
          <select id={id} value={sort} onChange={(event) => change({ sort: event.currentTarget.value })}>
            {sortable.flatMap((column) => [
              <option key={column.id} value={column.sort}>
                {labelOf(column)}, ascending
              </option>,
              <option key={`-${column.id}`} value={`-${column.sort}`}>
                {labelOf(column)}, descending
              </option>,
            ])}
          </select>
        </div>
      )}
      <div
        ref={region}
        class={`table-scroll ${fits ? "fits" : "scrolls"}`}
        role="region"
        aria-label={caption}
        tabIndex={fits ? undefined : 0}
      >
        <table role="table">
          <caption class="visually-hidden">{caption}</caption>
          <thead role="rowgroup">
            <tr role="row">
              {selection && (
                <th role="columnheader" class="tick" scope="col">
                  <SelectAll keys={rows.map(rowKey)} selection={selection} />
                </th>
              )}
              {columns.map((column) => (
                <th
                  key={column.id}
                  role="columnheader"
                  scope="col"
                  class={[column.numeric ? "numeric" : "", column.wide ? "wide" : ""].join(" ").trim()}
                  aria-sort={ariaSort(column, sort)}
                >
                  {column.sort !== undefined && sort !== undefined ? (
                    <SortButton column={column} sort={sort} />
                  ) : (
                    column.title
                  )}
                </th>
              ))}
              {menu && (
                <th role="columnheader" scope="col" class="row-menu">
                  <span class="visually-hidden">Actions</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map((row) => {
              const key = rowKey(row);
              return (
                <tr role="row" key={key} class={selection?.chosen.has(key) ? "chosen" : undefined}>
                  {selection && (
                    <td role="cell" class="tick">
                      <input
                        type="checkbox"
                        aria-label={`Select ${visible(rowName(row))}`}
                        checked={selection.chosen.has(key)}
                        onChange={(event) => {
                          const next = new Set(selection.chosen);
                          if (event.currentTarget.checked) next.add(key);
                          else next.delete(key);
                          selection.onChange(next);
                        }}
                      />
                    </td>
                  )}
                  {columns.map((column) => (
                    <td
                      key={column.id}
                      role="cell"
                      data-label={labelOf(column)}
                      class={[column.numeric ? "numeric" : "", column.wide ? "wide" : ""].join(" ").trim()}
                    >
                      {column.cell(row)}
                    </td>
                  ))}
                  {menu && (
                    <td role="cell" class="row-menu">
                      <Menu
                        label={`Actions for ${visible(rowName(row))}`}
                        button={<Icon name="more" />}
                        items={menu(row)}
                      />
                    </td>
                  )}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** The number of the page, where another one can be entered. */
function PageNumber({ page, pages }: { page: number; pages: number }) {
  const id = useId();
  const [typed, setTyped] = useState(String(page));
  useEffect(() => setTyped(String(page)), [page]);
  return (
    <form
      class="paging-number"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const wanted = /^\d{1,9}$/.test(typed.trim()) ? Number(typed) : page;
        const to = Math.min(pages, Math.max(1, wanted));
        setTyped(String(to));
        if (to !== page) change({ page: to === 1 ? null : to });
      }}
    >
      <label for={id}>Page</label>
      <input
        id={id}
        inputMode="numeric"
        autocomplete="off"
        size={String(pages).length}
        title="Enter a number to go to that page"
        value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onBlur={() => setTyped(String(page))}
      />
      <span>of {count(pages)}</span>
    </form>
  );
}

function Paging({ total, state }: { total: number; state: TableState }) {
  const id = useId();
  const pages = Math.max(1, Math.ceil(total / state.per));
  const from = total === 0 ? 0 : state.offset + 1;
  const to = Math.min(total, state.offset + state.per);
  const step = (page: number, label: string, icon: "left" | "right") =>
    page < 1 || page > pages ? (
      <span class="button quiet icon-only disabled" aria-hidden="true">
        <Icon name={icon} />
      </span>
    ) : (
      <a
        class="button quiet icon-only"
        href={hrefWith({ page: page === 1 ? null : page })}
        aria-label={label}
      >
        <Icon name={icon} />
      </a>
    );
  return (
    <nav class="paging" aria-label="Pages">
      <span>
        {from > total ? "Past the last row" : `${count(from)}–${count(to)}`} of {count(total)}
        {from > total && state.page > 1 && (
          <>
            {" "}
            <a href={hrefWith({ page: pages === 1 ? null : pages })}>Go to the last page</a>
          </>
        )}
      </span>
      <span class="paging-per">
        <label for={id}>Rows per page</label>
        <select
          id={id}
          value={String(state.per)}
          onChange={(event) => change({ per: event.currentTarget.value })}
        >
          {PER_PAGE.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </span>
      <span class="paging-steps">
        {step(Math.min(state.page - 1, pages), "Previous page", "left")}
        {pages === 1 ? (
          <span>Page {count(state.page)} of 1</span>
        ) : (
          <PageNumber page={state.page} pages={pages} />
        )}
        {step(state.page + 1, "Next page", "right")}
      </span>
    </nav>
  );
}

/** How many rows are selected, and how many of them a filter or the page hides. */
export function Selected({ chosen, shown }: { chosen: readonly string[]; shown: readonly string[] }) {
  const seen = new Set(shown);
  const hidden = chosen.filter((key) => !seen.has(key)).length;
  return (
    <strong>
      {count(chosen.length)} selected{hidden > 0 && `, ${count(hidden)} of them not shown`}
    </strong>
  );
}

interface DataTableProps<Row> extends Omit<TableProps<Row>, "rows" | "sort"> {
  query: Query<Page<Row>>;
  state: TableState;
  csv?: CsvSource;
  /** Shown instead of a table without rows. */
  empty: ComponentChildren;
  /** In the row above the table, such as actions on the selection. */
  tools?: ComponentChildren;
}

/** A table of a paged call: with its failures, paging and CSV. */
export function DataTable<Row>({ query, state, csv, empty, tools, ...table }: DataTableProps<Row>) {
  const { data, error, stale, slow, retry } = query;
  return (
    <div class="card flush">
      <div class="table-head">
        <span class="muted" role="status">
          {data && !stale ? `${count(data.total)} ${data.total === 1 ? "row" : "rows"}` : ""}
          {slow ? `${data && !stale ? ". " : ""}Still loading; this takes longer than usual.` : ""}
        </span>
        {tools}
        {csv && (
          <div class="table-tools">
            <CsvButton {...csv} />
          </div>
        )}
      </div>
      {error && (
        <Failure
          error={error}
          retry={retry}
          title={data === undefined ? undefined : `${error.title}: these rows are not up to date`}
        />
      )}
      {data === undefined && !error && <Loading slow={slow} />}
      {data && (
        <div class={stale ? "stale" : undefined} aria-busy={stale}>
          {data.rows.length === 0 && state.page === 1 ? (
            empty
          ) : (
            <Table {...table} rows={data.rows} sort={state.sort} />
          )}
          {(data.total > 0 || state.page > 1) && <Paging total={data.total} state={state} />}
        </div>
      )}
    </div>
  );
}
