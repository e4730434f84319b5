//! Time as the frames of a capture tell it.

use crate::observe::Observer;
use crate::times::Possible;
use zonepulse_wire::Counter;

const NS_PER_MS: u64 = 1_000_000;

/// The frames are the clock, as far as their times are possible. Whatever else reads them must do as this says, or it
/// finds other messages (see `replay/content.rs`).
#[derive(Debug)]
pub(crate) struct CaptureClock {
    possible: Possible,
    /// The latest possible time so far, Unix milliseconds.
    reached_ms: Option<u64>,
    /// Why the last frame was refused that was.
    refusal: Option<Counter>,
}

/// A frame whose time is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Under which counter its messages go.
    pub(crate) reason: Counter,
    /// Of what time it is to the observer: of the one that was reached, so that nothing that waits for later frames is
    /// given up. Unix nanoseconds.
    pub(crate) time_ns: u64,
}

impl CaptureClock {
    pub(crate) fn new(possible: Possible) -> CaptureClock {
        CaptureClock { possible, reached_ms: None, refusal: None }
    }

    /// The time of the next frame, which this observer reads then; Unix milliseconds.
    #[inline]
    pub(crate) fn follow(&mut self, time_ns: u64, observer: &mut Observer) -> Result<u64, Refused> {
        let time_ms = time_ns / NS_PER_MS;
        if let Some(reason) = self.possible.refusal(time_ms) {
            self.refusal = Some(reason);
            return Err(Refused { reason, time_ns: self.reached_ms.unwrap_or(0).saturating_mul(NS_PER_MS) });
        }
        if self.reached_ms.is_none() {
            // What waits came before any time was known.
            observer.shift(i64::try_from(time_ns).unwrap_or(i64::MAX));
        }
        self.reached_ms = self.reached_ms.max(Some(time_ms));
        Ok(time_ms)
    }

    /// Why what waits at the end does not count: when no time was possible.
    pub(crate) fn refusal_at_end(&self) -> Option<Counter> {
        self.refusal.filter(|_| self.reached_ms.is_none())
    }
}
