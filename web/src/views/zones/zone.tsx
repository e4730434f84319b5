// One zone: how it is, its records, its settings.
import { useState } from "preact/hooks";
import { get, list, send } from "../../api";
import { useDraft } from "../../draft";
import { asciiName, filterError, nameFilterFault } from "../../names";
import { useChange, useQuery } from "../../query";
import { flag, go, href, hrefWith, oneOf, text } from "../../route";
import { may } from "../../session";
import { count, duration, plural, visible } from "../../text";
import type { ResourceRow, ServerEntry, SourceKind, ZoneEntry } from "../../types";
import {
  Button,
  Card,
  type Column,
  DataTable,
  DnsName,
  Empty,
  Failure,
  FilterField,
  Filters,
  FilterSelect,
  Foreign,
  LinkButton,
  Loaded,
  Page,
  RecordLink,
  SelectField,
  tableState,
  Tabs,
  TextField,
  Time,
  toast,
} from "../../ui";
import { RefreshDialog, RemoveDialog, Upload } from "./actions";
import { bodyOf, DiskFields, draftOf, fieldOf, problemsOf, ServingFields, TransferFields } from "./form";
import { isLoading, usePolling, ZoneState } from "./state";
import { CALL, SOURCE, type Zone } from "./zones";

const TABS = ["overview", "records", "settings"] as const;
const PROTECTION: Record<string, string> = { protect: "Protected", allow: "Deletion allowed" };

export function ZonePage({ id, params }: { id: string; params: URLSearchParams }) {
  const query = useQuery(`zone ${id}`, (signal) =>
    get<Zone>(`${CALL}/${encodeURIComponent(id)}`, {}, signal),
  );
  const [asked, setAsked] = useState<"refresh" | "remove">();
  const zone = query.data;
  usePolling(zone !== undefined && isLoading(zone), query.retry);
  const mayChange = may("zones");
  const tabs = mayChange ? TABS : TABS.filter((each) => each !== "settings");
  const tab = oneOf(params, "tab", tabs, "overview");
  const title = zone?.zone ?? "Zone";
  return (
    <Page
      title={title}
      heading={zone && <DnsName name={zone.zone} />}
      intro={
        <>
          <a href={href("zones")}>Zones</a>
          {zone && ` · ${plural(zone.resources, "record")}`}
          {zone?.serial != null && ` · serial ${zone.serial}`}
        </>
      }
      actions={
        zone && (
          <>
            <LinkButton kind="primary" icon="delete" href={href("delete", { zone: zone.zone })}>
              Safe to delete?
            </LinkButton>
            {mayChange && zone.source !== "upload" && (
              <Button icon="refresh" onClick={() => setAsked("refresh")}>
                Load now…
              </Button>
            )}
          </>
        )
      }
    >
      <Loaded query={query} what="Reading the zone">
        {(shown) => (
          <div class="stack">
            <Tabs
              label="Parts of the zone"
              current={tab}
              tabs={tabs.map((each) => ({
                id: each,
                title: each === "overview" ? "Overview" : each === "records" ? `Records` : "Settings",
                href: href(`zones/${shown.zone_id}`, { tab: each === "overview" ? null : each }),
              }))}
            />
            {tab === "overview" && <Overview zone={shown} onRemove={() => setAsked("remove")} />}
            {tab === "records" && <Records zone={shown} params={params} />}
            {tab === "settings" && <Settings key={JSON.stringify(draftOf(shown))} zone={shown} />}
          </div>
        )}
      </Loaded>
      {zone && asked === "refresh" && <RefreshDialog zone={zone} onClose={() => setAsked(undefined)} />}
      {zone && asked === "remove" && (
        <RemoveDialog
          zone={zone}
          onClose={(done) => {
            setAsked(undefined);
            if (done) go(href("zones"));
          }}
        />
      )}
    </Page>
  );
}

