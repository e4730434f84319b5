//! `/api/v2/zones`: the zones of the catalogue, and where they come from.

use crate::dns_server::DnsServer;
use crate::http::answer::listing;
use crate::http::answer::problem::{Case, Problem};
use crate::http::blocking::blocking;
use crate::http::question::groups::{Confirmation, Slice};
use crate::http::question::{body, catalogue, parameters};
use crate::http::state::App;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::pending::NoRoom;
use zonepulse_central::rights::Caller;
use zonepulse_central::time::text;
use zonepulse_central::zones::{Imported, Loading, Origin, ZoneChange, Zones, source, state};
use zonepulse_model::ZoneId;
use zonepulse_private::Secret;
use zonepulse_store::{Source, Summary, Zone};

/// Maximum size of a body in JSON, bytes.
const MAX_BYTES: usize = 64 << 10;
/// Maximum size of a zone file, bytes.
const MAX_FILE_BYTES: usize = 1 << 30;
/// The media type of zone files (RFC 4027).
const MEDIA_TYPE: &str = "text/dns";

/// What reads.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(read))
}

/// What changes.
pub fn changing() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(create))
        .routes(routes!(change))
        .routes(routes!(remove))
        .routes(routes!(upload))
        .routes(routes!(refresh))
}

/// A zone of the catalogue.
#[derive(Serialize, ToSchema)]
pub(super) struct ZoneEntry {
    /// Its id. An id is never used again.
    zone_id: u32,
    /// Its apex.
    zone: String,
    /// The view in which it is served; an apex is in a view once.
    view: String,
    /// Where it comes from: `upload`, `file` or `transfer`.
    source: &'static str,
    /// Of a file, its path below the directory of zone files.
    #[schema(required)]
    file: Option<String>,
    /// Of a transfer, the address and port of its primary.
    #[schema(required)]
    primary: Option<String>,
    /// Of a transfer, the name of its TSIG key. The secret is never shown.
    #[schema(required)]
    tsig_name: Option<String>,
    /// The algorithm of that key.
    #[schema(required)]
    tsig_algorithm: Option<String>,
    /// The serial of the SOA that is loaded.
    #[schema(required)]
    serial: Option<u32>,
    /// Number of its RRsets.
    resources: u64,
    /// The ids of the servers that serve it; empty for all.
    servers: Vec<u32>,
    /// Whether servers that are not managed serve it, too: then no verdict can say that nobody asked.
    others_serve_it: bool,
    /// Whether verdicts are given nevertheless.
    others_waived: bool,
    /// When it was added.
    #[schema(format = DateTime)]
    created: String,
    /// When its contents last changed.
    #[schema(format = DateTime, required)]
    loaded_at: Option<String>,
    /// When it was last compared with its source.
    #[schema(format = DateTime, required)]
    checked_at: Option<String>,
    /// `empty`, `loaded`, `waiting` (an import would remove much, and waits for confirmation), `failed` or `expired`.
    state: &'static str,
    /// Why it is not up to date.
    #[schema(required)]
    error: Option<String>,
    /// How far it is, while it is being loaded.
    #[schema(required)]
    loading: Option<LoadingEntry>,
}

/// How far a zone is that is being loaded.
#[derive(Serialize, ToSchema)]
struct LoadingEntry {
    /// `reading` (its file or transfer) or `importing` (into the catalogue).
    phase: &'static str,
    /// Records that were read, or RRsets that were imported, so far.
    done: u64,
    /// When it began.
    #[schema(format = DateTime)]
    since: String,
}

impl From<Loading> for LoadingEntry {
    fn from(Loading { phase, done, since_ms }: Loading) -> Self {
        LoadingEntry { phase: phase.as_str(), done, since: text(since_ms) }
    }
}

