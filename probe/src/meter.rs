//! Turns frames into batches.
//!
//! A [`Meter`] observes frames and tallies their hits per interval; intervals are aligned to the
//! clock. A hit belongs to the interval of its own time, whenever it is read, so several intervals
//! may be open at once. One of them is the **front**: the earliest whose coverage has not been
//! reported. It closes a second after its end, by the wall clock when live and by frame times in a
//! replay, and the next interval becomes the front. Hits for an interval behind the front are not
//! lost: they form another batch for that interval, with empty coverage because it was reported
//! before.
//!
//! Each open interval has its own table. The table of a new interval starts with the records of the
//! previous one, without their counts, so that records keep their places (see [`crate::tally`]).
//!
//! Coverage is honest: if time jumps so far that the meter cannot have been listening in between
//! (the machine slept, or a capture was merged from several), the gap is not covered.
//!
//! The clock may be set. Whoever notices calls [`Meter::step`]: open intervals close, covered up to
//! the time reached, and the next interval is that of the corrected clock, covered from then on,
//! even if an interval with the same start was reported before. If both times lie in the open
//! interval, it continues and covers as much time as was observed. Before a clock is set at all,
//! hits are **undated** and wait for [`Meter::date`].

mod capture_clock;
mod drops;
mod interval;
mod intervals;

use crate::clock::Step;
use crate::memory::Budget;
use crate::observe::{Frame, Observer, OwnQuestions, Scope, Sink};
use crate::sight::Totals;
use crate::times::Possible;
pub(crate) use capture_clock::{CaptureClock, Refused};
use intervals::Intervals;
use std::sync::Arc;
use zonepulse_wire::{Batch, Counter, Counters};

/// Parameters of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterSettings {
    /// The server that the batches describe.
    pub server_id: u32,
    /// The epoch of the batches.
    pub epoch: u64,
    /// Length of an interval, seconds, 1 to 3600.
    pub interval_s: u32,
    /// The server's endpoints.
    pub scope: Scope,
    /// Memory for the records of an interval, and for the observer.
    pub budget: Budget,
    /// Whether to count which records responses served.
    pub served: bool,
    /// The source of the frames.
    pub source: Source,
}

/// The source of frames, which determines the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A device, observed since this time, Unix milliseconds. Time passes without frames, and an
    /// interval without frames still gives a batch.
    Live {
        /// When observation began, Unix milliseconds; by default the first call of
        /// [`Meter::close_due`].
        since_ms: Option<u64>,
    },
    /// dnstap: like a device, but observed only while a server is connected. [`Meter::close_due`]
    /// reports that one is, [`Meter::finish`] that none is any more, and so on. An interval without
    /// a connection gives no batch.
    Told,
    /// A capture: frames are the clock, from the first to the last with a possible time. Messages
    /// of other frames are counted under the reason.
    Replay(Possible),
}

/// The time of frames that came before the clock was set, Unix milliseconds.
pub const UNDATED_MS: u64 = 0;

/// Grace period for dnstap: servers flush their buffers once a second, or earlier under load.
pub const TOLD_GRACE_MS: u64 = 3000;

/// Tallies hits per interval.
#[derive(Debug)]
pub struct Meter {
    observer: Observer,
    intervals: Intervals,
    /// None for live sources.
    replay: Option<CaptureClock>,
}

const NS_PER_MS: u64 = 1_000_000;

impl Meter {
    /// Creates a meter whose first batch has sequence number 0 in its epoch.
    pub fn new(settings: MeterSettings) -> Self {
        let observer = Observer::new(&settings.scope).within(settings.budget.observer_bytes);
        let since_ms = match settings.source {
            Source::Live { since_ms } => since_ms,
            Source::Told | Source::Replay(_) => None,
        };
        let replay = match settings.source {
            Source::Replay(possible) => Some(CaptureClock::new(possible)),
            Source::Live { .. } | Source::Told => None,
        };
        let observer = if replay.is_some() { observer.noting_other_ports() } else { observer.noting_requests_to_other_ports() };
        Meter { observer, intervals: Intervals::new(&settings, since_ms), replay }
    }

    /// Excludes the probe's own queries, which are not hits.
    pub fn knowing(mut self, own: Arc<OwnQuestions>) -> Self {
        self.observer = self.observer.knowing(own);
        self
    }

