//! `/api/v2/pvservers`: the managed servers, and how they are set up.
//!
//! What becomes of a server, and of its secrets, is `zonepulse_central::servers`'s business.

mod body;

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::calls::settings_schema::{EffectiveSettings, SettingsSet};
use crate::http::question::body::{Members, body};
use crate::http::question::parameters::{self, Listed};
use crate::http::state::App;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use body::{Credential, NewServer, ServerChange};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::Error;
use zonepulse_central::rights::Caller;
use zonepulse_central::servers::settings::{shown, shown_override};
use zonepulse_central::servers::{self, Effective, HandedOver};
use zonepulse_central::time::text;
use zonepulse_private::Secret;
use zonepulse_store::Server;

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
    /// Whether its probe is given the broker's password, or the token for pulling, where it needs them. It is not after a
    /// user who is not an administrator has made the server or a token of it: it then sends over HTTP instead of
    /// through the broker.
    trusted: bool,
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

impl ServerDetail {
    fn of(Effective { server, settings }: Effective) -> Result<Self, Error> {
        Ok(ServerDetail {
            server_id: server.id.get(),
            sample: server.sample,
            created: text(server.created_ms),
            removed: server.removed_ms.map(text),
            enrollment_expires: server.enrollment.map(|token| text(token.expires_ms)),
            settings: shown_override(&server.overrides)?.into(),
            effective_settings: shown(&settings)?.into(),
            server: server.name,
            os: server.os,
            address: server.address,
            notes: server.notes,
            services: server.services,
            pull_url: server.pull.url,
            trusted: server.trusted,
        })
    }
}

/// A server with what its probe needs. There is one secret in it, which is shown this once: `enrollment_token`, or `token`.
#[derive(Serialize, ToSchema)]
struct Handover {
    /// The server.
    server: ServerDetail,
    /// A token that is worth one enrolment. The probe gets a token of its own for it, which is shown to nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_token: Option<String>,
    /// Until when it can be used; there with `enrollment_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    enrollment_expires: Option<String>,
    /// What to type on the machine to enrol its probe; there with `enrollment_token`. It prompts for that token, or reads
    /// it from standard input: as an argument, every user of the machine could see it. That of a new token has `--force`: it
    /// replaces the credentials of a machine that is enrolled, and enrols one that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "zonepulse-probe enroll https://central.example:8053 -")]
    enroll_command: Option<String>,
    /// The token with which the probe sends; only where `credential` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// A configuration for the probe, in TOML, with the token in it; there with `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_config: Option<String>,
    /// The authority that the probe has to trust, in PEM, for the file that `tls.ca_file` of `probe_config` names; null
    /// when it is one that machines trust anyway. Whoever enrols does not need it: the command has its fingerprint.
    #[schema(required)]
    ca: Option<String>,
}

impl Handover {
    fn of(HandedOver { server, handover, ca }: HandedOver) -> Result<Self, Error> {
        let answer = Handover {
            server: ServerDetail::of(server)?,
            enrollment_token: None,
            enrollment_expires: None,
            enroll_command: None,
            token: None,
            probe_config: None,
            ca,
        };
        let shown = |secret: Secret| Some(secret.reveal().to_owned());
        Ok(match handover {
            servers::Handover::Enrollment { token, expires_ms, command } => Handover {
                enrollment_token: shown(token),
                enrollment_expires: Some(text(expires_ms)),
                enroll_command: Some(command),
                ..answer
            },
            servers::Handover::Token { token, probe_config } => {
                Handover { token: shown(token), probe_config: shown(probe_config), ..answer }
            }
        })
    }
}

body! {
    /// How a server gets a new token.
    struct Renewal {
        /// Which secret to hand over: a one-time token to enrol with, unless told otherwise, or the token itself.
        credential: Option<Credential> = take,
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
    let servers = blocking(move || app.central().store().registry().servers()).await?;
    let entry = |server: Server| ServerEntry {
        server_id: server.id.get(),
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
        let servers = servers::list(app.central(), removed)?;
        servers.into_iter().map(ServerDetail::of).collect::<Result<Vec<_>, Error>>()
    });
    Ok(listing::page(rows.await?, &page, &uri))
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
    blocking(move || ServerDetail::of(servers::find(app.central(), id)?)).await.map(Json)
}

/// Make a server
///
/// The answer has what its probe needs, and is the only one that has it: with one secret, a one-time token to enrol with
/// or, where `credential` is `token`, the token itself and a configuration with it. `pull_url`, `pull_token`, `trusted`,
/// `verify_ca`, and every address and all about the broker among `settings` are for administrators. A server that
/// another user makes is not trusted with secrets.
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
    let new = NewServer::read(&mut Members::read(&headers, body, NewServer::MEMBERS).await?)?;
    let handover = blocking(move || {
        let (name, credential, change) = new.into_parts();
        let asked_at = asked_at(&headers);
        Handover::of(servers::create(app.central(), &caller, &name, change, credential, asked_at.as_deref())?)
    });
    let handover = handover.await?;
    let location = format!("/api/v2/pvservers/{}", handover.server.server_id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(handover)).into_response())
}

/// Change a server
///
/// What is absent stays as it is; `null` resets it to its default (RFC 7396). `pull_url`,
/// `pull_token`, `trusted`, `verify_ca`, and every address and all about the broker among `settings` are for
/// administrators. A change that would send a secret elsewhere or less safely needs the secret in the same request:
/// `pull_token` with `pull_url`, `rabbitmq_password` with a broker of the server's own.
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
    let change = ServerChange::read(&mut Members::read(&headers, body, ServerChange::MEMBERS).await?)?;
    blocking(move || ServerDetail::of(servers::change(app.central(), &caller, id, change.into())?)).await.map(Json)
}

/// Give a server a new token
///
/// The old one is refused at once, also for batches that were signed with it and wait in the broker; so is an enrolment
/// token that was not used. The answer has what its probe needs, as when it was made. When the user is not an
/// administrator, the server is not trusted with secrets from then on.
#[utoipa::path(
    post, path = "/api/v2/pvservers/{server_id}/token", operation_id = "renew_server_token", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    request_body(content = Option<Renewal>, description = "What to hand over."),
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
    body: Body,
) -> Result<Json<Handover>, Problem> {
    parameters::none(&uri)?;
    let id = server_id(path)?;
    let mut members = Members::read_optional(&headers, body, Renewal::MEMBERS).await?;
    let credential = Renewal::read(&mut members)?.credential.unwrap_or_default();
    let handed_over = blocking(move || {
        let asked_at = asked_at(&headers);
        Handover::of(servers::renew(app.central(), &caller, id, credential.into(), asked_at.as_deref())?)
    });
    handed_over.await.map(Json)
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
    blocking(move || servers::remove(app.central(), &caller, id, purge)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The host at which whoever asks found this central.
fn asked_at(headers: &HeaderMap) -> Option<String> {
    headers.get(header::HOST)?.to_str().ok().map(str::to_owned)
}

/// The server that a path names.
fn server_id(path: Result<Path<String>, PathRejection>) -> Result<u32, Problem> {
    let text = path.map_err(|error| parameters::bad_path(&error, "server_id"))?.0;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = if digits { text.parse().ok() } else { None };
    id.ok_or_else(|| Problem::parameter("server_id", format_args!("it has to be a number from 1 to {}", u32::MAX)))
}
