//! Which timestamps are plausible.

use crate::times::Bounds;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// Maximum distance of a bound from now, seconds.
const MAX_BOUND_S: u64 = 366 * 86_400;

/// A day that is certainly past, even if a clock lost its time: 2026-01-01, Unix milliseconds.
const HAS_COME_MS: u64 = 1_767_225_600_000;

/// `[times]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    /// Earliest plausible day, UTC, as in `1980-01-01`.
    pub earliest: String,
    /// How far live data may be ahead of this machine's clock, seconds.
    pub max_ahead_s: u64,
    /// How far a captured packet may be behind the clock, seconds.
    pub max_late_s: u64,
    /// How far a replayed capture may be ahead of the clock, seconds.
    pub max_replay_ahead_s: u64,
}

impl Times {
    /// The bounds in milliseconds. Fails with the key that is wrong, and why.
    pub fn bounds(&self) -> Result<Bounds, String> {
        for (key, value) in
            [("max_ahead_s", self.max_ahead_s), ("max_late_s", self.max_late_s), ("max_replay_ahead_s", self.max_replay_ahead_s)]
        {
            if value > MAX_BOUND_S {
                return Err(format!("times.{key}: must be from 0 to {MAX_BOUND_S} (a year)"));
            }
        }
        Ok(Bounds {
            earliest_ms: start_of_day_ms(&self.earliest).map_err(|what| format!("times.earliest: {what}"))?,
            max_ahead_ms: self.max_ahead_s * 1000,
            max_late_ms: self.max_late_s * 1000,
            max_replay_ahead_ms: self.max_replay_ahead_s * 1000,
        })
    }
}

impl Times {
    /// Checks that the earliest day has come, since before it nothing could be dated. A machine
    /// whose clock lost its time must still start, so the clock alone does not decide.
    pub(super) fn check_clock(&self, now_ms: u64) -> Result<(), String> {
        match start_of_day_ms(&self.earliest)? {
            earliest_ms if earliest_ms < now_ms.max(HAS_COME_MS) => Ok(()),
            _ => Err(format!("{} is in the future: until then nothing could be dated", self.earliest)),
        }
    }
}

fn start_of_day_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a day from 1970-01-01 on; write it as 1980-01-01");
    let day: Date = text.parse().map_err(|_| wrong())?;
    let start = day.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp();
    u64::try_from(start.as_millisecond()).map_err(|_| wrong())
}

impl Default for Times {
    fn default() -> Self {
        let Bounds { max_ahead_ms, max_late_ms, max_replay_ahead_ms, .. } = Bounds::default();
        Times {
            earliest: "1980-01-01".into(),
            max_ahead_s: max_ahead_ms / 1000,
            max_late_s: max_late_ms / 1000,
            max_replay_ahead_s: max_replay_ahead_ms / 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times::DEFAULT_EARLIEST_S;

    #[test]
    fn the_default_is_the_default() {
        assert_eq!(Times::default().bounds(), Ok(Bounds::default()));
        assert_eq!(start_of_day_ms(&Times::default().earliest), Ok(DEFAULT_EARLIEST_S * 1000));
    }

    #[test]
    fn a_past_day_is_accepted_even_if_the_clock_lost_its_time() {
        let times = |earliest: &str| Times { earliest: earliest.into(), ..Times::default() };
        let (day_ms, of_2030_ms) = (86_400_000, 1_893_456_000_000);
        for (earliest, now_ms, has_come) in [
            ("2020-01-01", 60_000, true),
            ("2025-12-31", 60_000, true),
            ("2030-01-01", of_2030_ms + day_ms, true),
            ("2030-01-01", of_2030_ms - day_ms, false),
            ("2030-01-01", 60_000, false),
        ] {
            assert_eq!(times(earliest).check_clock(now_ms).is_ok(), has_come, "{earliest} {now_ms}");
        }
    }

    #[test]
    fn invalid_days_and_excessive_bounds_are_named() {
        let wrong = |times: Times| times.bounds().unwrap_err();
        for earliest in ["", "1979", "1980-02-30", "1969-12-31", "yesterday"] {
            let error = wrong(Times { earliest: earliest.into(), ..Times::default() });
            assert!(error.starts_with("times.earliest: "), "{error}");
        }
        let error = wrong(Times { max_late_s: u64::MAX, ..Times::default() });
        assert!(error.starts_with("times.max_late_s: "), "{error}");
        assert_eq!(Times { earliest: "1970-01-01".into(), ..Times::default() }.bounds().map(|bounds| bounds.earliest_ms), Ok(0));
    }
}
