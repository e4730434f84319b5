//! `/healthz` and `/readyz`: for service managers, monitors and load balancers.
//!
//! Alive is not ready. A central whose disk is full is alive: restarting it would not help. It is not ready, so a load
//! balancer, or a script that waits for it to start, should wait.

use crate::http::answer::problem::{Case, Problem};
use crate::http::state::App;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::readiness;

/// The routes, for everyone.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(alive)).routes(routes!(ready))
}

/// A positive answer.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Check liveness
///
/// 200 as long as the central answers at all. No credentials are required.
#[utoipa::path(
    get, path = "/healthz", operation_id = "health", tag = "Service",
    responses((status = 200, description = "It is alive.", content_type = "application/json", body = Health, example = json!({"status": "ok"}))),
)]
async fn alive() -> Json<Health> {
    Json(OK)
}

/// Check readiness
///
/// 200 if the store answers, its disk has room, batches can be written and, if a broker is configured, are consumed from its
/// queue; otherwise 503, with what is missing in `detail`: for a full disk, the free bytes and the required ones. No
/// credentials are required.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready", tag = "Service",
    responses(
        (status = 200, description = "It is ready.", content_type = "application/json", body = Health, example = json!({"status": "ok"})),
        (status = 503, description = "It is not ready, for the reasons in `detail`.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn ready(State(app): State<App>) -> Result<Json<Health>, Problem> {
    let missing = tokio::task::spawn_blocking(move || readiness::missing(app.central())).await.map_err(Problem::internal)?;
    if missing.is_empty() {
        return Ok(Json(OK));
    }
    Err(Problem::of_reasons(Case::NotReady, missing).retry_after_s(5))
}
