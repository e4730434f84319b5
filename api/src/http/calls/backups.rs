//! `/api/v2/backups`: encrypted copies of the store.

use crate::http::answer::listing;
use crate::http::answer::problem::{Case, Problem};
use crate::http::blocking::blocking;
use crate::http::question::groups::Slice;
use crate::http::question::parameters;
use crate::http::state::App;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_backup::Kind;
use zonepulse_central::backups::{Backup, Backups, Failed, Running, Status};
use zonepulse_central::rights::Caller;
use zonepulse_central::time::{now_ms, text};

/// How old what is known of the destination may be, milliseconds.
const FRESH_MS: u64 = 30_000;

/// The routes, for administrators.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(start)).routes(routes!(read))
}

/// How a backup is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BackupState {
    /// It is being made.
    Running,
    /// It can be restored.
    Complete,
    /// Something is missing of it: it cannot be restored.
    Damaged,
    /// It was not made.
    Failed,
}

/// Whether a backup needed objects of earlier ones.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BackupKind {
    Full,
    Incremental,
}

/// A backup.
#[derive(Serialize, ToSchema)]
struct BackupRow {
    /// Its name.
    #[schema(example = "20261128T020000Z-5d0f3a21")]
    backup_id: String,
    state: BackupState,
    /// The time whose state it holds; of one that is running or has failed, when it began.
    #[schema(format = DateTime)]
    time: String,
    /// Whether it needed objects of earlier ones; null if it is not complete.
    kind: Option<BackupKind>,
    /// Where it is stored.
    destination: String,
    /// Bytes of all its objects; null if it is not complete.
    size_bytes: Option<u64>,
    /// Bytes that it added to those of earlier ones; null if it is not complete.
    new_bytes: Option<u64>,
    /// How long it took, or has taken so far, milliseconds.
    duration_ms: u64,
    /// Whether all its objects are there in full, each of which was read back and compared when it was stored.
    verified: bool,
    /// Of one that is running, bytes of files that are saved; null otherwise.
    done_bytes: Option<u64>,
    /// Of one that is running, bytes of files that are to be saved, as far as is known; null otherwise.
    total_bytes: Option<u64>,
    /// The public keys to which it is encrypted.
    recipients: Vec<String>,
    /// The version of the program that made it; null if it is not complete.
    program_version: Option<String>,
    /// Why it failed or is damaged; null if neither.
    error: Option<String>,
}

impl BackupRow {
    fn of(backup: Backup, destination: &str) -> Self {
        let Backup { manifest, fault } = backup;
        BackupRow {
            state: if fault.is_some() { BackupState::Damaged } else { BackupState::Complete },
            time: text(manifest.time_ms),
            kind: Some(match manifest.kind() {
                Kind::Full => BackupKind::Full,
                Kind::Incremental => BackupKind::Incremental,
            }),
            destination: destination.to_owned(),
            size_bytes: Some(manifest.size_bytes()),
            new_bytes: Some(manifest.new_bytes),
            duration_ms: manifest.duration_ms,
            verified: fault.is_none(),
            done_bytes: None,
            total_bytes: None,
            program_version: Some(manifest.program_version),
            recipients: manifest.recipients,
            error: fault,
            backup_id: manifest.id,
        }
    }

    fn without_manifest(backup_id: String, state: BackupState, time_ms: u64, destination: &str) -> Self {
        BackupRow {
            backup_id,
            state,
            time: text(time_ms),
            kind: None,
            destination: destination.to_owned(),
            size_bytes: None,
            new_bytes: None,
            duration_ms: 0,
            verified: false,
            done_bytes: None,
            total_bytes: None,
            recipients: Vec::new(),
            program_version: None,
            error: None,
        }
    }

