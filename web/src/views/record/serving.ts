// Whose observation counts for a record.
import type { ServerEntry, ZoneEntry } from "../../types";

/** The servers of the zones that the record is in; all of them if no zone is known, or one is served by all. */
export function servingServers(
  host: string,
  zones: readonly Pick<ZoneEntry, "zone" | "servers">[],
  servers: readonly ServerEntry[],
): readonly ServerEntry[] {
  const name = host.toLowerCase();
  const within = zones.filter(({ zone }) => zone === "." || name === zone || name.endsWith(`.${zone}`));
  // The closest zone; it may be in several views.
  const longest = Math.max(0, ...within.map(({ zone }) => zone.length));
  const own = within.filter(({ zone }) => zone.length === longest);
  if (own.length === 0 || own.some((each) => each.servers.length === 0)) return servers;
  const ids = new Set(own.flatMap((each) => each.servers));
  return servers.filter(({ server_id }) => ids.has(server_id));
}
