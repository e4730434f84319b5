//! Time ranges: as asked for, and resolved to two ends.

use crate::Error;
use crate::time::{Now, TimeZone};

const DAY_MS: u64 = 86_400_000;
/// The end of the year 9999, Unix milliseconds.
const LAST_MS: u64 = 253_402_300_800_000;

/// A time range, Unix milliseconds. An end that is not given takes the question's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first millisecond.
    pub from_ms: Option<u64>,
    /// The first millisecond after it.
    pub until_ms: Option<u64>,
}

/// A time range with both ends, Unix milliseconds; `until_ms` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
}

impl Range {
    /// The range that was asked for; by default the 24 hours up to now.
    pub(crate) fn at(asked: TimeRange, now: Now) -> Result<Range, Error> {
        check_named(asked, ["date_from", "date_to"])?;
        let until_ms = asked.until_ms.unwrap_or_else(|| now.ms().max(asked.from_ms.unwrap_or(0)));
        let from_ms = asked.from_ms.unwrap_or_else(|| until_ms.saturating_sub(DAY_MS));
        Ok(Range { from_ms, until_ms })
    }

    /// The same, but a default begins on a bucket boundary.
    pub(crate) fn of_buckets(asked: TimeRange, length_s: u32, now: Now) -> Result<Range, Error> {
        let range = Range::at(asked, now)?;
        let length_ms = u64::from(length_s) * 1000;
        let from_ms = asked.from_ms.unwrap_or(range.from_ms - range.from_ms % length_ms);
        Ok(Range { from_ms, ..range })
    }

    /// The same, but a default begins at the start of a day of the zone.
    pub(crate) fn of_days(asked: TimeRange, zone: TimeZone, now: Now) -> Result<Range, Error> {
        let range = Range::at(asked, now)?;
        let from_ms = asked.from_ms.unwrap_or_else(|| zone.start_of_day_ms(range.from_ms));
        Ok(Range { from_ms, ..range })
    }

    /// The first whole second within the range.
    pub(crate) fn begin_s(self) -> u64 {
        self.from_ms.div_ceil(1000)
    }

    /// The first second after the range.
    pub(crate) fn end_s(self) -> u64 {
        self.until_ms.div_ceil(1000)
    }
}

/// Rejects a range that ends before it begins or lies past the year 9999, naming the argument at fault.
pub(crate) fn check_named(range: TimeRange, [from_name, until_name]: [&'static str; 2]) -> Result<(), Error> {
    for (argument, ms) in [(from_name, range.from_ms), (until_name, range.until_ms)] {
        if ms.is_some_and(|ms| ms > LAST_MS) {
            return Err(Error::bad(argument, "it is past the year 9999"));
        }
    }
    match (range.from_ms, range.until_ms) {
        (Some(from), Some(until)) if until < from => Err(Error::bad(until_name, format!("it is before {from_name}"))),
        _ => Ok(()),
    }
}