function Overview({ zone, onRemove }: { zone: Zone; onRemove: () => void }) {
  const servers = useQuery("servers", (signal) => list<ServerEntry>("servers", {}, signal), {
    refreshes: false,
  });
  const known = new Map((servers.data?.rows ?? []).map(({ server_id, server }) => [server_id, server]));
  const mayChange = may("zones");
  return (
    <div class="grid">
      <Card title="Contents">
        <dl class="facts">
          <dt>State</dt>
          <dd>
            <ZoneState zone={zone} />
          </dd>
          <dt>Records</dt>
          <dd>
            <a href={hrefWith({ tab: "records" })}>{count(zone.resources)}</a>
          </dd>
          <dt>Serial</dt>
          <dd>{zone.serial ?? "–"}</dd>
          <dt>Loaded</dt>
          <dd>
            <Time at={zone.loaded_at} relative />
          </dd>
          <dt>Checked</dt>
          <dd>
            <Time at={zone.checked_at} relative />
          </dd>
          <dt>Source</dt>
          <dd>
            {SOURCE[zone.source] ?? visible(zone.source)}
            {zone.primary !== null && (
              <>
                {" from "}
                <Foreign text={zone.primary} />
              </>
            )}
            {zone.file !== null && (
              <>
                {": "}
                <Foreign text={zone.file} />
              </>
            )}
          </dd>
          {zone.source === "transfer" && (
            <>
              <dt>TSIG</dt>
              <dd>
                {zone.tsig_name === null ? (
                  "not signed"
                ) : (
                  <>
                    <DnsName name={zone.tsig_name} /> ({visible(zone.tsig_algorithm ?? "")})
                  </>
                )}
              </dd>
            </>
          )}
          <dt>Served by</dt>
          <dd>
            {zone.servers.length === 0
              ? "all servers"
              : zone.servers.map((id, at) => (
                  <span key={id}>
                    {at > 0 && ", "}
                    <a href={href(`servers/${id}`)}>
                      <Foreign text={known.get(id) ?? `server ${id}`} />
                    </a>
                  </span>
                ))}
            {zone.others_serve_it &&
              (zone.others_waived
                ? ", and others, which the verdicts disregard"
                : ", and others that are not observed: its records stay unobserved")}
          </dd>
          {zone.view !== "default" && (
            <>
              <dt>View</dt>
              <dd>
                <Foreign text={zone.view} />
              </dd>
            </>
          )}
          <dt>Added</dt>
          <dd>
            <Time at={zone.created} />
          </dd>
        </dl>
      </Card>
      {mayChange && (
        <div class="stack">
          {zone.source === "upload" && (
            <Card title={zone.state === "empty" ? "Load the zone" : "New contents"}>
              <Upload zone={zone} />
            </Card>
          )}
          <Card title="Remove">
            <p class="muted">
              Takes the zone out of the catalogue, with the labels, notes and protections of its records. On
              its servers, nothing changes.
            </p>
            <p>
              <Button kind="danger" icon="delete" onClick={onRemove}>
                Remove from Zonepulse…
              </Button>
            </p>
          </Card>
        </div>
      )}
    </div>
  );
}

const COLUMNS: Column<ResourceRow>[] = [
  {
    id: "host",
    title: "Record",
    wide: true,
    cell: ({ host, type }) => <RecordLink host={host} type={type} />,
  },
  {
    id: "data",
    title: "Data",
    cell: ({ data }) => (
      <div class="zones-data">
        {data.split("\n").map((line, at) => (
          <div key={at}>
            <DnsName name={line} />
          </div>
        ))}
      </div>
    ),
  },
  { id: "ttl", title: "TTL", numeric: true, cell: ({ ttl }) => <span class="nowrap">{duration(ttl)}</span> },
  { id: "id", title: "Id", numeric: true, cell: ({ resource_id }) => resource_id },
  {
    id: "label",
    title: "Label",
    cell: ({ label }) => (label === "" ? <span class="muted">–</span> : <Foreign text={label} />),
  },
  {
    id: "said",
    title: "Declared",
    cell: ({ protection, note }) =>
      protection === null && (note ?? "") === "" ? (
        <span class="muted">–</span>
      ) : (
        <div>
          {protection !== null && <div>{PROTECTION[protection] ?? visible(protection)}</div>}
          {note && (
            <div class="small">
              <Foreign text={note} />
            </div>
          )}
        </div>
      ),
  },
  {
    id: "created",
    title: "Appeared",
    cell: ({ created }) =>
      created === null ? <span class="muted">with the first load</span> : <Time at={created} />,
  },
];
const REMOVED: Column<ResourceRow> = {
  id: "removed",
  title: "Removed",
  cell: ({ removed }) => <Time at={removed} />,
};

