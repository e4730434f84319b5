// Getting a probe onto a server's machine: its setup bundle, and installation and updates over SSH with live steps.
import { useEffect, useState } from "preact/hooks";
import { asApiError, call, get, send } from "../../api";
import { useChange } from "../../query";
import { visible } from "../../text";
import {
  AreaField,
  Button,
  CheckField,
  Dialog,
  Failure,
  FormDialog,
  Notice,
  SelectField,
  State,
  TextField,
  type Tone,
  toast,
} from "../../ui";
import { saveFile } from "../../ui/csv";
import type { Chosen } from "../servers/dialogs";

interface Step {
  step: string;
  state: "waiting" | "running" | "done" | "failed" | "skipped";
  message: string;
}

interface Job {
  job_id: number;
  state: "waiting" | "running" | "done" | "failed" | "interrupted";
  progress_percent: number;
  version: string | null;
  rolled_back: boolean;
  steps: Step[];
}

const STEPS: Record<string, string> = {
  connect: "Log in",
  check: "Look at the node",
  bundle: "Make the bundle",
  copy: "Copy it",
  install: "Install",
  heartbeat: "First heartbeat",
  rollback: "Back to the version before",
};

const TONES: Record<Step["state"], Tone> = {
  waiting: "neutral",
  running: "info",
  done: "good",
  failed: "bad",
  skipped: "neutral",
};

/** How often a job is asked for, milliseconds. */
const EVERY_MS = 1000;

