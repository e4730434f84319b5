//! `/api/v2/pvservers`: the managed servers, and how they are set up.
//!
//! A server that is made, or that gets a new token, is handed over with all that
//! its probe needs, in two ways: a one-time enrolment token and the line to type
//! on the machine, or a configuration with the token in it. Secrets are shown this
//! once and never again.

use crate::app::App;
use crate::body::Members;
use crate::credentials::{password, token};
use crate::listing::{self, blocking};
use crate::parameters::{self, Listed};
use crate::probe_file::ProbeFile;
use crate::problem::{Case, Problem};
use crate::rights::Caller;
use crate::settings::{EffectiveSettings, SettingsSet, apply, shown, shown_override};
use crate::time::{now_ms, text};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_store::{EnrollmentToken, Server};

/// How long an enrolment token can be used, milliseconds: a day.
const ENROLLMENT_MS: u64 = 24 * 60 * 60 * 1000;

/// Which servers there are, for whoever asks about them.
pub fn names() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list_names))
}

/// What reads.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(read))
}

/// What makes servers.
pub fn creating() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(create))
}

/// What changes servers.
pub fn updating() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(change)).routes(routes!(renew))
}

/// What removes servers.
pub fn deleting() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(remove))
}

/// A managed server.
#[derive(Serialize, ToSchema)]
struct ServerEntry {
    /// Its id.
    server_id: u32,
    /// Its display name.
    server: String,
    /// Whether its data is a sample to look at, not a machine's.
    sample: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    created: String,
}

/// A managed server, and how it is set up.
#[derive(Serialize, ToSchema)]
struct ServerDetail {
    /// Its id. An id is never used again.
    server_id: u32,
    /// Its display name, unique among those that are not removed.
    server: String,
    /// Whether its data is a sample to look at, not a machine's.
    sample: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    created: String,
    /// When it was removed; null for one that is not.
    #[schema(format = DateTime, required)]
    removed: Option<String>,
    /// Its operating system; empty when nobody said.
    os: String,
    /// Its FQDN or IP address; empty when nobody said.
    address: String,
    /// What people want to remember about it.
    notes: String,
    /// What it is for.
    services: Vec<String>,
    /// Where the central collects from; empty for nowhere.
    pull_url: String,
    /// Until when its one-time enrolment token can be used; null when there is none.
    #[schema(format = DateTime, required)]
    enrollment_expires: Option<String>,
    /// What is set for this server and not as for all.
    #[schema(value_type = SettingsSet)]
    settings: Value,
    /// What holds for it.
    #[schema(value_type = EffectiveSettings)]
    effective_settings: Value,
}

/// What may be said of a server.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct ServerChange {
    /// Its display name, unique: 1 to 128 bytes.
    #[schema(min_length = 1, max_length = 128)]
    server: Option<String>,
    /// Whether its data is a sample to look at, not a machine's.
    sample: Option<bool>,
    /// Its operating system.
    #[schema(max_length = 255)]
    os: Option<String>,
    /// Its FQDN or IP address, without a port.
    #[schema(max_length = 255)]
    address: Option<String>,
    /// What people want to remember about it.
    #[schema(max_length = 4096)]
    notes: Option<String>,
    /// What it is for.
    #[schema(max_items = 32, example = json!(["dns"]))]
    services: Option<Vec<String>>,
    /// Where the central collects from, `http://…` or `https://…`.
    #[schema(max_length = 2048)]
    pull_url: Option<String>,
    /// What the central shows there; made at enrolment unless it is set. It is never shown.
    #[schema(write_only, max_length = 255)]
    pull_token: Option<String>,
    /// What is set for this server and not as for all.
    settings: Option<SettingsSet>,
}

