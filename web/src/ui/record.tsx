// A record as it appears in tables.
import { href } from "../route";
import { count, visible } from "../text";
import { Badge } from "./badge";
import { DnsName } from "./name";

/** Owner and type, with a link to the record's view. */
export function RecordLink({ host, type }: { host: string; type: string }) {
  return (
    <>
      <a href={href("record", { host, type })}>
        <DnsName name={host} />
      </a>{" "}
      <Badge>{type}</Badge>
    </>
  );
}

/** As many records as a dialog names. */
const NAMED = 10;

/** Which records something will be done to. */
export function RecordNames({
  rows,
}: {
  rows: readonly { resource_id: number; host: string; type: string }[];
}) {
  return (
    <ul class="record-names" aria-label="Records">
      {rows.slice(0, NAMED).map(({ resource_id, host, type }) => (
        <li key={resource_id}>
          <DnsName name={host} /> {visible(type)}
        </li>
      ))}
      {rows.length > NAMED && <li class="muted">and {count(rows.length - NAMED)} more</li>}
    </ul>
  );
}