    fn running(running: &Running, destination: &str) -> Self {
        let (done, total) = running.progress();
        let (done_bytes, total_bytes) = (Some(done), Some(total));
        let duration_ms = now_ms().saturating_sub(running.began_ms);
        let row = Self::without_manifest(running.id.clone(), BackupState::Running, running.began_ms, destination);
        BackupRow { done_bytes, total_bytes, duration_ms, ..row }
    }

    fn failed(failed: Failed, destination: &str) -> Self {
        let duration_ms = failed.ended_ms.saturating_sub(failed.began_ms);
        let row = Self::without_manifest(failed.id, BackupState::Failed, failed.began_ms, destination);
        BackupRow { error: Some(failed.error), duration_ms, ..row }
    }
}

/// All backups, newest first.
fn rows(backups: &Backups) -> Result<Vec<BackupRow>, Problem> {
    let Some(options) = backups.options() else { return Ok(Vec::new()) };
    let destination = options.destination.to_string();
    let known = backups.status();
    let is_fresh = known.looked_ms.is_some_and(|looked_ms| now_ms().abs_diff(looked_ms) < FRESH_MS);
    let status = match is_fresh || known.running.is_some() {
        true => known,
        // A destination that does not answer is why the last ones failed.
        false => match backups.look() {
            Err(_) if !known.failed.is_empty() => known,
            looked => looked?,
        },
    };
    let Status { running, backups, unreadable, failed, .. } = status;
    let unreadable = unreadable.into_iter().map(|(id, why)| {
        let row = BackupRow::without_manifest(id, BackupState::Damaged, 0, &destination);
        BackupRow { error: Some(why), ..row }
    });
    let failed = failed.into_iter().map(|failed| BackupRow::failed(failed, &destination));
    let complete = backups.into_iter().map(|backup| BackupRow::of(backup, &destination));
    let running = running.iter().map(|running| BackupRow::running(running, &destination));
    let mut rows: Vec<BackupRow> = unreadable.chain(failed).chain(complete).chain(running).collect();
    rows.sort_by(|a, b| b.backup_id.cmp(&a.backup_id));
    Ok(rows)
}

/// List the backups
///
/// The backups at the destination, as of at most 30 seconds ago, the one that is being made, and those that failed since
/// the start, newest first. Empty if no backups are configured.
#[utoipa::path(
    get, path = "/api/v2/backups", operation_id = "backups", tag = "Service",
    params(Slice),
    responses((status = 200, description = "The backups.", body = Vec<BackupRow>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    let found = blocking(move || rows(app.central().backups())).await?;
    Ok(listing::page(found, &page, &uri))
}

/// A backup that was started.
#[derive(Serialize, ToSchema)]
struct Started {
    /// Its name.
    #[schema(example = "20261128T020000Z-5d0f3a21")]
    backup_id: String,
}

/// Make a backup now
///
/// Starts a backup and returns its name; how it fares is in the list. One is made at a time. 409 if one is being made, or
/// if no backups are configured.
#[utoipa::path(
    post, path = "/api/v2/backups", operation_id = "make_backup", tag = "Service",
    responses((status = 202, description = "It was started.", body = Started)),
)]
async fn start(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<(StatusCode, Json<Started>), Problem> {
    parameters::none(&uri)?;
    let backup_id = blocking(move || app.central().backups().start(&caller)).await?;
    Ok((StatusCode::ACCEPTED, Json(Started { backup_id })))
}

/// Read a backup
#[utoipa::path(
    get, path = "/api/v2/backups/{backup_id}", operation_id = "backup", tag = "Service",
    params(("backup_id" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The backup.", body = BackupRow)),
)]
async fn read(State(app): State<App>, path: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Json<BackupRow>, Problem> {
    parameters::none(&uri)?;
    let Path(id) = path.map_err(|error| Problem::parameter("backup_id", error.body_text()))?;
    let found = blocking(move || rows(app.central().backups())).await?;
    let missing = || Problem::new(Case::NotFound, "there is no such backup");
    Ok(Json(found.into_iter().find(|row| row.backup_id == id).ok_or_else(missing)?))
}
