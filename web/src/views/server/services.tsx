// What runs on the machine, and what its probe says of itself.
import { useQuery } from "../../query";
import { list } from "../../api";
import { may } from "../../session";
import { bytes, count, duration, NONE, visible } from "../../text";
import type { AddressRow, ComponentBody, HeartbeatRow } from "../../types";
import { Card, Empty, Foreign, Reason, LinkButton, SaveRows, State, Time } from "../../ui";
import { href } from "../../route";
import { COMPONENTS, HEALTH } from "../servers/fleet";
import type { PartProps } from "./view";

function Part({ title, part }: { title: string; part: ComponentBody | null | undefined }) {
  return (
    <tr>
      <th scope="row">{title}</th>
      <td>
        {part ? (
          <State
            tone={part.state === "running" ? "good" : "warn"}
            icon={part.state === "running" ? "play" : "stop"}
          >
            {part.state === "running" ? "Running" : "Stopped"}
          </State>
        ) : (
          <span class="muted">not installed</span>
        )}
      </td>
      <td>{part?.name ? <Foreign text={part.name} /> : <span class="muted">-</span>}</td>
      <td>{part?.version ? <Foreign text={part.version} /> : <span class="muted">-</span>}</td>
      <td>{part?.identity ? <Foreign text={part.identity} /> : <span class="muted">-</span>}</td>
    </tr>
  );
}

const CSV_HEADER = ["service", "state", "program", "version", "identity"];

const csvRows = ({ components }: HeartbeatRow) =>
  COMPONENTS.map(([name]) => {
    const part = components[name];
    return [name, part?.state ?? null, part?.name ?? null, part?.version ?? null, part?.identity ?? null];
  });

