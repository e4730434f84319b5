// What a new probe needs, shown once, and whether it has arrived.
import { useEffect, useState } from "preact/hooks";
import { ApiError, get, list } from "../../api";
import { invalidate } from "../../query";
import { may } from "../../session";
import { moment, now, plural, visible, zoneName } from "../../text";
import type { Handover, HeartbeatRow, ServerDetail } from "../../types";
import { CodeBox, Failure, Foreign, Icon, Notice } from "../../ui";
import { HEARTBEATS } from "./fleet";

const POLL_MS = 3000;

interface Arrival {
  /** Whether the one-time token was used; undefined if the user may not see that. */
  enrolled: boolean | undefined;
  /** Since the first look. */
  reports: HeartbeatRow | undefined;
  expired: boolean;
}

/** Asks every few seconds until the probe reports. */
function useArrival(
  server: number,
  expires: string | null | undefined,
): [Arrival | undefined, ApiError | undefined] {
  const [arrival, setArrival] = useState<Arrival>();
  const [error, setError] = useState<ApiError>();
  useEffect(() => {
    const control = new AbortController();
    const { signal } = control;
    let timer: ReturnType<typeof setTimeout> | undefined;
    /** The last heartbeat with the token before, if there was one. */
    let before: string | null | undefined;
    const look = async (): Promise<boolean> => {
      const row = may("monitoring")
        ? (await list<HeartbeatRow>(HEARTBEATS, { server_id: server }, signal)).rows[0]
        : undefined;
      const detail = may("server_read")
        ? await get<ServerDetail>(`pvservers/${server}`, {}, signal)
        : undefined;
      const waits = detail && detail.enrollment_expires !== null;
      if (row && before === undefined) before = row.last_heartbeat;
      // Without a token of this page, heartbeats of the last minutes count as well.
      const isNew =
        row !== undefined &&
        row.last_heartbeat !== null &&
        (row.last_heartbeat !== before || (expires === undefined && row.requests > 0));
      const reports = isNew && !waits ? row : undefined;
      setArrival({
        enrolled: detail && !waits,
        reports,
        expired: expires !== null && expires !== undefined && Date.parse(expires) < Date.now(),
      });
      setError(undefined);
      return reports !== undefined;
    };
    const again = (): void => {
      look().then(
        (arrived) => {
          if (arrived) invalidate();
          else timer = setTimeout(again, POLL_MS);
        },
        (failed: unknown) => {
          if (signal.aborted) return;
          if (failed instanceof ApiError) setError(failed);
          timer = setTimeout(again, POLL_MS * 2);
        },
      );
    };
    again();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [server, expires]);
  return [arrival, error];
}

/** A line that turns green when the probe has enrolled. */
export function ArrivalLine({ server, expires }: { server: number; expires: string | null | undefined }) {
  const [arrival, error] = useArrival(server, expires);
  if (!may("monitoring") && !may("server_read"))
    return (
      <Notice>
        Whether the probe has enrolled can be seen by users with the right to monitor or to read servers.
      </Notice>
    );
  const { reports, enrolled, expired } = arrival ?? {};
  const tone = reports ? "good" : expired && !enrolled ? "warn" : "wait";
  return (
    <>
      <div class={`servers-arrival ${tone}`} role="status">
        {tone === "wait" ? (
          <span class="spinner" aria-hidden="true" />
        ) : (
          <Icon name={tone === "good" ? "check" : "warning"} />
        )}
        <div>
          {reports ? (
            <>
              <strong>The probe has enrolled and reports.</strong>
              <p>
                Version {visible(reports.probe_version ?? "unknown")} on{" "}
                <Foreign text={reports.hostname ?? "an unknown host"} />,{" "}
                {plural(reports.requests, "heartbeat")} so far.
              </p>
            </>
          ) : enrolled ? (
            <>
              <strong>Enrolled. Waiting for the first heartbeat…</strong>
              <p>Start the probe on the node if it is not running.</p>
            </>
          ) : expired ? (
            <>
              <strong>The one-time token has expired.</strong>
              <p>Make a new token for this server.</p>
            </>
          ) : (
            <>
              <strong>Waiting for the probe…</strong>
              <p>This line turns green when the probe has enrolled and sent its first heartbeat.</p>
            </>
          )}
        </div>
      </div>
      {error && <Failure error={error} title={`${error.title}: asking again in a few seconds`} />}
    </>
  );
}

/** The command, the token and what to do with them. */
export function HandoverView({ handover }: { handover: Handover }) {
  const { server, enroll_command, enrollment_token, enrollment_expires, probe_config, ca } = handover;
  const left = enrollment_expires ? (Date.parse(enrollment_expires) - now.value) / 3_600_000 : 0;
  return (
    <div class="stack">
      <Notice tone="warn">
        {enrollment_token
          ? "The token is shown only now. It works once"
          : "The configuration contains the server's token and is shown only now"}
        {enrollment_expires &&
          `, until ${moment(enrollment_expires, "minute")} ${zoneName()} (${left > 1 ? `${Math.round(left)} hours` : "less than an hour"})`}
        .
      </Notice>
      {enroll_command && enrollment_token && (
        <ol class="servers-steps">
          <li>
            <p>On the node, as the user that the probe runs as:</p>
            <CodeBox label="Command" code={enroll_command} />
          </li>
          <li>
            <p>The command asks for the token:</p>
            <CodeBox label="One-time token" code={enrollment_token} />
          </li>
          <li>
            <p>Start the probe, or reload it if it is running:</p>
            <CodeBox
              label="Start"
              code={
                enroll_command.includes("--force")
                  ? 'kill -HUP "$(pidof zonepulse-probe)"'
                  : "zonepulse-probe run --config /etc/zonepulse-probe/probe.toml"
              }
            />
          </li>
        </ol>
      )}
      {probe_config && (
        <ol class="servers-steps">
          <li>
            <p>
              Save the configuration on the node, readable by the probe's user only (<code>chmod 600</code>):
            </p>
            <CodeBox label="probe.toml" code={probe_config} name="probe.toml" />
          </li>
          {ca && (
            <li>
              <p>
                Save the certificate authority in the file that <code>tls.ca_file</code> names:
              </p>
              <CodeBox label="Certificate authority" code={ca} name="ca.pem" />
            </li>
          )}
          <li>
            <p>Start the probe:</p>
            <CodeBox label="Start" code="zonepulse-probe run --config probe.toml" />
          </li>
        </ol>
      )}
      <ArrivalLine server={server.server_id} expires={enrollment_expires} />
    </div>
  );
}
