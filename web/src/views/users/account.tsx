// One user: rights, password, tokens.
import { useEffect, useRef } from "preact/hooks";
import { get, send } from "../../api";
import { useDraft } from "../../draft";
import { useChange, useQuery } from "../../query";
import { hrefWith, href, number, text } from "../../route";
import { may, resume } from "../../session";
import { ago, moment, now, visible } from "../../text";
import type { TokenBody, UserAnswer, UserBody } from "../../types";
import {
  Badge,
  Button,
  Card,
  type Column,
  Empty,
  Foreign,
  LinkButton,
  Loaded,
  Page,
  SaveRows,
  State,
  Table,
  Time,
  toast,
} from "../../ui";
import { ChangePassword, CreateToken, ownName, Refused, RemoveUser, RevokeToken, userPath } from "./dialogs";
import { type Granted, RightFields, RightList } from "./rights";

const WARN_MS = 7 * 86_400_000;

function Expiry({ token }: { token: TokenBody }) {
  if (token.expires === null) return <span class="muted">Never</span>;
  const left = Date.parse(token.expires) - now.value;
  if (left <= 0)
    return (
      <State tone="bad">
        Expired <Time at={token.expires} />
      </State>
    );
  const when = (
    <span class="nowrap" title={moment(token.expires)}>
      {ago(token.expires)} <span class="muted small">{moment(token.expires, "day")}</span>
    </span>
  );
  return left < WARN_MS ? <State tone="warn">{when}</State> : when;
}

const COLUMNS: Column<TokenBody>[] = [
  { id: "name", title: "Name", wide: true, cell: (token) => <Foreign text={token.name} /> },
  { id: "number", title: "Number", numeric: true, cell: (token) => token.token_id },
  { id: "created", title: "Created", cell: (token) => <Time at={token.created} /> },
  { id: "expires", title: "Expires", cell: (token) => <Expiry token={token} /> },
];

function Tokens({ user }: { user: UserBody }) {
  const own = user.user === ownName();
  return (
    <Card
      flush
      title="Tokens"
      note="For programs, instead of name and password."
      actions={
        <>
          {user.tokens.length > 0 && (
            <SaveRows
              name={`tokens-${visible(user.user)}`}
              header={["token_id", "name", "created", "expires"]}
              rows={() => user.tokens.map((each) => [each.token_id, each.name, each.created, each.expires])}
            />
          )}
          <LinkButton icon="plus" href={hrefWith({ do: "token" })}>
            Create token…
          </LinkButton>
        </>
      }
    >
      {user.tokens.length === 0 ? (
        <Empty title="No token.">
          <p>
            {own
              ? "Create one for a script or a dashboard. It has your rights and can be revoked without a new password."
              : "A token has the rights of its user and can be revoked without a new password."}
          </p>
        </Empty>
      ) : (
        <Table
          caption="List of tokens"
          columns={[
            ...COLUMNS,
            {
              id: "revoke",
              title: <span class="visually-hidden">Revoke</span>,
              label: " ",
              cell: (token) => (
                <a
                  class="button danger users-small"
                  href={hrefWith({ do: "revoke", token: token.token_id })}
                  aria-label={`Revoke ${visible(token.name)}`}
                >
                  Revoke
                </a>
              ),
            },
          ]}
          rows={user.tokens}
          rowKey={(token) => String(token.token_id)}
        />
      )}
    </Card>
  );
}

function Rights({ user }: { user: UserBody }) {
  const own = user.user === ownName();
  const before: Granted = { administrator: user.administrator, rights: user.rights };
  const stored = JSON.stringify(before);
  const [granted, setGranted] = useDraft(`rights ${user.user}`, before);
  const shown = useRef(stored);
  // Another administrator may have changed them.
  useEffect(() => {
    if (shown.current !== stored) setGranted(JSON.parse(stored) as Granted);
    shown.current = stored;
  }, [stored]);
  const changed = JSON.stringify(granted) !== stored;
  const save = useChange(
    async () => {
      const { administrator, rights } = granted;
      const answer = await send<UserAnswer>("PATCH", userPath(user.user), { administrator, rights });
      // What this page offers depends on it.
      if (own) await resume();
      return answer;
    },
    () => toast("The rights are changed. They count from the next request."),
  );
  return (
    <Card title="Rights">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          save.run();
        }}
      >
        <Refused error={save.error} />
        <RightFields
          value={granted}
          onValue={(value) => {
            setGranted(value);
            save.reset();
          }}
        />
        <div class="row">
          <Button kind="primary" type="submit" busy={save.busy} disabled={!changed}>
            Save rights
          </Button>
          {changed && <Button onClick={() => setGranted(before)}>Discard</Button>}
        </div>
      </form>
    </Card>
  );
}

function Everything({ user, params }: { user: UserBody; params: URLSearchParams }) {
  const own = user.user === ownName();
  const administrator = may("administrator");
  const open = text(params, "do");
  const token = user.tokens.find(({ token_id }) => token_id === number(params, "token", 0));
  return (
    <div class="users-account">
      <div class="stack">
        {administrator ? (
          <Rights user={user} />
        ) : (
          <Card title="Rights" note="An administrator can change them.">
            <RightList user={user} />
          </Card>
        )}
      </div>
      <div class="stack">
        <Card title="Password">
          <div class="row">
            <LinkButton icon="lock" href={hrefWith({ do: "password" })}>
              Change password…
            </LinkButton>
            <span class="muted small">Ends {own ? "your other sessions" : "all sessions of this user"}.</span>
          </div>
        </Card>
        <Tokens user={user} />
        {administrator && (
          <Card title="Remove">
            {own ? (
              <p class="muted">You cannot remove yourself here. Another administrator can.</p>
            ) : (
              <div class="row">
                <a class="button danger" href={hrefWith({ do: "remove" })}>
                  Remove user…
                </a>
                <span class="muted small">The password and the tokens are refused from then on.</span>
              </div>
            )}
          </Card>
        )}
      </div>
      {open === "password" && <ChangePassword name={user.user} />}
      {open === "token" && <CreateToken name={user.user} />}
      {open === "revoke" && token && <RevokeToken user={user.user} token={token} />}
      {open === "remove" && administrator && !own && <RemoveUser user={user} />}
    </div>
  );
}

export function Account({ name, params }: { name: string; params: URLSearchParams }) {
  const own = name === ownName();
  const path = userPath(name);
  const query = useQuery(path, (signal) => get<UserBody>(path, {}, signal));
  const user = query.data;
  return (
    <Page
      title={own ? "Your account" : `User ${name}`}
      heading={
        <>
          <Foreign text={name} /> {user && <Badge>{user.administrator ? "Administrator" : "User"}</Badge>}
        </>
      }
      intro={
        <>
          {may("administrator") && (
            <>
              <a href={href("users")}>Users</a> ·{" "}
            </>
          )}
          {own && "your account · "}
          {user && (
            <>
              created <Time at={user.created} />
            </>
          )}
        </>
      }
    >
      <Loaded query={query}>{(each) => <Everything user={each} params={params} />}</Loaded>
    </Page>
  );
}
