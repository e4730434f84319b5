//! Times as people and programs write them: RFC 3339, or Unix seconds.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

/// The last second of the year 9999, the last that RFC 3339 can write.
const LAST_S: u64 = 253_402_300_799;

/// Unix milliseconds of a text: RFC 3339 with any offset, or seconds since
/// 1970 with or without a fraction. What is finer than a millisecond is cut off.
pub fn read_ms(text: &str) -> Result<u64, String> {
    let shown = || text.chars().take(100).collect::<String>();
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return seconds(text).ok_or_else(|| format!("{:?} is not a time in Unix seconds from 0 to {LAST_S}", shown()));
    }
    let bad = || format!("{:?} is not a time: write RFC 3339, such as 2026-01-31T12:00:00Z, or Unix seconds", shown());
    // An unescaped `+` in an address means a space, so this is how +02:00 often arrives.
    let text = match text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) {
        Some((front, offset)) if offset.starts_with(' ') && front.len() > 10 => format!("{front}+{}", offset.trim_start()),
        _ => text.to_owned(),
    };
    if !text.is_ascii() || text.contains('[') || text.as_bytes().get(10).is_none_or(|b| !b" Tt".contains(b)) {
        return Err(bad());
    }
    let time: Timestamp = text.parse().map_err(|_| bad())?;
    u64::try_from(time.as_millisecond()).map_err(|_| format!("{:?} lies before 1970", shown()))
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

/// A time in RFC 3339, UTC. What lies past the year 9999, which earlier versions took, is its last millisecond.
pub fn text(ms: u64) -> String {
    let ms = i64::try_from(ms.min(LAST_S * 1000 + 999)).unwrap_or(i64::MAX);
    // Not an instant of jiff, which ends a day earlier: an offset could bring that into the year 10000.
    let time = DateTime::constant(1970, 1, 1, 0, 0, 0, 0).saturating_add(SignedDuration::from_millis(ms));
    format!("{time}Z")
}

/// Now, Unix milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
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
            "2023-11-14",
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
    fn a_time_prints_as_rfc_3339() {
        assert_eq!(text(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
        assert_eq!(text(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_time_past_the_year_9999_prints_as_rfc_3339() {
        for ms in [253_402_300_800_000, 1_099_511_627_760_000, i64::MAX as u64, u64::MAX] {
            assert_eq!(text(ms), "9999-12-31T23:59:59.999Z");
        }
    }
}
