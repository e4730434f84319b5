// Who changed what, when, and from where.
import { useQuery } from "../../query";
import { text } from "../../route";
import { count, moment, visible } from "../../text";
import type { AuditRow } from "../../types";
import {
  type Column,
  DataTable,
  Empty,
  FilterField,
  Filters,
  FilterSelect,
  Foreign,
  Page,
  pageOf,
  Range,
  rangeOf,
  SaveRows,
  tableState,
  Time,
  type TimeRange,
} from "../../ui";
import type { ViewProps } from "../index";
import {
  ACTIONS,
  actionWords,
  AREAS,
  type Difference,
  differences,
  everything,
  isWanted,
  some,
  type Wanted,
} from "./entries";

/** A few differences are shown at once; more, as of something that was added, on request. */
const AT_ONCE = 4;

/** An item with a name, such as a token. */
const isItem = (value: unknown): value is { name: string; expires_ms?: unknown } =>
  typeof value === "object" && value !== null && "name" in value && typeof value.name === "string";

/** A value as it stands in the log, made readable. */
function valueWords(name: string, value: unknown): string {
  if (value === undefined) return "–";
  if (value === "(secret)" || value === "(another secret)") return "(secret)";
  if (value === "") return "(empty)";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number")
    return name.endsWith("_ms") && value > 1e11
      ? moment(value)
      : Number.isInteger(value)
        ? String(value)
        : count(value);
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.length === 0) return "(none)";
  if (isItem(value))
    return typeof value.expires_ms === "number"
      ? `${value.name}, until ${moment(value.expires_ms)}`
      : value.name;
  return JSON.stringify(value);
}

const isSecret = ({ before, after }: Difference): boolean =>
  [before, after].some((value) => value === "(secret)" || value === "(another secret)");

function Change({ each }: { each: Difference }) {
  const { name, before, after } = each;
  const [old, next] = [valueWords(name, before), valueWords(name, after)];
  return (
    <li>
      <span class="audit-name">
        <Foreign text={name === "" ? "value" : name.replace(/_(ms|hash)$/, "")} />
      </span>{" "}
      {isSecret(each) ? (
        <span>{before === undefined ? "set" : after === undefined ? "removed" : "changed"} (secret)</span>
      ) : before === undefined ? (
        <ins>
          <Foreign text={next} />
        </ins>
      ) : (
        <>
          <del>
            <Foreign text={old} />
          </del>{" "}
          <span aria-hidden="true">→</span>
          <span class="visually-hidden">, now</span>{" "}
          {after === undefined ? (
            <span class="muted">{isItem(before) ? "removed" : "not set"}</span>
          ) : (
            <ins>
              <Foreign text={next} />
            </ins>
          )}
        </>
      )}
    </li>
  );
}

function Changes({ row }: { row: AuditRow }) {
  const all = differences(row.before, row.after);
  if (all.length === 0) return <span class="muted">–</span>;
  const lines = (
    <ul class="audit-changes">
      {all.map((each) => (
        <Change key={`${each.name} ${JSON.stringify(each)}`} each={each} />
      ))}
    </ul>
  );
  if (all.length <= AT_ONCE) return lines;
  return (
    <details class="audit-more">
      <summary>{all.length} values</summary>
      {lines}
    </details>
  );
}

const COLUMNS: Column<AuditRow>[] = [
  { id: "time", title: "Time", cell: (row) => <Time at={row.time} /> },
  {
    id: "who",
    title: "Who",
    cell: (row) => (
      <span>
        <Foreign text={row.who} /> <span class="muted small">{visible(row.from)}</span>
      </span>
    ),
  },
  {
    id: "action",
    title: "Action",
    cell: (row) => <span title={visible(row.action)}>{actionWords(row) ?? visible(row.action)}</span>,
  },
  { id: "what", title: "What", cell: (row) => <Foreign text={row.what} /> },
  { id: "changes", title: "Changes", cell: (row) => <Changes row={row} /> },
];

/** The range's ends in milliseconds. */
function ends(range: TimeRange): Pick<Wanted, "from" | "to"> {
  if (range.is === "all") return { from: undefined, to: undefined };
  if (range.is !== "custom") return { from: Date.now() - range.length * 1000, to: undefined };
  return {
    from: Date.parse(range.date_from),
    to: range.date_to === "" ? undefined : Date.parse(range.date_to),
  };
}

const HEADER = ["id", "time", "who", "from", "action", "what", "before", "after"];

const line = (row: AuditRow): (string | number | null)[] => [
  row.id,
  row.time,
  row.who,
  row.from,
  row.action,
  row.what,
  row.before == null ? null : JSON.stringify(row.before),
  row.after == null ? null : JSON.stringify(row.after),
];

export default function View({ params }: ViewProps) {
  const state = tableState(params, "");
  const range = rangeOf(params, "all");
  const plain = { who: text(params, "who"), action: text(params, "action"), what: text(params, "what") };
  const filtered = range.is !== "all" || Object.values(plain).some((value) => value !== "");
  const wanted = (row: AuditRow): boolean => isWanted(row, { ...plain, ...ends(range) });

  const key = JSON.stringify(filtered ? [plain, range.key, state] : [state]);
  const query = useQuery(`audit ${key}`, async (signal) => {
    if (!filtered) return some(state.offset, state.limit, signal);
    const rows = (await everything(signal)).rows.filter(wanted);
    return pageOf(rows, state);
  });

  return (
    <Page
      title="Audit log"
      intro="Every change of servers, settings, users, zones and plans, newest first. The last 10,000 are kept."
    >
      <Filters reset={["who", "action", "what", "range", "from", "to"]}>
        <FilterField name="who" label="Who" placeholder="part of a user or an address" />
        <FilterSelect
          name="action"
          label="Action"
          choices={[
            ["", "All"],
            ...AREAS.flatMap(([prefix, title]) => [
              [prefix, `${title}: all`] as const,
              ...Object.entries(ACTIONS).filter(([action]) => action.startsWith(prefix)),
            ]),
          ]}
        />
        <FilterField name="what" label="What" placeholder="part of a name" />
        <Range standard="all" />
      </Filters>
      <DataTable
        caption="Changes"
        query={query}
        state={state}
        columns={COLUMNS}
        rowKey={(row) => String(row.id)}
        tools={
          <div class="table-tools">
            <SaveRows
              name="audit"
              header={HEADER}
              rows={async (signal) => (await everything(signal)).rows.filter(wanted).map(line)}
            />
          </div>
        }
        empty={<Empty title={filtered ? "No change matches." : "Nothing was changed so far."} />}
      />
    </Page>
  );
}
