//! Metrics of the machines: raw, rolled up, and which there are.
//!
//! As in `monitoring`, a call reads its parameters, asks the engine, and hands the answer to `render`.

use crate::http::answer::negotiate::Output;
use crate::http::answer::problem::Problem;
use crate::http::answer::rows::respond;
use crate::http::document::parameters::{BucketLength, Escaping, Paging, Range, SeriesSelection};
use crate::http::question::parameters::{SystemAggregate, SystemRaw, SystemSeries};
use crate::http::state::App;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_query::TimeRange;

/// The routes, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(raw)).routes(routes!(aggregate)).routes(routes!(metrics))
}

/// Raw metrics
///
/// The values as probes measured them: what stood at the end of each slot, or the mean rate over it
/// (`*_per_s`, `*_percent`). Without `date_from` and `date_to`, of the last 24 hours. In the order of `time`, then
/// server, metric and label, unless sorted.
#[utoipa::path(
    get, path = "/api/v2/monitoring/system/raw", operation_id = "system_raw", tag = "System",
    params(SeriesSelection, Range, Paging, Escaping),
    responses((status = 200, description = "The values.", body = Vec<SystemPoint>)),
)]
async fn raw(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine();
    let output = Output::asked(&headers, &uri)?;
    let SystemRaw { filter, range, page } = SystemRaw::read(&uri)?;
    app.central().known_servers(&filter.servers)?;
    let answer = engine.system_raw(&filter, range, &page).await?;
    respond(engine, output, answer, &page, range, &uri).await
}

/// Rolled up metrics
///
/// The least, greatest, mean and last value of each bucket, or of each day of `time_zone`, and how many there were, the
/// newest and unfinished bucket included. Without `date_from` and `date_to`, of the last 24 hours. In the order of `time`, then
/// server, metric and label, unless sorted.
#[utoipa::path(
    get, path = "/api/v2/monitoring/system/aggregate", operation_id = "system_aggregate", tag = "System",
    params(SeriesSelection, BucketLength, Range, Paging, Escaping),
    responses((status = 200, description = "The buckets.", body = Vec<SystemBucket>)),
)]
async fn aggregate(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine();
    let output = Output::asked(&headers, &uri)?;
    let SystemAggregate { filter, range, interval, page } = SystemAggregate::read(&uri)?;
    app.central().known_servers(&filter.servers)?;
    let answer = engine.system_aggregate(&filter, range, interval, &page).await?;
    respond(engine, output, answer, &page, range, &uri).await
}

/// Which metrics there are
///
/// Every metric and label that any server ever told of.
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

/// A value of a metric on one server in one slot.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a row")]
struct SystemPoint {
    /// Start of the slot.
    #[schema(format = DateTime)]
    time: String,
    /// The server's id.
    server_id: u32,
    /// The server's display name.
    server: String,
    /// What was measured.
    #[schema(example = "cpu_percent")]
    metric: String,
    /// Core, mount, device or state; empty where there is only one.
    #[schema(example = "total")]
    label: String,
    /// The value, in the unit that the metric's name ends with.
    value: f64,
}

/// The values of a metric on one server in one bucket.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a row")]
struct SystemBucket {
    /// Start of the bucket or day.
    #[schema(format = DateTime)]
    time: String,
    /// The server's id.
    server_id: u32,
    /// The server's display name.
    server: String,
    /// What was measured.
    #[schema(example = "disk_free_bytes")]
    metric: String,
    /// Core, mount, device or state; empty where there is only one.
    #[schema(example = "/var")]
    label: String,
    /// The least value.
    min: f64,
    /// The greatest.
    max: f64,
    /// The mean.
    avg: f64,
    /// The one that was measured last.
    last: f64,
    /// How many values there are.
    count: u64,
}

/// A metric, and one of its labels.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a row")]
struct SystemMetric {
    /// What is measured.
    #[schema(example = "tcp_connections")]
    metric: String,
    /// Core, mount, device or state; empty where there is only one.
    #[schema(example = "established")]
    label: String,
}
