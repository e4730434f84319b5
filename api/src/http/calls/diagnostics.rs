//! Diagnostics: `/api/v2/pvservers/runDiagnostics/{server_id}` and what follows from it.
//!
//! `zonepulse_central::diagnostics` orders them of the probes and keeps the results. These are the calls and their JSON.

use crate::http::answer::problem::{Case, Problem};
use crate::http::blocking::blocking;
use crate::http::question::body::{self, media_type};
use crate::http::question::parameters;
use crate::http::question::query_string::Pairs;
use crate::http::state::App;
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
use zonepulse_central::credentials::Principal;
use zonepulse_central::diagnostics;
use zonepulse_central::diagnostics::runs::{self, Run, Unwanted};
use zonepulse_central::rights::Caller;
use zonepulse_central::time::{now_ms, text};
use zonepulse_doctor::{BundleError, Check, MAX_BUNDLE_BYTES, Status};

/// The media type of a result.
const MEDIA_TYPE: &str = "application/vnd.zonepulse.diagnostics";

/// The routes for whoever may change the server.
pub fn updating() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(run)).routes(routes!(read)).routes(routes!(download))
}

/// The route for probes.
pub fn sending() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(receive))
}

/// A run of a server's diagnostics.
#[derive(Serialize, ToSchema)]
struct DiagnosticsRun {
    /// The server.
    server_id: u32,
    /// The number of the run.
    run: u64,
    /// How far it is.
    state: RunState,
    /// Who requested it.
    requested_by: String,
    /// When it was requested.
    #[schema(format = DateTime)]
    requested: String,
    /// When the probe first got the order; null if it has not.
    #[schema(format = DateTime, required)]
    running: Option<String>,
    /// When it ended; null if it has not.
    #[schema(format = DateTime, required)]
    ended: Option<String>,
    /// Why it ended without a result; otherwise null.
    #[schema(required)]
    detail: Option<String>,
    /// The version of the probe; null if none was ever heard from.
    #[schema(required)]
    probe_version: Option<String>,
    /// The worst of the findings; null without a result.
    #[schema(required)]
    worst: Option<FindingStatus>,
    /// What was checked, and what was found; empty without a result.
    findings: Vec<Finding>,
}

/// How far a run is: `requested` until the probe has the order, `running` until the result arrives, `done` with a result;
/// without one `failed`, `expired` (none came in time, or it is no longer kept), or `unsupported` (the probe is of a version
/// that does not know the order).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RunState {
    /// The probe has not got the order yet.
    Requested,
    /// The probe has the order.
    Running,
    /// The result is here.
    Done,
    /// The probe cannot hand over a result.
    Failed,
    /// No result came in time, or it is no longer kept.
    Expired,
    /// The probe does not know the order.
    Unsupported,
}

impl From<runs::State> for RunState {
    fn from(state: runs::State) -> Self {
        match state {
            runs::State::Requested => RunState::Requested,
            runs::State::Running => RunState::Running,
            runs::State::Done => RunState::Done,
            runs::State::Failed => RunState::Failed,
            runs::State::Expired => RunState::Expired,
            runs::State::Unsupported => RunState::Unsupported,
        }
    }
}

/// Something that was checked.
#[derive(Serialize, ToSchema)]
struct Finding {
    /// Its name, which never changes; docs/DOCTOR.md lists them.
    #[schema(example = "dns_server")]
    id: String,
    /// What was checked.
    checked: String,
    /// The outcome.
    status: FindingStatus,
    /// What was found; if it was skipped, why.
    found: String,
    /// What to do; null if there is nothing to do.
    #[schema(required)]
    advice: Option<String>,
    /// What was found, as numbers and texts.
    values: Map<String, Value>,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum FindingStatus {
    /// Nothing is wrong.
    Ok,
    /// It does not apply, or could not be checked.
    Skipped,
    /// Something is wrong or soon will be, but the program does its work.
    Warning,
    /// The program cannot do its work, or not all of it.
    Error,
}

impl From<Status> for FindingStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Ok => FindingStatus::Ok,
            Status::Skipped => FindingStatus::Skipped,
            Status::Warning => FindingStatus::Warning,
            Status::Error => FindingStatus::Error,
        }
    }
}

impl From<&Check> for Finding {
    fn from(check: &Check) -> Self {
        Finding {
            id: check.id.clone().into_owned(),
            checked: check.checked.clone().into_owned(),
            status: check.status.into(),
            found: check.found.clone(),
            advice: check.advice.clone(),
            values: check.values.clone(),
        }
    }
}

impl DiagnosticsRun {
    fn of(server_id: u32, run: Run) -> Self {
        let report = run.bundle.as_ref().map(|bundle| &bundle.report);
        DiagnosticsRun {
            server_id,
            run: run.id,
            state: run.state.into(),
            requested: text(run.requested_ms),
            running: run.running_ms.map(text),
            ended: run.ended_ms.map(text),
            worst: report.map(|report| report.status.into()),
            findings: report.map(|report| report.checks.iter().map(Finding::from).collect()).unwrap_or_default(),
            requested_by: run.by,
            detail: run.detail,
            probe_version: run.probe_version,
        }
    }
}

