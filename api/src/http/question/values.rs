//! The values of single parameters: from text to typed arguments.
//!
//! A reader takes the name of its parameter from the declaration of the group ([`parameters!`](super::groups)), so
//! that an error names the parameter as it is documented.

use super::query_string::{Pairs, shown};
use crate::dns_server::DnsServer;
use crate::http::answer::problem::Problem;
use crate::time;
use std::fmt::Display;
use std::iter::once;
use std::net::SocketAddr;
use std::str::FromStr;
use zonepulse_catalogue::Name;
use zonepulse_central::retirements::{ExportFormat, Stage};
use zonepulse_central::verdicts::Order;
use zonepulse_central::zones::name_of;
use zonepulse_query::{By, HostPattern, Interval, SortKey, TimeZone};

/// Default number of rows per page.
pub const DEFAULT_LIMIT: u64 = 1000;
/// Maximum number of rows per page.
pub const MAX_LIMIT: u64 = 100_000;
/// Maximum number of columns to sort by.
const MAX_SORT_KEYS: usize = 16;
/// The parameter that says which zone days and dates belong to.
const TIME_ZONE: &str = "time_zone";
/// The interval that is all of the range.
const ALL: &str = "all";

/// What sums can be split by, with the words for it.
pub const BY: [(&str, By); 3] = [("record", By::RECORD), ("server", By::SERVER), ("action", By::ACTION)];

/// How CSV texts are escaped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Escape {
    /// Not at all: for programs.
    #[default]
    None,
    /// Texts that a spreadsheet would take for a formula are marked as text.
    Spreadsheet,
}

impl Escape {
    /// Every way.
    pub const ALL: [Escape; 2] = [Escape::None, Escape::Spreadsheet];

    /// The value of the parameter `escape`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Escape::None => "none",
            Escape::Spreadsheet => "spreadsheet",
        }
    }
}

/// The value of `interval` where sums can also be over the whole range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalOrAll {
    /// A series of buckets or days.
    Series(Interval),
    /// The whole range.
    All,
}

/// The words for [`IntervalOrAll`].
pub fn intervals_and_all() -> impl Iterator<Item = &'static str> {
    Interval::words().chain(once(ALL))
}

/// Any number of server ids.
pub fn server_ids(pairs: &Pairs, name: &'static str) -> Result<Vec<u32>, Problem> {
    pairs.many_with(name, whole_u32)
}

/// Any number of resource ids.
pub fn resource_ids(pairs: &Pairs, name: &'static str) -> Result<Vec<u64>, Problem> {
    pairs.many_with(name, |text| whole(text, u64::MAX))
}

/// Any number of patterns of owner names.
pub fn hosts(pairs: &Pairs, name: &'static str) -> Result<Vec<HostPattern>, Problem> {
    pairs.many_with(name, |text| text.parse().map_err(|error| reason(&error)))
}

/// Any number of apexes of zones.
pub fn apexes(pairs: &Pairs, name: &'static str) -> Result<Vec<Name>, Problem> {
    pairs.many_with(name, |text| name_of(&shown(text)))
}

/// A length of time, milliseconds.
pub fn duration_ms(pairs: &Pairs, name: &'static str) -> Result<Option<u64>, Problem> {
    pairs.one_with(name, time::duration_ms)
}

/// The order of verdicts.
pub fn order(pairs: &Pairs, name: &'static str) -> Result<Order, Problem> {
    let order = pairs.one_with(name, |text| match text {
        "quiet" => Ok(Order::Quiet),
        "zone" => Ok(Order::Catalogue),
        _ => Err(is_none_of(text, ["quiet", "zone"].into_iter())),
    })?;
    Ok(order.unwrap_or_default())
}

/// The maximum number of rows, if there is one.
pub fn limit_or_all(pairs: &Pairs, name: &'static str) -> Result<Option<u64>, Problem> {
    pairs.one_with(name, |text| whole(text, MAX_LIMIT))
}

/// How a plan is exported; it has to be said.
pub fn export_format(pairs: &Pairs, name: &'static str) -> Result<ExportFormat, Problem> {
    let format = pairs.one_with(name, |text| {
        let found = ExportFormat::ALL.into_iter().find(|(known, _)| *known == text).map(|(_, format)| format);
        found.ok_or_else(|| is_none_of(text, ExportFormat::ALL.into_iter().map(|(known, _)| known)))
    })?;
    format.ok_or_else(|| Problem::parameter(name, "it is missing"))
}

/// A stage of retirement; it has to be said.
pub fn stage(pairs: &Pairs, name: &'static str) -> Result<Stage, Problem> {
    let stage = pairs.one_with(name, |text| {
        let found = Stage::ALL.into_iter().find(|stage| stage.exported().as_str() == text);
        found.ok_or_else(|| is_none_of(text, Stage::ALL.into_iter().map(|stage| stage.exported().as_str())))
    })?;
    stage.ok_or_else(|| Problem::parameter(name, "it is missing"))
}

/// The address of a DNS server.
pub fn dns_server(pairs: &Pairs, name: &'static str) -> Result<Option<SocketAddr>, Problem> {
    pairs.one_with(name, |text| text.parse().map(|DnsServer(address)| address))
}

/// Any number of words.
pub fn words<T: FromStr<Err: Display>>(pairs: &Pairs, name: &'static str) -> Result<Vec<T>, Problem> {
    pairs.many(name)
}

