// How many records there are with each verdict, in all and by zone.
import { change, flag, href, hrefWith, list as listParam, route } from "../../route";
import { count, plural, floored, reason } from "../../text";
import type { ZoneEntry } from "../../types";
import {
  Badge,
  Button,
  Card,
  type Column,
  csvOf,
  DnsName,
  Empty,
  Failure,
  Loaded,
  Notice,
  saveFile,
  Table,
} from "../../ui";
import type { Query } from "../../query";
import { type Counts, sum, type ZoneCounts } from "./counts";
import { GROUPS, MEANING, type Verdict, VERDICTS, VerdictState } from "./verdict";

/** A link that shows the records with one verdict, or all again. */
const toggled = (verdict: Verdict, chosen: readonly string[]): string =>
  hrefWith({ verdict: chosen.length === 1 && chosen[0] === verdict ? null : verdict });

export function Tiles({ query }: { query: Pick<Query<Counts>, "data" | "error" | "retry" | "stale"> }) {
  const chosen = listParam(route.value.params, "verdict");
  const { data, error, retry, stale } = query;
  return (
    <section
      class={`delete-groups${stale ? " stale" : ""}`}
      aria-label="Records by verdict"
      aria-busy={stale}
    >
      {error && data === undefined ? (
        <Failure error={error} retry={retry} title={`${error.title}: the records could not be counted`} />
      ) : (
        GROUPS.map(({ title, verdicts }) => (
          <div class="delete-group" key={title} data-size={verdicts.length}>
            <h2>{title}</h2>
            <ul>
              {verdicts.map((verdict) => (
                <li key={verdict}>
                  <a
                    class="delete-tile"
                    href={toggled(verdict, chosen)}
                    aria-current={chosen.includes(verdict) ? "true" : undefined}
                  >
                    <VerdictState verdict={verdict} />
                    <span class="delete-count">{data ? count(data[verdict]) : "…"}</span>
                    <span class="muted small">{MEANING[verdict].meaning}</span>
                  </a>
                </li>
              ))}
            </ul>
          </div>
        ))
      )}
    </section>
  );
}

type Row = ZoneEntry & { verdicts: ZoneCounts | undefined };
const SHOWN = 10;

const candidates = ({ verdicts }: Row): number =>
  verdicts ? sum(verdicts.counts, ["never_used", "unused"]) : -1;

const countCell =
  (verdict: Verdict) =>
  ({ zone, verdicts }: Row) => {
    if (verdicts === undefined) return <span class="muted">not counted</span>;
    const records = verdicts.counts[verdict];
    return records === 0 ? (
      <span class="muted">0</span>
    ) : (
      <a href={hrefWith({ zone, verdict })}>{count(records)}</a>
    );
  };

const COLUMNS: Column<Row>[] = [
  {
    id: "zone",
    title: "Zone",
    wide: true,
    cell: ({ zone, view, state, error }) => (
      <>
        <a href={hrefWith({ zone })}>
          <DnsName name={zone} />
        </a>{" "}
        {view !== "default" && <Badge>{view}</Badge>}
        {(state === "failed" || state === "expired" || state === "waiting" || state === "empty") && (
          <a class="small delete-zone-state" href={href("zones")} title={error ? reason(error) : undefined}>
            {state === "empty" ? "no contents yet" : state === "waiting" ? "waits for confirmation" : state}
          </a>
        )}
      </>
    ),
  },
  ...VERDICTS.map((verdict): Column<Row> => ({
    id: verdict,
    title: MEANING[verdict].word,
    numeric: true,
    cell: countCell(verdict),
  })),
  {
    id: "observed",
    title: "Observed of the whole window",
    numeric: true,
    cell: ({ verdicts }) =>
      verdicts?.observed === null || verdicts === undefined ? (
        <span class="muted">–</span>
      ) : (
        floored(verdicts.observed)
      ),
  },
];

/** Counts of all zones, the ones with most to delete first. Without a query, they are too many for this window. */
export function ZoneTable({
  zones,
  query,
}: {
  zones: readonly ZoneEntry[];
  query: Query<ZoneCounts[]> | undefined;
}) {
  const all = flag(route.value.params, "zones");
  if (query === undefined)
    return (
      <Notice>
        Counts of {plural(zones.length, "zone")} are shown for the window of 90 days only. Choose a zone to
        see its counts for this window.
      </Notice>
    );
  return (
    <Loaded query={query} what="Counting">
      {(counted) => {
        const known = new Map(counted.map((each) => [each.zone_id, each]));
        const rows = zones
          .map((zone): Row => ({ ...zone, verdicts: known.get(zone.zone_id) }))
          .sort((a, b) => candidates(b) - candidates(a) || a.zone.localeCompare(b.zone));
        const save = (): void =>
          saveFile(
            "zones.csv",
            csvOf(
              ["zone", "view", ...VERDICTS, "observed_share"],
              rows.map(({ zone, view, verdicts }) => [
                zone,
                view,
                ...VERDICTS.map((verdict) => verdicts?.counts[verdict] ?? null),
                verdicts?.observed ?? null,
              ]),
            ),
          );
        return (
          <Card
            flush
            title="Zones"
            note="the most candidates first"
            actions={
              <>
                {rows.length > SHOWN && (
                  <Button
                    kind="quiet"
                    onClick={() => change({ zones: all ? null : true }, { replace: true })}
                  >
                    {all ? `Show ${SHOWN}` : `Show all ${count(rows.length)}`}
                  </Button>
                )}
                <Button kind="quiet" icon="download" aria-label="Zones as CSV" onClick={save}>
                  CSV
                </Button>
              </>
            }
          >
            {rows.length === 0 ? (
              <Empty title="There is no zone." />
            ) : (
              <Table
                caption="Zones and their verdicts"
                columns={COLUMNS}
                rows={all ? rows : rows.slice(0, SHOWN)}
                rowKey={({ zone_id }) => String(zone_id)}
              />
            )}
          </Card>
        );
      }}
    </Loaded>
  );
}
