//! `/metrics`: the state of the central itself, for Prometheus.

use crate::http::answer::problem::Problem;
use crate::http::question::parameters;
use crate::http::state::App;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The media type of the answer.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(metrics))
}

/// Metrics for Prometheus
///
/// The state of the central itself: batches, points, queues, sizes of the store, free disk space, queries, requests. With
/// `metrics.listen` in the configuration, they are also available at an address of their own, without credentials.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "Service",
    responses((status = 200, description = "The metrics.", content_type = "application/openmetrics-text", body = String)),
)]
async fn metrics(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    parameters::none(&uri)?;
    // Sizes are asked of the database.
    let text = tokio::task::spawn_blocking(move || app.metrics().text()).await;
    let text = text.map_err(Problem::internal)?.map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}
