//! Measures the difference between two clocks.
//!
//! A heartbeat carries the time when it was sent, the answer the time when it arrived, each by its
//! sender's clock. Since transit took an unknown part of the round trip, half of it is assumed. The
//! result is off by at most the other half, and a difference within that is not significant.

use crate::status::Status;
use std::time::Duration;

/// Differences from here on are reported, milliseconds: hits are dated by the probe's clock,
/// queries by the central's.
const WORTH_A_WORD_MS: u64 = 1000;

/// The last reported state.
#[derive(Debug, Default)]
pub(super) struct Clock {
    apart: bool,
}

impl Clock {
    /// Compares the clocks, updates the status, and logs when they diverge and when they agree
    /// again.
    pub(super) fn compare(&mut self, sent_at_ms: u64, received_at_ms: u64, round_trip: Duration, status: &Status) {
        let (ahead_ms, uncertain_ms) = ahead(sent_at_ms, received_at_ms, round_trip);
        status.set_clock_ahead_ms(ahead_ms);
        let apart = ahead_ms.unsigned_abs() > WORTH_A_WORD_MS + uncertain_ms;
        if apart && !self.apart {
            tracing::warn!(
                central_ahead_ms = ahead_ms,
                uncertain_ms,
                "this machine's clock differs from the central's, so hits appear at the wrong time; is NTP running on both?"
            );
        }
        if !apart && self.apart {
            tracing::info!(central_ahead_ms = ahead_ms, "this machine's clock and the central's agree again");
        }
        self.apart = apart;
    }
}

/// How far the other clock is ahead, and the error bound, milliseconds.
fn ahead(sent_at_ms: u64, received_at_ms: u64, round_trip: Duration) -> (i64, u64) {
    let half_ms = u64::try_from(round_trip.as_millis()).unwrap_or(u64::MAX) / 2;
    let arrived_ms = i128::from(sent_at_ms) + i128::from(half_ms);
    let ahead_ms = i128::from(received_at_ms) - arrived_ms;
    (i64::try_from(ahead_ms).unwrap_or(i64::MAX), half_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transit_time_is_not_a_difference() {
        assert_eq!(ahead(10_000, 10_040, Duration::from_millis(80)), (0, 40));
        assert_eq!(ahead(10_000, 15_000, Duration::from_millis(200)), (4900, 100));
        assert_eq!(ahead(10_000, 8_000, Duration::ZERO), (-2000, 0));
        assert_eq!(ahead(0, u64::MAX, Duration::ZERO), (i64::MAX, 0));
    }

    #[test]
    fn a_slow_round_trip_makes_a_difference_uncertain() {
        let status = Status::new(1);
        let mut clock = Clock::default();
        clock.compare(10_000, 13_500, Duration::from_secs(6), &status);
        assert_eq!((clock.apart, status.clock_ahead_ms()), (false, Some(500)));
        clock.compare(10_000, 16_500, Duration::from_secs(2), &status);
        assert!(clock.apart);
        clock.compare(10_000, 10_900, Duration::ZERO, &status);
        assert!(!clock.apart);
    }
}
