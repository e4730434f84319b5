// Removing a server and giving it a new token, from the list and from the server's own view.
import { useState } from "preact/hooks";
import { send } from "../../api";
import { useChange } from "../../query";
import { visible } from "../../text";
import type { Handover } from "../../types";
import {
  Button,
  CheckField,
  Confirm,
  Dialog,
  Failure,
  Foreign,
  SelectField,
  TextField,
  toast,
} from "../../ui";
import { HandoverView } from "./handover";

export interface Chosen {
  server_id: number;
  server: string;
}

/** Removes a server once its name has been typed. */
export function RemoveServer({
  server,
  onClose,
  onRemoved,
}: {
  server: Chosen;
  onClose: () => void;
  onRemoved?: () => void;
}) {
  const [typed, setTyped] = useState("");
  const [purge, setPurge] = useState(false);
  const [wrong, setWrong] = useState(false);
  const name = visible(server.server);
  const removal = useChange(
    () => send("DELETE", `pvservers/${server.server_id}`, undefined, { params: purge ? { purge } : {} }),
    () => {
      toast(`${name} was removed.`);
      onClose();
      onRemoved?.();
    },
  );
  const remove = (): void => {
    if (typed.trim() === server.server.trim() || typed.trim() === name) removal.run();
    else setWrong(true);
  };
  return (
    <Confirm
      title="Remove server"
      action={purge ? "Remove server and history" : "Remove server"}
      busy={removal.busy}
      onConfirm={remove}
      onClose={onClose}
    >
      <p>
        The token of{" "}
        <strong>
          <Foreign text={server.server} />
        </strong>{" "}
        is refused from now on. This cannot be undone; the server can only be added anew, with another id.
      </p>
      <CheckField
        label="Delete its history, too"
        hint="Points, totals and reports. Otherwise they stay until their retention ends."
        checked={purge}
        onChecked={setPurge}
      />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          remove();
        }}
      >
        <TextField
          label={`Type ${name} to confirm`}
          value={typed}
          error={wrong && typed.trim() !== name ? "This is not the name of the server." : undefined}
          onValue={(value) => {
            setTyped(value);
            setWrong(false);
          }}
        />
      </form>
      {removal.error && <Failure error={removal.error} />}
    </Confirm>
  );
}

/** Replaces a server's token and shows the new one. */
export function NewToken({ server, onClose }: { server: Chosen; onClose: () => void }) {
  const [credential, setCredential] = useState("enrollment_token");
  const [handover, setHandover] = useState<Handover>();
  const renewal = useChange(
    () => send<Handover>("POST", `pvservers/${server.server_id}/token`, { credential }),
    setHandover,
  );
  if (handover)
    return (
      <Dialog
        wide
        title={`New token for ${visible(server.server)}`}
        onClose={onClose}
        actions={
          <Button kind="primary" onClick={onClose}>
            Done
          </Button>
        }
      >
        <HandoverView handover={handover} />
      </Dialog>
    );
  return (
    <Confirm
      title={`New token for ${visible(server.server)}`}
      action="Replace the token"
      busy={renewal.busy}
      onConfirm={() => renewal.run()}
      onClose={onClose}
    >
      <p>
        The current token, and an enrolment token that was not used, are refused at once. Meanwhile the probe
        keeps what it counts, and sends it with the new token.
      </p>
      <SelectField
        label="What the probe gets"
        value={credential}
        onValue={setCredential}
        choices={[
          ["enrollment_token", "A one-time token, for the command on the node"],
          ["token", "A configuration file that contains the token"],
        ]}
      />
      {renewal.error && <Failure error={renewal.error} />}
    </Confirm>
  );
}