impl ZoneEntry {
    fn of(zone: Zone, zones: &Zones) -> Self {
        let kind = source(&zone.source);
        let (mut file, mut primary, mut tsig) = (None, None, None);
        match zone.source {
            Source::Upload => {}
            Source::File { path } => file = Some(path),
            Source::Transfer { primary: address, tsig: key } => (primary, tsig) = (Some(address), key),
        }
        ZoneEntry {
            zone_id: zone.id.get(),
            zone: zone.apex,
            view: zone.view,
            source: kind,
            file,
            primary,
            tsig_name: tsig.as_ref().map(|tsig| tsig.name.clone()),
            tsig_algorithm: tsig.map(|tsig| tsig.algorithm),
            serial: zone.serial,
            resources: zone.resources,
            servers: zone.servers.iter().map(|id| id.get()).collect(),
            others_serve_it: zone.others_serve_it,
            others_waived: zone.others_waived,
            created: text(zone.created_ms),
            loaded_at: zone.loaded_ms.map(text),
            checked_at: zone.checked_ms.map(text),
            state: state(zone.state),
            error: zone.error,
            loading: zones.loading(zone.id).map(LoadingEntry::from),
        }
    }
}

/// A TSIG key (RFC 8945).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TsigBody {
    /// Its name.
    #[schema(example = "transfer.example.")]
    name: String,
    /// Its algorithm.
    #[schema(example = "hmac-sha256")]
    algorithm: String,
    /// Its secret, in base64. It is never shown again.
    #[schema(value_type = String, write_only)]
    secret: Secret,
}

/// A zone to be added.
struct NewZone {
    /// Its apex.
    zone: String,
    rest: ZoneChangeBody,
}

impl PartialSchema for NewZone {
    /// An object of its own: two that allow nothing else could not be joined by `allOf`.
    fn schema() -> RefOr<Schema> {
        let mut schema = ZoneChangeBody::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let zone = ObjectBuilder::new().schema_type(Type::String).description(Some("Its apex."));
            object.properties.insert("zone".to_owned(), RefOr::T(zone.examples(["example.com."]).build().into()));
            object.required.push("zone".to_owned());
            object.description = Some("A zone to be added.".to_owned());
        }
        schema
    }
}

impl ToSchema for NewZone {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ZoneChangeBody::schemas(schemas);
    }
}

impl NewZone {
    /// The apex, and then what a change may say as well.
    fn read(body: Value) -> Result<Self, Problem> {
        let Value::Object(mut members) = body else { return Err(Problem::parameter("body", "it has to be an object")) };
        let zone = members.remove("zone").ok_or_else(|| Problem::parameter("zone", "it is missing"))?;
        Ok(NewZone { zone: body::typed("zone", zone)?, rest: body::typed("body", Value::Object(members))? })
    }
}

/// What is to be different about a zone; what is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ZoneChangeBody {
    /// The view in which it is served; `default` unless told otherwise.
    view: Option<String>,
    /// Where it comes from: `upload` (unless told otherwise), `file` or `transfer`. It follows from `file` or `primary`.
    source: Option<SourceKind>,
    /// For a file: its path, relative to the directory `zones.directory` of the central's configuration.
    file: Option<String>,
    /// For a transfer: address of the primary, with a port unless it is 53.
    #[schema(value_type = Option<String>, example = "192.0.2.1:53")]
    primary: Option<DnsServer>,
    /// For a transfer: the key that the primary asks for. Another primary needs it again.
    tsig: Option<TsigBody>,
    /// The ids of the servers that serve it; empty for all.
    servers: Option<Vec<u32>>,
    /// Whether servers that are not managed serve it, too, such as somebody else's secondaries.
    others_serve_it: Option<bool>,
    /// Whether to give verdicts nevertheless.
    others_waived: Option<bool>,
}

/// Where a zone comes from.
#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum SourceKind {
    /// Files that are uploaded.
    Upload,
    /// A file on the central's disk.
    File,
    /// A transfer.
    Transfer,
}

impl ZoneChangeBody {
    fn into_change(self) -> Result<ZoneChange, Problem> {
        let ZoneChangeBody { view, source, file, primary, tsig, servers, others_serve_it, others_waived } = self;
        let tsig = tsig.map(|tsig| (tsig.name, tsig.algorithm, tsig.secret));
        let origin = match (source, file, primary) {
            (_, Some(_), Some(_)) => return Err(Problem::parameter("file", "a zone comes from a file or from a primary")),
            (None | Some(SourceKind::File), Some(path), None) => Some(Origin::File(path)),
            (None | Some(SourceKind::Transfer), None, Some(DnsServer(primary))) => {
                Some(Origin::Transfer { primary, tsig: tsig.clone() })
            }
            (Some(SourceKind::Upload), None, None) => Some(Origin::Upload),
            (None, None, None) => None,
            (Some(SourceKind::File), None, _) => return Err(Problem::parameter("file", "which file?")),
            (Some(SourceKind::Transfer), _, None) => return Err(Problem::parameter("primary", "which primary?")),
            (Some(_), ..) => return Err(Problem::parameter("source", "file and primary are for zones that come from there")),
        };
        if tsig.is_some() && !matches!(origin, Some(Origin::Transfer { .. })) {
            return Err(Problem::parameter("tsig", "a key is for a primary: name the primary in the same request"));
        }
        Ok(ZoneChange { view, origin, servers, others_serve_it, others_waived })
    }
}

