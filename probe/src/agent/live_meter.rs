//! A meter for a live source, together with the machine's clock.
//!
//! The clock may be set at any moment, and the timestamps a source gives may be wrong or late. This
//! module handles both: every clock reading goes through [`LiveMeter::look`], which tells the meter
//! about steps, and a frame with an impossible timestamp gets its time of arrival. A frame stamped
//! by the corrected clock may arrive before the step is noticed, so a timestamp far from the last
//! reading triggers another one.
//!
//! While the clock is earlier than any possible time (a node without a battery-backed clock starts
//! in 1970), hits are kept and dated once it is set.

use crate::clock::{Clock, Reading, Step};
use crate::meter::{Meter, UNDATED_MS};
use crate::observe::Frame;
use crate::times::{Bounds, Possible};
use zonepulse_wire::Counter;

const NS_PER_MS: u64 = 1_000_000;

/// A meter and its clock; `R` reads the clocks.
pub(super) struct LiveMeter<R = fn() -> Reading> {
    pub(super) meter: Meter,
    read: R,
    clock: Clock,
    bounds: Bounds,
    /// None while the clock is not set.
    now_ms: Option<u64>,
    /// The last step of the clock that has not been taken yet.
    step: Option<Step>,
}

impl<R: Fn() -> Reading> LiveMeter<R> {
    /// Creates a meter that starts listening now.
    pub(super) fn new(bounds: Bounds, read: R, make: impl FnOnce(Option<u64>) -> Meter) -> Self {
        let clock = Clock::new(read());
        let now_ms = Some(clock.last().wall_ms).filter(|now_ms| bounds.is_clock_set(*now_ms));
        if now_ms.is_none() {
            tracing::warn!(
                clock_ms = clock.last().wall_ms,
                "this machine's clock is not set; hits are kept and dated once it is"
            );
        }
        LiveMeter { meter: make(now_ms), read, clock, bounds, now_ms, step: None }
    }

    /// Reads the clock and tells the meter about steps. Returns Unix milliseconds, or none while
    /// the clock is not set.
    pub(super) fn look(&mut self) -> Option<u64> {
        let reading = (self.read)();
        let step = self.clock.follow(reading);
        let now_ms = Some(reading.wall_ms).filter(|now_ms| self.bounds.is_clock_set(*now_ms));
        match (self.now_ms, now_ms, step) {
            (Some(_), Some(_), Some(step)) => self.meter.step(step),
            (Some(last_ms), None, step) => self.meter.undate(step.map_or(last_ms, |step| step.from_ms)),
            (None, Some(now_ms), _) => self.meter.date(now_ms),
            (None, None, _) | (Some(_), Some(_), None) => {}
        }
        self.now_ms = now_ms;
        self.step = step.or(self.step);
        now_ms
    }

    /// The last reading of the clock, Unix milliseconds; none while it is not set.
    pub(super) fn now_ms(&self) -> Option<u64> {
        self.now_ms
    }

    /// Returns how the clock was set since the last call.
    pub(super) fn take_step(&mut self) -> Option<Step> {
        self.step.take()
    }

    /// Closes intervals that are due by the clock, and returns its time.
    pub(super) fn tick(&mut self) -> Option<u64> {
        self.look();
        self.close_due(None)
    }

    /// The time that decides which intervals are due, based on the last reading of the clock. While
    /// frames wait to be read, it is the time of the last frame, unless the clock has been set
    /// since. Never later than now.
    fn due(&self, frame_ms: Option<u64>) -> Option<u64> {
        let now_ms = self.now_ms?;
        let frame_ms = frame_ms.filter(|time_ms| self.bounds.of_packets(now_ms).has(*time_ms));
        Some(frame_ms.map_or(now_ms, |time_ms| time_ms.min(now_ms)))
    }

    /// Closes intervals that are due by the last reading of the clock, and also by the time of the
    /// last frame if more may follow it. Returns the time used.
    pub(super) fn close_due(&mut self, frame_ms: Option<u64>) -> Option<u64> {
        let due_ms = self.due(frame_ms)?;
        self.meter.close_due(due_ms);
        Some(due_ms)
    }

    /// Reads a captured packet and returns its time, Unix milliseconds.
    #[inline]
    pub(super) fn packet(&mut self, frame: &Frame<'_>) -> u64 {
        let time_ms = frame.time_ns / NS_PER_MS;
        if self.now_ms.is_some_and(|now_ms| self.bounds.of_packets(now_ms).has(time_ms)) {
            self.meter.frame(frame);
            return time_ms;
        }
        self.far_packet(frame)
    }

    #[cold]
    fn far_packet(&mut self, frame: &Frame<'_>) -> u64 {
        let possible = self.look().map(|now_ms| self.bounds.of_packets(now_ms));
        self.frame_within(frame, possible, Counter::PacketTimesReplaced)
    }

    /// Reads a dnstap message. Its time must be current and within an open interval of
    /// `interval_ms`.
    pub(super) fn told(&mut self, frame: &Frame<'_>, interval_ms: u64) {
        let possible = self.now_ms.map(|now_ms| Possible {
            from_ms: self.meter.open_since_ms().unwrap_or(now_ms - now_ms % interval_ms),
            until_ms: now_ms.saturating_add(self.bounds.max_ahead_ms),
        });
        self.frame_within(frame, possible, Counter::DnstapTimesReplaced);
    }

    /// Reads a frame at its own time if that is possible, otherwise at its time of arrival.
    fn frame_within(&mut self, frame: &Frame<'_>, possible: Option<Possible>, replaced: Counter) -> u64 {
        let time_ms = frame.time_ns / NS_PER_MS;
        if possible.is_some_and(|possible| possible.has(time_ms)) {
            self.meter.frame(frame);
            return time_ms;
        }
        let now_ms = self.now_ms.unwrap_or(UNDATED_MS);
        self.meter.frame(&Frame { time_ns: now_ms.saturating_mul(NS_PER_MS), ..*frame });
        self.meter.add(replaced, 1);
        now_ms
    }

    /// Uses a new interval length from now on.
    pub(super) fn set_interval(&mut self, interval_s: u32) {
        if let Some(now_ms) = self.now_ms {
            self.meter.set_interval(interval_s, now_ms);
        }
    }

    /// Whether hits can be dated.
    pub(super) fn clock_is_set(&self) -> bool {
        self.now_ms.is_some()
    }

    /// Ends listening at this time, or now. Hits that were never dated are lost.
    pub(super) fn finish(&mut self, end_ms: Option<u64>) {
        self.look();
        match self.due(end_ms) {
            Some(end_ms) => self.meter.finish(end_ms),
            None => {
                let hits = self.meter.give_up_undated();
                if hits > 0 {
                    tracing::error!(hits, "hits lost: this machine's clock was never set, so they cannot be dated");
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "live_meter_tests.rs"]
mod tests;
