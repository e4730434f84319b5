//! Parameters: from the query string to typed arguments.
//!
//! An unreadable parameter is an error that names it. Nothing is guessed and nothing is ignored: silently dropping a
//! misspelt filter would produce numbers that look right.

use super::query_string::{Pairs, shown};
use crate::http::answer::problem::Problem;
use crate::time;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::Uri;
use zonepulse_central::time::{now_ms, text};
use zonepulse_dns::Action;
use zonepulse_query::{Bucket, By, Filter, HostPattern, Interval, Kept, Page, SortKey, SystemFilter, TimeRange, TimeZone};

/// Default number of rows per page.
pub const DEFAULT_LIMIT: u64 = 1000;
/// Maximum number of rows per page.
pub const MAX_LIMIT: u64 = 100_000;
/// Maximum number of columns to sort by.
const MAX_SORT_KEYS: usize = 16;

/// Selects points: shared by the DNS calls.
const FILTER: &[&str] = &["server_id", "resource_id", "host", "type", "folded", "action", "rcode"];
/// Selects metrics.
const SERIES: &[&str] = &["server_id", "metric", "label"];
const RANGE: &[&str] = &["date_from", "date_to", "time_zone"];
/// Selects totals of all time.
const KEPT: &[&str] = &["accessed_from", "accessed_to", "exists"];
const DATES: [&str; 2] = ["date_from", "date_to"];
const ACCESSED: [&str; 2] = ["accessed_from", "accessed_to"];
const PAGE: &[&str] = &["sort", "offset", "limit"];
/// How the answer is written; read by `negotiate`.
const OUTPUT: &[&str] = &["escape"];

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

impl SystemRaw {
    /// Reads a request's URI.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut pairs = Pairs::read(uri, &[SERIES, RANGE, PAGE, OUTPUT])?;
        Ok(SystemRaw { filter: series(&mut pairs)?, range: past(&mut pairs)?, page: page(&mut pairs)? })
    }
}

impl SystemAggregate {
    /// Reads a request's URI.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut pairs = Pairs::read(uri, &[SERIES, RANGE, &["interval"], PAGE, OUTPUT])?;
        Ok(SystemAggregate {
            filter: series(&mut pairs)?,
            range: past(&mut pairs)?,
            interval: interval(&mut pairs)?.unwrap_or(Interval::Bucket(Bucket::M5)),
            page: page(&mut pairs)?,
        })
    }
}

impl SystemSeries {
    /// Reads a request's URI.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut pairs = Pairs::read(uri, &[PAGE, OUTPUT])?;
        Ok(SystemSeries { page: page(&mut pairs)? })
    }
}

/// The arguments of a list of anything but points.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which servers; empty for all.
    pub servers: Vec<u32>,
    /// Whether to include removed servers.
    pub removed: bool,
    /// Number of rows to skip.
    pub offset: u64,
    /// Number of rows to return.
    pub limit: u64,
}

impl Listed {
    /// Reads a request's URI; `own` names the parameters of this list besides those of the page.
    pub fn read(uri: &Uri, own: &[&str]) -> Result<Self, Problem> {
        let mut pairs = Pairs::read(uri, &[own, &["offset", "limit"]])?;
        Ok(Listed {
            servers: servers(&mut pairs)?,
            removed: pairs.one_with("removed", boolean)?.unwrap_or(false),
            offset: pairs.one_with("offset", |text| whole(text, i64::MAX as u64))?.unwrap_or(0),
            limit: pairs.one_with("limit", |text| whole(text, MAX_LIMIT))?.unwrap_or(DEFAULT_LIMIT),
        })
    }
}

/// Reads `purge`, the only parameter.
pub fn purge(uri: &Uri) -> Result<bool, Problem> {
    Ok(Pairs::read(uri, &[&["purge"]])?.one_with("purge", boolean)?.unwrap_or(false))
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{:?} is neither true nor false", shown(text)))
}

impl Raw {
    /// Reads a request's URI.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut pairs = Pairs::read(uri, &[FILTER, RANGE, PAGE, OUTPUT])?;
        Ok(Raw { filter: filter(&mut pairs)?, range: past(&mut pairs)?, page: page(&mut pairs)? })
    }
}

