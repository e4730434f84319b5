// What is done about users: each in a dialog, which the address opens (`do=`).
import { useState } from "preact/hooks";
import { type ApiError, send } from "../../api";
import { useDraft } from "../../draft";
import { useChange } from "../../query";
import { change, go, href, segment } from "../../route";
import { session, signIn } from "../../session";
import { reason, visible } from "../../text";
import type { NewToken, TokenAnswer, TokenBody, UserAnswer, UserBody, UserChange } from "../../types";
import {
  Button,
  Confirm,
  Dialog,
  Foreign,
  FormDialog,
  Notice,
  SecretOnce,
  SelectField,
  TextField,
  toast,
} from "../../ui";
import { type Granted, RightFields, STANDARD } from "./rights";

export const close = (): void => change({ do: null, token: null }, { replace: true });

export const userPath = (name: string): string => `users/${segment(name)}`;

export const ownName = (): string | undefined =>
  session.value.is === "in" ? session.value.session.user : undefined;

const SHORTEST = 8;
const octets = (text: string): number => new TextEncoder().encode(text).length;

/** The API's complaint about one field, without the field's name. */
function about(error: ApiError | undefined, field: string): string | undefined {
  if (error?.parameter !== field) return undefined;
  const text = visible(error.message).replace(`${field}: `, "");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A failure that is about no field. */
export function Refused({ error, fields = [] }: { error: ApiError | undefined; fields?: readonly string[] }) {
  if (!error || (error.parameter !== null && fields.includes(error.parameter))) return null;
  return (
    <div role="alert">
      <Notice tone="bad">
        {reason(error.message)} {error.trouble === "conflict" ? "" : error.advice}
      </Notice>
    </div>
  );
}

function passwordFault(password: string, again: string): Record<"password" | "again", string | undefined> {
  const long = octets(password);
  return {
    password:
      long < SHORTEST || long > 1000
        ? `Enter at least ${SHORTEST} characters, at most 1,000 bytes.`
        : undefined,
    again: password === again ? undefined : "This is not the same password.",
  };
}

const KINDS = [
  ["generated", "Generate one and show it once"],
  ["entered", "Enter one"],
] as const;
type Kind = (typeof KINDS)[number][0];

function PasswordFields({
  password,
  again,
  onPassword,
  onAgain,
  checked,
  refused,
}: {
  password: string;
  again: string;
  onPassword: (value: string) => void;
  onAgain: (value: string) => void;
  checked: boolean;
  refused?: string;
}) {
  const faults = passwordFault(password, again);
  return (
    <>
      <TextField
        label="New password"
        name="new-password"
        type="password"
        autocomplete="new-password"
        hint={`At least ${SHORTEST} characters.`}
        value={password}
        onValue={onPassword}
        error={refused ?? (checked ? faults.password : undefined)}
      />
      <TextField
        label="The same again"
        name="new-password-again"
        type="password"
        autocomplete="new-password"
        value={again}
        onValue={onAgain}
        error={checked ? faults.again : undefined}
      />
    </>
  );
}

/** The end of a dialog that shows a secret. */
function Made({
  title,
  label,
  secret,
  text,
}: {
  title: string;
  label: string;
  secret: string;
  text: string;
}) {
  return (
    <Dialog
      title={title}
      onClose={close}
      actions={
        <Button kind="primary" onClick={close}>
          Done
        </Button>
      }
    >
      <p>
        <Foreign text={text} />
      </p>
      <SecretOnce label={label} value={secret} />
    </Dialog>
  );
}

export function AddUser() {
  const [name, setName] = useDraft("user name", "");
  const [granted, setGranted] = useDraft<Granted>("user rights", { administrator: false, rights: STANDARD });
  const [kind, setKind] = useState<Kind>("generated");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [checked, setChecked] = useState(false);
  const [made, setMade] = useState<UserAnswer>();
  const add = useChange(
    () =>
      send<UserAnswer>("POST", "users", {
        user: name.trim(),
        administrator: granted.administrator,
        rights: granted.rights,
        ...(kind === "entered" ? { password } : {}),
      }),
    (answer) => {
      if (answer.password) setMade(answer);
      else {
        toast(`${visible(answer.user.user)} can sign in now.`);
        close();
      }
    },
  );
  if (made?.password)
    return (
      <Made
        title="User added"
        label="Password"
        secret={made.password}
        text={`${made.user.user} can sign in with this password.`}
      />
    );
  const faults = passwordFault(password, again);
  const nameFault =
    name.trim() === ""
      ? "Enter a name."
      : /[:/]/.test(name)
        ? "A name has no colons and no slashes."
        : octets(name.trim()) > 128
          ? "A name has at most 128 bytes."
          : undefined;
  const faulty = nameFault ?? (kind === "entered" ? (faults.password ?? faults.again) : undefined);
  return (
    <FormDialog
      title="Add a user"
      action="Add user"
      busy={add.busy}
      onClose={close}
      onSubmit={() => {
        setChecked(true);
        if (faulty === undefined) add.run();
      }}
    >
      <Refused error={add.error} fields={["user", "password"]} />
      <TextField
        label="Name"
        name="new-user"
        autocapitalize="none"
        value={name}
        onValue={(value) => {
          setName(value);
          add.reset();
        }}
        error={about(add.error, "user") ?? (checked ? nameFault : undefined)}
      />
      <SelectField
        label="Password"
        value={kind}
        choices={KINDS}
        onValue={(value) => setKind(value === "entered" ? "entered" : "generated")}
      />
      {kind === "entered" && (
        <PasswordFields
          password={password}
          again={again}
          onPassword={setPassword}
          onAgain={setAgain}
          checked={checked}
          refused={about(add.error, "password")}
        />
      )}
      <RightFields value={granted} onValue={setGranted} />
    </FormDialog>
  );
}

export function ChangePassword({ name }: { name: string }) {
  const own = name === ownName();
  const [kind, setKind] = useState<Kind>(own ? "entered" : "generated");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [checked, setChecked] = useState(false);
  const [made, setMade] = useState<string>();
  const set = useChange(
    async () => {
      const body: UserChange = { password: kind === "entered" ? password : null };
      const answer = await send<UserAnswer>("PATCH", userPath(name), body);
      // The change ends all sessions of the user, this one included.
      if (own) await signIn(name, password);
      return answer;
    },
    (answer) => {
      if (answer.password) setMade(answer.password);
      else {
        toast(
          own ? "Your password is changed. Other sessions of yours have ended." : "The password is changed.",
        );
        close();
      }
    },
  );
  if (made)
    return (
      <Made
        title="New password"
        label="Password"
        secret={made}
        text={`${name} signs in with this from now on.`}
      />
    );
  const faults = passwordFault(password, again);
  const faulty = kind === "entered" && (faults.password ?? faults.again) !== undefined;
  return (
    <FormDialog
      title={own ? "Change your password" : "Change the password"}
      action="Change password"
      busy={set.busy}
      onClose={close}
      onSubmit={() => {
        setChecked(true);
        if (!faulty) set.run();
      }}
    >
      <Refused error={set.error} fields={["password"]} />
      <p>
        {own ? (
          "You stay signed in here; your other sessions end. Your tokens stay valid."
        ) : (
          <>
            All sessions of <Foreign text={name} /> end. The tokens stay valid; revoke them one by one if they
            must not.
          </>
        )}
      </p>
      {!own && (
        <SelectField
          label="Password"
          value={kind}
          choices={KINDS}
          onValue={(value) => setKind(value === "entered" ? "entered" : "generated")}
        />
      )}
      {kind === "entered" && (
        <PasswordFields
          password={password}
          again={again}
          onPassword={setPassword}
          onAgain={setAgain}
          checked={checked}
          refused={about(set.error, "password")}
        />
      )}
    </FormDialog>
  );
}

const LIFETIMES = [
  ["30", "30 days"],
  ["90", "90 days"],
  ["365", "1 year"],
  ["other", "Another number of days"],
  ["never", "Never"],
] as const;

export function CreateToken({ name: user }: { name: string }) {
  const [name, setName] = useDraft("token name", "");
  const [lifetime, setLifetime] = useDraft("token lifetime", "90");
  const [days, setDays] = useDraft("token days", "180");
  const [checked, setChecked] = useState(false);
  const [made, setMade] = useState<TokenAnswer>();
  const create = useChange(() => {
    const body: NewToken = {
      name: name.trim(),
      expires_days: lifetime === "never" ? null : Number(lifetime === "other" ? days : lifetime),
    };
    return send<TokenAnswer>("POST", `${userPath(user)}/tokens`, body);
  }, setMade);
  if (made)
    return (
      <Made
        title="Token created"
        label={`Token ${made.token.name}`}
        secret={made.secret}
        text="Programs send it in the header “Authorization: Bearer …”."
      />
    );
  const nameFault =
    name.trim() === ""
      ? "Enter a name."
      : octets(name.trim()) > 128
        ? "A name has at most 128 bytes."
        : undefined;
  const daysFault =
    lifetime === "other" && !(/^\d+$/.test(days) && Number(days) >= 1 && Number(days) <= 3650)
      ? "Enter a number from 1 to 3,650."
      : undefined;
  return (
    <FormDialog
      title="Create a token"
      action="Create token"
      busy={create.busy}
      onClose={close}
      onSubmit={() => {
        setChecked(true);
        if ((nameFault ?? daysFault) === undefined) create.run();
      }}
    >
      <Refused error={create.error} fields={["name", "expires_days"]} />
      <TextField
        label="Name"
        name="token-name"
        hint="What it is for, such as grafana."
        value={name}
        onValue={(value) => {
          setName(value);
          create.reset();
        }}
        error={about(create.error, "name") ?? (checked ? nameFault : undefined)}
      />
      <SelectField label="Expires after" value={lifetime} choices={LIFETIMES} onValue={setLifetime} />
      {lifetime === "other" && (
        <TextField
          label="Days"
          name="token-days"
          inputMode="numeric"
          value={days}
          onValue={setDays}
          error={about(create.error, "expires_days") ?? (checked ? daysFault : undefined)}
        />
      )}
      <p class="muted">
        It has all rights of <Foreign text={user} />, those granted later included.
      </p>
    </FormDialog>
  );
}

export function RevokeToken({ user, token }: { user: string; token: TokenBody }) {
  const revoke = useChange(
    () => send("DELETE", `${userPath(user)}/tokens/${token.token_id}`),
    () => {
      toast(`The token ${visible(token.name)} is revoked.`);
      close();
    },
  );
  return (
    <Confirm
      title="Revoke this token?"
      action="Revoke token"
      busy={revoke.busy}
      onConfirm={revoke.run}
      onClose={close}
    >
      <Refused error={revoke.error} />
      <p>
        Programs that use <Foreign text={token.name} /> are refused at once. This cannot be undone.
      </p>
    </Confirm>
  );
}

export function RemoveUser({ user }: { user: UserBody }) {
  const remove = useChange(
    () => send("DELETE", userPath(user.user)),
    () => {
      toast(`The user ${visible(user.user)} is removed.`);
      go(href("users"), { replace: true });
    },
  );
  return (
    <Confirm
      title="Remove this user?"
      action="Remove user"
      busy={remove.busy}
      onConfirm={remove.run}
      onClose={close}
    >
      <Refused error={remove.error} />
      <p>
        <Foreign text={user.user} /> is signed out everywhere
        {user.tokens.length === 1 && ", and the token of this user is refused"}
        {user.tokens.length > 1 && `, and all ${user.tokens.length} tokens of this user are refused`}. This
        cannot be undone. What the user has made, such as servers, zones and plans, stays.
      </p>
    </Confirm>
  );
}
