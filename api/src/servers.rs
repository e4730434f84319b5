//! `/api/v2/pvservers`: the managed servers, and how they are set up.
//!
//! A server that is made, or that gets a new token, is handed over with one secret: a one-time enrolment token and the
//! line to type on the machine, or, for whoever asks for it, the token and a configuration with it. It is shown this
//! once and never again.
//!
//! Users who are not administrators may make servers and tokens, too, and then hold a token of the server's. So
//! its probe is not *trusted* with the broker's password or the token for pulling until an administrator says so.

use crate::app::App;
use crate::body::Members;
use crate::credentials::token;
use crate::handover::{CA_FILE, Credential, Occasion, ServerSecret, enroll_command};
use crate::listing::{self, blocking};
use crate::parameters::{self, Listed};
use crate::probe_file::ProbeFile;
use crate::problem::{Case, Problem};
use crate::rights::Caller;
use crate::server_body::{MEMBERS, NewServer, Said, ServerChange};
use crate::settings::{EffectiveSettings, SettingsSet, shown, shown_override};
use crate::time::{now_ms, text};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
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

/// How a server gets a new token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct Renewal {
    /// Which secret to hand over: a one-time token to enrol with, unless told otherwise, or the token itself.
    credential: Option<Credential>,
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
    let mut members = Members::read(&headers, body, &[MEMBERS, &["credential"]].concat()).await?;
    let name: String = members.required("server")?;
    let credential: Credential = members.take("credential")?.unwrap_or_default();
    let said = Said::read(&mut members)?;
    said.check_allowed(&caller)?;
    let handover = blocking(move || {
        let now_ms = now_ms();
        let (secret, pull_token) = (ServerSecret::make(credential, now_ms).map_err(Problem::internal)?, random()?);
        let registry = app.store().registry().by(caller.actor(now_ms)).entering(said.entered());
        let server = registry.make_server(&name, |server| {
            server.created_ms = now_ms;
            secret.give(server, caller.is_administrator());
            said.apply(server, pull_token)
        })?;
        hand_over(&app, &headers, server, &secret, Occasion::Made)
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
    let mut members = Members::read(&headers, body, MEMBERS).await?;
    let name = members.take("server")?;
    let mut said = Said::read(&mut members)?;
    said.name = name;
    said.check_allowed(&caller)?;
    blocking(move || {
        let pull_token = random()?;
        let registry = app.store().registry().by(caller.actor(now_ms())).entering(said.entered());
        let server = registry.change_server(id, "server.change", |server| said.apply(server, pull_token))?;
        Ok(Json(detail(&app, server)?))
    })
    .await
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
    let mut members = Members::read_optional(&headers, body, &["credential"]).await?;
    let credential: Credential = members.take("credential")?.unwrap_or_default();
    blocking(move || {
        let now_ms = now_ms();
        let secret = ServerSecret::make(credential, now_ms).map_err(Problem::internal)?;
        let registry = app.store().registry().by(caller.actor(now_ms));
        let server = registry.change_server(id, "server.token", |server| {
            secret.give(server, caller.is_administrator());
            Ok::<_, Problem>(())
        })?;
        Ok(Json(hand_over(&app, &headers, server, &secret, Occasion::Renewed)?))
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

fn random() -> Result<String, Problem> {
    token::random().map_err(Problem::internal)
}

fn hand_over(
    app: &App,
    headers: &HeaderMap,
    server: Server,
    secret: &ServerSecret,
    occasion: Occasion,
) -> Result<Handover, Problem> {
    let settings = app.store().registry().effective_settings(server.id)?;
    let url = app.addresses().url(&settings, headers);
    let authority = app.addresses().authority(&url).map_err(Problem::internal)?;
    let mut handover = Handover {
        server: detail(app, server)?,
        enrollment_token: None,
        enrollment_expires: None,
        enroll_command: None,
        token: None,
        probe_config: None,
        ca: None,
    };
    let text_of_secret = Some(secret.reveal().to_owned());
    match secret.credential() {
        Credential::EnrollmentToken => {
            handover.enrollment_token = text_of_secret;
            handover.enrollment_expires = Some(text(secret.expires_ms()));
            handover.enroll_command = Some(enroll_command(&url, authority.as_ref(), occasion));
        }
        Credential::Token => {
            let ca_file = authority.as_ref().map(|_| PathBuf::from(CA_FILE));
            let file = ProbeFile { url: Some(url), ca_file, interval_s: settings.dns_interval_s, ..ProbeFile::default() };
            handover.probe_config = Some(file.text(handover.server.server_id, &handover.server.server, secret.reveal()));
            handover.token = text_of_secret;
        }
    }
    handover.ca = authority.map(|authority| authority.pem().to_owned());
    Ok(handover)
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
        trusted: server.trusted,
    })
}

/// The server that a path names.
fn server_id(path: Result<Path<String>, PathRejection>) -> Result<u32, Problem> {
    let text = path.map_err(|error| parameters::bad_path(&error, "server_id"))?.0;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = if digits { text.parse().ok() } else { None };
    id.ok_or_else(|| Problem::parameter("server_id", format_args!("it has to be a number from 1 to {}", u32::MAX)))
}

fn missing(id: u32) -> Problem {
    Problem::new(Case::NotFound, format!("there is no server {id}"))
}
