//! `GET /api/v2/monitoring/dns/…`: the questions about DNS.
//!
//! Every call goes the same way: which format is wanted, what is asked for,
//! the query engine's answer, and that as bytes. The documents of the
//! parameters and rows are in `openapi`.

use crate::app::App;
use crate::describe;
use crate::negotiate::Output;
use crate::openapi::{ByAndInterval, ByAndStep, Escaping, KeptTotals, Paging, Range, Selection, ServerSelection};
use crate::openapi::{CoverageReport, DnsAggregate, DnsPoint, DnsRate};
use crate::parameters::{Aggregate, Coverage, Rates, Raw, Sums};
use crate::problem::{Case, Problem};
use crate::query_string;
use crate::render::{is_small, render};
use crate::time;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use std::fmt::Write;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_query::{Answer, Error, Page, TimeRange};

/// The total of rows before paging.
pub const TOTAL_HEADER: &str = "x-total-count";

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
    let output = Output::asked(&headers, &uri)?;
    let Raw { filter, range, page } = Raw::read(&uri)?;
    app.known_servers(&filter.servers)?;
    let answer = app.engine().raw(&filter, range, &page).await?;
    respond(&app, output, answer, &page, range, &uri).await
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
    let output = Output::asked(&headers, &uri)?;
    let Aggregate { filter, range, sums, by, page } = Aggregate::read(&uri)?;
    app.known_servers(&filter.servers)?;
    let answer = match sums {
        Sums::AllTime(kept) => app.engine().totals(&filter, kept, by, &page).await?,
        Sums::Range => app.engine().totals_over(&filter, range, by, &page).await?,
        Sums::Series(interval) => app.engine().series(&filter, range, interval, by, &page).await?,
    };
    respond(&app, output, answer, &page, range, &uri).await
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
    let output = Output::asked(&headers, &uri)?;
    let Rates { filter, range, step_s, by, page } = Rates::read(&uri)?;
    app.known_servers(&filter.servers)?;
    let answer = app.engine().rps(&filter, range, step_s, by, &page).await?;
    respond(&app, output, answer, &page, range, &uri).await
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
    let output = Output::asked(&headers, &uri)?;
    let Coverage { servers, range, page } = Coverage::read(&uri)?;
    app.known_servers(&servers)?;
    let answer = app.engine().coverage(&servers, range, &page).await?;
    respond(&app, output, answer, &page, range, &uri).await
}

