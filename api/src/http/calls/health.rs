//! `/healthz` and `/readyz`: for whatever starts, watches and replaces a central.
//!
//! Two questions that are not one. A central whose disk is full is alive:
//! starting it again would help nobody. It is not ready, so whoever balances
//! load, or waits for a start to be over, should wait.

use crate::http::answer::problem::{Case, Problem};
use crate::http::state::App;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::readiness;

/// The routes, for everybody.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(alive)).routes(routes!(ready))
}

/// That all is well.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Is it alive?
///
/// 200 as long as the central answers at all. Needs no credentials.
#[utoipa::path(
    get, path = "/healthz", operation_id = "health", tag = "Service",
    responses((status = 200, description = "It is alive.", content_type = "application/json", body = Health, example = json!({"status": "ok"}))),
)]
async fn alive() -> Json<Health> {
    Json(OK)
}

/// Is it ready?
///
/// 200 when the store answers, its disk has room, batches can be written and, if a broker
/// is configured, are taken from its queue; otherwise 503, and `detail` says what is missing,
/// for a full disk with the bytes that are free and those that are needed. Needs no credentials.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready", tag = "Service",
    responses(
        (status = 200, description = "It is ready.", content_type = "application/json", body = Health, example = json!({"status": "ok"})),
        (status = 503, description = "It is not, for the reasons in `detail`.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn ready(State(app): State<App>) -> Result<Json<Health>, Problem> {
    let missing = tokio::task::spawn_blocking(move || readiness::missing(app.central())).await.map_err(Problem::internal)?;
    if missing.is_empty() {
        return Ok(Json(OK));
    }
    Err(Problem::new(Case::NotReady, missing.join("; ")).retry_after_s(5))
}