/// What an import did.
#[derive(Serialize, ToSchema)]
struct ImportedBody {
    /// The zone as it is now.
    zone: ZoneEntry,
    /// RRsets that are new, or came back.
    added: u64,
    /// RRsets whose TTL or data changed.
    changed: u64,
    /// RRsets that are gone.
    removed: u64,
    /// RRsets that stay as they were.
    unchanged: u64,
    /// The first few that are new.
    examples_added: Vec<String>,
    /// The first few that changed.
    examples_changed: Vec<String>,
    /// The first few that are gone.
    examples_removed: Vec<String>,
}

impl ImportedBody {
    fn of(Imported { zone, summary }: Imported, zones: &Zones) -> Self {
        let names = |records: Vec<(String, zonepulse_dns::RecordType)>| {
            records.into_iter().map(|(owner, rtype)| format!("{owner} {rtype}")).collect()
        };
        let Summary { added, changed, removed, unchanged, examples_added, examples_changed, examples_removed, .. } = summary;
        ImportedBody {
            zone: ZoneEntry::of(zone, zones),
            added,
            changed,
            removed,
            unchanged,
            examples_added: names(examples_added),
            examples_changed: names(examples_changed),
            examples_removed: names(examples_removed),
        }
    }
}

/// List zones
///
/// All of the catalogue, by id.
#[utoipa::path(
    get, path = "/api/v2/zones", operation_id = "zones", tag = "Catalogue",
    params(Slice),
    responses((status = 200, description = "The zones.", body = Vec<ZoneEntry>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    let zones = app.central().zones().clone();
    let rows =
        blocking(move || zones.list().map(|rows| rows.into_iter().map(|zone| ZoneEntry::of(zone, &zones)).collect())).await?;
    Ok(listing::page(rows, &page, &uri))
}

/// Read a zone
#[utoipa::path(
    get, path = "/api/v2/zones/{zone_id}", operation_id = "zone", tag = "Catalogue",
    params(("zone_id" = u32, Path, description = "The zone.", minimum = 1)),
    responses(
        (status = 200, description = "The zone.", body = ZoneEntry),
        (status = 404, description = "There is no such zone.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn read(State(app): State<App>, path: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Json<ZoneEntry>, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("zone_id", path)?;
    let zones = app.central().zones().clone();
    Ok(Json(blocking(move || zones.find(id).map(|zone| ZoneEntry::of(zone, &zones))).await?))
}

/// Add a zone
///
/// It is empty until it is loaded: by uploading a file, or from its file or primary, soon.
#[utoipa::path(
    post, path = "/api/v2/zones", operation_id = "create_zone", tag = "Catalogue",
    request_body(content = NewZone, description = "The zone."),
    responses(
        (status = 201, description = "The zone.", body = ZoneEntry, headers(("Location" = String, description = "Where the zone is."))),
        (status = 409, description = "There is this apex in this view already, or there are too many zones.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    parameters::none(&uri)?;
    let new = NewZone::read(body::json(&headers, body, MAX_BYTES).await?)?;
    let change = new.rest.into_change()?;
    let zones = app.central().zones().clone();
    let zone = blocking(move || zones.create(&caller, &new.zone, change).map(|zone| ZoneEntry::of(zone, &zones))).await?;
    let location = format!("/api/v2/zones/{}", zone.zone_id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(zone)).into_response())
}

/// Change a zone
///
/// Where it comes from, or who serves it. Its apex stays: another apex is another zone.
#[utoipa::path(
    patch, path = "/api/v2/zones/{zone_id}", operation_id = "change_zone", tag = "Catalogue",
    params(("zone_id" = u32, Path, description = "The zone.", minimum = 1)),
    request_body(content = ZoneChangeBody, description = "What is to be different."),
    responses(
        (status = 200, description = "The zone as it is now.", body = ZoneEntry),
        (status = 404, description = "There is no such zone.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is this apex in that view already.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ZoneEntry>, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("zone_id", path)?;
    let change: ZoneChangeBody = body::typed("body", body::json(&headers, body, MAX_BYTES).await?)?;
    let change = change.into_change()?;
    let zones = app.central().zones().clone();
    Ok(Json(blocking(move || zones.change(&caller, id, change).map(|zone| ZoneEntry::of(zone, &zones))).await?))
}

/// Remove a zone
///
/// With its resources, whose ids are never used again. The zone itself, on its servers, is not touched.
#[utoipa::path(
    delete, path = "/api/v2/zones/{zone_id}", operation_id = "remove_zone", tag = "Catalogue",
    params(("zone_id" = u32, Path, description = "The zone.", minimum = 1)),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "There is no such zone.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("zone_id", path)?;
    blocking(move || app.central().zones().remove(&caller, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Upload a zone file
///
/// It replaces the contents of the zone: all of them, or none, and then the answer says what is wrong in which line. If more
/// than 30 % of the RRsets, and more than 20, would be removed, it needs `confirm=true`.
#[utoipa::path(
    put, path = "/api/v2/zones/{zone_id}/file", operation_id = "upload_zone", tag = "Catalogue",
    params(
        ("zone_id" = u32, Path, description = "The zone.", minimum = 1),
        Confirmation,
    ),
    request_body(content = String, content_type = "text/dns", description = "The zone file (RFC 1035 section 5, RFC 4027)."),
    responses(
        (status = 200, description = "What changed.", body = ImportedBody),
        (status = 400, description = "The file has errors, which the detail lists.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such zone.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It would remove much of the zone: confirm it.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is no zone file.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn upload(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ImportedBody>, Problem> {
    let confirmed = catalogue::confirmation(&uri)?;
    let id = parameters::id("zone_id", path)?;
    let media_type = body::media_type(&headers)?;
    if media_type != MEDIA_TYPE {
        let detail = format!("Content-Type is {media_type:?}: send a zone file as {MEDIA_TYPE}");
        return Err(Problem::new(Case::UnknownFormat, detail));
    }
    let mut held = app.unread().of(caller.principal.number());
    let take = |bytes| {
        let detail = |NoRoom { held_bytes }| {
            format!("there is no room for this file: {held_bytes} bytes of your requests and answers are on their way")
        };
        held.take(bytes).map_err(|no_room| Problem::new(Case::Busy, detail(no_room)).retry_after_s(5))
    };
    // Nobody is given more than half of the memory.
    let most_bytes = usize::try_from(app.unread().most() / 2).unwrap_or(usize::MAX).min(MAX_FILE_BYTES);
    let bytes = body::whole(body, most_bytes, take).await?;
    let zones = app.central().zones().clone();
    let imported = blocking(move || {
        let _held = held;
        zones.upload(&caller, id, bytes, confirmed).map(|imported| ImportedBody::of(imported, &zones))
    });
    Ok(Json(imported.await?))
}

/// Load a zone now
///
/// From its file or its primary. The answer is `null` if it was up to date.
#[utoipa::path(
    post, path = "/api/v2/zones/{zone_id}/refresh", operation_id = "refresh_zone", tag = "Catalogue",
    params(
        ("zone_id" = u32, Path, description = "The zone.", minimum = 1),
        Confirmation,
    ),
    responses(
        (status = 200, description = "What changed.", body = Option<ImportedBody>),
        (status = 400, description = "It could not be loaded, and the detail says why.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such zone.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It would remove much of the zone: confirm it.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn refresh(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<Option<ImportedBody>>, Problem> {
    let confirmed = catalogue::confirmation(&uri)?;
    let id = parameters::id("zone_id", path)?;
    let zones = app.central().zones();
    let imported = zones.refresh(ZoneId::new(id), confirmed).await?;
    Ok(Json(imported.map(|imported| ImportedBody::of(imported, zones))))
}
