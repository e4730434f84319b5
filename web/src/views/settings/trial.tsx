// Tries the broker's credentials, those that are entered or those that are stored.
import { useEffect, useRef, useState } from "preact/hooks";
import { asApiError, send } from "../../api";
import { visible } from "../../text";
import type { GlobalAnswer, ServerDetail, TrialAnswer, TrialBody } from "../../types";
import { Button, Field, Foreign, State } from "../../ui";
import { ALL, changesOf, complaint, type Draft, inEffect, type Name, shownOf } from "./model";

const BROKER: readonly Name[] = [
  "rabbitmq_address",
  "rabbitmq_port",
  "rabbitmq_tls",
  "rabbitmq_virtual_host",
  "rabbitmq_user",
  "rabbitmq_password",
  "verify_ca",
];

const OUTCOMES: Record<TrialAnswer["outcome"], string> = {
  success: "A probe can send batches there",
  name_not_found: "The name does not resolve",
  connection_refused: "The connection was refused",
  unreachable: "The broker cannot be reached",
  timed_out: "No answer in time",
  not_tls: "There is no TLS on this port",
  unknown_issuer: "The certificate's issuer is not trusted",
  certificate_expired: "The certificate has expired",
  wrong_name: "The certificate is for another name",
  tls_failed: "TLS could not be negotiated",
  not_amqp: "This is not an AMQP broker",
  access_refused: "The user or the password is wrong",
  virtual_host_not_found: "There is no such virtual host",
  virtual_host_refused: "The user may not use this virtual host",
  refused: "The broker refused",
};

/** Room for the slowest trial. */
const TIMEOUT_MS = 40_000;

interface Result {
  answer?: TrialAnswer;
  error?: string;
  /** What was tested. */
  tested?: string;
}

export function Trial({
  answer,
  draft,
  servers,
}: {
  answer: GlobalAnswer;
  draft: Draft;
  servers: readonly ServerDetail[];
}) {
  const [ca, setCa] = useState("");
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<Result>();
  const entered = JSON.stringify([draft, ca]);
  // A result is about the values that were tested.
  useEffect(() => setResult(undefined), [entered]);

  // The bar with the unsaved changes may cover it.
  const shown = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (result) shown.current?.scrollIntoView({ block: "nearest" });
  }, [result]);

  const value = (name: Name) => {
    const declared = ALL.find((each) => each.name === name);
    return declared ? shownOf(declared, answer, draft) : "";
  };
  const changed = BROKER.some((name) => name in changesOf(answer, { [name]: draft[name] }));
  // The stored password can be tested only as a server that inherits it.
  const heir = servers.find(
    (server) => BROKER.every((name) => server.settings[name] == null) && !server.removed,
  );

  const body = (): { body: TrialBody; tested: string } | string => {
    const address = String(value("rabbitmq_address")).trim();
    if (address === "") return "Enter the broker's address first.";
    const tested = `${address}:${String(value("rabbitmq_port")).trim()}`;
    const password = draft.rabbitmq_password;
    if (typeof password === "string")
      return {
        tested,
        body: {
          rabbitmq_address: address,
          rabbitmq_port: Number(value("rabbitmq_port")),
          rabbitmq_tls: value("rabbitmq_tls") === true,
          rabbitmq_virtual_host: String(value("rabbitmq_virtual_host")).trim(),
          rabbitmq_user: String(value("rabbitmq_user")).trim(),
          rabbitmq_password: password,
          verify_ca: value("verify_ca") === true,
          ...(ca.trim() === "" ? {} : { ca }),
        },
      };
    if (!answer.effective_settings.rabbitmq_password_set) return "Enter the password first.";
    if (changed || ca.trim() !== "")
      return "Enter the password: the stored one is tested only with the stored settings.";
    if (!heir)
      return "Enter the password: the stored one can be tested only through a server that inherits these settings, and there is none.";
    return { tested: `${tested} with the stored password`, body: { server_id: heir.server_id } };
  };

  const test = async (): Promise<void> => {
    const made = body();
    if (typeof made === "string") {
      setResult({ error: made });
      return;
    }
    setBusy(true);
    setResult(undefined);
    try {
      const answered = await send<TrialAnswer>("POST", "monitoring/testrabbitmqcred", made.body, {
        timeoutMs: TIMEOUT_MS,
      });
      setResult({ answer: answered, tested: made.tested });
    } catch (error) {
      const { message, parameter, advice } = asApiError(error);
      setResult({ error: `${complaint(message, parameter ?? "")} ${parameter ? "" : advice}`.trim() });
    }
    setBusy(false);
  };

  const unset = inEffect(answer, "rabbitmq_address") === "" && !changed;
  return (
    <div class="settings-trial">
      <div class="row">
        <Button icon="play" busy={busy} doing="Testing" disabled={unset} onClick={() => void test()}>
          Test the connection
        </Button>
        <span class="muted small">
          {unset
            ? "Enter the broker's address to test it."
            : "Connects as a probe would: resolves, connects, logs in, opens the virtual host. Nothing is saved or sent."}
        </span>
      </div>
      {!unset && value("rabbitmq_tls") === true && (
        <details>
          <summary>Test with a certificate authority of your own</summary>
          <Field
            label="Certificates in PEM"
            hint="For this test only. Probes and the central take theirs from their own configuration."
          >
            {(attributes) => (
              <textarea
                {...attributes}
                rows={4}
                spellcheck={false}
                value={ca}
                onInput={(event) => setCa(event.currentTarget.value)}
              />
            )}
          </Field>
        </details>
      )}
      <div role="status" class="settings-trial-result" ref={shown}>
        {result?.error && (
          <State tone="warn">
            <Foreign text={result.error} />
          </State>
        )}
        {result?.answer && (
          <>
            <State tone={result.answer.success ? "good" : "bad"}>
              {OUTCOMES[result.answer.outcome] ?? "Failed"}
            </State>
            <p>
              <Foreign text={result.answer.detail} />
            </p>
            <p class="muted small">
              Tested {visible(result.tested ?? "")} in {Math.max(1, result.answer.duration_ms)} ms
            </p>
          </>
        )}
      </div>
    </div>
  );
}