impl Aggregate {
    /// Reads a request's URI.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut pairs = Pairs::read(uri, &[FILTER, RANGE, KEPT, &["interval", "by"], PAGE, OUTPUT])?;
        let (filter, sums) = (filter(&mut pairs)?, sums(&mut pairs)?);
        let range = match sums {
            Sums::AllTime(kept) => kept.last_access,
            Sums::Range | Sums::Series(_) => past(&mut pairs)?,
        };
        Ok(Aggregate { filter, range, sums, by: by(&mut pairs)?, page: page(&mut pairs)? })
    }
}

fn sums(pairs: &mut Pairs) -> Result<Sums, Problem> {
    let zone = zone(pairs)?;
    let interval = pairs.one_with("interval", |text| match text {
        "all" => Ok(Sums::Range),
        _ => match Interval::named(&shown(text), zone) {
            Ok(interval) => Ok(Sums::Series(interval)),
            Err(_) => Err(format!("{:?} is not one of 5m, 15m, 30m, 1h, 1d and all", shown(text))),
        },
    })?;
    let now_ms = now_ms();
    let exists = pairs.one_with("exists", boolean)?;
    let accessed = range_named(pairs, ACCESSED, now_ms)?;
    if let Some(sums) = interval {
        return match first_given(accessed, ACCESSED).or(exists.map(|_| "exists")) {
            Some(name) => Err(Problem::parameter(name, "it is for totals of all time only: leave out interval")),
            None => Ok(sums),
        };
    }
    let Some(name) = first_given(accessed, ACCESSED) else {
        // The old names of `accessed_from` and `accessed_to`.
        return Ok(Sums::AllTime(Kept { last_access: range_at(pairs, now_ms)?, exists }));
    };
    if let Some(former) = first_given(range_at(pairs, now_ms)?, DATES) {
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

impl Rates {
    /// Reads a request's URI.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut pairs = Pairs::read(uri, &[FILTER, RANGE, &["step", "by"], PAGE, OUTPUT])?;
        Ok(Rates {
            filter: filter(&mut pairs)?,
            range: past(&mut pairs)?,
            step_s: pairs.one_with("step", |text| match whole(text, u64::from(u32::MAX))? {
                0 => Err("a step has at least one second".to_owned()),
                step_s => u32::try_from(step_s).map_err(|error| error.to_string()),
            })?,
            by: by(&mut pairs)?,
            page: page(&mut pairs)?,
        })
    }
}

impl Coverage {
    /// Reads a request's URI.
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut pairs = Pairs::read(uri, &[&["server_id"], RANGE, PAGE, OUTPUT])?;
        Ok(Coverage { servers: servers(&mut pairs)?, range: past(&mut pairs)?, page: page(&mut pairs)? })
    }
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

/// Rejects all parameters.
pub fn none(uri: &Uri) -> Result<(), Problem> {
    Pairs::read(uri, &[]).map(|_| ())
}

/// Rejects all parameters except those for the output format.
pub fn only_output(uri: &Uri) -> Result<(), Problem> {
    Pairs::read(uri, &[OUTPUT]).map(|_| ())
}

fn filter(pairs: &mut Pairs) -> Result<Filter, Problem> {
    let filter = Filter {
        servers: servers(pairs)?,
        resource_ids: pairs.many_with("resource_id", |text| whole(text, u64::MAX))?,
        hosts: pairs.many_with("host", |text| text.parse::<HostPattern>().map_err(|error| reason(&error)))?,
        types: pairs.many("type")?,
        folded: pairs.one_with("folded", boolean)?,
        action: pairs.one_with("action", |text| text.parse().map_err(|error: zonepulse_dns::Error| error.to_string()))?,
        rcodes: pairs.many("rcode")?,
    };
    if filter.action == Some(Action::Request) && !filter.rcodes.is_empty() {
        return Err(Problem::parameter("rcode", "a request has no response code: leave out rcode or action=request"));
    }
    Ok(filter)
}

fn series(pairs: &mut Pairs) -> Result<SystemFilter, Problem> {
    let text = |text: &str| Ok(text.to_owned());
    Ok(SystemFilter {
        servers: servers(pairs)?,
        metrics: pairs.many_with("metric", text)?,
        labels: pairs.many_with("label", text)?,
    })
}

fn servers(pairs: &mut Pairs) -> Result<Vec<u32>, Problem> {
    pairs.many_with("server_id", |text| {
        whole(text, u64::from(u32::MAX)).and_then(|id| u32::try_from(id).map_err(|error| error.to_string()))
    })
}

/// A range whose end defaults to now, resolved so that the link to the next page can state it.
fn past(pairs: &mut Pairs) -> Result<TimeRange, Problem> {
    let now_ms = now_ms();
    let range = range_at(pairs, now_ms)?;
    let until_ms = range.until_ms.unwrap_or_else(|| now_ms.max(range.from_ms.unwrap_or(0)));
    Ok(TimeRange { until_ms: Some(until_ms), ..range })
}

fn range_at(pairs: &mut Pairs, now_ms: u64) -> Result<TimeRange, Problem> {
    range_named(pairs, DATES, now_ms)
}

fn range_named(pairs: &mut Pairs, [from_name, until_name]: [&'static str; 2], now_ms: u64) -> Result<TimeRange, Problem> {
    let zone = zone(pairs)?;
    let mut time = |name| pairs.one_with(name, |text| time::read(text, zone, now_ms));
    let range = TimeRange { from_ms: time(from_name)?, until_ms: time(until_name)? };
    match (range.from_ms, range.until_ms) {
        (Some(from_ms), Some(until_ms)) if until_ms < from_ms => {
            let (from, until) = (text(from_ms), text(until_ms));
            Err(Problem::parameter(until_name, format_args!("{until} lies before {from_name}, {from}")))
        }
        _ => Ok(range),
    }
}

/// The time zone for days and dates.
fn zone(pairs: &mut Pairs) -> Result<TimeZone, Problem> {
    let zone = pairs.one_with("time_zone", |text| {
        // An unescaped `+` means a space, so Etc/GMT+1 often arrives this way.
        shown(text).replace(' ', "+").parse().map_err(|error| reason(&error))
    })?;
    Ok(zone.unwrap_or_default())
}

fn interval(pairs: &mut Pairs) -> Result<Option<Interval>, Problem> {
    let zone = zone(pairs)?;
    pairs.one_with("interval", |text| Interval::named(&shown(text), zone).map_err(|error| reason(&error)))
}

fn by(pairs: &mut Pairs) -> Result<By, Problem> {
    let by = pairs.one_with("by", |text| {
        let mut by = By::SELECTION;
        for word in text.split(',') {
            let one = match word {
                "record" => By::RECORD,
                "server" => By::SERVER,
                "action" => By::ACTION,
                _ => return Err(format!("{word:?} is not one of record, server and action")),
            };
            if by == by.and(one) {
                return Err(format!("{word} is there twice"));
            }
            by = by.and(one);
        }
        Ok(by)
    })?;
    Ok(by.unwrap_or_default())
}

fn page(pairs: &mut Pairs) -> Result<Page, Problem> {
    let sort = pairs.one_with("sort", |text| {
        let mut keys: Vec<SortKey> = Vec::new();
        for word in text.split(',') {
            let (column, descending) = word.strip_prefix('-').map_or((word, false), |column| (column, true));
            if column.is_empty() {
                return Err("a column's name is missing; write it as in sort=hits,-last_access".to_owned());
            }
            if keys.iter().any(|key| key.column == column) {
                return Err(format!("the column {column:?} is there twice"));
            }
            if keys.len() == MAX_SORT_KEYS {
                return Err(format!("at most {MAX_SORT_KEYS} columns"));
            }
            keys.push(SortKey { column: column.to_owned(), descending });
        }
        Ok(keys)
    })?;
    Ok(Page {
        sort: sort.unwrap_or_default(),
        offset: pairs.one_with("offset", |text| whole(text, i64::MAX as u64))?.unwrap_or(0),
        limit: pairs.one_with("limit", |text| whole(text, MAX_LIMIT))?.unwrap_or(DEFAULT_LIMIT),
    })
}

/// A decimal number: no sign, no space, nothing above `largest`.
fn whole(text: &str, largest: u64) -> Result<u64, String> {
    let number = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
    number
        .filter(|number| *number <= largest)
        .ok_or_else(|| format!("{:?} is not a whole number from 0 to {largest}", shown(text)))
}

/// The query engine's message about an argument, without the argument's name, which the problem already contains.
fn reason(error: &zonepulse_query::Error) -> String {
    match error {
        zonepulse_query::Error::BadArgument { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