    /// Reads a frame into the interval of its own time. In a replay this may close intervals: call
    /// [`Self::take_closed`] until it returns none.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>) {
        let time_ms = frame.time_ns / NS_PER_MS;
        if let Some(clock) = &mut self.replay {
            match clock.follow(frame.time_ns, &mut self.observer) {
                Ok(time_ms) => self.intervals.advance(time_ms),
                Err(refused) => return self.refuse(frame, refused),
            }
        }
        self.intervals.turn_to(time_ms);
        self.observer.frame(frame, &mut self.intervals);
    }

    /// Counts the messages of a frame under the reason.
    #[cold]
    fn refuse(&mut self, frame: &Frame<'_>, Refused { reason, time_ns }: Refused) {
        self.intervals.turn_to_now();
        self.intervals.refusing = Some(reason);
        self.observer.frame(&Frame { time_ns, ..*frame }, &mut self.intervals);
        self.intervals.refusing = None;
    }

    /// Handles a step of the clock during observation.
    pub fn step(&mut self, step: Step) {
        self.intervals.step(step);
        self.observer.shift(step.by_ms().saturating_mul(NS_PER_MS.cast_signed()));
        self.add(Counter::ClockSteps, 1);
    }

    /// The clock lost its time after reaching `reached_ms`, Unix milliseconds. Until
    /// [`Self::date`], frames are stamped [`UNDATED_MS`], and no other method that takes a time may
    /// be called.
    pub fn undate(&mut self, reached_ms: u64) {
        self.intervals.undate(reached_ms);
        // Move everything to time zero, where undated frames are, including what was ahead of the
        // clock.
        self.observer.shift(i64::MIN);
    }

    /// The clock is set, Unix milliseconds: undated hits belong to the interval of this time.
    pub fn date(&mut self, now_ms: u64) {
        self.intervals.date(now_ms);
        self.observer.shift(now_ms.cast_signed().saturating_mul(NS_PER_MS.cast_signed()));
        self.add(Counter::ClockSteps, 1);
    }

    /// Discards undated hits that can never be dated; returns their number.
    pub fn give_up_undated(&mut self) -> u64 {
        self.observer.finish(&mut self.intervals);
        self.intervals.give_up_undated()
    }

    /// Takes counts that belong to no interval, because there was none.
    pub fn take_early(&mut self) -> Counters {
        std::mem::take(&mut self.intervals.early)
    }

    /// Observes other endpoints from the next frame on.
    pub fn set_scope(&mut self, scope: &Scope) {
        self.observer.set_scope(scope);
    }

    /// Changes the interval length at `now_ms`, Unix milliseconds. Open intervals are closed,
    /// covered until now. The next interval is the one that contains now, covered from now on.
    /// Streams and fragments are kept, so no message is lost or counted twice.
    pub fn set_interval(&mut self, interval_s: u32, now_ms: u64) {
        self.intervals.set_interval(interval_s, now_ms);
    }

    /// Whether to count which records responses served, from the next frame on.
    pub fn set_served(&mut self, is_on: bool) {
        self.intervals.set_served(is_on);
    }

    /// Unsupported link types, with the number of frames of each.
    pub fn unread_link_types(&self) -> &[(u32, u64)] {
        self.observer.unread_link_types()
    }

    /// Number of frames with an unsupported link type.
    pub fn unread_frames(&self) -> u64 {
        self.observer.unread_frames()
    }

    /// The few unwatched ports with the most messages that look like DNS, and their number. A live
    /// meter only considers requests to the server's addresses.
    pub fn other_ports(&self) -> Vec<(u16, u32)> {
        self.observer.other_ports()
    }

    /// The same, since the last call.
    pub fn take_other_ports(&mut self) -> Vec<(u16, u32)> {
        self.observer.take_other_ports()
    }

    /// Total messages so far.
    pub fn totals(&self) -> Totals {
        self.intervals.totals
    }

    /// Start of the earliest open interval, Unix milliseconds; unknown before the first.
    pub fn open_since_ms(&self) -> Option<u64> {
        self.intervals.front_start_ms()
    }

    /// Adds to a counter of the newest interval.
    pub fn add(&mut self, counter: Counter, count: u64) {
        self.intervals.turn_to_now();
        self.intervals.add(counter, count);
    }

    /// Notes packets that were dropped at an unknown moment between two times, Unix milliseconds; without them, now.
    pub fn add_dropped(&mut self, counter: Counter, count: u64, period_ms: Option<(u64, u64)>) {
        match period_ms {
            Some((from_ms, until_ms)) => self.intervals.dropped(counter, count, from_ms, until_ms),
            None => self.add(counter, count),
        }
    }

    /// Closes intervals that ended a second before this time, Unix milliseconds. Call it several
    /// times a second when live; a replay does not need it.
    pub fn close_due(&mut self, now_ms: u64) {
        if self.replay.is_none() {
            self.intervals.turn_to_now();
            self.observer.expire(now_ms.saturating_mul(NS_PER_MS), &mut self.intervals);
            self.intervals.advance(now_ms);
        }
    }

    /// Closes everything. Observation ended at this time, Unix milliseconds; a replay ignores it
    /// and ends with its last frame.
    pub fn finish(&mut self, now_ms: u64) {
        if self.replay.is_none() && self.intervals.front_start_ms().is_some() {
            self.intervals.advance(now_ms);
        }
        self.intervals.turn_to_now();
        self.intervals.refusing = self.replay.as_ref().and_then(CaptureClock::refusal_at_end);
        self.observer.finish(&mut self.intervals);
        self.intervals.refusing = None;
        self.intervals.finish();
    }

    /// Takes the oldest complete batch.
    pub fn take_closed(&mut self) -> Option<Batch> {
        self.intervals.closed.pop_front()
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
