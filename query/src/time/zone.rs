//! Time zones, and their days.
//!
//! A day is a date of a zone's calendar. It begins at midnight, or, where clocks are put forward over midnight, at the first
//! moment after that; so days on which clocks change have 23 or 25 hours. An interval belongs to the date that
//! the zone's clocks show when it begins.

use crate::Error;
use crate::time::{Stretches, coarsest};
use chrono::{DateTime, NaiveDate, NaiveTime, Offset, TimeZone as _};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};
use std::str::FromStr;
use zonepulse_store::Level;

/// A day without a clock change, seconds.
pub(crate) const DAY_S: u32 = 86_400;
/// From here on, the year 2101, clock changes are not looked up.
const LAST_CHANGE_S: u64 = 4_133_980_800;
/// Offsets and their changes are rounded to five minutes, the finest roll-up's buckets. No zone has had another offset
/// since 1972; a change at 00:01, as in Newfoundland until 2011, counts as one at 00:00.
const FINEST_S: i64 = 300;

/// A time zone of the IANA database, which is compiled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeZone(Tz);

/// A time range without a clock change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steady {
    /// The first second.
    pub(crate) from_s: u64,
    /// The first second after it.
    pub(crate) until_s: u64,
    /// How far the clocks are ahead of UTC, seconds.
    pub(crate) offset_s: i64,
}

impl TimeZone {
    /// UTC.
    pub const UTC: TimeZone = TimeZone(Tz::UTC);

    /// The first moment of a date, Unix milliseconds. `None` when there is no such date, or it begins before 1970.
    pub fn start_of_date_ms(self, year: i32, month: u32, day: u32) -> Option<u64> {
        let start_s = self.start_s(NaiveDate::from_ymd_opt(year, month, day)?);
        u64::try_from(start_s).ok()?.checked_mul(1000)
    }

    /// The start of the day that contains a time, Unix milliseconds.
    pub(crate) fn start_of_day_ms(self, time_ms: u64) -> u64 {
        let local_s = i64::try_from(time_ms / 1000).unwrap_or(i64::MAX).saturating_add(self.offset_s(time_ms / 1000));
        self.start_of_local_day_ms(local_s.div_euclid(i64::from(DAY_S)))
    }

    /// The start of a day, numbered from 1970-01-01 in the zone's calendar, Unix milliseconds.
    pub(crate) fn start_of_local_day_ms(self, day: i64) -> u64 {
        let midnight_s = day.saturating_mul(i64::from(DAY_S));
        let date = DateTime::from_timestamp(midnight_s, 0).map(|midnight| midnight.date_naive());
        let start_s = date.map_or(midnight_s, |date| self.start_s(date));
        u64::try_from(start_s).unwrap_or(0).saturating_mul(1000)
    }

    fn start_s(self, date: NaiveDate) -> i64 {
        let midnight = date.and_time(NaiveTime::MIN);
        let shown = self.0.from_local_datetime(&midnight).earliest();
        let after_gap = || GapInfo::new(&midnight, &self.0).and_then(|gap| gap.end);
        shown.or_else(after_gap).map_or(midnight.and_utc().timestamp(), |start| start.timestamp())
    }

    /// How far the clocks are ahead of UTC at a time, seconds.
    fn offset_s(self, time_s: u64) -> i64 {
        let instant = i64::try_from(time_s.min(LAST_CHANGE_S)).ok().and_then(|time_s| {
            let last_s = time_s - time_s % FINEST_S + FINEST_S - 1;
            DateTime::from_timestamp(last_s, 0)
        });
        let offset_s = instant.map_or(0, |instant| self.0.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc());
        let offset_s = i64::from(offset_s);
        offset_s - offset_s.rem_euclid(FINEST_S)
    }

    /// A range cut at clock changes.
    pub(crate) fn steady(self, from_s: u64, until_s: u64) -> Vec<Steady> {
        let (mut found, mut from_s) = (Vec::new(), from_s);
        while from_s < until_s {
            let (end_s, offset_s) = (self.next_change_s(from_s, until_s), self.offset_s(from_s));
            found.push(Steady { from_s, until_s: end_s, offset_s });
            from_s = end_s;
        }
        found
    }

