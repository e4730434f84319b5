//! A meter of a live source, and the machine's clock beside it.
//!
//! The clock may be set at any moment, and what a source says of the time may be false or
//! late. Here both are told apart: every look at the clock goes through [`LiveMeter::look`],
//! which tells the meter when it was set, and a frame whose time cannot be right is of the
//! time of its arrival. A frame of the corrected clock may come before anybody has looked:
//! so whatever is not near the last look makes another.
//!
//! While the clock is before every possible time (a node without a battery-backed clock
//! starts in 1970) hits are kept, and dated when it is set.

use crate::clock::{Clock, Reading, Step};
use crate::meter::{Meter, UNDATED_MS};
use crate::observe::Frame;
use crate::times::{Bounds, Possible};
use zonepulse_wire::Counter;

const NS_PER_MS: u64 = 1_000_000;

/// See the module; `R` reads the clocks.
pub(super) struct LiveMeter<R = fn() -> Reading> {
    pub(super) meter: Meter,
    read: R,
    clock: Clock,
    bounds: Bounds,
    /// None while the clock is not set.
    now_ms: Option<u64>,
    /// How it was set last, until somebody asks.
    step: Option<Step>,
}

impl<R: Fn() -> Reading> LiveMeter<R> {
    /// One that has just begun to listen.
    pub(super) fn new(bounds: Bounds, read: R, make: impl FnOnce(Option<u64>) -> Meter) -> Self {
        let clock = Clock::new(read());
        let now_ms = Some(clock.last().wall_ms).filter(|now_ms| bounds.is_clock_set(*now_ms));
        if now_ms.is_none() {
            tracing::warn!(
                clock_ms = clock.last().wall_ms,
                "this machine's clock is not set; what is counted is kept and dated when it is"
            );
        }
        LiveMeter { meter: make(now_ms), read, clock, bounds, now_ms, step: None }
    }

    /// What the clock says, Unix milliseconds; none while it is not set. The meter learns of what was done to it.
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

    /// What the clock said when it was looked at last, Unix milliseconds; none while it is not set.
    pub(super) fn now_ms(&self) -> Option<u64> {
        self.now_ms
    }

    /// How the clock was set since this was asked last.
    pub(super) fn take_step(&mut self) -> Option<Step> {
        self.step.take()
    }

    /// Closes what is due by the clock; gives what that says.
    pub(super) fn tick(&mut self) -> Option<u64> {
        self.look();
        self.close_due(None)
    }

    /// What time it is for intervals, by the last look at the clock. While frames wait to be read that is the time of
    /// the last one, unless it is of a clock that has been set since; it is never later than now.
    fn due(&self, frame_ms: Option<u64>) -> Option<u64> {
        let now_ms = self.now_ms?;
        let frame_ms = frame_ms.filter(|time_ms| self.bounds.of_packets(now_ms).has(*time_ms));
        Some(frame_ms.map_or(now_ms, |time_ms| time_ms.min(now_ms)))
    }

    /// Closes what is due by the last look at the clock, and by the time of the frame that was read last, if more may
    /// wait behind it; gives by what time.
    pub(super) fn close_due(&mut self, frame_ms: Option<u64>) -> Option<u64> {
        let due_ms = self.due(frame_ms)?;
        self.meter.close_due(due_ms);
        Some(due_ms)
    }

    /// Reads a captured packet; gives its time, Unix milliseconds.
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

    /// Reads what a server told with dnstap: of now, and of an interval that is not closed, `interval_ms` long.
    pub(super) fn told(&mut self, frame: &Frame<'_>, interval_ms: u64) {
        let possible = self.now_ms.map(|now_ms| Possible {
            from_ms: self.meter.open_since_ms().unwrap_or(now_ms - now_ms % interval_ms),
            until_ms: now_ms.saturating_add(self.bounds.max_ahead_ms),
        });
        self.frame_within(frame, possible, Counter::DnstapTimesReplaced);
    }

    /// Reads a frame, at its time if that is possible, or else at that of its arrival.
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

    /// Sums in intervals of another length from now on.
    pub(super) fn set_interval(&mut self, interval_s: u32) {
        if let Some(now_ms) = self.now_ms {
            self.meter.set_interval(interval_s, now_ms);
        }
    }

    /// Whether what is counted can be dated.
    pub(super) fn clock_is_set(&self) -> bool {
        self.now_ms.is_some()
    }

    /// Listening ends at this time, or now; what was never dated is lost.
    pub(super) fn finish(&mut self, end_ms: Option<u64>) {
        self.look();
        match self.due(end_ms) {
            Some(end_ms) => self.meter.finish(end_ms),
            None => {
                let hits = self.meter.give_up_undated();
                if hits > 0 {
                    tracing::error!(hits, "lost: this machine's clock was never set, so nobody knows when they were");
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "live_meter_tests.rs"]
mod tests;
