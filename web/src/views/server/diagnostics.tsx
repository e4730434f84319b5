// What keeps a server's messages from being counted, from its probe itself, and what to do about it.
import { useEffect, useState } from "preact/hooks";
import { type ApiError, asApiError, call, get, send } from "../../api";
import { useChange, useQuery } from "../../query";
import { plural, visible } from "../../text";
import type { DiagnosticsRun, Finding, FindingStatus, RunState } from "../../types";
import {
  Button,
  Card,
  Empty,
  Failure,
  Foreign,
  Loading,
  Notice,
  Reason,
  saveFile,
  State,
  Time,
  toast,
  type Tone,
} from "../../ui";
import type { PartProps } from "./view";

/** How often to ask how far an open run is. */
const LOOK_MS = 2000;

const STATES: Record<RunState, { tone: Tone; text: string; note: string }> = {
  requested: {
    tone: "info",
    text: "Requested",
    note: "The probe gets the order with its next heartbeat, within half a minute.",
  },
  running: { tone: "info", text: "Running", note: "The probe has the order. It takes up to two minutes." },
  done: { tone: "good", text: "Done", note: "" },
  failed: { tone: "bad", text: "Failed", note: "" },
  expired: { tone: "warn", text: "Expired", note: "" },
  unsupported: { tone: "warn", text: "Not supported", note: "" },
};

const GROUPS: readonly { status: FindingStatus; tone: Tone; title: string }[] = [
  { status: "error", tone: "bad", title: "Errors" },
  { status: "warning", tone: "warn", title: "Warnings" },
  { status: "ok", tone: "good", title: "In order" },
  { status: "skipped", tone: "neutral", title: "Not checked" },
];

const isOpen = (run: DiagnosticsRun | undefined): boolean =>
  run !== undefined && (run.state === "requested" || run.state === "running");

/** That nothing was ever requested is not a failure. */
const isNone = (error: ApiError | undefined): boolean => error?.trouble === "missing";

function Findings({ findings }: { findings: readonly Finding[] }) {
  return (
    <>
      {GROUPS.map(({ status, tone, title }) => {
        const group = findings.filter((finding) => finding.status === status);
        if (group.length === 0) return null;
        return (
          <section key={status} aria-label={title} class="server-findings">
            <h3>
              <State tone={tone}>
                {title} ({group.length})
              </State>
            </h3>
            <dl>
              {group.map((finding) => (
                <div key={finding.id}>
                  <dt>
                    <code>{visible(finding.id)}</code>{" "}
                    <span class="muted small">{visible(finding.checked)}</span>
                  </dt>
                  <dd>
                    <Foreign text={finding.found} />
                    {finding.advice !== null && (
                      <p class="server-advice">
                        <Reason text={finding.advice} />
                      </p>
                    )}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        );
      })}
    </>
  );
}

function Download({ server }: { server: number }) {
  const [busy, setBusy] = useState(false);
  const save = async (): Promise<void> => {
    setBusy(true);
    try {
      const response = await call(`pvservers/downloaddebug/${server}`, { accept: "*/*" });
      saveFile(`zonepulse-debug-${server}.tar.gz`, await response.blob());
    } catch (error) {
      toast(`The file could not be saved: ${asApiError(error).message}`, "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button icon="download" busy={busy} doing="Fetching" onClick={() => void save()}>
      Download
    </Button>
  );
}

function Run({ run }: { run: DiagnosticsRun }) {
  const { tone, text, note } = STATES[run.state];
  const wrong = run.findings.filter(({ status }) => status === "error" || status === "warning").length;
  return (
    <>
      <p role="status">
        <State tone={tone} icon={isOpen(run) ? "clock" : undefined}>
          {text}
        </State>{" "}
        {run.state === "done" &&
          (wrong === 0 ? "Nothing is wrong." : `${plural(wrong, "finding")} to look at.`)}
        {note !== "" && <span class="muted">{note}</span>}
      </p>
      {run.detail !== null && (
        <p>
          <Reason text={run.detail} />
        </p>
      )}
      <p class="muted small">
        Requested by <Foreign text={run.requested_by} /> <Time at={run.requested} relative />
        {run.ended !== null && (
          <>
            , ended <Time at={run.ended} relative />
          </>
        )}
        {run.probe_version !== null && (
          <>
            ; probe <Foreign text={run.probe_version} />
          </>
        )}
      </p>
      <Findings findings={run.findings} />
    </>
  );
}

export function Diagnostics({ server, detail }: PartProps) {
  const run = useQuery(`server ${server} diagnostics`, (signal) =>
    get<DiagnosticsRun>(`pvservers/diagnostics/${server}`, {}, signal),
  );
  const ordering = useChange(() => send<DiagnosticsRun>("POST", `pvservers/runDiagnostics/${server}`));
  const known = run.stale ? undefined : run.data;
  const open = isOpen(known);
  useEffect(() => {
    if (!open) return;
    const timer = setInterval(() => {
      if (!document.hidden) run.retry();
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [open, run.retry]);
  const removed = detail.data?.removed;
  return (
    <Card
      title="Diagnostics"
      note="Its probe checks whatever it needs, and says what to do."
      actions={
        <>
          {known?.state === "done" && <Download server={server} />}
          {!removed && (
            <Button
              kind="primary"
              busy={ordering.busy}
              doing="Requesting"
              disabled={open}
              onClick={() => ordering.run()}
            >
              Run diagnostics
            </Button>
          )}
        </>
      }
    >
      {ordering.error && <Failure error={ordering.error} />}
      {run.error && !isNone(run.error) && <Failure error={run.error} retry={run.retry} />}
      {known && !isNone(run.error) ? (
        <Run run={known} />
      ) : run.loading && !run.error ? (
        <Loading slow={run.slow} />
      ) : (
        isNone(run.error) && (
          <Empty title="No diagnostics were requested since the central started.">
            <p>Results are kept for a day. On the machine, “zonepulse-probe doctor” says the same.</p>
          </Empty>
        )
      )}
      {known?.state === "done" && (
        <Notice tone="info">
          The download explains the findings to somebody who cannot log in there: the probe's configuration
          and settings, counters, last log lines, and the machine. It contains no secrets, no names that were
          asked for, and no addresses of clients.
        </Notice>
      )}
    </Card>
  );
}
