//! `GET /api/v2/monitoring/dns/…`: the questions about DNS.
//!
//! Every call takes the same steps: it negotiates the format, reads the parameters, asks the query engine, and renders
//! the answer. Parameters are declared in `question::groups`, rows in `document`.

use crate::http::answer::negotiate::Output;
use crate::http::answer::problem::Problem;
use crate::http::answer::rows::respond;
use crate::http::document::aggregate::{DnsAggregate, DnsRate};
use crate::http::document::points::{CoverageReport, DnsPoint};
use crate::http::question::groups::{ByAndInterval, ByAndStep, Escaping, KeptTotals, Paging, Range, Selection, ServerSelection};
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
/// The points as probes sent them: hits per interval, server, record, action and response code. Without `date_from` and
/// `date_to`, those of the last 24 hours. Sorted by `time` and server by default.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/raw", operation_id = "dns_raw", tag = "DNS",
    params(Selection, Range, Paging, Escaping),
    responses((status = 200, description = "The points.", body = Vec<DnsPoint>)),
)]
async fn raw(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine().frozen();
    let output = Output::asked(&headers, &uri)?;
    let Raw { filter, range, page } = Raw::read(&uri, engine.now())?;
    app.central().known_servers(&filter.servers)?;
    let answer = engine.raw(&filter, range, &page).await?;
    respond(&engine, output, answer, &page, range, &uri).await
}

/// Totals and series
///
/// Without `interval`: a row per record with its hits of all time, when it was first seen and last accessed.
/// `accessed_from` and `accessed_to` select by **last access**: `accessed_to` alone lists what has not been accessed
/// since, except names that do not exist. Sorted by most hits by default. Here, `date_from` and `date_to` also select by
/// last access, whether a name exists or not; this is deprecated.
///
/// With `interval=all`: the hits between `date_from` and `date_to` (by default, in the last 24 hours), for the whole
/// selection or grouped by `by`. Sorted by most hits by default.
///
/// With any other `interval`: the hits of each bucket of that length, or of each day in `time_zone`, including the newest,
/// unfinished one, for the whole selection or grouped by `by`; without `date_from` and `date_to`, those of the last 24
/// hours. Sorted by `time` by default. An end of the range where raw points have expired is moved outwards to a multiple
/// of 5 minutes. Hits are what was counted: for each bucket, `observed_servers` and `servers` say whether servers are
/// missing, and `open` whether reports about it are still expected.
///
/// Only requests count, so that a question and its answer do not count as two, unless `action`, `rcode` or `by=action`
/// says otherwise.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/aggregate", operation_id = "dns_aggregate", tag = "DNS",
    params(Selection, Range, KeptTotals, ByAndInterval, Paging, Escaping),
    responses((status = 200, description = "The totals or the series.", body = Vec<DnsAggregate>)),
)]
async fn aggregate(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine().frozen();
    let output = Output::asked(&headers, &uri)?;
    let Aggregate { filter, range, sums, by, page } = Aggregate::read(&uri, engine.now())?;
    app.central().known_servers(&filter.servers)?;
    let answer = match sums {
        Sums::AllTime(kept) => engine.totals(&filter, kept, by, &page).await?,
        Sums::Range => engine.totals_over(&filter, range, by, &page).await?,
        Sums::Series(interval) => engine.series(&filter, range, interval, by, &page).await?,
    };
    respond(&engine, output, answer, &page, range, &uri).await
}

/// Requests per second
///
/// Hits per second over time: the sum of the servers' rates, each of which is the server's hits divided by the time that
/// its probe covered, so that a step that was partly observed, or is not over, does not look like a drop. A step of which
/// nothing was observed has `null`, one without hits has `0`. `observed_servers` of `servers` observed the whole step; if
/// they are fewer, the rate lacks the others. Only requests count unless `action`, `rcode` or `by=action` says otherwise.
/// A step that is not a multiple of 5 minutes is summed from raw points, and is `null` where those have expired; the
/// default is then a multiple of 5 minutes.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/rps", operation_id = "dns_rps", tag = "DNS",
    params(Selection, Range, ByAndStep, Paging, Escaping),
    responses((status = 200, description = "A row per step.", body = Vec<DnsRate>)),
)]
async fn rps(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine().frozen();
    let output = Output::asked(&headers, &uri)?;
    let Rates { filter, range, step_s, by, page } = Rates::read(&uri, engine.now())?;
    app.central().known_servers(&filter.servers)?;
    let answer = engine.rps(&filter, range, step_s, by, &page).await?;
    respond(&engine, output, answer, &page, range, &uri).await
}

/// Coverage
///
/// What each probe reported about each interval: when it was listening, what it saw, and what it could not count or lost.
/// An interval without a row was not observed: no hits then does not mean that there were no queries. A row whose
/// `covered_from` equals its `covered_until` observed nothing: it only says how many batches the probe discarded before
/// they were delivered, and came with metrics of the machine. Without `date_from` and `date_to`, the reports of the last
/// 24 hours.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/coverage", operation_id = "dns_coverage", tag = "DNS",
    params(ServerSelection, Range, Paging, Escaping),
    responses((status = 200, description = "A row per report.", body = Vec<CoverageReport>)),
)]
async fn coverage(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let engine = app.central().engine().frozen();
    let output = Output::asked(&headers, &uri)?;
    let Coverage { servers, range, page } = Coverage::read(&uri, engine.now())?;
    app.central().known_servers(&servers)?;
    let answer = engine.coverage(&servers, range, &page).await?;
    respond(&engine, output, answer, &page, range, &uri).await
}