/** Saves the setup bundle. Each has a token of its own, so it is fetched only when asked for. */
export function DownloadSetup({ server }: { server: Chosen }) {
  const [busy, setBusy] = useState(false);
  const download = async (): Promise<void> => {
    setBusy(true);
    try {
      const options = { accept: "application/x-tar", timeoutMs: 300_000 };
      const response = await call(`pvservers/config/${server.server_id}`, options);
      saveFile(`setup-${server.server_id}.tar`, await response.blob());
      toast("The setup contains a token that works once, within 4 hours: keep it private.");
    } catch (error) {
      toast(`The setup could not be downloaded: ${asApiError(error).message}`, "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button icon="download" busy={busy} doing="Making it" onClick={() => void download()}>
      Download setup
    </Button>
  );
}

const isOver = (job: Job): boolean => job.state !== "waiting" && job.state !== "running";

function Steps({ job }: { job: Job }) {
  return (
    <>
      <p>
        <progress value={job.progress_percent} max={100} aria-label="Progress" /> {job.progress_percent} %
      </p>
      <ul class="server-reasons" aria-live="polite">
        {job.steps
          .filter(({ state }) => state !== "skipped")
          .map(({ step, state, message }) => (
            <li key={step}>
              <State tone={TONES[state]}>
                {STEPS[step] ?? visible(step)}: {state}
              </State>
              {message !== "" && <pre class="small">{visible(message)}</pre>}
            </li>
          ))}
      </ul>
      {job.state === "done" && <Notice tone="good">Version {visible(job.version ?? "")} is heard of.</Notice>}
      {job.state === "failed" && job.rolled_back && (
        <Notice tone="warn">The version before was brought back.</Notice>
      )}
      {job.state === "interrupted" && (
        <Notice tone="warn">The central was restarted meanwhile: look at the node, and repeat it.</Notice>
      )}
    </>
  );
}

/** A job, until it is over. */
function Follow({ first, onClose }: { first: Job; onClose: () => void }) {
  const [job, setJob] = useState(first);
  const [error, setError] = useState<ReturnType<typeof asApiError>>();
  useEffect(() => {
    const ended = new AbortController();
    const timer = setInterval(() => {
      get<Job>(`pvservers/jobs/${first.job_id}`, {}, ended.signal).then(
        (now) => {
          setError(undefined);
          setJob(now);
          if (isOver(now)) clearInterval(timer);
        },
        (why: unknown) => {
          if (!ended.signal.aborted) setError(asApiError(why));
        },
      );
    }, EVERY_MS);
    return () => {
      clearInterval(timer);
      ended.abort();
    };
  }, [first.job_id]);
  return (
    <Dialog
      title="Over SSH"
      wide
      onClose={onClose}
      actions={<Button onClick={onClose}>{isOver(job) ? "Close" : "Close; it goes on"}</Button>}
    >
      {error && <Failure error={error} />}
      <Steps job={job} />
    </Dialog>
  );
}

/** Asks for a node, and installs or updates its probe from the central. */
export function InstallOverSsh({ server, onClose }: { server: Chosen; onClose: () => void }) {
  const [kind, setKind] = useState("pushconfig");
  const [node, setNode] = useState("");
  const [password, setPassword] = useState("");
  const [privateKey, setPrivateKey] = useState("");
  const [hostKey, setHostKey] = useState("");
  const [accept, setAccept] = useState(false);
  const [sudo, setSudo] = useState(false);
  const [jump, setJump] = useState("");
  const [jumpPassword, setJumpPassword] = useState("");
  const [jumpHostKey, setJumpHostKey] = useState("");
  const [job, setJob] = useState<Job>();
  const given = (text: string): string | undefined => (text === "" ? undefined : text);
  const start = useChange(
    () =>
      send<Job>("POST", `pvservers/${kind}/${server.server_id}`, {
        node: node.trim(),
        password: given(password),
        private_key: given(privateKey),
        host_key: given(hostKey.trim()),
        accept_new_host_key: accept,
        sudo,
        jump: given(jump.trim()),
        jump_password: given(jumpPassword),
        jump_host_key: given(jumpHostKey.trim()),
      }),
    (started: Job) => setJob(started),
  );
  const wrong = (name: string): string | undefined =>
    start.error?.parameter === name ? start.error.message : undefined;
  if (job) return <Follow first={job} onClose={onClose} />;
  return (
    <FormDialog
      title="Install or update over SSH"
      action={kind === "pushconfig" ? "Install" : "Update"}
      busy={start.busy}
      onSubmit={() => start.run()}
      onClose={onClose}
    >
      {start.error && start.error.parameter === null && <Failure error={start.error} />}
      <p class="muted">
        The central logs in, copies the setup bundle and runs it. Passwords and keys are forgotten afterwards.
      </p>
      <SelectField
        label="What to do"
        value={kind}
        onValue={setKind}
        choices={[
          ["pushconfig", "Install"],
          ["pushupdate", "Update; back to the version before if the new one is not heard of"],
        ]}
      />
      <TextField
        label="Node"
        hint="user@host or user@host:port"
        value={node}
        onValue={setNode}
        error={wrong("node")}
      />
      <TextField
        label="Password"
        type="password"
        value={password}
        onValue={setPassword}
        error={wrong("password")}
      />
      <AreaField
        label="Private key"
        hint="Instead of a password, in the format of OpenSSH"
        value={privateKey}
        onValue={setPrivateKey}
        error={wrong("private_key")}
      />
      <TextField
        label="Host key"
        hint="SHA256:…, as ssh-keygen -lf prints it on the node; not needed if the central knows it"
        value={hostKey}
        onValue={setHostKey}
        error={wrong("host_key")}
      />
      <CheckField
        label="Accept a host key that is seen for the first time"
        hint={wrong("accept_new_host_key")}
        checked={accept}
        onChecked={setAccept}
      />
      <CheckField label="Become root with sudo" checked={sudo} onChecked={setSudo} />
      <TextField
        label="Jump host"
        hint="If the node is only reached through it: user@host"
        value={jump}
        onValue={setJump}
        error={wrong("jump")}
      />
      {jump !== "" && (
        <>
          <TextField
            label="Password of the jump host"
            type="password"
            value={jumpPassword}
            onValue={setJumpPassword}
          />
          <TextField
            label="Host key of the jump host"
            value={jumpHostKey}
            onValue={setJumpHostKey}
            error={wrong("jump_host_key")}
          />
        </>
      )}
    </FormDialog>
  );
}
