//! Parameters: from the query string to the arguments of a call.
//!
//! An unreadable parameter is an error that names it. Nothing is guessed and nothing is ignored: silently dropping a
//! misspelt filter would produce numbers that look right. What is read alone, in groups, is declared in `groups`; here is
//! what the groups mean together.

use super::groups::{
    BucketLength, BundleSelection, ByAndInterval, ByAndStep, Escaping, ImageVersion, KeptTotals, Listing, Paging, Range, Removal,
    Selection, SeriesSelection, ServerSelection, Slice,
};
use super::query_string::Pairs;
use super::values::{self, IntervalOrAll};
use crate::http::answer::problem::Problem;
use crate::time;
use axum::extract::Path;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::Uri;
use zonepulse_central::time::text;
use zonepulse_dns::Action;
use zonepulse_query::{Bucket, By, Filter, Interval, Kept, Now, Page, SystemFilter, TimeRange, TimeZone};

/// The ends of a range of time.
const DATES: [&str; 2] = ["date_from", "date_to"];
/// The ends of a range of times of last access.
const ACCESSED: [&str; 2] = ["accessed_from", "accessed_to"];

/// The arguments of `GET /monitoring/dns/raw`.
#[derive(Debug, PartialEq, Eq)]
pub struct Raw {
    /// Which points.
    pub filter: Filter,
    /// The time range.
    pub range: TimeRange,
    /// Which rows of the answer.
    pub page: Page,
}

/// The arguments of `GET /monitoring/dns/aggregate`.
#[derive(Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Which points.
    pub filter: Filter,
    /// The time range; for totals of all time, the range of the last access.
    pub range: TimeRange,
    /// What is added up.
    pub sums: Sums,
    /// What the sums are grouped by.
    pub by: By,
    /// Which rows of the answer.
    pub page: Page,
}

/// The kind of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// Totals of all time.
    AllTime(Kept),
    /// Totals over the range.
    Range,
    /// A series of buckets or days.
    Series(Interval),
}

/// The arguments of `GET /monitoring/dns/rps`.
#[derive(Debug, PartialEq, Eq)]
pub struct Rates {
    /// Which points.
    pub filter: Filter,
    /// The time range.
    pub range: TimeRange,
    /// Length of a step, seconds.
    pub step_s: Option<u32>,
    /// What the sums are grouped by.
    pub by: By,
    /// Which rows of the answer.
    pub page: Page,
}

/// The arguments of `GET /monitoring/dns/coverage`.
#[derive(Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Which servers; empty for all.
    pub servers: Vec<u32>,
    /// The time range.
    pub range: TimeRange,
    /// Which rows of the answer.
    pub page: Page,
}

/// The arguments of `GET /monitoring/system/raw`.
#[derive(Debug, PartialEq, Eq)]
pub struct SystemRaw {
    /// Which metrics.
    pub filter: SystemFilter,
    /// The time range.
    pub range: TimeRange,
    /// Which rows of the answer.
    pub page: Page,
}

/// The arguments of `GET /monitoring/system/aggregate`.
#[derive(Debug, PartialEq, Eq)]
pub struct SystemAggregate {
    /// Which metrics.
    pub filter: SystemFilter,
    /// The time range.
    pub range: TimeRange,
    /// Length of the buckets.
    pub interval: Interval,
    /// Which rows of the answer.
    pub page: Page,
}

/// The arguments of `GET /monitoring/system/metrics`.
#[derive(Debug, PartialEq, Eq)]
pub struct SystemSeries {
    /// Which rows of the answer.
    pub page: Page,
}

impl Raw {
    /// Reads a request's URI. Times are relative to `now`.
    pub fn read(uri: &Uri, now: Now) -> Result<Self, Problem> {
        let pairs = Pairs::read(uri, &[Selection::NAMES, Range::NAMES, Paging::NAMES, Escaping::NAMES])?;
        Ok(Raw { filter: filter(&pairs)?, range: past(&pairs, now)?, page: page(&pairs)? })
    }
}

impl Aggregate {
    /// Reads a request's URI. Times are relative to `now`.
    pub fn read(uri: &Uri, now: Now) -> Result<Self, Problem> {
        let known = [Selection::NAMES, Range::NAMES, KeptTotals::NAMES, ByAndInterval::NAMES, Paging::NAMES, Escaping::NAMES];
        let pairs = Pairs::read(uri, &known)?;
        let filter = filter(&pairs)?;
        let ByAndInterval { interval, by } = ByAndInterval::read(&pairs)?;
        let sums = sums(&pairs, interval, now)?;
        let range = match sums {
            Sums::AllTime(kept) => kept.last_access,
            Sums::Range | Sums::Series(_) => past(&pairs, now)?,
        };
        Ok(Aggregate { filter, range, sums, by, page: page(&pairs)? })
    }
}

