// How names are asked for, in the API's `host` and in SQL.

/** A name itself: an asterisk in it, as of a wildcard, is only an asterisk. */
export const exactly = (host: string): string =>
  host.replace(/\*/g, (star, at: number) => (host[at - 1] === "\\" ? star : "\\*"));

/**
 * Patterns for what was typed, of which a name has to match one; none for all names.
 *
 * Part of a name finds the names that contain it. With an asterisk, the user has said where. Within a zone, such a name
 * is relative to it unless it ends with it, as in a zone file.
 */
export function patternsOf(typed: string, zone = ""): string[] {
  const apex = zone === "." ? "" : exactly(zone);
  if (typed === "") return zone === "" || zone === "." ? [] : [apex, `*.${apex}`];
  const starred = typed.replaceAll("\\*", "").includes("*");
  if (zone === "" || zone === ".") return [starred ? typed : `*${typed}*`];
  const part = typed.toLowerCase();
  if (starred) {
    const name = part.endsWith(".") ? part : `${part}.`;
    return [name === apex || name.endsWith(`.${apex}`) ? name : `${name}${apex}`];
  }
  if (apex.includes(part)) return [apex, `*.${apex}`];
  const tail = `.${apex}`;
  // The part may end within the zone's name: "www.exam" in example.com.
  const across: string[] = [];
  for (let length = 1; length < Math.min(part.length, tail.length); length += 1)
    if (part.endsWith(tail.slice(0, length))) across.push(`*${part}${tail.slice(length)}`);
  if (part.endsWith(tail)) across.push(`*${part}`);
  return [`*${part}*${tail}`, ...across];
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** A pattern of the API as one of LIKE. */
export function likeOf(pattern: string): string {
  const like = pattern.replace(/\\\*|[*%_\\]/g, (found) =>
    found === "\\*" ? "*" : found === "*" ? "%" : `\\${found}`,
  );
  return quoted(like);
}

export interface Selected {
  hosts: readonly string[];
  type: string;
  server: string;
  resource: string;
  code: string;
  exists: boolean | null;
  /** RFC 3339, or empty. */
  accessedFrom: string;
  accessedTo: string;
}

/**
 * Sums over all records that `dns/aggregate` lists for a selection. The API has no call for them yet. `records` has to
 * equal the number of rows listed there; otherwise the two mean different things, and the sums must not be shown.
 * Responses are those of all names, whether they exist or not.
 */
export function totalsSql(selected: Selected): string {
  const { hosts, type, server, resource, code, exists, accessedFrom, accessedTo } = selected;
  const of: string[] = [];
  if (hosts.length > 0) of.push(`(${hosts.map((host) => `host LIKE ${likeOf(host)}`).join(" OR ")})`);
  if (type !== "") of.push(`type = ${quoted(type)}`);
  if (/^\d+$/.test(server)) of.push(`server_id = ${server}`);
  if (/^\d+$/.test(resource)) of.push(`resource_id = ${resource}`);
  const counted = code === "" ? "action = 'request'" : `action = 'response' AND rcode = ${quoted(code)}`;
  const rows = ["hits > 0"];
  if (accessedFrom !== "") rows.push(`last >= ${quoted(accessedFrom)}`);
  if (accessedTo !== "") rows.push(`last < ${quoted(accessedTo)}`);
  const missing = "(nx > 0 AND noerror = 0)";
  const listed = exists === null ? "true" : exists ? `NOT ${missing}` : missing;
  return `WITH chosen AS (SELECT record_id,
 sum(CASE WHEN ${counted} THEN hits ELSE 0 END) AS hits,
 max(CASE WHEN ${counted} THEN last_access END) AS last,
 sum(CASE WHEN rcode = 'NXDOMAIN' THEN hits ELSE 0 END) AS nx,
 sum(CASE WHEN rcode = 'NOERROR' THEN hits ELSE 0 END) AS noerror,
 sum(CASE WHEN action = 'response' THEN hits ELSE 0 END) AS answers
 FROM records${of.length > 0 ? ` WHERE ${of.join(" AND ")}` : ""} GROUP BY record_id)
SELECT sum(CASE WHEN ${listed} THEN 1 ELSE 0 END) AS records, sum(CASE WHEN ${listed} THEN hits ELSE 0 END) AS hits,
 sum(nx) AS nxdomain, sum(answers) AS responses
 FROM chosen WHERE ${rows.join(" AND ")}`;
}
