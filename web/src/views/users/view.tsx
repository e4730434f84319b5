// All users for administrators; everybody else sees the own account.
import { list } from "../../api";
import { useQuery } from "../../query";
import { href, hrefWith, oneOf, text } from "../../route";
import { may } from "../../session";
import { now, plural, visible } from "../../text";
import type { UserBody } from "../../types";
import {
  arranged,
  Badge,
  type Column,
  DataTable,
  Empty,
  FilterField,
  Filters,
  FilterSelect,
  Foreign,
  LinkButton,
  Page,
  pageOf,
  SaveRows,
  type SortKeys,
  tableState,
  Time,
} from "../../ui";
import type { ViewProps } from "../index";
import { Account } from "./account";
import { AddUser, ownName, userPath } from "./dialogs";
import { RightBadges, type RightName, RIGHTS } from "./rights";

/** The central takes no more users than this, so filters and sorting can be done here. */
const ALL = 1000;

const expired = (user: UserBody): number =>
  user.tokens.filter(({ expires }) => expires !== null && Date.parse(expires) <= now.value).length;

const COLUMNS: Column<UserBody>[] = [
  {
    id: "user",
    title: "Name",
    sort: "user",
    wide: true,
    cell: (row) => (
      <>
        <a href={href(userPath(row.user))}>
          <Foreign text={row.user} />
        </a>
        {row.user === ownName() && <span class="muted"> (you)</span>}
      </>
    ),
  },
  {
    id: "role",
    title: "Role",
    sort: "administrator",
    descends: true,
    cell: (row) => (row.administrator ? <Badge>Administrator</Badge> : "User"),
  },
  { id: "rights", title: "Rights", cell: (row) => <RightBadges user={row} /> },
  {
    id: "tokens",
    title: "Tokens",
    sort: "tokens",
    descends: true,
    numeric: true,
    cell: (row) => {
      const old = expired(row);
      return (
        <>
          {row.tokens.length}
          {old > 0 && <span class="muted small"> ({old} expired)</span>}
        </>
      );
    },
  },
  {
    id: "created",
    title: "Created",
    sort: "created",
    descends: true,
    cell: (row) => <Time at={row.created} />,
  },
];

const SORTS: SortKeys<UserBody> = {
  user: (row) => row.user,
  administrator: (row) => (row.administrator ? 1 : 0),
  tokens: (row) => row.tokens.length,
  created: (row) => row.created,
};

function matches(row: UserBody, name: string, role: string, right: string): boolean {
  if (name !== "" && !row.user.toLowerCase().includes(name.toLowerCase())) return false;
  if (role !== "" && row.administrator !== (role === "administrator")) return false;
  return right === "" || row.administrator || row.rights[right as RightName];
}

function List({ params }: { params: URLSearchParams }) {
  const state = tableState(params, "user");
  const name = text(params, "name");
  const role = oneOf(params, "role", ["", "administrator", "user"] as const, "");
  const right = oneOf(params, "right", ["", ...RIGHTS.map(([each]) => each)] as const, "");
  const query = useQuery("users", (signal) => list<UserBody>("users", { limit: ALL }, signal));
  const all = query.data?.rows ?? [];
  const chosen = all.filter((row) => matches(row, name, role, right));
  const rows = arranged(chosen, state.sort, SORTS, "user");
  const administrators = all.filter((row) => row.administrator).length;
  return (
    <Page
      title="Users"
      intro={
        query.data
          ? `${plural(all.length, "user")}, ${plural(administrators, "administrator")} among them.`
          : "Who may sign in, and what they may do."
      }
      actions={
        <LinkButton kind="primary" icon="plus" href={hrefWith({ do: "add" })}>
          Add user
        </LinkButton>
      }
    >
      <Filters reset={["name", "role", "right"]}>
        <FilterField name="name" label="Name" placeholder="part of a name" />
        <FilterSelect
          name="role"
          label="Role"
          choices={[
            ["", "All"],
            ["administrator", "Administrators"],
            ["user", "Other users"],
          ]}
        />
        <FilterSelect
          name="right"
          label="With the right"
          choices={[["", "Any"], ...RIGHTS.map(([each, title]) => [each, title] as const)]}
        />
      </Filters>
      <DataTable
        caption="Users"
        query={{ ...query, data: query.data && pageOf(rows, state) }}
        state={state}
        columns={COLUMNS}
        rowKey={(row) => row.user}
        rowName={(row) => visible(row.user)}
        menu={(row) => [
          { text: "Rights and tokens", href: href(userPath(row.user)) },
          { text: "Change password", href: href(userPath(row.user), { do: "password" }) },
          { text: "Create token", href: href(userPath(row.user), { do: "token" }) },
          ...(row.user === ownName()
            ? []
            : [{ text: "Remove", href: href(userPath(row.user), { do: "remove" }), danger: true }]),
        ]}
        tools={
          <div class="table-tools">
            <SaveRows
              name="users"
              header={[
                "user",
                "administrator",
                ...RIGHTS.map(([each]) => each),
                "tokens",
                "expired_tokens",
                "created",
              ]}
              rows={() =>
                rows.map((row) => [
                  row.user,
                  String(row.administrator),
                  ...RIGHTS.map(([each]) => String(row.administrator || row.rights[each])),
                  row.tokens.length,
                  expired(row),
                  row.created,
                ])
              }
            />
          </div>
        }
        empty={<Empty title="No user matches." />}
      />
      {text(params, "do") === "add" && <AddUser />}
    </Page>
  );
}

export default function View({ path, params }: ViewProps) {
  const name = path[1] ?? (may("administrator") ? undefined : ownName());
  return name === undefined ? <List params={params} /> : <Account key={name} name={name} params={params} />;
}
