import { useState } from "preact/hooks";
import { list } from "../../api";
import { useQuery } from "../../query";
import { href, text } from "../../route";
import { may } from "../../session";
import { count, visible } from "../../text";
import type { ServerEntry } from "../../types";
import {
  arranged,
  Badge,
  type Column,
  DataTable,
  DnsName,
  Empty,
  FilterField,
  Filters,
  FilterSelect,
  Foreign,
  LinkButton,
  Loaded,
  Page,
  pageOf,
  SaveRows,
  type SortKeys,
  tableState,
  Time,
} from "../../ui";
import { RefreshDialog, RemoveDialog, UploadDialog } from "./actions";
import { FirstZone } from "./first";
import { isLoading, usePolling, ZoneState } from "./state";
import { CALL, SOURCE, STATE, type Zone } from "./zones";

const SORTS: SortKeys<Zone> = {
  zone: ({ zone }) => zone.split(".").reverse().join("."),
  state: ({ state }) => Object.keys(STATE).indexOf(state),
  source: ({ source }) => source,
  serial: ({ serial }) => serial ?? undefined,
  resources: ({ resources }) => resources,
  loaded_at: ({ loaded_at }) => loaded_at ?? undefined,
  checked_at: ({ checked_at }) => checked_at ?? undefined,
};

/** There are few zones, and the API neither filters nor sorts them. */
function matching(zones: readonly Zone[], params: URLSearchParams): Zone[] {
  const [part, state] = [text(params, "zone").toLowerCase(), text(params, "state")];
  return zones.filter((each) => each.zone.includes(part) && (state === "" || each.state === state));
}

export function sourceText({ source, primary, file }: Zone): string {
  const where = source === "transfer" ? primary : source === "file" ? file : null;
  return `${SOURCE[source] ?? source}${where === null ? "" : ` ${where}`}`;
}

const When = ({ at }: { at: string | null }) => (
  <span class="zones-when">
    <Time at={at} relative />
  </span>
);

function columnsFor(servers: ReadonlyMap<number, string>): Column<Zone>[] {
  return [
    {
      id: "zone",
      title: "Zone",
      sort: "zone",
      wide: true,
      cell: ({ zone_id, zone, view }) => (
        <>
          <a href={href(`zones/${zone_id}`)}>
            <DnsName name={zone} />
          </a>
          {view !== "default" && (
            <>
              {" "}
              <Badge>{visible(view)}</Badge>
            </>
          )}
        </>
      ),
    },
    { id: "state", title: "State", sort: "state", cell: (zone) => <ZoneState zone={zone} /> },
    {
      id: "source",
      title: "Source",
      sort: "source",
      cell: (zone) => (
        <div class="zones-served">
          {SOURCE[zone.source] ?? visible(zone.source)}
          {zone.source !== "upload" && (
            <span class="muted small zones-where">
              <Foreign text={zone.primary ?? zone.file ?? ""} />
              {zone.source === "transfer" && (zone.tsig_name === null ? ", without TSIG" : ", TSIG")}
            </span>
          )}
        </div>
      ),
    },
    { id: "serial", title: "Serial", sort: "serial", numeric: true, cell: ({ serial }) => serial ?? "–" },
    {
      id: "resources",
      title: "Records",
      sort: "resources",
      descends: true,
      numeric: true,
      cell: ({ zone, resources }) => <a href={href("delete", { zone })}>{count(resources)}</a>,
    },
    {
      id: "servers",
      title: "Served by",
      cell: ({ servers: ids, others_serve_it, others_waived }) => (
        <div class="zones-served">
          {ids.length === 0
            ? "all servers"
            : ids.map((id, at) => (
                <span key={id}>
                  {at > 0 && ", "}
                  <Foreign text={servers.get(id) ?? `server ${id}`} />
                </span>
              ))}
          {others_serve_it && (
            <span class="muted small zones-where">and others{others_waived ? ", disregarded" : ""}</span>
          )}
        </div>
      ),
    },
    {
      id: "loaded_at",
      title: "Loaded",
      sort: "loaded_at",
      descends: true,
      cell: ({ loaded_at }) => <When at={loaded_at} />,
    },
    {
      id: "checked_at",
      title: "Checked",
      sort: "checked_at",
      descends: true,
      cell: ({ checked_at }) => <When at={checked_at} />,
    },
  ];
}

