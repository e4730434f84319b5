//! The current time, and how answers, messages and the log format times.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

/// The last second of the year 9999, the latest that RFC 3339 can express.
pub const LAST_S: u64 = 253_402_300_799;

/// The current time, Unix milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// A time in RFC 3339, UTC. Times past the year 9999, which earlier versions accepted, become its last millisecond.
pub fn text(ms: u64) -> String {
    let ms = i64::try_from(ms.min(LAST_S * 1000 + 999)).unwrap_or(i64::MAX);
    // Not a jiff instant, whose range ends a day earlier: an offset could move it into the year 10000.
    let time = DateTime::constant(1970, 1, 1, 0, 0, 0, 0).saturating_add(SignedDuration::from_millis(ms));
    format!("{time}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

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
