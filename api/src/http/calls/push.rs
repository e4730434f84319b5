//! `/api/v2/pvservers/pushconfig`, `…/pushupdate` and `…/jobs`: installing and updating probes over SSH.

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::body::{Members, body};
use crate::http::question::groups::Slice;
use crate::http::question::parameters;
use crate::http::state::App;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::push::{self, DEFAULT_WAIT, Identity, Job, JobState, Kind, Login, Order, Progress, State as StepState};
use zonepulse_central::rights::Caller;
use zonepulse_central::servers;
use zonepulse_central::time::text;
use zonepulse_private::Secret;

/// Range of how long to wait for a heartbeat, seconds.
const WAIT_S: std::ops::RangeInclusive<u32> = 10..=900;

/// What reads.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(read))
}

/// What administrators do: the central connects to an address that they name.
pub fn managing() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(install)).routes(routes!(update))
}

body! {
    /// How to reach a node. Passwords and keys are kept in memory, until the job has ended.
    struct PushOrder {
        /// The node: `user@host` or `user@host:port`, with an IPv6 address in brackets.
        #[schema(example = "root@ns1.example")]
        node: String = required,
        /// The user's password, or the passphrase of the key.
        #[schema(value_type = Option<String>, write_only)]
        password: Option<Secret> = optional,
        /// A private key, in the format of OpenSSH.
        #[schema(value_type = Option<String>, write_only)]
        private_key: Option<Secret> = optional,
        /// The node's host key: its fingerprint (`SHA256:…`, as `ssh-keygen -lf` prints it there), or the key itself
        /// (`ssh-ed25519 AAAA…`). Without it, the key has to be known to the central from an earlier connection.
        host_key: Option<String> = optional,
        /// Whether to believe a host key that is seen for the first time. It is known from then on, and shown in the message of
        /// the first step.
        accept_new_host_key: bool = take_or_default,
        /// A host through which the node is reached, in the same form.
        jump: Option<String> = optional,
        /// The password there; the private key is used there as well.
        #[schema(value_type = Option<String>, write_only)]
        jump_password: Option<Secret> = optional,
        /// Its host key.
        jump_host_key: Option<String> = optional,
        /// Whether to become root with `sudo`, which must not ask for a password.
        sudo: bool = take_or_default,
        /// Whether to enrol a node that is enrolled already; its credentials are replaced. Only for an installation.
        enroll: bool = take_or_default,
        /// The directory for everything that is installed, instead of the usual places.
        prefix: Option<String> = optional,
        /// How long to wait for the first heartbeat, seconds: 10 to 900; 90 by default.
        #[schema(minimum = 10, maximum = 900)]
        wait_s: Option<u32> = optional,
    }
}

impl PushOrder {
    fn into_order(self, server_id: u32, kind: Kind) -> Result<Order, Problem> {
        let host_key = self.host_key.as_deref().map(|key| parsed("host_key", key)).transpose()?;
        let jump_key = self.jump_host_key.as_deref().map(|key| parsed("jump_host_key", key)).transpose()?;
        if self.accept_new_host_key && (host_key.is_some() || jump_key.is_some()) {
            return Err(Problem::parameter("accept_new_host_key", "a host key was given: nothing else is accepted"));
        }
        if self.password.is_none() && self.private_key.is_none() {
            return Err(Problem::parameter("password", "it is missing, and so is private_key"));
        }
        let jump = match &self.jump {
            Some(jump) => Some(Login { target: parsed("jump", jump)?, password: self.jump_password, host_key: jump_key }),
            None if self.jump_password.is_some() || jump_key.is_some() => {
                return Err(Problem::parameter("jump", "it is missing"));
            }
            None => None,
        };
        let wait_s = self.wait_s.unwrap_or_else(|| u32::try_from(DEFAULT_WAIT.as_secs()).unwrap_or(u32::MAX));
        if !WAIT_S.contains(&wait_s) {
            return Err(Problem::parameter("wait_s", format_args!("it is from {} to {}", WAIT_S.start(), WAIT_S.end())));
        }
        if let Some(reason) = self.prefix.as_deref().and_then(push::prefix_fault) {
            return Err(Problem::parameter("prefix", reason));
        }
        if kind == Kind::Update && self.enroll {
            return Err(Problem::parameter("enroll", "an update keeps the credentials"));
        }
        Ok(Order {
            server_id,
            kind,
            node: Login { target: parsed("node", &self.node)?, password: self.password, host_key },
            jump,
            identity: self.private_key.map(Identity::Text),
            known_hosts: Vec::new(),
            accept_new_host_key: self.accept_new_host_key,
            configuration: None,
            enroll: self.enroll,
            sudo: self.sudo,
            prefix: self.prefix,
            wait: Duration::from_secs(wait_s.into()),
            work: PathBuf::new(),
        })
    }
}

