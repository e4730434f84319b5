//! The clock of a capture, given by its frames.

use crate::observe::Observer;
use crate::times::Possible;
use zonepulse_wire::Counter;

const NS_PER_MS: u64 = 1_000_000;

/// Frames with possible times are the clock. Every other reader of captures must apply the same
/// rules, or it finds different messages (see `replay/content.rs`).
#[derive(Debug)]
pub(crate) struct CaptureClock {
    possible: Possible,
    /// The latest possible time so far, Unix milliseconds.
    reached_ms: Option<u64>,
    /// The reason for the last refusal.
    refusal: Option<Counter>,
}

/// A frame whose time is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The counter for its messages.
    pub(crate) reason: Counter,
    /// The time to observe it at, Unix nanoseconds: the latest time reached, so that nothing
    /// waiting for later frames expires.
    pub(crate) time_ns: u64,
}

impl CaptureClock {
    pub(crate) fn new(possible: Possible) -> CaptureClock {
        CaptureClock { possible, reached_ms: None, refusal: None }
    }

    /// Advances to the time of the next frame, Unix milliseconds, which this observer will read.
    #[inline]
    pub(crate) fn follow(&mut self, time_ns: u64, observer: &mut Observer) -> Result<u64, Refused> {
        let time_ms = time_ns / NS_PER_MS;
        if let Some(reason) = self.possible.refusal(time_ms) {
            self.refusal = Some(reason);
            return Err(Refused { reason, time_ns: self.reached_ms.unwrap_or(0).saturating_mul(NS_PER_MS) });
        }
        if self.reached_ms.is_none() {
            // Whatever waits was received before any time was known.
            observer.shift(i64::try_from(time_ns).unwrap_or(i64::MAX));
        }
        self.reached_ms = self.reached_ms.max(Some(time_ms));
        Ok(time_ms)
    }

    /// Why messages still waiting at the end do not count: no frame had a possible time.
    pub(crate) fn refusal_at_end(&self) -> Option<Counter> {
        self.refusal.filter(|_| self.reached_ms.is_none())
    }
}