/// A server to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct NewServer {
    /// Its display name, unique: 1 to 128 bytes.
    #[schema(min_length = 1, max_length = 128, example = "ns1")]
    server: String,
    /// Whether its data is a sample to look at, not a machine's.
    sample: Option<bool>,
    /// Its operating system; the probe says it when it is enrolled.
    #[schema(max_length = 255)]
    os: Option<String>,
    /// Its FQDN or IP address, without a port.
    #[schema(max_length = 255)]
    address: Option<String>,
    /// What people want to remember about it.
    #[schema(max_length = 4096)]
    notes: Option<String>,
    /// What it is for.
    #[schema(max_items = 32, example = json!(["dns"]))]
    services: Option<Vec<String>>,
    /// Where the central collects from, `http://…` or `https://…`.
    #[schema(max_length = 2048)]
    pull_url: Option<String>,
    /// What the central shows there; made at enrolment unless it is set. It is never shown.
    #[schema(write_only, max_length = 255)]
    pull_token: Option<String>,
    /// What is set for this server and not as for all.
    settings: Option<SettingsSet>,
}

/// A server with all that its probe needs. The secrets in it are shown this once.
#[derive(Serialize, ToSchema)]
struct Handover {
    /// The server.
    server: ServerDetail,
    /// Its token: with it the probe sends. Whoever enrols gets another one, and this one is then worth nothing.
    token: String,
    /// A token that is worth one enrolment.
    enrollment_token: String,
    /// Until when it can be used.
    #[schema(format = DateTime)]
    enrollment_expires: String,
    /// What to type on the machine to enrol its probe. It prompts for the enrolment token, or reads it from standard
    /// input: as an argument, every user of the machine could see it.
    #[schema(example = "zonepulse-probe enroll https://central.example:8053 -")]
    enroll_command: String,
    /// A configuration for the probe, in TOML, for whoever does not want to enrol.
    probe_config: String,
}

/// What a body says of a server.
#[derive(Default)]
struct Said {
    name: Option<String>,
    sample: Option<bool>,
    os: Option<String>,
    address: Option<String>,
    notes: Option<String>,
    services: Option<Vec<String>>,
    pull_url: Option<String>,
    pull_token: Option<String>,
    settings: Option<Map<String, Value>>,
}

/// The members of a body.
const MEMBERS: &[&str] = &["server", "sample", "os", "address", "notes", "services", "pull_url", "pull_token", "settings"];

impl Said {
    fn read(members: &mut Members) -> Result<Self, Problem> {
        Ok(Said {
            name: None,
            sample: members.take("sample")?,
            os: members.take("os")?,
            address: members.take("address")?,
            notes: members.take("notes")?,
            services: members.take("services")?,
            pull_url: members.take("pull_url")?,
            pull_token: members.take("pull_token")?,
            settings: members.take("settings")?,
        })
    }

    /// Puts it into a server.
    fn apply(self, server: &mut Server) -> Result<(), Problem> {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut server.name, self.name);
        set(&mut server.sample, self.sample);
        set(&mut server.os, self.os);
        set(&mut server.address, self.address);
        set(&mut server.notes, self.notes);
        set(&mut server.services, self.services);
        set(&mut server.pull.url, self.pull_url);
        set(&mut server.pull.token, self.pull_token);
        self.settings.map_or(Ok(()), |patch| apply(&mut server.overrides, &patch))
    }
}

/// Which servers there are
///
/// Their ids and names, which is what answers about them say; `pvservers` has all about them.
#[utoipa::path(
    get, path = "/api/v2/servers", operation_id = "servers", tag = "Servers",
    responses((status = 200, description = "The servers.", body = Vec<ServerEntry>)),
)]
async fn list_names(State(app): State<App>, uri: Uri) -> Result<Json<Vec<ServerEntry>>, Problem> {
    parameters::none(&uri)?;
    let servers = blocking(move || Ok(app.store().registry().servers()?)).await?;
    let entry = |server: Server| ServerEntry {
        server_id: server.id,
        server: server.name,
        sample: server.sample,
        created: text(server.created_ms),
    };
    Ok(Json(servers.into_iter().filter(|server| !server.is_removed()).map(entry).collect()))
}