fn parsed<T: FromStr<Err: Display>>(name: &'static str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::parameter(name, error))
}

/// How a job is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum JobWord {
    /// Others come first: at most 4 run at a time.
    Waiting,
    /// It is being done.
    Running,
    /// The probe is installed, and its heartbeat has arrived.
    Done,
    /// A step failed.
    Failed,
    /// The central ended meanwhile.
    Interrupted,
}

/// How a step is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StepWord {
    /// It has not begun.
    Waiting,
    /// It is being done.
    Running,
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// It was not needed, or not reached.
    Skipped,
}

/// A step of a job.
#[derive(Serialize, ToSchema)]
struct StepBody {
    /// `connect`, `check`, `bundle`, `copy`, `install`, `heartbeat` or `rollback`.
    step: &'static str,
    /// How it is.
    state: StepWord,
    /// When it began; null if it has not.
    #[schema(format = DateTime, required)]
    started: Option<String>,
    /// When it ended; null if it has not.
    #[schema(format = DateTime, required)]
    ended: Option<String>,
    /// What there is to say: what was found, or why it failed and what to do.
    message: String,
}

/// An installation or update over SSH.
#[derive(Serialize, ToSchema)]
struct JobBody {
    /// Its number.
    job_id: u64,
    /// The server.
    server_id: u32,
    /// `install` or `update`.
    kind: &'static str,
    /// The node.
    node: String,
    /// The host through which it is reached; null if it is reached directly.
    #[schema(required)]
    jump: Option<String>,
    /// The user who started it.
    by: String,
    /// How it is.
    state: JobWord,
    /// How much is done, percent.
    #[schema(maximum = 100)]
    progress_percent: u8,
    /// When it was started.
    #[schema(format = DateTime)]
    created: String,
    /// When it began; null while it waits.
    #[schema(format = DateTime, required)]
    started: Option<String>,
    /// When it ended; null if it has not.
    #[schema(format = DateTime, required)]
    ended: Option<String>,
    /// The version that is installed; null until that is known.
    #[schema(required)]
    version: Option<String>,
    /// The version that was installed before; null if none was, or while that is not known.
    #[schema(required)]
    previous_version: Option<String>,
    /// Whether the version before was brought back.
    rolled_back: bool,
    /// The steps, in order.
    steps: Vec<StepBody>,
}

