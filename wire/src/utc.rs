//! Human-readable times: RFC 3339 in messages and logs, as in every answer.

use jiff::Timestamp;
use std::fmt;

/// A time in Unix seconds that prints as RFC 3339 in UTC (`2026-11-21T10:15:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0).ok().and_then(|s| Timestamp::from_second(s).ok()) {
            Some(time) => time.fmt(f),
            None => f.write_str("after the year 9999"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_as_rfc_3339() {
        assert_eq!(Utc(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Utc(1_795_256_122).to_string(), "2026-11-21T10:15:22Z");
        assert_eq!(Utc(u64::MAX).to_string(), "after the year 9999");
    }
}
