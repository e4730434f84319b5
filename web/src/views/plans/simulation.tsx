// What the removal of a plan's records changes: before and after.
import { get } from "../../api";
import { useQuery } from "../../query";
import { href } from "../../route";
import { count, duration, plural } from "../../text";
import type { PlanBody, SimulationBody } from "../../types";
import {
  Badge,
  Card,
  type Column,
  DnsName,
  Figure,
  Figures,
  Foreign,
  Loaded,
  Notice,
  SaveRows,
  State,
  Table,
} from "../../ui";
import { CALL } from "./plans";

type Removed = SimulationBody["removed"]["first"][number];
type Affected = SimulationBody["names"]["first"][number];

function After({ text }: { text: string }) {
  const gone = text.startsWith("NXDOMAIN") || text.startsWith("no data");
  return (
    <span class="plans-after">
      <State tone={gone ? "neutral" : "warn"} icon={gone ? "cross" : undefined}>
        <Foreign text={text} />
      </State>
    </span>
  );
}

const REMOVED: Column<Removed>[] = [
  {
    id: "record",
    title: "Query",
    wide: true,
    cell: ({ host, type }) => (
      <>
        <DnsName name={host} /> <Badge>{type}</Badge>
      </>
    ),
  },
  { id: "before", title: "Answer before", cell: ({ before }) => <Foreign text={before} /> },
  { id: "after", title: "Answer after", cell: ({ after }) => <After text={after} /> },
];

/** Without what the other columns say. */
const changeOf = ({ change }: Affected): string =>
  `${change.replace(/\. A query for \S+ \S+ gets .* before, .* after\.?$/s, "")}.`;

const NAMES: Column<Affected>[] = [
  { id: "name", title: "Name", wide: true, cell: ({ name }) => <DnsName name={name} /> },
  {
    id: "change",
    title: "What changes",
    cell: (row) => (
      <div>
        <Foreign text={changeOf(row)} />
        <span class="muted small plans-note">
          Query: <DnsName name={row.example} />
        </span>
      </div>
    ),
  },
  { id: "before", title: "Answer before", cell: ({ before }) => <Foreign text={before} /> },
  { id: "after", title: "Answer after", cell: ({ after }) => <After text={after} /> },
];

function More({ shown, total }: { shown: number; total: number }) {
  if (shown >= total) return null;
  return (
    <p class="muted small plans-more">
      The first {count(shown)} of {count(total)}.
    </p>
  );
}

export function Simulation({ plan, serial }: { plan: PlanBody; serial: number | null | undefined }) {
  const id = plan.retirement_id;
  const query = useQuery(`simulation ${id} ${plan.resources.map(({ stage }) => stage).join("")}`, (signal) =>
    get<SimulationBody>(`${CALL}/${id}/simulation`, {}, signal),
  );
  const named = (ids: readonly number[]): string =>
    plan.resources
      .filter(({ resource_id }) => ids.includes(resource_id))
      .map(({ host, type }) => `${host} ${type}`)
      .join(", ");
  return (
    <section class="stack" aria-labelledby="simulation">
      <h2 id="simulation">What the removal changes</h2>
      <Loaded query={query} what="Simulating">
        {({
          refused,
          removed,
          names,
          dangling,
          denial_ttl,
          forgotten_after_s,
          undone_after_s,
          absent,
          changed,
          ...is
        }) => (
          <div class="stack">
            {refused.total > 0 && (
              <Notice tone="bad">
                <p>
                  <strong>
                    {plural(refused.total, "record")} must not be removed. Until they leave the plan, nothing
                    else is worked out.
                  </strong>
                </p>
                <ul>
                  {refused.first.map((each) => (
                    <li key={each}>
                      <Foreign text={each} />
                    </li>
                  ))}
                </ul>
              </Notice>
            )}
            {changed.length > 0 && (
              <Notice tone="warn">
                {plural(changed.length, "record")} changed since the plan was made, so the scripts stop at
                them: <Foreign text={named(changed)} />. Make a new plan for them.
              </Notice>
            )}
            {absent.length > 0 && (
              <Notice>
                Not in the zone now, so not part of the simulation: <Foreign text={named(absent)} />.
              </Notice>
            )}
            {dangling.total > 0 && (
              <Notice tone="bad">
                <p>
                  <strong>
                    {dangling.total === 1 ? "A reference" : `${count(dangling.total)} references`} would point
                    nowhere:
                  </strong>
                </p>
                <ul>
                  {dangling.first.map((each) => (
                    <li key={each}>
                      <Foreign text={each} />
                    </li>
                  ))}
                </ul>
                <More shown={dangling.first.length} total={dangling.total} />
              </Notice>
            )}
            <Figures>
              <Figure label="Records removed" value={count(removed.total)} />
              <Figure label="Names whose answers change" value={count(names.total)} />
              <Figure
                label="Old answers live in caches"
                value={duration(forgotten_after_s)}
                note="after the removal"
              />
              <Figure label="Negative answers are cached" value={duration(denial_ttl)} note="RFC 2308" />
              <Figure
                label="An undo reaches everyone"
                value={duration(undone_after_s)}
                note="after it is run"
              />
            </Figures>
            {removed.total > 0 && (
              <Card
                flush
                title="Answers, before and after"
                note={is.serial === null ? undefined : `zone with serial ${is.serial}`}
                actions={
                  <SaveRows
                    name={`plan-${id}-simulation`}
                    header={["host", "type", "before", "after"]}
                    rows={() =>
                      removed.first.map(({ host, type, before, after }) => [host, type, before, after])
                    }
                  />
                }
              >
                <Table
                  caption="Answers of the removed records"
                  columns={REMOVED}
                  rows={removed.first}
                  rowKey={({ host, type }) => `${host} ${type}`}
                />
                <More shown={removed.first.length} total={removed.total} />
              </Card>
            )}
            {names.total > 0 && (
              <Card
                flush
                title="Names that change"
                note="also those that no record of the plan is about"
                actions={
                  <SaveRows
                    name={`plan-${id}-names`}
                    header={["name", "change", "example", "before", "after"]}
                    rows={() =>
                      names.first.map(({ name, change, example, before, after }) => [
                        name,
                        change,
                        example,
                        before,
                        after,
                      ])
                    }
                  />
                }
              >
                <Table
                  caption="Names and their answers"
                  columns={NAMES}
                  rows={names.first}
                  rowKey={({ name, example }) => `${name} ${example}`}
                />
                <More shown={names.first.length} total={names.total} />
              </Card>
            )}
            {removed.total === 0 && refused.total === 0 && (
              <p class="muted">None of the plan's records is in the zone as Zonepulse has it.</p>
            )}
            <p class="muted small">
              Simulated with the zone as Zonepulse has it{serial ? `, serial ${serial}` : ""}. Compare the
              serial with the primary's, or <a href={href(`zones/${plan.zone_id}`)}>load the zone</a> first.
            </p>
          </div>
        )}
      </Loaded>
    </section>
  );
}
