//! `GET /api/v2/monitoring/dns/…`: the questions about DNS.
//!
//! Every call goes the same way: which format is wanted, what is asked for,
//! the query engine's answer, and that as bytes. The documents of the
//! parameters and rows are in `document`.

use crate::http::answer::negotiate::Output;
use crate::http::answer::problem::Problem;
use crate::http::answer::rows::respond;
use crate::http::document::aggregate::{ByAndInterval, DnsAggregate, DnsRate, KeptTotals};
use crate::http::document::parameters::{ByAndStep, Escaping, Paging, Range, Selection, ServerSelection};
use crate::http::document::points::{CoverageReport, DnsPoint};
use crate::http::question::parameters::{Aggregate, Coverage, Rates, Raw, Sums};
use crate::http::state::App;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(raw)).routes(routes!(aggregate)).routes(routes!(rps)).routes(routes!(coverage))
}

/// Raw points
///
/// The points as probes sent them: hits per interval, server, record, action
/// and response code. Without `date_from` and `date_to`, of the last 24 hours.
/// In the order of `time`, then server, unless sorted.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/raw", operation_id = "dns_raw", tag = "DNS",
    params(Selection, Range, Paging, Escaping),
    responses((status = 200, description = "The points.", body = Vec<DnsPoint>)),
)]
async fn raw(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine();
    let output = Output::asked(&headers, &uri)?;
    let Raw { filter, range, page } = Raw::read(&uri)?;
    app.central().known_servers(&filter.servers)?;
    let answer = engine.raw(&filter, range, &page).await?;
    respond(engine, output, answer, &page, range, &uri).await
}

/// Totals and series
///
/// Without `interval`: a row per record with its hits of all time, when it was
/// first seen and last accessed. `accessed_from` and `accessed_to` select by
/// **last access**: `accessed_to` alone lists what has not been accessed since,
/// without names that do not exist. Most hits first, unless sorted. `date_from` and `date_to`
/// select by last access here, too, whether a name exists or not; that is deprecated.
///
/// With `interval=all`: the hits between `date_from` and `date_to`, for the whole selection
/// or split by `by`; without them, of the last 24 hours. Most hits first, unless sorted.
///
/// With any other `interval`: the hits of each bucket of that length, or of each day of `time_zone`, the newest and
/// unfinished one included, for the whole selection or split by `by`; without
/// `date_from` and `date_to`, of the last 24 hours. In the order of `time`. An
/// end of the range that lies where raw points have expired is moved outwards
/// to a multiple of 5 minutes. Hits are what was counted: `observed_servers` and `servers`
/// say of each bucket whether servers are missing, `open` whether reports of it can still come.
///
/// Only requests count, so that a question and its answer are not two, unless
/// `action`, `rcode` or `by=action` says otherwise.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/aggregate", operation_id = "dns_aggregate", tag = "DNS",
    params(Selection, Range, KeptTotals, ByAndInterval, Paging, Escaping),
    responses((status = 200, description = "Totals, or the series.", body = Vec<DnsAggregate>)),
)]
async fn aggregate(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine();
    let output = Output::asked(&headers, &uri)?;
    let Aggregate { filter, range, sums, by, page } = Aggregate::read(&uri)?;
    app.central().known_servers(&filter.servers)?;
    let answer = match sums {
        Sums::AllTime(kept) => engine.totals(&filter, kept, by, &page).await?,
        Sums::Range => engine.totals_over(&filter, range, by, &page).await?,
        Sums::Series(interval) => engine.series(&filter, range, interval, by, &page).await?,
    };
    respond(engine, output, answer, &page, range, &uri).await
}

/// Requests per second
///
/// Hits per second over time: the sum of the servers' rates, each of which is a server's hits by the time that its
/// probe covered, so that a step that was observed in part, or is not over, is no drop. A step in which nothing at
/// all was observed has `null`, one without a hit `0`. `observed_servers` of `servers` observed all of a step; where
/// they are fewer, the rate is without the others. Only requests count unless `action`, `rcode`
/// or `by=action` says otherwise. A step that is no multiple of 5 minutes is
/// added up from raw points, and `null` where those have expired; without `step`,
/// it is then a multiple of 5 minutes.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/rps", operation_id = "dns_rps", tag = "DNS",
    params(Selection, Range, ByAndStep, Paging, Escaping),
    responses((status = 200, description = "A row per step.", body = Vec<DnsRate>)),
)]
async fn rps(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine();
    let output = Output::asked(&headers, &uri)?;
    let Rates { filter, range, step_s, by, page } = Rates::read(&uri)?;
    app.central().known_servers(&filter.servers)?;
    let answer = engine.rps(&filter, range, step_s, by, &page).await?;
    respond(engine, output, answer, &page, range, &uri).await
}

/// Coverage
///
/// What each probe reported of each interval: when it was listening, and what
/// it saw and could not count or lost. An interval without a row was not
/// observed: silence there does not mean that nobody asked. A row whose `covered_from`
/// equals its `covered_until` observed nothing: it only says how many batches the probe
/// gave up before they were delivered, and came with metrics of the machine.
/// Without `date_from` and `date_to`, of the last 24 hours.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/coverage", operation_id = "dns_coverage", tag = "DNS",
    params(ServerSelection, Range, Paging, Escaping),
    responses((status = 200, description = "A row per report.", body = Vec<CoverageReport>)),
)]
async fn coverage(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine();
    let output = Output::asked(&headers, &uri)?;
    let Coverage { servers, range, page } = Coverage::read(&uri)?;
    app.central().known_servers(&servers)?;
    let answer = engine.coverage(&servers, range, &page).await?;
    respond(engine, output, answer, &page, range, &uri).await
}