/// Run diagnostics of a server
///
/// Its probe checks whatever it needs (`zonepulse-probe doctor`) and hands over what it finds, and files that help to
/// understand it. It gets the order with the answer to its next heartbeat, within half a minute; if the central pulls from
/// it, at once. `server_diagnostics` says how far it is.
#[utoipa::path(
    post, path = "/api/v2/pvservers/runDiagnostics/{server_id}", operation_id = "run_server_diagnostics", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    responses(
        (status = 202, description = "They are requested.", body = DiagnosticsRun),
        (status = 404, description = "There is no such server, or it was removed.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A run is under way.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<(StatusCode, Json<DiagnosticsRun>), Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("server_id", path)?;
    let run = blocking(move || diagnostics::request(app.central(), &caller, id)).await?;
    Ok((StatusCode::ACCEPTED, Json(DiagnosticsRun::of(id, run))))
}

/// Read a server's diagnostics
///
/// How far the last run is, and what it found. Results are kept in memory, for a day, and no longer than the central runs.
#[utoipa::path(
    get, path = "/api/v2/pvservers/diagnostics/{server_id}", operation_id = "server_diagnostics", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    responses(
        (status = 200, description = "The last run.", body = DiagnosticsRun),
        (status = 404, description = "There is no such server, or no run of it.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn read(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<DiagnosticsRun>, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("server_id", path)?;
    let run = blocking(move || diagnostics::find(app.central(), id)).await?;
    Ok(Json(DiagnosticsRun::of(id, run)))
}

/// Download a server's diagnostics
///
/// An archive (tar, gzip) with the report as text and JSON, the probe's configuration and settings, its counters and last log
/// lines, the machine, and the list of its spool. It contains no secrets, no names that were asked for, and no addresses of
/// clients.
#[utoipa::path(
    get, path = "/api/v2/pvservers/downloaddebug/{server_id}", operation_id = "download_server_diagnostics", tag = "Servers",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    responses(
        (status = 200, description = "The archive.", content_type = "application/gzip"),
        (status = 404, description = "There is no such server, or no result of a run.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn download(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("server_id", path)?;
    let (directory, archive) = blocking(move || diagnostics::archive(app.central(), &caller, id)).await?;
    let disposition = format!("attachment; filename=\"{directory}.tar.gz\"");
    let headers = [(header::CONTENT_TYPE, "application/gzip".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, archive).into_response())
}

/// Send diagnostics
///
/// For probes, with the token of their server, after an order in the answer to a heartbeat (`diagnose`).
#[utoipa::path(
    post, path = "/api/v2/monitoring/diagnostics", operation_id = "send_diagnostics", tag = "Probes",
    params(("run" = u64, Query, description = "The number of the run, from the order.")),
    request_body(content_type = "application/vnd.zonepulse.diagnostics", description = "A report and files: JSON, compressed with zstd, of at most 2 MiB."),
    responses(
        (status = 204, description = "The central has it."),
        (status = 400, description = "It cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "This run was not ordered, has expired, or has a result: drop it.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is larger than the central accepts.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "It is of another type.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn receive(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let Principal::Server(server_id) = caller.principal else {
        return Err(Problem::new(Case::NotAllowed, "only a server's token may send diagnostics"));
    };
    let run = run_of(&uri)?;
    if media_type(&headers)? != MEDIA_TYPE {
        return Err(Problem::new(Case::UnknownFormat, format!("Content-Type has to be {MEDIA_TYPE}")));
    }
    let mut held = app.central().pending().of(server_id);
    let bytes = body::whole(body, MAX_BUNDLE_BYTES, |bytes| held.take(bytes).map_err(Problem::from)).await;
    let bytes = bytes.inspect_err(|problem| {
        if problem.status() == StatusCode::PAYLOAD_TOO_LARGE {
            app.central().diagnostics().refuse(server_id, run, problem.detail(), now_ms());
        }
    })?;
    let central = app.central().clone();
    let received = move || Ok::<_, Problem>(central.diagnostics().receive(server_id, run, &bytes, now_ms()));
    blocking(received).await?.map_err(|unwanted| {
        let case = match &unwanted {
            Unwanted::Run(_) => Case::Conflict,
            Unwanted::Bundle(BundleError::TooLarge { .. }) => Case::RequestTooLarge,
            Unwanted::Bundle(BundleError::Malformed(_)) => Case::BadParameter,
        };
        Problem::new(case, unwanted.to_string())
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn run_of(uri: &Uri) -> Result<u64, Problem> {
    let pairs = Pairs::read(uri, &[&["run"]])?;
    let run = pairs.one_with("run", |run| run.parse().map_err(|_| "it has to be the number of a run".to_owned()))?;
    run.ok_or_else(|| Problem::parameter("run", "it is missing"))
}