/// List servers
///
/// All that are managed, by id, and how they are set up.
#[utoipa::path(
    get, path = "/api/v2/pvservers", operation_id = "list_servers", tag = "Servers",
    params(
        ("removed" = Option<bool>, Query, description = "Whether to list removed servers, of which there is history, too."),
        ("offset" = Option<u64>, Query, description = "How many rows to skip.", minimum = 0),
        ("limit" = Option<u32>, Query, description = "How many rows to give; 1000 unless told otherwise.", maximum = 100000),
    ),
    responses((status = 200, description = "The servers.", body = Vec<ServerDetail>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = Listed::read(&uri, &["removed"])?;
    let removed = page.removed;
    let rows = blocking(move || {
        let servers = app.store().registry().servers()?;
        servers.into_iter().filter(|server| removed || !server.is_removed()).map(|server| detail(&app, server)).collect()
    });
    Ok(listing::page::<ServerDetail>(rows.await?, &page, &uri))
}

/// Read a server
///
/// How it is set up, removed or not.
#[utoipa::path(
    get, path = "/api/v2/pvservers/{server_id}", operation_id = "server", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    responses(
        (status = 200, description = "The server.", body = ServerDetail),
        (status = 404, description = "There is no such server.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn read(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<ServerDetail>, Problem> {
    parameters::none(&uri)?;
    let id = server_id(path)?;
    blocking(move || {
        let server = app.store().registry().server(id)?;
        Ok(Json(detail(&app, server.ok_or_else(|| missing(id))?)?))
    })
    .await
}

/// Make a server
///
/// The answer has all that its probe needs, and is the only one that has it.
#[utoipa::path(
    post, path = "/api/v2/pvservers", operation_id = "create_server", tag = "Servers",
    request_body(content = NewServer, description = "The server."),
    responses(
        (status = 201, description = "The server, and what its probe needs.", body = Handover,
            headers(("Location" = String, description = "Where the server is."))),
        (status = 409, description = "The name is taken, or there are too many servers.", body = Problem, content_type = "application/problem+json"),
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
    let mut members = Members::read(&headers, body, MEMBERS).await?;
    let name: String = members.required("server")?;
    let said = Said::read(&mut members)?;
    let handover = blocking(move || {
        let now_ms = now_ms();
        let secrets = Secrets::make(now_ms)?;
        let registry = app.store().registry().by(caller.actor(now_ms));
        let server = registry.make_server(&name, |server| {
            server.created_ms = now_ms;
            secrets.give(server);
            said.apply(server)
        })?;
        hand_over(&app, &headers, server, secrets)
    });
    let handover = handover.await?;
    let location = format!("/api/v2/pvservers/{}", handover.server.server_id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(handover)).into_response())
}

/// Change a server
///
/// What is absent stays as it is; `null` puts it back to what it is without being said (RFC 7396).
#[utoipa::path(
    patch, path = "/api/v2/pvservers/{server_id}", operation_id = "change_server", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    request_body(content = ServerChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The server as it is now.", body = ServerDetail),
        (status = 404, description = "There is no such server, or it was removed.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ServerDetail>, Problem> {
    parameters::none(&uri)?;
    let id = server_id(path)?;
    let mut members = Members::read(&headers, body, MEMBERS).await?;
    let name = members.take("server")?;
    let said = Said { name, ..Said::read(&mut members)? };
    blocking(move || {
        let registry = app.store().registry().by(caller.actor(now_ms()));
        let server = registry.change_server(id, "server.change", |server| said.apply(server))?;
        Ok(Json(detail(&app, server)?))
    })
    .await
}

/// Give a server a new token
///
/// The old one is refused from then on. The answer has what its probe needs, as when it was made.
#[utoipa::path(
    post, path = "/api/v2/pvservers/{server_id}/token", operation_id = "renew_server_token", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    responses(
        (status = 200, description = "The server, and what its probe needs.", body = Handover),
        (status = 404, description = "There is no such server, or it was removed.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn renew(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Handover>, Problem> {
    parameters::none(&uri)?;
    let id = server_id(path)?;
    blocking(move || {
        let now_ms = now_ms();
        let secrets = Secrets::make(now_ms)?;
        let registry = app.store().registry().by(caller.actor(now_ms));
        let server = registry.change_server(id, "server.token", |server| {
            secrets.give(server);
            Ok::<_, Problem>(())
        })?;
        Ok(Json(hand_over(&app, &headers, server, secrets)?))
    })
    .await
}

/// Remove a server
///
/// Its token is refused from then on, and its id is never used again. Its history stays until
/// retention has taken it, unless it is to be purged: all its points, totals and reports are then
/// gone at once. A removed server can be purged later.
#[utoipa::path(
    delete, path = "/api/v2/pvservers/{server_id}", operation_id = "remove_server", tag = "Servers",
    params(
        ("server_id" = u32, Path, description = "The server.", minimum = 1),
        ("purge" = Option<bool>, Query, description = "Whether its history goes, too."),
    ),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "There is no such server, or it was removed before.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    let purge = parameters::purge(&uri)?;
    let id = server_id(path)?;
    blocking(move || {
        let now_ms = now_ms();
        app.store().registry().by(caller.actor(now_ms)).remove_server(id, now_ms, purge)?;
        app.fleet().forget(id);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What is made up for a server.
struct Secrets {
    token: String,
    enrollment_token: String,
    expires_ms: u64,
}

impl Secrets {
    fn make(now_ms: u64) -> Result<Self, Problem> {
        let random = || token::random().map_err(|error: password::Error| Problem::internal(error));
        Ok(Secrets { token: random()?, enrollment_token: random()?, expires_ms: now_ms + ENROLLMENT_MS })
    }

    fn give(&self, server: &mut Server) {
        server.token_hash = token::hash(&self.token);
        server.enrollment = Some(EnrollmentToken { hash: token::hash(&self.enrollment_token), expires_ms: self.expires_ms });
    }
}

fn hand_over(app: &App, headers: &HeaderMap, server: Server, secrets: Secrets) -> Result<Handover, Problem> {
    let settings = app.store().registry().effective_settings(server.id)?;
    let url = app.addresses().url(&settings, headers);
    let file = ProbeFile { url: url.clone(), interval_s: settings.dns_interval_s, ..ProbeFile::default() };
    let Secrets { token, enrollment_token, expires_ms } = secrets;
    Ok(Handover {
        probe_config: file.text(server.id, &server.name, &token),
        enroll_command: format!("zonepulse-probe enroll {url} -"),
        enrollment_expires: text(expires_ms),
        enrollment_token,
        token,
        server: detail(app, server)?,
    })
}

fn detail(app: &App, server: Server) -> Result<ServerDetail, Problem> {
    let settings = app.store().registry().effective_settings(server.id)?;
    Ok(ServerDetail {
        server_id: server.id,
        sample: server.sample,
        created: text(server.created_ms),
        removed: server.removed_ms.map(text),
        enrollment_expires: server.enrollment.map(|token| text(token.expires_ms)),
        settings: shown_override(&server.overrides)?,
        effective_settings: shown(&settings)?,
        server: server.name,
        os: server.os,
        address: server.address,
        notes: server.notes,
        services: server.services,
        pull_url: server.pull.url,
    })
}

/// The server that a path names.
fn server_id(path: Result<Path<String>, PathRejection>) -> Result<u32, Problem> {
    let text = path.map_err(|error| Problem::parameter("server_id", error.body_text()))?.0;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = if digits { text.parse().ok() } else { None };
    id.ok_or_else(|| Problem::parameter("server_id", format_args!("it has to be a number from 1 to {}", u32::MAX)))
}

fn missing(id: u32) -> Problem {
    Problem::new(Case::NotFound, format!("there is no server {id}"))
}