/// The answer in its format, with its total and the way to the next page.
pub(crate) async fn respond(
    app: &App,
    output: Output,
    answer: Answer,
    page: &Page,
    range: TimeRange,
    uri: &Uri,
) -> Result<Response, Problem> {
    let Answer { batches, schema, total } = answer;
    let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let body = if batches.len() <= 1 && batches.iter().all(is_small) {
        render(output, &schema, &batches)
    } else {
        // A hundred thousand rows take a while: not on a thread that serves others, and only a few answers at a time.
        app.engine().aside(move || render(output, &schema, &batches)).await?
    };
    let body = body.map_err(Problem::internal)?;
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(output.format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(TOTAL_HEADER, HeaderValue::from(total));
    let next = page.offset.saturating_add(rows);
    if rows > 0
        && next < total
        && let Ok(link) = HeaderValue::try_from(next_link(uri, range, next))
    {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// `Link` (RFC 8288) to the same question from another row on. The rest of the query stays as it came, but times that are
/// counted from now, and an end that was left out and is now, are what they were: offsets count in the same rows only then.
pub(crate) fn next_link(uri: &Uri, range: TimeRange, offset: u64) -> String {
    let mut link = format!("<{}?", uri.path());
    let (mut from_ms, until_ms) = (None, range.until_ms);
    let (mut from_name, mut until_name) = ("date_from", "date_to");
    for text in uri.query().unwrap_or("").split('&').filter(|text| !text.is_empty()) {
        // Names and values may be escaped where they need not be.
        let (name, value) = query_string::pair(text).unwrap_or_default();
        match name.as_str() {
            "offset" => continue,
            "date_to" if until_ms.is_some() => continue,
            // Never beside the others.
            "accessed_to" if until_ms.is_some() => {
                until_name = "accessed_to";
                continue;
            }
            "date_from" | "accessed_from" if range.from_ms.is_some() && time::is_relative(&value) => {
                from_ms = range.from_ms;
                from_name = if name == "date_from" { "date_from" } else { "accessed_from" };
                continue;
            }
            _ => {}
        }
        link.push_str(text);
        link.push('&');
    }
    for (name, ms) in [(from_name, from_ms), (until_name, until_ms)] {
        if let Some(ms) = ms {
            // Writing into memory cannot fail.
            let _ = write!(link, "{name}={}&", time::unix_seconds(ms));
        }
    }
    let _ = write!(link, "offset={offset}>; rel=\"next\"");
    link
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::BadArgument { argument, reason } => Problem::parameter(argument, reason),
            Error::TooSlow(_) => Problem::new(Case::TooSlow, error.to_string()),
            Error::TooLarge(_) => Problem::new(Case::AnswerTooLarge, error.to_string()),
            Error::Busy => Problem::new(Case::Busy, error.to_string()).retry_after_s(2),
            Error::Unread(_) => Problem::new(Case::TooSlow, error.to_string()),
            Error::Store(_) | Error::Engine(_) | Error::Worker(_) => Problem::internal(describe(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_same_question_further_on() {
        let link = |uri: &str| next_link(&uri.parse().unwrap(), TimeRange::default(), 20);
        assert_eq!(link("/a"), "</a?offset=20>; rel=\"next\"");
        assert_eq!(link("/a?host=%2A.x&offset=10&limit=10"), "</a?host=%2A.x&limit=10&offset=20>; rel=\"next\"");
    }

    #[test]
    fn the_next_page_is_of_the_same_time() {
        let range = TimeRange { from_ms: Some(5000), until_ms: Some(9007) };
        let link = |uri: &str| next_link(&uri.parse().unwrap(), range, 20);
        assert_eq!(link("/a?date_from=-24h&date_to=now"), "</a?date_from=5&date_to=9.007&offset=20>; rel=\"next\"");
        assert_eq!(link("/a?date_from=2026-11-26"), "</a?date_from=2026-11-26&date_to=9.007&offset=20>; rel=\"next\"");
        assert_eq!(link("/a?date_to=now&limit=1"), "</a?limit=1&date_to=9.007&offset=20>; rel=\"next\"");
        assert_eq!(link("/a?limit=1"), "</a?limit=1&date_to=9.007&offset=20>; rel=\"next\"");
    }

    #[test]
    fn the_next_page_is_of_the_same_time_however_the_question_was_spelt() {
        let range = TimeRange { from_ms: Some(5000), until_ms: Some(9007) };
        let link = |uri: &str| next_link(&uri.parse().unwrap(), range, 20);
        for uri in ["/a?date_from=%2D24h&date_to=%6Eow", "/a?date%5Ffrom=-24h&date_t%6F=now&%6Fffset=10"] {
            assert_eq!(link(uri), "</a?date_from=5&date_to=9.007&offset=20>; rel=\"next\"", "{uri}");
        }
    }

    #[test]
    fn without_an_end_the_next_page_of_totals_has_none() {
        let range = TimeRange { from_ms: Some(5000), until_ms: None };
        let link = |uri: &str| next_link(&uri.parse().unwrap(), range, 20);
        assert_eq!(link("/a?date_from=-24h&limit=1"), "</a?limit=1&date_from=5&offset=20>; rel=\"next\"");
    }

    #[test]
    fn the_next_page_of_totals_is_of_the_same_last_access() {
        let range = TimeRange { from_ms: Some(5000), until_ms: Some(9007) };
        let link = |uri: &str, range| next_link(&uri.parse().unwrap(), range, 20);
        let both = link("/a?accessed_from=-24h&accessed_to=now&exists=true", range);
        assert_eq!(both, "</a?exists=true&accessed_from=5&accessed_to=9.007&offset=20>; rel=\"next\"");
        let since = link("/a?accessed_to=-1h", TimeRange { from_ms: None, ..range });
        assert_eq!(since, "</a?accessed_to=9.007&offset=20>; rel=\"next\"");
    }

    #[test]
    fn the_engine_names_the_parameter_at_fault() {
        let problem = Problem::from(Error::BadArgument { argument: "sort", reason: "there is no column".to_owned() });
        assert_eq!(problem, Problem::parameter("sort", "there is no column"));
    }
}