impl Rates {
    /// Reads a request's URI. Times are relative to `now`.
    pub fn read(uri: &Uri, now: Now) -> Result<Self, Problem> {
        let pairs = Pairs::read(uri, &[Selection::NAMES, Range::NAMES, ByAndStep::NAMES, Paging::NAMES, Escaping::NAMES])?;
        let (filter, range) = (filter(&pairs)?, past(&pairs, now)?);
        let ByAndStep { step: step_s, by } = ByAndStep::read(&pairs)?;
        Ok(Rates { filter, range, step_s, by, page: page(&pairs)? })
    }
}

impl Coverage {
    /// Reads a request's URI. Times are relative to `now`.
    pub fn read(uri: &Uri, now: Now) -> Result<Self, Problem> {
        let pairs = Pairs::read(uri, &[ServerSelection::NAMES, Range::NAMES, Paging::NAMES, Escaping::NAMES])?;
        let ServerSelection { server_id: servers } = ServerSelection::read(&pairs)?;
        Ok(Coverage { servers, range: past(&pairs, now)?, page: page(&pairs)? })
    }
}

impl SystemRaw {
    /// Reads a request's URI. Times are relative to `now`.
    pub fn read(uri: &Uri, now: Now) -> Result<Self, Problem> {
        let pairs = Pairs::read(uri, &[SeriesSelection::NAMES, Range::NAMES, Paging::NAMES, Escaping::NAMES])?;
        Ok(SystemRaw { filter: series(&pairs)?, range: past(&pairs, now)?, page: page(&pairs)? })
    }
}

impl SystemAggregate {
    /// Reads a request's URI. Times are relative to `now`.
    pub fn read(uri: &Uri, now: Now) -> Result<Self, Problem> {
        let known = [SeriesSelection::NAMES, Range::NAMES, BucketLength::NAMES, Paging::NAMES, Escaping::NAMES];
        let pairs = Pairs::read(uri, &known)?;
        let (filter, range) = (series(&pairs)?, past(&pairs, now)?);
        let interval = BucketLength::read(&pairs)?.interval.unwrap_or(Interval::Bucket(Bucket::M5));
        Ok(SystemAggregate { filter, range, interval, page: page(&pairs)? })
    }
}

impl SystemSeries {
    /// Reads a request's URI.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let pairs = Pairs::read(uri, &[Paging::NAMES, Escaping::NAMES])?;
        Ok(SystemSeries { page: page(&pairs)? })
    }
}

/// The slice of a list without other parameters.
pub fn slice(uri: &Uri) -> Result<Slice, Problem> {
    Slice::read(&Pairs::read(uri, &[Slice::NAMES])?)
}

/// The parameters of the list of servers.
pub fn listing(uri: &Uri) -> Result<(Listing, Slice), Problem> {
    let pairs = Pairs::read(uri, &[Listing::NAMES, Slice::NAMES])?;
    Ok((Listing::read(&pairs)?, Slice::read(&pairs)?))
}

/// The parameters of a list about some servers.
pub fn of_servers(uri: &Uri) -> Result<(ServerSelection, Slice), Problem> {
    let pairs = Pairs::read(uri, &[ServerSelection::NAMES, Slice::NAMES])?;
    Ok((ServerSelection::read(&pairs)?, Slice::read(&pairs)?))
}

/// The parameters of a removal.
pub fn removal(uri: &Uri) -> Result<Removal, Problem> {
    Removal::read(&Pairs::read(uri, &[Removal::NAMES])?)
}

/// The problem with a path parameter: the one that is not valid UTF-8, or else the one of this name.
pub fn bad_path(error: &PathRejection, name: &'static str) -> Problem {
    let kind = match error {
        PathRejection::FailedToDeserializePathParams(error) => Some(error.kind()),
        _ => None,
    };
    match kind {
        Some(ErrorKind::InvalidUtf8InPathParam { key }) => Problem::parameter(key.clone(), "what is escaped in it is not UTF-8"),
        _ => Problem::parameter(name, error.body_text()),
    }
}

/// A number in the path.
pub fn id(name: &'static str, path: Result<Path<String>, PathRejection>) -> Result<u32, Problem> {
    let Path(text) = path.map_err(|error| bad_path(&error, name))?;
    values::whole_u32(&text).map_err(|reason| Problem::parameter(name, reason))
}

/// What a setup bundle contains.
pub fn bundle(uri: &Uri) -> Result<BundleSelection, Problem> {
    BundleSelection::read(&Pairs::read(uri, &[BundleSelection::NAMES])?)
}

/// The version of an image that is uploaded.
pub fn image_version(uri: &Uri) -> Result<Option<semver::Version>, Problem> {
    let ImageVersion { version } = ImageVersion::read(&Pairs::read(uri, &[ImageVersion::NAMES])?)?;
    let read = |text: String| text.parse().map_err(|error| Problem::parameter("version", format_args!("{text:?}: {error}")));
    version.map(read).transpose()
}

