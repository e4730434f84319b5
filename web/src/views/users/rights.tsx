import { RIGHT_TITLES } from "../../rights";
import type { RightsBody, UserBody } from "../../types";
import { Badge, CheckField, State } from "../../ui";

export type RightName = keyof RightsBody;

/** All rights, in words. */
export const RIGHTS: readonly (readonly [name: RightName, title: string, help: string])[] = [
  ["monitoring", RIGHT_TITLES.monitoring, "See records, verdicts, charts and health, and run SQL."],
  ["server_read", RIGHT_TITLES.server_read, "See the configuration of servers and the settings."],
  ["server_create", RIGHT_TITLES.server_create, "Add servers and enrol their probes."],
  ["server_update", RIGHT_TITLES.server_update, "Change servers, except where secrets are sent to."],
  ["server_delete", RIGHT_TITLES.server_delete, "Remove servers and what was recorded about them."],
  ["zones", RIGHT_TITLES.zones, "Add, load, change and remove zones; protect and label records."],
  ["retirement", RIGHT_TITLES.retirement, "Plan the deletion of records."],
];

/** What the API gives a new user who is not an administrator. */
export const STANDARD: RightsBody = {
  monitoring: true,
  server_read: true,
  server_create: false,
  server_update: false,
  server_delete: false,
  zones: false,
  retirement: false,
};

/** What a user may do, in short. */
export function RightBadges({ user }: { user: UserBody }) {
  if (user.administrator) return <Badge>Everything</Badge>;
  const held = RIGHTS.filter(([name]) => user.rights[name]);
  if (held.length === 0) return <span class="muted">Nothing but the own account</span>;
  return (
    <span class="users-badges">
      {held.map(([name, title]) => (
        <Badge key={name}>{title}</Badge>
      ))}
    </span>
  );
}

export function RightList({ user }: { user: UserBody }) {
  return (
    <ul class="users-rights">
      {RIGHTS.map(([name, title, help]) => {
        const held = user.administrator || user.rights[name];
        return (
          <li key={name}>
            <State tone={held ? "good" : "neutral"} icon={held ? "check" : "cross"}>
              {title}
              <span class="visually-hidden">{held ? ": yes" : ": no"}</span>
            </State>
            <span class="hint">{help}</span>
          </li>
        );
      })}
    </ul>
  );
}

export interface Granted {
  administrator: boolean;
  rights: RightsBody;
}

export function RightFields({ value, onValue }: { value: Granted; onValue: (value: Granted) => void }) {
  return (
    <fieldset class="users-rights">
      <legend class="visually-hidden">Rights</legend>
      <CheckField
        label="Administrator"
        hint="May do everything, also manage users and settings. The rights below do not matter then."
        checked={value.administrator}
        onChecked={(administrator) => onValue({ ...value, administrator })}
      />
      {RIGHTS.map(([name, title, help]) => (
        <CheckField
          key={name}
          label={title}
          hint={help}
          checked={value.administrator || value.rights[name]}
          disabled={value.administrator}
          onChecked={(held) => onValue({ ...value, rights: { ...value.rights, [name]: held } })}
        />
      ))}
    </fieldset>
  );
}
