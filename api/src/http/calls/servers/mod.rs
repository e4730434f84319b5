//! `/api/v2/pvservers`: the managed servers and their configuration.
//!
//! `zonepulse_central::servers` manages servers and their secrets. These are the calls and their JSON.

mod body;

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::calls::settings_schema::{EffectiveSettings, SettingsSet};
use crate::http::question::body::{Members, body};
use crate::http::question::groups::{Listing, Removal, Slice};
use crate::http::question::parameters;
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

/// The list of servers, for users who query data about them.
pub fn names() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list_names))
}

/// The routes for reading.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(read))
}

/// The routes for creating servers.
pub fn creating() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(create))
}

/// The routes for changing servers.
pub fn updating() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(change)).routes(routes!(renew))
}

/// The routes for removing servers.
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
    /// Whether its data is sample data, not that of a machine.
    sample: bool,
    /// When it was created.
    #[schema(format = DateTime)]
    created: String,
}

/// A managed server and its configuration.
#[derive(Serialize, ToSchema)]
struct ServerDetail {
    /// Its id, which is never reused.
    server_id: u32,
    /// Its display name, unique among servers that are not removed.
    server: String,
    /// Whether its data is sample data, not that of a machine.
    sample: bool,
    /// When it was created.
    #[schema(format = DateTime)]
    created: String,
    /// When it was removed; null if it is not.
    #[schema(format = DateTime, required)]
    removed: Option<String>,
    /// Its operating system; empty if unknown.
    os: String,
    /// Its FQDN or IP address; empty if unknown.
    address: String,
    /// Notes about it.
    notes: String,
    /// What it is used for.
    services: Vec<String>,
    /// The URL that the central pulls from; empty if none.
    pull_url: String,
    /// Whether its probe is trusted with secrets: the broker's password, or the pull token, if it needs them. It no longer is
    /// once a user who is not an administrator has created the server or a token for it; it then sends over HTTP instead of
    /// through the broker.
    trusted: bool,
    /// The newest version of the probe that bundles and installation over SSH give it; null for no limit.
    #[schema(required)]
    max_version: Option<String>,
    /// When its one-time enrolment token expires; null if there is none.
    #[schema(format = DateTime, required)]
    enrollment_expires: Option<String>,
    /// The settings of this server that override those for all servers.
    #[schema(value_type = SettingsSet)]
    settings: Value,
    /// The settings in effect.
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
            max_version: server.max_version,
        })
    }
}

/// A server with what its probe needs. It contains one secret, which is shown only once: `enrollment_token` or `token`.
#[derive(Serialize, ToSchema)]
struct Handover {
    /// The server.
    server: ServerDetail,
    /// A token for one enrolment. In exchange, the probe gets a token of its own, which nobody else sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_token: Option<String>,
    /// When it expires; present with `enrollment_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    enrollment_expires: Option<String>,
    /// The command that enrols the machine's probe; present with `enrollment_token`. It prompts for that token, or reads it from
    /// standard input, because every user of the machine can see arguments. The command for a new token contains `--force`,
    /// which replaces the credentials of a machine that is already enrolled, and makes no difference otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "zonepulse-probe enroll https://central.example:8053 -")]
    enroll_command: Option<String>,
    /// The token with which the probe sends batches and heartbeats; only if `credential` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// A configuration for the probe, in TOML, including the token; present with `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_config: Option<String>,
    /// The certificate authority that the probe must trust, in PEM, for the file that `tls.ca_file` in `probe_config` names;
    /// null if machines trust it anyway. Enrolment does not need it: the command contains its fingerprint.
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
    /// A new token for a server.
    struct Renewal {
        /// Which secret to hand over: a one-time token for enrolment (the default), or the token itself.
        credential: Option<Credential> = take,
    }
}

/// List ids and names of servers
///
/// Only what answers about servers contain; `pvservers` has everything about them.
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
/// All managed servers and their configuration, sorted by id.
#[utoipa::path(
    get, path = "/api/v2/pvservers", operation_id = "list_servers", tag = "Servers",
    params(Listing, Slice),
    responses((status = 200, description = "The servers.", body = Vec<ServerDetail>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let (Listing { removed }, page) = parameters::listing(&uri)?;
    let rows = blocking(move || {
        let servers = servers::list(app.central(), removed)?;
        servers.into_iter().map(ServerDetail::of).collect::<Result<Vec<_>, Error>>()
    });
    Ok(listing::page(rows.await?, &page, &uri))
}

/// Read a server
///
/// A server and its configuration, even if it was removed.
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

/// Create a server
///
/// Only this answer contains what its probe needs, including one secret: a one-time token for enrolment or, if `credential`
/// is `token`, the token itself and a configuration that contains it. `pull_url`, `pull_token`, `trusted`, `verify_ca`, and
/// among `settings` every address and everything about the broker are for administrators. A server created by another user
/// is not trusted with secrets.
#[utoipa::path(
    post, path = "/api/v2/pvservers", operation_id = "create_server", tag = "Servers",
    request_body(content = NewServer, description = "The server."),
    responses(
        (status = 201, description = "The server and what its probe needs.", body = Handover,
            headers(("Location" = String, description = "The path of the server."))),
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
/// Absent members are unchanged; `null` resets one to its default (RFC 7396). `pull_url`, `pull_token`, `trusted`,
/// `verify_ca`, and among `settings` every address and everything about the broker are for administrators. A change that
/// would send a secret elsewhere or less securely must contain the secret: `pull_token` with `pull_url`, `rabbitmq_password`
/// with a broker of the server's own.
#[utoipa::path(
    patch, path = "/api/v2/pvservers/{server_id}", operation_id = "change_server", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    request_body(content = ServerChange, description = "The changes."),
    responses(
        (status = 200, description = "The changed server.", body = ServerDetail),
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

/// Replace a server's token
///
/// The old one is refused at once, even for batches that were signed with it and are waiting in the broker, and so is an
/// unused enrolment token. The answer contains what the probe needs, as for a new server. If the user is not an
/// administrator, the server is no longer trusted with secrets.
#[utoipa::path(
    post, path = "/api/v2/pvservers/{server_id}/token", operation_id = "renew_server_token", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    request_body(content = Option<Renewal>, description = "Which secret to hand over."),
    responses(
        (status = 200, description = "The server and what its probe needs.", body = Handover),
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
/// Its token is refused from now on, and its id is never reused. Its history remains until retention removes it; `purge`
/// deletes all its points, totals and reports at once. A removed server can be purged later.
#[utoipa::path(
    delete, path = "/api/v2/pvservers/{server_id}", operation_id = "remove_server", tag = "Servers",
    params(
        ("server_id" = u32, Path, description = "The server.", minimum = 1),
        Removal,
    ),
    responses(
        (status = 204, description = "The server is removed."),
        (status = 404, description = "There is no such server, or it was already removed.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    let Removal { purge } = parameters::removal(&uri)?;
    let id = server_id(path)?;
    blocking(move || servers::remove(app.central(), &caller, id, purge)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The host at which the caller reached this central.
pub(super) fn asked_at(headers: &HeaderMap) -> Option<String> {
    headers.get(header::HOST)?.to_str().ok().map(str::to_owned)
}

/// The server named in a path.
fn server_id(path: Result<Path<String>, PathRejection>) -> Result<u32, Problem> {
    let text = path.map_err(|error| parameters::bad_path(&error, "server_id"))?.0;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = if digits { text.parse().ok() } else { None };
    id.ok_or_else(|| Problem::parameter("server_id", format_args!("it has to be a number from 1 to {}", u32::MAX)))
}
