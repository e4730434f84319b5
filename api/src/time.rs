//! Times as people and programs write them: RFC 3339, Unix seconds, dates, or relative to now.

use jiff::civil::Date;
use jiff::{Span, SpanRelativeTo, Timestamp};
use zonepulse_central::time::{LAST_S, now_ms};
use zonepulse_query::TimeZone;

/// Parses a time, absolute or relative to now, to Unix milliseconds; dates are in UTC.
pub fn read_ms(text: &str) -> Result<u64, String> {
    read(text, TimeZone::UTC, now_ms())
}

/// Parses a time to Unix milliseconds: RFC 3339 with any offset; Unix seconds with or without a fraction; a date,
/// meaning its first moment in the zone; or a time relative to now. Anything finer than a millisecond is truncated.
pub fn read(text: &str, zone: TimeZone, now_ms: u64) -> Result<u64, String> {
    let shown = || text.chars().take(100).collect::<String>();
    let before_1970 = || format!("{:?} lies before 1970", shown());
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return seconds(text).ok_or_else(|| format!("{:?} is not a time in Unix seconds from 0 to {LAST_S}", shown()));
    }
    let bad = || {
        let like = "2026-01-31T12:00:00Z (RFC 3339), 2026-01-31, Unix seconds, now, or -24h, with s, m, h, d or w";
        format!("{:?} is not a time: write it as in {like}", shown())
    };
    if is_relative(text) {
        return now_ms.checked_sub(ago_ms(text).ok_or_else(bad)?).ok_or_else(before_1970);
    }
    if let Some(date) = date(text) {
        let (year, month, day) = (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs());
        return zone.start_of_date_ms(year, month.into(), day.into()).ok_or_else(before_1970);
    }
    // An unescaped `+` in a URL means a space, so +02:00 often arrives this way.
    let text = match text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) {
        Some((front, offset)) if offset.starts_with(' ') && front.len() > 10 => format!("{front}+{}", offset.trim_start()),
        _ => text.to_owned(),
    };
    if !text.is_ascii() || text.contains('[') || text.as_bytes().get(10).is_none_or(|b| !b" Tt".contains(b)) {
        return Err(bad());
    }
    let time: Timestamp = text.parse().map_err(|_| bad())?;
    u64::try_from(time.as_millisecond()).map_err(|_| before_1970())
}

/// Whether a text is a time relative to now.
pub fn is_relative(text: &str) -> bool {
    text.starts_with("now") || text.starts_with('-')
}

/// How far in the past `now`, `-24h` or `now-24h` is, milliseconds.
fn ago_ms(text: &str) -> Option<u64> {
    let text = text.strip_prefix("now").unwrap_or(text);
    if text.is_empty() {
        return Some(0);
    }
    amount_ms(text.strip_prefix('-')?)
}

/// Parses a length of time to milliseconds: `90d`, with s, m, h, d or w, or as in ISO 8601, such as `P90D` or `PT12H`;
/// a day has 24 hours. Months and years have no fixed length, and are rejected.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    let shown: String = text.chars().take(100).collect();
    let bad = || format!("{shown:?} is not a length of time: write it as in 90d, with s, m, h, d or w, or P90D (ISO 8601)");
    if !text.starts_with('P') {
        return amount_ms(text).ok_or_else(bad);
    }
    let span: Span = text.parse().map_err(|_| bad())?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(format!("{shown:?} has years or months, whose lengths differ: write days, as in P30D or P365D"));
    }
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
    u64::try_from(length.as_millis()).map_err(|_| bad())
}

/// A number with a unit, milliseconds.
fn amount_ms(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_s: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return None,
    };
    // `parse` alone would also accept a sign.
    let number: u64 = if number.bytes().all(|b| b.is_ascii_digit()) { number.parse().ok()? } else { return None };
    number.checked_mul(unit_s)?.checked_mul(1000)
}

/// A date such as `2026-01-31`, and nothing else.
fn date(text: &str) -> Option<Date> {
    let digits = |(at, b): (usize, u8)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() };
    let is_date = text.len() == 10 && text.bytes().enumerate().all(digits);
    if is_date { text.parse().ok() } else { None }
}

/// Formats milliseconds as Unix seconds, which [`read`] accepts.
pub fn unix_seconds(ms: u64) -> String {
    match ms % 1000 {
        0 => (ms / 1000).to_string(),
        rest => format!("{}.{rest:03}", ms / 1000),
    }
}

fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    if fraction.contains('.') || fraction.len() > 9 {
        return None;
    }
    let seconds: u64 = whole.parse().ok().filter(|seconds| *seconds <= LAST_S)?;
    let ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(seconds * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_has_many_spellings() {
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14t22:13:20z",
            "2023-11-14 22:13:20Z",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14T23:13:20 01:00",
            "2023-11-14T22:13:20.000Z",
            "1700000000",
            "1700000000.0",
            "1700000000.0009",
        ] {
            assert_eq!(read_ms(text), Ok(1_700_000_000_000), "{text}");
        }
    }

    #[test]
    fn one_length_has_many_spellings() {
        for text in ["90d", "P90D", "2160h", "PT2160H", "7776000s"] {
            assert_eq!(duration_ms(text), Ok(7_776_000_000), "{text}");
        }
        for text in ["", "d", "90", "-90d", "-P90D", "90x", "P", "99999999999999999999d"] {
            assert!(duration_ms(text).unwrap_err().contains("is not a length of time"), "{text}");
        }
    }

    #[test]
    fn months_and_years_have_no_fixed_length() {
        for text in ["P1M", "P1Y", "P1Y2M3D"] {
            assert!(duration_ms(text).unwrap_err().ends_with("write days, as in P30D or P365D"), "{text}");
        }
    }

    #[test]
    fn fractions_count_to_the_millisecond() {
        assert_eq!(read_ms("1700000000.25"), Ok(1_700_000_000_250));
        assert_eq!(read_ms("2023-11-14T22:13:20.2509Z"), Ok(1_700_000_000_250));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            "1.2.3",
            "-1",
            "yesterday",
            "2023-02-29",
            "2023-11-31",
            "2023-13-01",
            "2023-1-14",
            "23-11-14",
            "1969-12-31",
            "2023-11-14Z",
            "-",
            "-h",
            "-1",
            "-1y",
            "-1.5h",
            "--1h",
            "-+1h",
            "-1 h",
            "-1H",
            "+1h",
            "1h",
            "now+1h",
            "now-",
            "nowhere",
            "NOW",
            "-18446744073709551615w",
            "-99999d",
            "2023-11-14T22:13:20",
            "2023-02-30T00:00:00Z",
            "2023-11-14T25:00:00Z",
            "1969-12-31T23:59:59Z",
            "253402300800",
            "99999999999999999999",
            "2023-11-14T22:13:20Z[UTC]",
            "2023-11-14T22:13:20²",
        ] {
            assert!(read_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_may_be_counted_from_now() {
        let now_ms = 1_700_000_000_123;
        for (text, seconds) in [
            ("now", 0),
            ("-0s", 0),
            ("-90s", 90),
            ("-15m", 900),
            ("-24h", 86_400),
            ("now-24h", 86_400),
            ("-7d", 7 * 86_400),
            ("-2w", 14 * 86_400),
        ] {
            assert_eq!(read(text, TimeZone::UTC, now_ms), Ok(now_ms - seconds * 1000), "{text}");
        }
    }

    #[test]
    fn a_date_is_its_first_moment_in_the_zone() {
        for (zone, text, expected) in [
            ("UTC", "2026-11-26", "2026-11-26T00:00:00Z"),
            ("Europe/Prague", "2026-11-26", "2026-11-25T23:00:00Z"),
            ("Europe/Prague", "2026-03-30", "2026-03-29T22:00:00Z"),
            ("Asia/Kathmandu", "2026-01-01", "2025-12-31T18:15:00Z"),
            ("America/New_York", "1970-01-01", "1970-01-01T05:00:00Z"),
        ] {
            assert_eq!(read(text, zone.parse().unwrap(), 0), read_ms(expected), "{zone} {text}");
        }
        let first = read("1970-01-01", "Europe/Prague".parse().unwrap(), 0);
        assert_eq!(first, Err("\"1970-01-01\" lies before 1970".to_owned()));
    }

    #[test]
    fn a_zone_changes_no_time_that_has_an_offset() {
        let prague = "Europe/Prague".parse().unwrap();
        for text in ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "1700000000"] {
            assert_eq!(read(text, prague, 0), Ok(1_700_000_000_000), "{text}");
        }
    }

    #[test]
    fn unix_seconds_are_read_back() {
        for ms in [0, 5, 1_700_000_000_000, 1_700_000_000_120, LAST_S * 1000 + 999] {
            assert_eq!(read_ms(&unix_seconds(ms)), Ok(ms));
        }
    }
}
