// Shown while there is no zone: what zones are for, and how to add the first one.
import { change, href, oneOf, route } from "../../route";
import { may } from "../../session";
import type { SourceKind } from "../../types";
import { Card, LinkButton } from "../../ui";
import { AddZone, SOURCES } from "./add";

/** The source in the address. */
export const sourceOf = (params: URLSearchParams): SourceKind =>
  oneOf(params, "source", ["upload", "transfer", "file"] as const, "upload");

export function SourceChoice({ source }: { source: SourceKind }) {
  return (
    <div class="zones-sources" role="group" aria-label="Where the zone comes from">
      {SOURCES.map(([each, title]) => (
        <button
          type="button"
          key={each}
          aria-pressed={each === source}
          onClick={() => change({ source: each === "upload" ? null : each }, { replace: true })}
        >
          {title}
        </button>
      ))}
    </div>
  );
}

export function FirstZone() {
  const source = sourceOf(route.value.params);
  return (
    <div class="zones-first">
      <Card title="Add your first zone">
        <p>
          Zonepulse compares what a zone contains with what was asked for. It needs to know the zone for that;
          it never changes one.
        </p>
        {may("zones") ? (
          <>
            <SourceChoice source={source} />
            <AddZone key={source} source={source} first />
          </>
        ) : (
          <p class="muted">Adding a zone needs the right to manage zones. Ask an administrator.</p>
        )}
      </Card>
      <Card title="How the answer comes about">
        <ol class="zones-steps">
          <li>
            <strong>Zone.</strong> Every RRset becomes a record with an id that stays, however often its data
            change.
          </li>
          <li>
            <strong>Observation.</strong> Probes count the queries that reach your servers. A ledger keeps
            which periods were observed without loss.
          </li>
          <li>
            <strong>Verdict.</strong> Used, needed by something that is used, protected, unused, never used;
            or unobserved, if a query may have been missed. Each with its reasons.
          </li>
          <li>
            <strong>Retirement.</strong> Mark what looks unused, wait for alerts, lower the TTL, remove: with
            scripts for BIND and Knot, and the way back.
          </li>
        </ol>
        <p class="row">
          <LinkButton href={href("records")}>See what is asked for</LinkButton>
          <LinkButton href={href("health")}>Do the probes report?</LinkButton>
        </p>
      </Card>
    </div>
  );
}