impl From<Job> for JobBody {
    fn from(job: Job) -> Self {
        let Job { id, server_id, kind, node, jump, by, created_ms, started_ms, ended_ms, state, progress } = job;
        let Progress { steps, percent, version, previous_version, rolled_back } = progress;
        let step = |step: push::Step| StepBody {
            step: step.name.as_str(),
            state: match step.state {
                StepState::Waiting => StepWord::Waiting,
                StepState::Running => StepWord::Running,
                StepState::Done => StepWord::Done,
                StepState::Failed => StepWord::Failed,
                StepState::Skipped => StepWord::Skipped,
            },
            started: step.started_ms.map(text),
            ended: step.ended_ms.map(text),
            message: step.message,
        };
        JobBody {
            job_id: id,
            server_id,
            kind: match kind {
                Kind::Install => "install",
                Kind::Update => "update",
            },
            node,
            jump,
            by,
            state: match state {
                JobState::Waiting => JobWord::Waiting,
                JobState::Running => JobWord::Running,
                JobState::Done => JobWord::Done,
                JobState::Failed => JobWord::Failed,
                JobState::Interrupted => JobWord::Interrupted,
            },
            progress_percent: percent,
            created: text(created_ms),
            started: started_ms.map(text),
            ended: ended_ms.map(text),
            version,
            previous_version,
            rolled_back,
            steps: steps.into_iter().map(step).collect(),
        }
    }
}

/// Install a probe over SSH
///
/// A job: the central logs in to the node, checks it, copies a setup bundle there, runs its `install.sh`, and waits for the
/// first heartbeat. The answer is the job, whose steps can be followed at its path. Host keys are always verified.
#[utoipa::path(
    post, path = "/api/v2/pvservers/pushconfig/{server_id}", operation_id = "install_probe", tag = "Installation",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    request_body(content = PushOrder, description = "The node."),
    responses(
        (status = 202, description = "The job.", body = JobBody, headers(("Location" = String, description = "The path of the job."))),
        (status = 404, description = "There is no such server.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A job is at work on this server.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn install(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    start(app, caller, path, &uri, headers, body, Kind::Install).await
}

/// Update a probe over SSH
///
/// Like an installation, of a probe that a bundle has installed. The version before is kept; if the new one does not send a
/// heartbeat within `wait_s`, it is brought back, and the job says so.
#[utoipa::path(
    post, path = "/api/v2/pvservers/pushupdate/{server_id}", operation_id = "update_probe", tag = "Installation",
    params(("server_id" = u32, Path, description = "The server.", minimum = 1)),
    request_body(content = PushOrder, description = "The node."),
    responses(
        (status = 202, description = "The job.", body = JobBody, headers(("Location" = String, description = "The path of the job."))),
        (status = 404, description = "There is no such server.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A job is at work on this server.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn update(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    start(app, caller, path, &uri, headers, body, Kind::Update).await
}

async fn start(
    app: App,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    uri: &Uri,
    headers: HeaderMap,
    body: Body,
    kind: Kind,
) -> Result<Response, Problem> {
    parameters::none(uri)?;
    let id = parameters::id("server_id", path)?;
    let order = PushOrder::read(&mut Members::read(&headers, body, PushOrder::MEMBERS).await?)?.into_order(id, kind)?;
    let asked_at = super::servers::asked_at(&headers);
    let job = blocking(move || servers::push::start(app.central(), &caller, order, asked_at)).await?;
    let location = format!("/api/v2/pvservers/jobs/{}", job.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(JobBody::from(job))).into_response())
}

/// List jobs
///
/// Installations and updates over SSH, the newest first. The last 100 are kept.
#[utoipa::path(
    get, path = "/api/v2/pvservers/jobs", operation_id = "jobs", tag = "Installation",
    params(Slice),
    responses((status = 200, description = "The jobs.", body = Vec<JobBody>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    Ok(listing::page(app.central().jobs().list().into_iter().map(JobBody::from).collect(), &page, &uri))
}

/// Read a job
///
/// A job and its steps, while it runs and afterwards.
#[utoipa::path(
    get, path = "/api/v2/pvservers/jobs/{job_id}", operation_id = "job", tag = "Installation",
    params(("job_id" = u32, Path, description = "The job.", minimum = 1)),
    responses(
        (status = 200, description = "The job.", body = JobBody),
        (status = 404, description = "There is no such job (any more).", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn read(State(app): State<App>, path: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Json<JobBody>, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("job_id", path)?;
    Ok(Json(app.central().jobs().find(id.into())?.into()))
}
