// What the views of servers have in common: states in words, heartbeats, versions.
import { list } from "../../api";
import { NONE, reason, visible } from "../../text";
import type { ComponentBody, HeartbeatRow, ServerHealth } from "../../types";
import { State, type Tone } from "../../ui";

export const HEARTBEATS = "monitoring/heartbeat";
/** More than one central manages. */
const ALL = 100_000;

export const fetchFleet = (signal: AbortSignal) => list<HeartbeatRow>(HEARTBEATS, { limit: ALL }, signal);

/** How many heartbeats are expected in two minutes, and how many of them are enough. */
const EXPECTED = 5;
const ENOUGH = 4;

interface Words {
  tone: Tone;
  text: string;
}

/** From worst to best, as the API orders them. */
export const HEALTH: Record<ServerHealth, Words> = {
  silent: { tone: "bad", text: "Silent" },
  refused: { tone: "bad", text: "Refused" },
  conflict: { tone: "bad", text: "Conflict" },
  blind: { tone: "bad", text: "Blind" },
  behind: { tone: "warn", text: "Behind" },
  lost: { tone: "warn", text: "Lost data" },
  restarting: { tone: "warn", text: "Restarting" },
  dns_stopped: { tone: "warn", text: "DNS stopped" },
  settings_refused: { tone: "warn", text: "Settings refused" },
  new: { tone: "info", text: "New" },
  starting: { tone: "info", text: "Starting" },
  ok: { tone: "good", text: "OK" },
};

export function Health({ row }: { row: HeartbeatRow }) {
  const words = row.health === null ? undefined : HEALTH[row.health];
  if (!words) return <span class="muted">{NONE}</span>;
  return (
    <span title={row.reasons.map((each) => reason(each.reason)).join("\n")}>
      <State tone={words.tone}>{words.text}</State>
    </span>
  );
}

/** Running or stopped: an icon and a word, which the colour repeats. */
export function Running({ row }: { row: HeartbeatRow }) {
  if (row.state === "conflict")
    return (
      <span title={reason(row.conflict ?? "")}>
        <State tone="bad" icon="warning">
          Conflict
        </State>
      </span>
    );
  return row.state === "running" ? (
    <State tone="good" icon="play">
      Running
    </State>
  ) : (
    <State tone="warn" icon="stop">
      Stopped
    </State>
  );
}

/** Heartbeats of the last two minutes. */
export function Heartbeats({ row }: { row: HeartbeatRow }) {
  if (row.sample && row.last_heartbeat === null) return <span class="muted">{NONE}</span>;
  const seen = Math.min(EXPECTED, row.requests);
  return (
    <span class={`servers-beats ${seen >= ENOUGH ? "enough" : "few"}`}>
      <span class="servers-bar" aria-hidden="true">
        {Array.from({ length: EXPECTED }, (_, at) => (
          <span key={at} class={at < seen ? "on" : undefined} />
        ))}
      </span>
      <span class="nowrap">
        {seen} of {EXPECTED}
      </span>
    </span>
  );
}

export const COMPONENTS = [
  ["dns", "DNS"],
  ["monitor", "Monitor"],
  ["dhcp4", "DHCPv4"],
  ["dhcp6", "DHCPv6"],
  ["backup", "Backup"],
] as const;

export type ComponentName = (typeof COMPONENTS)[number][0];

/** The version of a running service; undefined if it does not run. */
export function versionOf(part: ComponentBody | null | undefined): string | undefined {
  return part?.state === "running" ? (part.version ?? "running") : undefined;
}

/** "-" for what does not run, as the product that set the vocabulary writes it. */
export function Version({ part }: { part: ComponentBody | null | undefined }) {
  const version = versionOf(part);
  if (version === undefined)
    return (
      <span class="muted" title={part ? `${visible(part.name ?? "It")} is stopped` : "Not installed"}>
        -
      </span>
    );
  return (
    <span class="servers-version" title={visible(part?.name ?? "")}>
      <bdi>{visible(version)}</bdi>
    </span>
  );
}