    /// The first second whose offset differs from that at `from_s`, at most `until_s`.
    fn next_change_s(self, from_s: u64, until_s: u64) -> u64 {
        let offset_s = self.offset_s(from_s);
        let mut before_s = from_s;
        // Clocks do not change twice within a day.
        while before_s < until_s.min(LAST_CHANGE_S) {
            let mut after_s = before_s.saturating_add(u64::from(DAY_S)).min(until_s);
            if self.offset_s(after_s) == offset_s {
                before_s = after_s;
                continue;
            }
            while before_s + 1 < after_s {
                let middle_s = before_s + (after_s - before_s) / 2;
                if self.offset_s(middle_s) == offset_s { before_s = middle_s } else { after_s = middle_s }
            }
            return after_s;
        }
        until_s
    }

    /// The coarsest roll-up each of whose buckets within the range lies in one day of the zone.
    pub(crate) fn coarsest(self, from_s: u64, until_s: u64) -> Level {
        let levels = self.steady(from_s, until_s).into_iter().map(|steady| coarsest(Stretches::from(steady)));
        levels.min().unwrap_or(Level::H1).max(Level::M5)
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        TimeZone::UTC
    }
}

impl Steady {
    /// The number of the day that contains a time, from 1970-01-01 in the zone's calendar.
    pub(crate) fn local_day(self, time_s: i64) -> i64 {
        time_s.saturating_add(self.offset_s).div_euclid(i64::from(DAY_S))
    }
}

impl From<Steady> for Stretches {
    /// The days.
    fn from(steady: Steady) -> Self {
        let shift_s = steady.offset_s.rem_euclid(i64::from(DAY_S));
        Stretches { length_s: DAY_S, shift_s: u32::try_from(shift_s).unwrap_or(0) }
    }
}

