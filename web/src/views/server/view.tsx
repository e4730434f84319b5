// One server: how it is, what it measured, and its settings. Each part has an address of its own.
import type { ComponentType } from "preact";
import { useState } from "preact/hooks";
import { ApiError, get, list } from "../../api";
import { type Query, useQuery } from "../../query";
import { go, href } from "../../route";
import { may, type Right } from "../../session";
import { ago, moment, visible } from "../../text";
import type { HeartbeatRow, ServerDetail } from "../../types";
import {
  Badge,
  Button,
  Empty,
  Failure,
  Figure,
  Figures,
  Foreign,
  LinkButton,
  Loading,
  Notice,
  Page,
  Tabs,
} from "../../ui";
import type { ViewProps } from "../index";
import { NewToken, RemoveServer } from "../servers/dialogs";
import { Health, HEARTBEATS, Heartbeats, Running } from "../servers/fleet";
import { Diagnostics } from "./diagnostics";
import { DownloadSetup, InstallOverSsh } from "./install";
import { Monitoring } from "./monitoring";
import { Rates } from "./rates";
import { Services } from "./services";
import { Settings } from "./settings";

export interface PartProps {
  server: number;
  name: string;
  params: URLSearchParams;
  beat: HeartbeatRow | undefined;
  detail: Query<ServerDetail>;
}

const PARTS: Record<string, { title: string; part: ComponentType<PartProps>; needs?: Right }> = {
  services: { title: "Services", part: Services },
  monitoring: { title: "Monitoring", part: Monitoring },
  rps: { title: "RPS", part: Rates },
  settings: { title: "Settings", part: Settings, needs: "server_read" },
  diagnostics: { title: "Diagnostics", part: Diagnostics, needs: "server_update" },
};
const FIRST = "services";

/** Parameters that the charts of several parts share. */
const SHARED = ["range", "from", "to", "step"];

function Summary({ row }: { row: HeartbeatRow }) {
  return (
    <Figures>
      <Figure label="State" value={<Running row={row} />} />
      <Figure label="Heartbeats, last 2 min" value={<Heartbeats row={row} />} />
      <Figure label="Health" value={<Health row={row} />} />
      <Figure
        label="Last heartbeat"
        value={
          <span title={moment(row.last_heartbeat)}>
            {row.last_heartbeat === null ? "never" : ago(row.last_heartbeat)}
          </span>
        }
      />
    </Figures>
  );
}

/** A server that is unknown is an error of the parameter, not a missing resource. */
const isUnknown = (error: ApiError | undefined): boolean =>
  error !== undefined && (error.trouble === "missing" || error.parameter === "server_id");

export default function View({ path, params }: ViewProps) {
  const server = /^\d{1,9}$/.test(path[1] ?? "") ? Number(path[1]) : 0;
  const current = path[2] ?? FIRST;
  const [dialog, setDialog] = useState<"token" | "remove" | "install">();
  const reads = may("server_read");
  const beats = useQuery(
    `server ${server} heartbeat`,
    (signal) => list<HeartbeatRow>(HEARTBEATS, { server_id: server }, signal),
    { enabled: server > 0 },
  );
  const detail = useQuery(
    `server ${server} detail`,
    (signal) => get<ServerDetail>(`pvservers/${server}`, {}, signal),
    { enabled: server > 0 && reads },
  );
  const beat = beats.stale ? undefined : beats.data?.rows[0];
  const known = detail.stale ? undefined : detail.data;
  const name = known?.server ?? beat?.server ?? "";
  const title = name === "" ? `Server ${server}` : visible(name);
  const chosen = { server_id: server, server: name };
  const part = Object.hasOwn(PARTS, current) ? PARTS[current] : undefined;

  if (server === 0 || !part || (isUnknown(beats.error) && (!reads || isUnknown(detail.error))))
    return (
      <Page title="Server">
        <Empty title={part ? "There is no such server." : "There is no such page."}>
          <p>It may have been removed, together with its history.</p>
          <LinkButton href={href("servers")}>All servers</LinkButton>
        </Empty>
      </Page>
    );
  const Part = part.part;
  const shared = Object.fromEntries(SHARED.map((each) => [each, params.get(each)]));
  const removed = known?.removed;
  return (
    <Page
      title={title}
      heading={
        name === "" ? (
          title
        ) : (
          <>
            <Foreign text={name} /> {(beat?.sample ?? known?.sample) && <Badge>sample</Badge>}
          </>
        )
      }
      intro={
        <>
          <a href={href("servers")}>Servers</a> · id {server}
          {known?.address && (
            <>
              {" · "}
              <Foreign text={known.address} />
            </>
          )}
          {beat?.os && (
            <>
              {" · "}
              <Foreign text={beat.os} />
            </>
          )}
        </>
      }
      actions={
        known &&
        !removed && (
          <>
            {may("server_update") && <DownloadSetup server={chosen} />}
            {may("administrator") && <Button onClick={() => setDialog("install")}>Over SSH…</Button>}
            {may("server_update") && <Button onClick={() => setDialog("token")}>New token…</Button>}
            {may("server_delete") && (
              <Button kind="danger" onClick={() => setDialog("remove")}>
                Remove…
              </Button>
            )}
          </>
        )
      }
    >
      {removed && (
        <Notice tone="warn">
          Removed on {moment(removed, "minute")}. Its token is refused; its history stays until its retention
          ends.
        </Notice>
      )}
      {beats.error && !removed && <Failure error={beats.error} retry={beats.retry} />}
      {beat && <Summary row={beat} />}
      {!beat && beats.loading && <Loading slow={beats.slow} />}
      <Tabs
        label="Parts of the server"
        current={current}
        tabs={Object.entries(PARTS)
          .filter(([, { needs }]) => !needs || may(needs))
          .map(([id, { title: tab }]) => ({ id, title: tab, href: href(`servers/${server}/${id}`, shared) }))}
      />
      <Part key={server} server={server} name={name} params={params} beat={beat} detail={detail} />
      {dialog === "install" && <InstallOverSsh server={chosen} onClose={() => setDialog(undefined)} />}
      {dialog === "token" && <NewToken server={chosen} onClose={() => setDialog(undefined)} />}
      {dialog === "remove" && (
        <RemoveServer
          server={chosen}
          onClose={() => setDialog(undefined)}
          onRemoved={() => go(href("servers"))}
        />
      )}
    </Page>
  );
}
