//! The current time, and how answers, messages and the log format times.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::sync::Arc;

/// The last second of the year 9999, the latest that RFC 3339 can express.
pub const LAST_S: u64 = 253_402_300_799;

/// The current time, Unix milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Where the time comes from: the machine's clock, unless a test brings another. Clones share it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that shows what this returns, Unix milliseconds.
    pub fn new(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now_ms))
    }

    /// The time that it shows, Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new(now_ms)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
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