impl FromStr for TimeZone {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(TimeZone).map_err(|_| {
            let shown: String = text.chars().take(100).collect();
            let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
            // A city without its continent, or with the wrong case.
            let meant = TZ_VARIANTS.iter().map(|zone| zone.name()).find(|name| last(name) == last(text));
            let example = meant.map_or("write it as in Europe/Prague".to_owned(), |name| format!("did you mean {name}?"));
            Error::bad("time_zone", format!("{shown:?} is no time zone of the IANA database: {example}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        name.parse().unwrap()
    }

    /// Unix seconds of `2026-03-29T01:00:00Z`.
    fn s(text: &str) -> u64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp() as u64
    }

    #[test]
    fn a_day_begins_at_local_midnight() {
        for (name, (year, month, day), expected) in [
            ("UTC", (2026, 11, 26), "2026-11-26T00:00:00Z"),
            ("Europe/Prague", (2026, 11, 26), "2026-11-25T23:00:00Z"),
            ("Europe/Prague", (2026, 7, 1), "2026-06-30T22:00:00Z"),
            ("America/New_York", (2026, 1, 1), "2026-01-01T05:00:00Z"),
            ("Asia/Kathmandu", (2026, 1, 1), "2025-12-31T18:15:00Z"),
            ("Asia/Kolkata", (2026, 1, 1), "2025-12-31T18:30:00Z"),
            // Clocks are put forward from 00:00 to 01:00.
            ("Africa/Cairo", (2026, 4, 24), "2026-04-23T22:00:00Z"),
            // Clocks are put back from 01:00 to 00:00: midnight comes twice, and the first one counts.
            ("America/Havana", (2026, 11, 1), "2026-11-01T04:00:00Z"),
        ] {
            let start_ms = zone(name).start_of_date_ms(year, month, day);
            assert_eq!(start_ms, Some(s(expected) * 1000), "{name} {year}-{month}-{day}");
            assert_eq!(zone(name).start_of_day_ms(s(expected) * 1000), s(expected) * 1000, "{name}");
            assert_eq!(zone(name).start_of_day_ms(s(expected) * 1000 + 80_000_000), s(expected) * 1000, "{name}");
        }
    }

    #[test]
    fn what_is_no_date_has_no_first_moment() {
        for (year, month, day) in [(2026, 2, 29), (2026, 13, 1), (2026, 0, 1), (1969, 12, 31), (1970, 1, 1)] {
            assert_eq!(zone("Europe/Prague").start_of_date_ms(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!(zone("UTC").start_of_date_ms(1970, 1, 1), Some(0));
    }

    #[test]
    fn a_range_is_cut_where_clocks_are_changed() {
        let steady = |name: &str, from: &str, until: &str| -> Vec<(u64, u64, i64)> {
            let found = zone(name).steady(s(from), s(until)).into_iter();
            found.map(|Steady { from_s, until_s, offset_s }| (from_s, until_s, offset_s)).collect()
        };
        let (begin, end) = ("2026-03-28T23:00:00Z", "2026-03-30T22:00:00Z");
        let change = s("2026-03-29T01:00:00Z");
        assert_eq!(steady("Europe/Prague", begin, end), [(s(begin), change, 3600), (change, s(end), 7200)]);
        assert_eq!(steady("Europe/Prague", "2026-03-29T00:59:59Z", "2026-03-29T01:00:01Z").len(), 2);
        assert_eq!(steady("Europe/Prague", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z").len(), 1);
        assert_eq!(steady("Europe/Prague", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z").len(), 1);
        assert_eq!(steady("Asia/Kathmandu", begin, end), [(s(begin), s(end), 20_700)]);
        assert_eq!(steady("UTC", begin, begin), []);
        let years = steady("Europe/Prague", "2000-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        assert_eq!(years.len(), 2 * 26 + 1);
        assert!(years.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].2 != pair[1].2), "{years:?}");
        let ever = zone("Europe/Prague").steady(0, u64::MAX);
        assert_eq!(ever.last().map(|steady| steady.until_s), Some(u64::MAX));
    }

    #[test]
    fn a_change_within_five_minutes_counts_from_their_beginning() {
        // At 02:31Z, 00:01 there, clocks were put back by an hour.
        let (begin, end) = (s("2010-11-06T00:00:00Z"), s("2010-11-08T00:00:00Z"));
        let change = s("2010-11-07T02:30:00Z");
        let steady = |from_s, until_s| -> Vec<(u64, u64, i64)> {
            let found = zone("America/St_Johns").steady(from_s, until_s).into_iter();
            found.map(|Steady { from_s, until_s, offset_s }| (from_s, until_s, offset_s)).collect()
        };
        assert_eq!(steady(begin, end), [(begin, change, -9000), (change, end, -12_600)]);
        assert_eq!(steady(change + 30, end), [(change + 30, end, -12_600)]);
    }

    #[test]
    fn no_zone_cuts_a_bucket_of_the_finest_roll_up() {
        for zone in TZ_VARIANTS {
            let steady = TimeZone(zone).steady(s("2000-01-01T00:00:00Z"), s("2030-01-01T00:00:00Z"));
            let cuts = steady.windows(2).map(|pair| pair[0].until_s);
            let within: Vec<u64> = cuts.filter(|cut_s| !cut_s.is_multiple_of(300)).collect();
            assert!(within.is_empty(), "{zone}: {within:?}");
        }
    }

    #[test]
    fn a_zone_needs_roll_ups_as_fine_as_its_offset() {
        let level = |name: &str| zone(name).coarsest(s("2026-01-01T00:00:00Z"), s("2027-01-01T00:00:00Z"));
        assert_eq!(level("UTC"), Level::H1);
        assert_eq!(level("Europe/Prague"), Level::H1);
        assert_eq!(level("Asia/Kolkata"), Level::M30);
        assert_eq!(level("Australia/Lord_Howe"), Level::M30);
        assert_eq!(level("Asia/Kathmandu"), Level::M15);
        assert_eq!(level("Pacific/Chatham"), Level::M15);
    }

    #[test]
    fn no_zone_needs_raw_points_nor_the_finest_roll_up() {
        for zone in TZ_VARIANTS {
            let level = TimeZone(zone).coarsest(s("2000-01-01T00:00:00Z"), s("2030-01-01T00:00:00Z"));
            assert!(level >= Level::M15, "{zone}");
        }
    }

    #[test]
    fn a_zone_that_there_is_not_is_refused_with_what_was_meant() {
        let reason = |text: &str| match text.parse::<TimeZone>() {
            Err(Error::BadArgument { argument: "time_zone", reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason("prague"), r#""prague" is no time zone of the IANA database: did you mean Europe/Prague?"#);
        assert_eq!(reason("Mars"), r#""Mars" is no time zone of the IANA database: write it as in Europe/Prague"#);
        assert_eq!(reason(""), r#""" is no time zone of the IANA database: write it as in Europe/Prague"#);
    }
}
