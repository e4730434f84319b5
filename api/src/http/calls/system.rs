//! Metrics of the machines: raw values, roll-ups, and which metrics exist.
//!
//! The steps of a call are those of `monitoring`.

use crate::http::answer::negotiate::Output;
use crate::http::answer::problem::Problem;
use crate::http::answer::rows::respond;
use crate::http::document::metrics::{SystemBucket, SystemMetric, SystemPoint};
use crate::http::question::groups::{BucketLength, Escaping, Paging, Range, SeriesSelection};
use crate::http::question::parameters::{SystemAggregate, SystemRaw, SystemSeries};
use crate::http::state::App;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_query::TimeRange;

/// The routes, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(raw)).routes(routes!(aggregate)).routes(routes!(metrics))
}

/// Raw metrics
///
/// The values as probes measured them: the value at the end of each slot, or the mean rate over it (`*_per_s`,
/// `*_percent`). Without `date_from` and `date_to`, those of the last 24 hours. Sorted by `time`, server, metric and label
/// by default.
#[utoipa::path(
    get, path = "/api/v2/monitoring/system/raw", operation_id = "system_raw", tag = "System",
    params(SeriesSelection, Range, Paging, Escaping),
    responses((status = 200, description = "The values.", body = Vec<SystemPoint>)),
)]
async fn raw(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine().frozen();
    let output = Output::asked(&headers, &uri)?;
    let SystemRaw { filter, range, page } = SystemRaw::read(&uri, engine.now())?;
    app.central().known_servers(&filter.servers)?;
    let answer = engine.system_raw(&filter, range, &page).await?;
    respond(&engine, output, answer, &page, range, &uri).await
}

/// Rolled-up metrics
///
/// The minimum, maximum, mean and last value of each bucket, or of each day in `time_zone`, and the number of values,
/// including the newest, unfinished bucket. Without `date_from` and `date_to`, those of the last 24 hours. Sorted by
/// `time`, server, metric and label by default.
#[utoipa::path(
    get, path = "/api/v2/monitoring/system/aggregate", operation_id = "system_aggregate", tag = "System",
    params(SeriesSelection, BucketLength, Range, Paging, Escaping),
    responses((status = 200, description = "The buckets.", body = Vec<SystemBucket>)),
)]
async fn aggregate(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine().frozen();
    let output = Output::asked(&headers, &uri)?;
    let SystemAggregate { filter, range, interval, page } = SystemAggregate::read(&uri, engine.now())?;
    app.central().known_servers(&filter.servers)?;
    let answer = engine.system_aggregate(&filter, range, interval, &page).await?;
    respond(&engine, output, answer, &page, range, &uri).await
}

/// List metrics
///
/// Every metric and label that any server ever reported.
#[utoipa::path(
    get, path = "/api/v2/monitoring/system/metrics", operation_id = "system_metrics", tag = "System",
    params(Paging, Escaping),
    responses((status = 200, description = "The metrics and their labels.", body = Vec<SystemMetric>)),
)]
async fn metrics(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine();
    let output = Output::asked(&headers, &uri)?;
    let SystemSeries { page } = SystemSeries::read(&uri)?;
    let answer = engine.system_series(&page).await?;
    respond(engine, output, answer, &page, TimeRange::default(), &uri).await
}
