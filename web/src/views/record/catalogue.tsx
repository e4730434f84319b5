// What the catalogue of zones knows of a record: its verdict, its data, and the plans that it is in.
import { list } from "../../api";
import { useQuery } from "../../query";
import { href, oneOf } from "../../route";
import { count, duration, plural, share } from "../../text";
import type { PlanBody, ResourceRow, VerdictRow } from "../../types";
import { Badge, Card, Empty, FilterSelect, Foreign, Reason, LinkButton, Loaded, State, Time } from "../../ui";
import { reasonsOf, STANDARD_WINDOW, VerdictState, WINDOWS } from "../delete/verdict";
import { exactly } from "../records/patterns";

/** A name may be in several zones of different views. */
const LIMIT = 20;

export function useResources(host: string, type: string) {
  return useQuery(`resources ${host} ${type}`, (signal) =>
    list<ResourceRow>("resources", { host: exactly(host), type, limit: LIMIT }, signal),
  );
}

function Verdict({ row }: { row: VerdictRow }) {
  const { own, rhythm } = reasonsOf(row.reasons);
  return (
    <div class="record-verdict">
      <p class="row">
        <VerdictState verdict={row.verdict} />
        <span class="muted">
          in <Foreign text={row.zone} />
          {row.view !== "default" && (
            <>
              {" "}
              (<Foreign text={row.view} />)
            </>
          )}
        </span>
      </p>
      <ul class="record-reasons">
        {[...own, ...rhythm].map((reason) => (
          <li key={reason}>
            <Reason text={reason} />
          </li>
        ))}
      </ul>
      <dl class="facts">
        <dt>Quiet for</dt>
        <dd>{duration(row.quiet_for_s)}</dd>
        <dt>Last used</dt>
        <dd>
          <Time at={row.last_access} relative />
        </dd>
        <dt>Observed</dt>
        <dd>
          {row.observed_share < 1 && row.observed_share > 0.9994 ? "99.9%" : share(row.observed_share)} of the
          whole window
        </dd>
      </dl>
    </div>
  );
}

function Plans({ ids }: { ids: readonly number[] }) {
  const query = useQuery("retirements", (signal) => list<PlanBody>("retirements", { limit: 1000 }, signal));
  const plans = query.data?.rows.flatMap((plan) => {
    const item = plan.resources.find(({ resource_id }) => ids.includes(resource_id));
    return item ? [{ plan, item }] : [];
  });
  if (!plans || plans.length === 0) return null;
  return (
    <ul>
      {plans.map(({ plan, item }) => (
        <li key={plan.retirement_id} class="row">
          <State tone="info" icon="plans">
            {item.stage.replaceAll("_", " ")}
          </State>
          <span>
            in the plan{" "}
            <a href={href(`plans/${plan.retirement_id}`)}>
              <Foreign text={plan.name} />
            </a>
          </span>
        </li>
      ))}
    </ul>
  );
}

export function VerdictCard({ host, type, params }: { host: string; type: string; params: URLSearchParams }) {
  const window = oneOf(
    params,
    "window",
    WINDOWS.map(([each]) => each),
    STANDARD_WINDOW,
  );
  const query = useQuery(`verdicts ${JSON.stringify([host, type, window])}`, (signal) =>
    list<VerdictRow>(
      "monitoring/dns/verdicts",
      { host: exactly(host), type, not_accessed_for: window, limit: LIMIT },
      signal,
    ),
  );
  return (
    <Card
      title="Safe to delete?"
      actions={
        <div class="record-window">
          <FilterSelect name="window" label="Window" choices={WINDOWS} />
        </div>
      }
    >
      <Loaded query={query}>
        {({ rows }) =>
          rows.length === 0 ? (
            <Empty title="No zone has this record.">
              <p>
                Only records of zones have a verdict. If one of your zones should have it, add that zone or
                bring it up to date.
              </p>
              <LinkButton href={href("zones")}>Zones</LinkButton>
            </Empty>
          ) : (
            <div class="stack">
              {rows.map((row) => (
                <Verdict key={row.resource_id} row={row} />
              ))}
              <Plans ids={rows.map(({ resource_id }) => resource_id)} />
              <p>
                <LinkButton
                  icon="delete"
                  href={href("delete", {
                    host: exactly(host),
                    type,
                    window: window === STANDARD_WINDOW ? null : window,
                  })}
                >
                  Verdict and retirement
                </LinkButton>
              </p>
            </div>
          )
        }
      </Loaded>
    </Card>
  );
}

const PROTECTION: Record<string, string> = {
  protect: "protected by an operator",
  allow: "an operator allows to delete it",
};

export function ResourceCard({ resource }: { resource: ResourceRow }) {
  const lines = resource.data.split("\n").filter(Boolean);
  return (
    <Card title="In the zone" note={plural(lines.length, "record")}>
      <dl class="facts">
        <dt>Zone</dt>
        <dd>
          <a href={href(`zones/${resource.zone_id}`)}>
            <Foreign text={resource.zone} />
          </a>
          {resource.view !== "default" && (
            <>
              {" "}
              <Badge>
                <Foreign text={resource.view} />
              </Badge>
            </>
          )}
        </dd>
        <dt>Resource id</dt>
        <dd>{resource.resource_id}</dd>
        <dt>Label</dt>
        <dd>{resource.label === "" ? <span class="muted">none</span> : <Foreign text={resource.label} />}</dd>
        <dt>TTL</dt>
        <dd>
          {count(resource.ttl)} s{resource.ttl >= 60 && ` (${duration(resource.ttl)})`}
        </dd>
        <dt>Data</dt>
        <dd>
          <ul class="record-data">
            {lines.map((line) => (
              <li key={line}>
                <code>
                  <Foreign text={line} />
                </code>
              </li>
            ))}
          </ul>
        </dd>
        {resource.created && (
          <>
            <dt>Created</dt>
            <dd>
              <Time at={resource.created} />
            </dd>
          </>
        )}
        {resource.removed && (
          <>
            <dt>Removed</dt>
            <dd>
              <Time at={resource.removed} relative />
            </dd>
          </>
        )}
        {resource.protection && (
          <>
            <dt>Protection</dt>
            <dd>{PROTECTION[resource.protection] ?? resource.protection}</dd>
          </>
        )}
        {resource.note && (
          <>
            <dt>Note</dt>
            <dd>
              <Foreign text={resource.note} />
            </dd>
          </>
        )}
      </dl>
    </Card>
  );
}