function Records({ zone, params }: { zone: ZoneEntry; params: URLSearchParams }) {
  const state = tableState(params, "");
  const gone = flag(params, "removed");
  const wrong = filterError(nameFilterFault(text(params, "host")));
  const host = asciiName(text(params, "host"));
  const asked = {
    zone: zone.zone,
    host: host === "" || host.includes("*") ? host : `*${host}*`,
    type: text(params, "type").toUpperCase(),
    label: text(params, "label"),
    removed: gone ? true : null,
  };
  const query = useQuery(`resources ${JSON.stringify([asked, state])}`, (signal) =>
    wrong
      ? Promise.reject(wrong)
      : list<ResourceRow>("resources", { ...asked, offset: state.offset, limit: state.limit }, signal),
  );
  return (
    <>
      <Filters reset={["host", "type", "label", "removed"]}>
        <FilterField name="host" label="Name" placeholder="part of a name, or *.example.com" />
        <FilterField name="type" label="Type" placeholder="A, MX, TYPE65280" />
        <FilterField name="label" label="Label" />
        <FilterSelect
          name="removed"
          label="Records"
          choices={[
            ["", "In the zone"],
            ["true", "Removed"],
          ]}
        />
      </Filters>
      <DataTable
        caption="Records of the zone"
        query={query}
        state={state}
        columns={gone ? [...COLUMNS, REMOVED] : COLUMNS}
        rowKey={({ resource_id }) => String(resource_id)}
        rowName={({ host: owner, type }) => `${owner} ${type}`}
        csv={{ path: "resources", params: asked, name: "resources" }}
        menu={(row) => [
          { text: "Queries over time", href: href("record", { host: row.host, type: row.type }) },
          { text: "Verdict", href: href("delete", { zone: row.zone, host: row.host, type: row.type }) },
        ]}
        empty={
          <Empty title={gone ? "No record was removed." : "No record matches."}>
            {zone.resources === 0 && <p>The zone has no contents yet.</p>}
          </Empty>
        }
      />
    </>
  );
}

function Settings({ zone }: { zone: Zone }) {
  const [source, setSource] = useDraft<SourceKind>(
    `zone source ${zone.zone_id}`,
    zone.source === "file" || zone.source === "transfer" ? zone.source : "upload",
  );
  const [draft, setDraft] = useDraft(`zone ${zone.zone_id}`, draftOf(zone));
  const [tried, setTried] = useState(false);
  const change = useChange(
    () => send<ZoneEntry>("PATCH", `${CALL}/${zone.zone_id}`, bodyOf(draft, source)),
    () => toast("Settings saved."),
  );
  const own = problemsOf(draft, source, zone);
  const shown = { ...(tried ? own : {}), ...fieldOf(change.error) };
  return (
    <Card>
      <form
        class="form zones-form"
        onSubmit={(event) => {
          event.preventDefault();
          setTried(true);
          if (Object.keys(own).length === 0) change.run();
        }}
      >
        <SelectField
          label="Source"
          value={source}
          onValue={(value) => setSource(value === "file" || value === "transfer" ? value : "upload")}
          choices={Object.entries(SOURCE)}
          hint={
            source !== zone.source ? "What is loaded stays until the new source has been loaded." : undefined
          }
        />
        {source === "transfer" && (
          <TransferFields draft={draft} problems={shown} onDraft={setDraft} had={zone} />
        )}
        {source === "file" && <DiskFields draft={draft} problems={shown} onDraft={setDraft} />}
        <ServingFields draft={draft} problems={shown} onDraft={setDraft} />
        <TextField
          label="View"
          hint="Only for split-horizon DNS."
          value={draft.view}
          onValue={(view) => setDraft({ ...draft, view })}
          error={shown.view}
        />
        {change.error && Object.keys(fieldOf(change.error)).length === 0 && (
          <Failure error={change.error} title="The settings were not saved" />
        )}
        <div class="row">
          <Button kind="primary" type="submit" busy={change.busy}>
            Save
          </Button>
          <Button
            onClick={() => {
              setDraft(draftOf(zone));
              change.reset();
            }}
          >
            Undo changes
          </Button>
        </div>
      </form>
    </Card>
  );
}