function Components({ row }: { row: HeartbeatRow }) {
  return (
    <Card
      title="Services"
      flush
      actions={<SaveRows name={`${row.server} services`} header={CSV_HEADER} rows={() => csvRows(row)} />}
    >
      <div class="table-scroll" role="region" aria-label="Services and versions" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Service</th>
              <th scope="col">State</th>
              <th scope="col">Program</th>
              <th scope="col">Version</th>
              <th scope="col">Identity</th>
            </tr>
          </thead>
          <tbody>
            {COMPONENTS.map(([name, title]) => (
              <Part key={name} title={title} part={row.components[name]} />
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function HealthCard({ row }: { row: HeartbeatRow }) {
  return (
    <Card
      title="Health"
      note="Can its numbers be trusted?"
      actions={<a href={href("health")}>All servers</a>}
    >
      {row.reasons.length === 0 ? (
        <p>
          {row.health === "ok" ? (
            <State tone="good">Nothing is wrong.</State>
          ) : row.sample ? (
            <span class="muted">Sample data has no probe, so there is nothing to check.</span>
          ) : (
            <State tone={row.health === null ? "neutral" : HEALTH[row.health].tone}>
              {row.health === null ? "Not known" : HEALTH[row.health].text}
            </State>
          )}
        </p>
      ) : (
        <ul class="server-reasons">
          {row.reasons.map(({ health, reason, since }) => (
            <li key={`${health} ${reason}`}>
              <State tone={HEALTH[health].tone}>{HEALTH[health].text}</State>
              <p>
                <Reason text={reason} />
              </p>
              {since !== null && (
                <p class="muted small">
                  Since <Time at={since} relative />
                </p>
              )}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

const BLIND: Record<string, string> = {
  other_sockets: "Other sockets",
  other_ports: "Other ports",
  no_message: "No messages",
  no_responses: "Only requests",
  no_requests: "Only responses",
  unknown: "Another reason",
};

function Capture({ row }: { row: HeartbeatRow }) {
  const { capture } = row;
  if (!capture) return null;
  const running = capture.state === "running";
  return (
    <Card title="Capture">
      <p>
        <State tone={running ? "good" : "bad"} icon={running ? "play" : "stop"}>
          {running ? "DNS messages are being counted" : "DNS messages are not being counted"}
        </State>
      </p>
      {capture.detail && (
        <p>
          <Reason text={capture.detail} />
        </p>
      )}
      {(capture.blind ?? []).length > 0 && (
        <ul class="server-reasons">
          {capture.blind?.map(({ reason, detail }) => (
            <li key={reason}>
              <State tone="bad">{BLIND[reason] ?? visible(reason)}</State>
              <p>
                <Reason text={detail} />
              </p>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Probe({ row, detail }: { row: HeartbeatRow; detail: PartProps["detail"] }) {
  const skew = row.clock_skew_ms;
  const known = detail.stale ? undefined : detail.data;
  return (
    <Card title="Probe">
      <dl class="facts">
        <dt>Host name</dt>
        <dd>{row.hostname ? <Foreign text={row.hostname} /> : NONE}</dd>
        <dt>Operating system</dt>
        <dd>{(row.os ?? known?.os) ? <Foreign text={row.os ?? known?.os ?? ""} /> : NONE}</dd>
        <dt>Version</dt>
        <dd>{row.probe_version ? <Foreign text={row.probe_version} /> : NONE}</dd>
        <dt>Running for</dt>
        <dd>{duration(row.uptime_s)}</dd>
        <dt>Clock</dt>
        <dd>
          {skew === null
            ? NONE
            : Math.abs(skew) < 1000
              ? `${skew} ms from the central's`
              : `${duration(Math.abs(skew) / 1000)} ${skew > 0 ? "ahead of" : "behind"} the central's`}
        </dd>
        <dt>Waiting to be sent</dt>
        <dd>
          {row.spool
            ? row.spool.batches === 0
              ? "nothing"
              : `${count(row.spool.batches)} ${row.spool.batches === 1 ? "batch" : "batches"}, ${bytes(row.spool.size_bytes)}`
            : NONE}
        </dd>
        <dt>Settings</dt>
        <dd>
          {row.settings_refused ? (
            <>
              <State tone="warn">Some are refused</State>{" "}
              <p>
                <Foreign text={row.settings_refused} />
              </p>
            </>
          ) : row.settings_version === null ? (
            "those of its own configuration"
          ) : (
            `all applied (version ${count(row.settings_version)})`
          )}
        </dd>
        {row.conflict && (
          <>
            <dt>Conflict</dt>
            <dd>
              <State tone="bad">
                <Reason text={row.conflict} />
              </State>
            </dd>
          </>
        )}
      </dl>
    </Card>
  );
}

function Addresses({ detail }: { detail: PartProps["detail"] }) {
  const central = useQuery("pvips", (signal) => list<AddressRow>("monitoring/pvips", {}, signal), {
    refreshes: false,
  });
  const known = detail.stale ? undefined : detail.data;
  return (
    <Card title="Addresses">
      <dl class="facts">
        {known && (
          <>
            <dt>FQDN or IP</dt>
            <dd>{known.address ? <Foreign text={known.address} /> : NONE}</dd>
            {known.pull_url && (
              <>
                <dt>Pulled from</dt>
                <dd>
                  <Foreign text={known.pull_url} />
                </dd>
              </>
            )}
            <dt>Sends to</dt>
            <dd>
              {known.effective_settings.api_url ? (
                <Foreign text={known.effective_settings.api_url} />
              ) : (
                "the central that it enrolled with"
              )}
            </dd>
          </>
        )}
        <dt>This central</dt>
        <dd>
          {central.error ? (
            <span class="field-error">{visible(central.error.message)}</span>
          ) : (
            <ul>
              {(central.data?.rows ?? []).map(({ url, source }) => (
                <li key={url}>
                  <Foreign text={url} />{" "}
                  <span class="muted small">
                    {source === "configuration" ? "configured" : "address of an interface"}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </dd>
        {known && (
          <>
            <dt>Used for</dt>
            <dd>{known.services.length > 0 ? visible(known.services.join(", ")) : NONE}</dd>
            <dt>Created</dt>
            <dd>
              <Time at={known.created} />
            </dd>
            <dt>Enrolment</dt>
            <dd>
              {known.enrollment_expires === null ? (
                "no unused token"
              ) : (
                <>
                  one-time token until <Time at={known.enrollment_expires} />
                </>
              )}
            </dd>
            {known.notes && (
              <>
                <dt>Notes</dt>
                <dd>
                  <Foreign text={known.notes} />
                </dd>
              </>
            )}
          </>
        )}
      </dl>
    </Card>
  );
}

export function Services({ server, beat, detail }: PartProps) {
  if (!beat) return may("server_read") ? <Addresses detail={detail} /> : null;
  const silent = beat.last_heartbeat === null;
  return (
    <div class="stack">
      {silent && !beat.sample ? (
        <Card>
          <Empty title="No probe of this server was ever heard from.">
            <p>Enrol one with the command that you got when you added the server, or with a new token.</p>
            {may("server_update") && <p class="muted">“New token…” above shows the command.</p>}
          </Empty>
        </Card>
      ) : (
        <Components row={beat} />
      )}
      <div class="grid">
        <HealthCard row={beat} />
        <Capture row={beat} />
        {!silent && <Probe row={beat} detail={detail} />}
        <Addresses detail={detail} />
      </div>
      <p class="row">
        <LinkButton icon="records" href={href("records", { server })}>
          Records of this server
        </LinkButton>
      </p>
    </div>
  );
}