type Asked = { is: "refresh" | "upload" | "remove"; zone: Zone };

export function ZoneList({ params }: { params: URLSearchParams }) {
  const query = useQuery("zones", (signal) => list<Zone>(CALL, { limit: 10_000 }, signal));
  const servers = useQuery("servers", (signal) => list<ServerEntry>("servers", {}, signal), {
    refreshes: false,
  });
  const [asked, setAsked] = useState<Asked>();
  const state = tableState(params, "zone");
  const zones = query.data?.rows ?? [];
  usePolling(zones.some(isLoading), query.retry);
  const mayChange = may("zones");
  const rows = arranged(matching(zones, params), state.sort, SORTS, "zone");
  const close = (): void => setAsked(undefined);
  const known = new Map((servers.data?.rows ?? []).map(({ server_id, server }) => [server_id, server]));
  const add = mayChange && zones.length > 0 && (
    <LinkButton kind="primary" icon="plus" href={href("zones/add")}>
      Add zone
    </LinkButton>
  );
  return (
    <Page title="Zones" intro="What your zones contain, and where Zonepulse has that from." actions={add}>
      {query.data && query.data.rows.length === 0 ? (
        <FirstZone />
      ) : query.data === undefined ? (
        <Loaded query={query} what="Reading zones">
          {() => null}
        </Loaded>
      ) : (
        <>
          <Filters reset={["zone", "state"]}>
            <FilterField name="zone" label="Zone" placeholder="part of the name" />
            <FilterSelect
              name="state"
              label="State"
              choices={[["", "All"], ...Object.entries(STATE).map(([id, { word }]) => [id, word] as const)]}
            />
          </Filters>
          <DataTable
            caption="Zones"
            query={{ ...query, data: pageOf(rows, state) }}
            state={state}
            columns={columnsFor(known)}
            rowKey={({ zone_id }) => String(zone_id)}
            rowName={({ zone }) => zone}
            tools={
              <div class="table-tools">
                <SaveRows
                  name="zones"
                  header={[
                    "zone_id",
                    "zone",
                    "view",
                    "state",
                    "error",
                    "source",
                    "serial",
                    "resources",
                    "servers",
                    "others_serve_it",
                    "loaded_at",
                    "checked_at",
                  ]}
                  rows={() =>
                    rows.map((zone) => [
                      zone.zone_id,
                      zone.zone,
                      zone.view,
                      zone.state,
                      zone.error,
                      sourceText(zone),
                      zone.serial,
                      zone.resources,
                      zone.servers.join(" "),
                      String(zone.others_serve_it),
                      zone.loaded_at,
                      zone.checked_at,
                    ])
                  }
                />
              </div>
            }
            menu={(zone) => [
              { text: "Verdicts", href: href("delete", { zone: zone.zone }) },
              { text: "Records", href: href(`zones/${zone.zone_id}`, { tab: "records" }) },
              ...(mayChange
                ? [
                    { text: "Settings", href: href(`zones/${zone.zone_id}`, { tab: "settings" }) },
                    ...(zone.source === "upload"
                      ? [{ text: "Upload new contents…", onSelect: () => setAsked({ is: "upload", zone }) }]
                      : [{ text: "Load now…", onSelect: () => setAsked({ is: "refresh", zone }) }]),
                    { text: "Remove…", danger: true, onSelect: () => setAsked({ is: "remove", zone }) },
                  ]
                : []),
            ]}
            empty={
              <Empty title="No zone matches.">
                <LinkButton href={href("zones")}>Show all zones</LinkButton>
              </Empty>
            }
          />
        </>
      )}
      {asked?.is === "refresh" && <RefreshDialog zone={asked.zone} onClose={close} />}
      {asked?.is === "upload" && <UploadDialog zone={asked.zone} onClose={close} />}
      {asked?.is === "remove" && <RemoveDialog zone={asked.zone} onClose={close} />}
    </Page>
  );
}
