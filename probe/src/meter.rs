//! Frames in, batches out.

use crate::observe::{Frame, Scope};
use zonepulse_wire::{Batch, Counter};

/// How to meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterSettings {
    /// The server that the batches are about.
    pub server_id: u32,
    /// The epoch of the batches.
    pub epoch: u64,
    /// Length of an interval, seconds.
    pub interval_s: u32,
    /// The server's endpoints.
    pub scope: Scope,
    /// The most records of a batch; what is past it folds into `<other>`.
    pub max_records: usize,
    /// Where the frames' times come from.
    pub source: Source,
}

/// Where the frames come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A device, listened to since this time, Unix milliseconds: time goes on
    /// without frames, and an interval without any still gives a batch.
    Live {
        /// When listening began, Unix milliseconds.
        since_ms: u64,
    },
    /// A capture: the frames are the clock, from the first to the last.
    Replay,
}

/// Sums hits interval by interval.
pub struct Meter {}

impl Meter {
    /// A meter whose next batch has this epoch's sequence number 0.
    pub fn new(_settings: MeterSettings) -> Self {
        Meter {}
    }

    /// Reads a frame into the interval of its own time. Call
    /// [`Self::take_closed`] until it gives nothing after each.
    pub fn frame(&mut self, _frame: &Frame<'_>) {}

    /// Adds to a counter of the newest interval.
    pub fn add(&mut self, _counter: Counter, _count: u64) {}

    /// Closes the intervals that ended a second before this time, Unix
    /// milliseconds. A live meter wants it several times a second.
    pub fn close_due(&mut self, _now_ms: u64) {}

    /// Closes everything: listening ended at this time, Unix milliseconds
    /// (a replay ends with its last frame, whatever is given).
    pub fn finish(&mut self, _now_ms: u64) {}

    /// The next batch that is complete, oldest first.
    pub fn take_closed(&mut self) -> Option<Batch> {
        None
    }
}
