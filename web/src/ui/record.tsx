// A record as it appears in tables.
import { href } from "../route";
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
