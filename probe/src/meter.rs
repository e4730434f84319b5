//! Frames in, batches out.
//!
//! A [`Meter`] observes frames and sums their hits interval by interval; the
//! intervals are aligned to the clock. A hit belongs to the interval of its own
//! time, whenever it is read, so several intervals may be open at once. One of
//! them is the **front**: the earliest whose coverage is not reported yet. It
//! closes a second after its end, by the wall clock when listening live, by the
//! frames' times in a replay, and the next becomes the front. What comes for an
//! interval behind the front is not lost: it makes another batch for that
//! interval, whose coverage is empty because it was reported before.
//!
//! Each open interval has a table of its own. The table of a new interval begins
//! with the records of the one before, without their sums, so that what was
//! counted goes on being counted (see [`crate::tally`]).
//!
//! Coverage is honest: when time jumps so far that the meter cannot have been
//! listening in between (the machine slept, or a capture was put together from
//! several), what lies between is not covered.
//!
//! The clock may be set. Whoever sees it says so ([`Meter::step`]): what is open closes,
//! covered up to the time that was reached, and the next interval is the one of the
//! corrected clock, covered from then on, whether or not an interval of that name was
//! reported before. Where both times lie in the open interval it goes on, and covers as
//! much as was listened to. Before a clock is set at all, hits are **undated**: they wait
//! for [`Meter::date`].

mod capture_clock;
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

/// How to meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterSettings {
    /// The server that the batches are about.
    pub server_id: u32,
    /// The epoch of the batches.
    pub epoch: u64,
    /// Length of an interval, seconds, 1 to 3600.
    pub interval_s: u32,
    /// The server's endpoints.
    pub scope: Scope,
    /// How much memory it may take: the records of an interval, and the observer.
    pub budget: Budget,
    /// Where the frames' times come from.
    pub source: Source,
}

/// Where the frames come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A device, listened to since this time, Unix milliseconds: time goes on
    /// without frames, and an interval without any still gives a batch.
    Live {
        /// When listening began, Unix milliseconds; with the first call of [`Meter::close_due`] when not given.
        since_ms: Option<u64>,
    },
    /// dnstap: as a device, but it is listened to only while a server is connected.
    /// [`Meter::close_due`] says that one is, [`Meter::finish`] that none is any more,
    /// and so on. An interval without any gives no batch.
    Told,
    /// A capture: the frames are the clock, from the first to the last of those whose times are possible.
    /// The messages of others are counted under the reason.
    Replay(Possible),
}

/// The time of frames that came before the clock was set, Unix milliseconds.
pub const UNDATED_MS: u64 = 0;

/// No batch has more records, whatever the settings say: with
/// [`MAX_NAME_OCTETS`] it stays within the bounds of the format.
pub const MAX_RECORDS: usize = 200_000;
/// No batch has longer names all in all, octets as in wire format.
pub const MAX_NAME_OCTETS: usize = 7 << 20;

/// The same where servers tell: they write what they gathered once a second, or when it is much.
pub const TOLD_GRACE_MS: u64 = 3000;

/// Sums hits interval by interval.
#[derive(Debug)]
pub struct Meter {
    observer: Observer,
    intervals: Intervals,
    /// None when the clock is a machine's.
    replay: Option<CaptureClock>,
}

const NS_PER_MS: u64 = 1_000_000;

impl Meter {
    /// A meter whose first batch has sequence number 0 in its epoch.
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

    /// The same, knowing what the probe itself asks: that is no hit.
    pub fn knowing(mut self, own: Arc<OwnQuestions>) -> Self {
        self.observer = self.observer.knowing(own);
        self
    }

    /// Reads a frame into the interval of its own time. In a replay this may close
    /// intervals: call [`Self::take_closed`] until it gives nothing.
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

    /// The clock was set while it was listened.
    pub fn step(&mut self, step: Step) {
        self.intervals.step(step);
        self.observer.shift(step.by_ms().saturating_mul(NS_PER_MS.cast_signed()));
        self.add(Counter::ClockSteps, 1);
    }

    /// From now on nobody knows the time; it had come this far, Unix milliseconds. Frames are of [`UNDATED_MS`] until
    /// [`Self::date`], and nothing else that takes a time is called.
    pub fn undate(&mut self, reached_ms: u64) {
        self.intervals.undate(reached_ms);
        // To the beginning of time, which is where undated frames are; those ahead of the clock, too.
        self.observer.shift(i64::MIN);
    }

    /// It is this time, Unix milliseconds: what is undated belongs to its interval.
    pub fn date(&mut self, now_ms: u64) {
        self.intervals.date(now_ms);
        self.observer.shift(now_ms.cast_signed().saturating_mul(NS_PER_MS.cast_signed()));
        self.add(Counter::ClockSteps, 1);
    }

    /// Gives up what is undated and will never be dated: how many hits.
    pub fn give_up_undated(&mut self) -> u64 {
        self.observer.finish(&mut self.intervals);
        self.intervals.give_up_undated()
    }

    /// What was counted and belongs to no interval, because there was none.
    pub fn take_early(&mut self) -> Counters {
        std::mem::take(&mut self.intervals.early)
    }

    /// Observes other endpoints from the next frame on.
    pub fn set_scope(&mut self, scope: &Scope) {
        self.observer.set_scope(scope);
    }

    /// Sums in intervals of another length from now on, Unix milliseconds. What is open is
    /// closed, covered until now; the next interval is the one that now is in, covered
    /// from now. Streams and fragments are kept, so no message is lost or counted twice.
    pub fn set_interval(&mut self, interval_s: u32, now_ms: u64) {
        self.intervals.set_interval(interval_s, now_ms);
    }

    /// The link types that are not read, and how many frames had them.
    pub fn unread_link_types(&self) -> &[(u32, u64)] {
        self.observer.unread_link_types()
    }

    /// How many frames had a link type that is not read.
    pub fn unread_frames(&self) -> u64 {
        self.observer.unread_frames()
    }

    /// The ports that are not watched with most of what looks like messages, and how many; the first few. A live meter
    /// looks for requests to the server's addresses only.
    pub fn other_ports(&self) -> Vec<(u16, u32)> {
        self.observer.other_ports()
    }

    /// The same, since it was asked last.
    pub fn take_other_ports(&mut self) -> Vec<(u16, u32)> {
        self.observer.take_other_ports()
    }

    /// The messages so far.
    pub fn totals(&self) -> Totals {
        self.intervals.totals
    }

    /// The start of the earliest interval that was not closed, Unix milliseconds; unknown before the first.
    pub fn open_since_ms(&self) -> Option<u64> {
        self.intervals.front_start_ms()
    }

    /// Adds to a counter of the newest interval.
    pub fn add(&mut self, counter: Counter, count: u64) {
        self.intervals.turn_to_now();
        self.intervals.add(counter, count);
    }

    /// Closes the intervals that ended a second before this time, Unix
    /// milliseconds. A live meter wants it several times a second; a replay has
    /// no use for it.
    pub fn close_due(&mut self, now_ms: u64) {
        if self.replay.is_none() {
            self.intervals.turn_to_now();
            self.observer.expire(now_ms.saturating_mul(NS_PER_MS), &mut self.intervals);
            self.intervals.advance(now_ms);
        }
    }

    /// Closes everything: listening ended at this time, Unix milliseconds
    /// (a replay ends with its last frame, whatever is given).
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

    /// The next batch that is complete, oldest first.
    pub fn take_closed(&mut self) -> Option<Batch> {
        self.intervals.closed.pop_front()
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