/// Any number of texts.
pub fn texts(pairs: &Pairs, name: &'static str) -> Result<Vec<String>, Problem> {
    pairs.many_with(name, |text| Ok(text.to_owned()))
}

/// A text.
pub fn text(pairs: &Pairs, name: &'static str) -> Result<Option<String>, Problem> {
    pairs.one_with(name, |text| Ok(text.to_owned()))
}

/// `true` or `false`.
pub fn flag(pairs: &Pairs, name: &'static str) -> Result<Option<bool>, Problem> {
    pairs.one_with(name, |text| text.parse().map_err(|_| format!("{:?} is neither true nor false", shown(text))))
}

/// The same; `false` unless given.
pub fn flag_or_false(pairs: &Pairs, name: &'static str) -> Result<bool, Problem> {
    Ok(flag(pairs, name)?.unwrap_or(false))
}

/// Requests or responses.
pub fn action(pairs: &Pairs, name: &'static str) -> Result<Option<zonepulse_dns::Action>, Problem> {
    pairs.one_with(name, |text| shown(text).parse().map_err(|error: zonepulse_dns::Error| error.to_string()))
}

/// The length of a bucket.
pub fn interval(pairs: &Pairs, name: &'static str) -> Result<Option<Interval>, Problem> {
    let zone = zone(pairs, TIME_ZONE)?;
    pairs.one_with(name, |text| Interval::named(text, zone).map_err(|_| is_none_of(text, Interval::words())))
}

/// The length of a bucket, or all of the range.
pub fn interval_or_all(pairs: &Pairs, name: &'static str) -> Result<Option<IntervalOrAll>, Problem> {
    let zone = zone(pairs, TIME_ZONE)?;
    pairs.one_with(name, |text| match text {
        ALL => Ok(IntervalOrAll::All),
        _ => Interval::named(text, zone).map(IntervalOrAll::Series).map_err(|_| is_none_of(text, intervals_and_all())),
    })
}

/// The time zone for days and dates.
pub fn zone(pairs: &Pairs, name: &'static str) -> Result<TimeZone, Problem> {
    let zone = pairs.one_with(name, |text| {
        // An unescaped `+` means a space, so Etc/GMT+1 often arrives this way.
        shown(text).replace(' ', "+").parse().map_err(|error| reason(&error))
    })?;
    Ok(zone.unwrap_or_default())
}

/// What sums are split by, with commas between.
pub fn by(pairs: &Pairs, name: &'static str) -> Result<By, Problem> {
    let by = pairs.one_with(name, |text| {
        let mut by = By::SELECTION;
        for word in text.split(',') {
            let Some((_, one)) = BY.into_iter().find(|(known, _)| *known == word) else {
                return Err(is_none_of(word, BY.into_iter().map(|(known, _)| known)));
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

/// The length of a step, seconds.
pub fn step_s(pairs: &Pairs, name: &'static str) -> Result<Option<u32>, Problem> {
    pairs.one_with(name, |text| match whole_u32(text)? {
        0 => Err("a step has at least one second".to_owned()),
        step_s => Ok(step_s),
    })
}

/// Columns to sort by, with commas between.
pub fn sort(pairs: &Pairs, name: &'static str) -> Result<Vec<SortKey>, Problem> {
    let sort = pairs.one_with(name, |text| {
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
    Ok(sort.unwrap_or_default())
}

/// The number of rows to skip.
pub fn offset(pairs: &Pairs, name: &'static str) -> Result<u64, Problem> {
    Ok(pairs.one_with(name, |text| whole(text, i64::MAX as u64))?.unwrap_or(0))
}

/// The number of rows to return.
pub fn limit(pairs: &Pairs, name: &'static str) -> Result<u64, Problem> {
    Ok(pairs.one_with(name, |text| whole(text, MAX_LIMIT))?.unwrap_or(DEFAULT_LIMIT))
}

/// How CSV texts are escaped.
pub fn escape(pairs: &Pairs, name: &'static str) -> Result<Escape, Problem> {
    let escape = pairs.one_with(name, |text| {
        let [first, second] = Escape::ALL.map(Escape::as_str);
        let known = Escape::ALL.into_iter().find(|escape| escape.as_str() == text);
        known.ok_or_else(|| format!("{:?} is neither {first} nor {second}", shown(text)))
    })?;
    Ok(escape.unwrap_or_default())
}

/// A decimal number: no sign, no space, nothing above `largest`.
fn whole(text: &str, largest: u64) -> Result<u64, String> {
    let number = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
    number
        .filter(|number| *number <= largest)
        .ok_or_else(|| format!("{:?} is not a whole number from 0 to {largest}", shown(text)))
}

/// A decimal number of 32 bits.
pub fn whole_u32(text: &str) -> Result<u32, String> {
    whole(text, u64::from(u32::MAX)).and_then(|number| u32::try_from(number).map_err(|error| error.to_string()))
}

/// That a text is none of these words.
fn is_none_of(text: &str, words: impl Iterator<Item = &'static str>) -> String {
    let words: Vec<&str> = words.collect();
    let known = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    };
    format!("{:?} is not one of {known}", shown(text))
}

/// The query engine's message about an argument, without the argument's name, which the problem already contains.
fn reason(error: &zonepulse_query::Error) -> String {
    match error {
        zonepulse_query::Error::BadArgument { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}