/// Rejects all parameters.
pub fn none(uri: &Uri) -> Result<(), Problem> {
    Pairs::read(uri, &[]).map(|_| ())
}

/// Rejects all parameters except those for the output format.
pub fn only_output(uri: &Uri) -> Result<(), Problem> {
    Pairs::read(uri, &[Escaping::NAMES]).map(|_| ())
}

fn filter(pairs: &Pairs) -> Result<Filter, Problem> {
    let Selection { server_id, resource_id, host, record_type, folded, action, rcode } = Selection::read(pairs)?;
    if action == Some(Action::Request) && !rcode.is_empty() {
        return Err(Problem::parameter("rcode", "a request has no response code: leave out rcode or action=request"));
    }
    let (servers, resource_ids, hosts, types, rcodes) = (server_id, resource_id, host, record_type, rcode);
    Ok(Filter { servers, resource_ids, hosts, types, folded, action, rcodes })
}

fn series(pairs: &Pairs) -> Result<SystemFilter, Problem> {
    let SeriesSelection { server_id, metric, label } = SeriesSelection::read(pairs)?;
    Ok(SystemFilter { servers: server_id, metrics: metric, labels: label })
}

fn page(pairs: &Pairs) -> Result<Page, Problem> {
    let Paging { sort, offset, limit } = Paging::read(pairs)?;
    Ok(Page { sort, offset, limit })
}

/// The kind of sums that an interval, or its absence, asks for.
fn sums(pairs: &Pairs, interval: Option<IntervalOrAll>, now: Now) -> Result<Sums, Problem> {
    let Range { date_from, date_to, time_zone: zone } = Range::read(pairs)?;
    let KeptTotals { accessed_from, accessed_to, exists } = KeptTotals::read(pairs)?;
    let accessed = times(ACCESSED, [accessed_from, accessed_to], zone, now)?;
    let of_interval = interval.map(|interval| match interval {
        IntervalOrAll::Series(interval) => Sums::Series(interval),
        IntervalOrAll::All => Sums::Range,
    });
    if let Some(sums) = of_interval {
        return match first_given(accessed, ACCESSED).or(exists.map(|_| "exists")) {
            Some(name) => Err(Problem::parameter(name, "it is for totals of all time only: leave out interval")),
            None => Ok(sums),
        };
    }
    let dates = times(DATES, [date_from, date_to], zone, now)?;
    let Some(name) = first_given(accessed, ACCESSED) else {
        // The old names of `accessed_from` and `accessed_to`.
        return Ok(Sums::AllTime(Kept { last_access: dates, exists }));
    };
    if let Some(former) = first_given(dates, DATES) {
        let reason = format_args!(
            "without interval it means the last access, as {name} does: leave it out, or give interval=all for totals over a range of time"
        );
        return Err(Problem::parameter(former, reason));
    }
    // Records that have not been accessed since are candidates for deletion, so names that do not exist are left out.
    let by_default = accessed.until_ms.map(|_| true);
    Ok(Sums::AllTime(Kept { last_access: accessed, exists: exists.or(by_default) }))
}

fn first_given(range: TimeRange, [from_name, until_name]: [&'static str; 2]) -> Option<&'static str> {
    range.from_ms.map(|_| from_name).or(range.until_ms.map(|_| until_name))
}

/// A range whose end defaults to now, resolved so that the link to the next page can state it.
pub(super) fn past(pairs: &Pairs, now: Now) -> Result<TimeRange, Problem> {
    let Range { date_from, date_to, time_zone: zone } = Range::read(pairs)?;
    let range = times(DATES, [date_from, date_to], zone, now)?;
    let until_ms = range.until_ms.unwrap_or_else(|| now.ms().max(range.from_ms.unwrap_or(0)));
    Ok(TimeRange { until_ms: Some(until_ms), ..range })
}

/// The range between two times, each of which may be missing.
fn times(names: [&'static str; 2], texts: [Option<String>; 2], zone: TimeZone, now: Now) -> Result<TimeRange, Problem> {
    let ([from_name, until_name], [from, until]) = (names, texts);
    let time = |name, text: Option<String>| {
        text.map(|text| time::read(&text, zone, now.ms()).map_err(|reason| Problem::parameter(name, reason))).transpose()
    };
    let range = TimeRange { from_ms: time(from_name, from)?, until_ms: time(until_name, until)? };
    match (range.from_ms, range.until_ms) {
        (Some(from_ms), Some(until_ms)) if until_ms < from_ms => {
            let (from, until) = (text(from_ms), text(until_ms));
            Err(Problem::parameter(until_name, format_args!("{until} lies before {from_name}, {from}")))
        }
        _ => Ok(range),
    }
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
