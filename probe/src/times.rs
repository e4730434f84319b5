//! Which timestamps are plausible.
//!
//! Timestamps in a batch are permanent: the first and last access of a record are kept forever, and
//! its points as long as the central keeps any. So implausible times are not accepted. Live data is
//! current: with any other timestamp, it counts at its time of arrival. A capture file may be of
//! any age, but not from the future, nor from before there was a network to capture: messages with
//! such times are counted under a reason, and not tallied.

use zonepulse_wire::{Counter, END_OF_TIME_S};

/// The latest plausible time, Unix milliseconds: every interval that begins earlier ends within the
/// range of the format.
pub const LATEST_MS: u64 = (END_OF_TIME_S - 2 * 3600) * 1000;
/// The beginning of 1980, Unix seconds: a machine that has lost its clock is in 1970.
pub const DEFAULT_EARLIEST_S: u64 = 315_532_800;

/// The time of a frame later than nanoseconds in 64 bits can express (2554), Unix nanoseconds.
pub const BEYOND_NS: u64 = u64::MAX;

/// How far timestamps may deviate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Earliest plausible time, Unix milliseconds; a clock before it is not set yet.
    pub earliest_ms: u64,
    /// How far live data may be ahead of the machine's clock, milliseconds.
    pub max_ahead_ms: u64,
    /// How far a packet may be behind the clock, milliseconds.
    pub max_late_ms: u64,
    /// How far a capture file may be ahead of the clock, milliseconds.
    pub max_replay_ahead_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { earliest_ms: DEFAULT_EARLIEST_S * 1000, max_ahead_ms: 1000, max_late_ms: 60_000, max_replay_ahead_ms: 600_000 }
    }
}

impl Bounds {
    /// Whether a clock with this time may be right, Unix milliseconds.
    pub fn is_clock_set(&self, wall_ms: u64) -> bool {
        (self.earliest_ms..=LATEST_MS).contains(&wall_ms)
    }

    /// Plausible times in a file read now, Unix milliseconds.
    pub fn of_files(&self, now_ms: u64) -> Possible {
        Possible { from_ms: self.earliest_ms, until_ms: now_ms.saturating_add(self.max_replay_ahead_ms).min(LATEST_MS) }
    }

    /// Plausible times of a packet read now, Unix milliseconds.
    pub fn of_packets(&self, now_ms: u64) -> Possible {
        let from_ms = now_ms.saturating_sub(self.max_late_ms).max(self.earliest_ms);
        Possible { from_ms, until_ms: now_ms.saturating_add(self.max_ahead_ms).min(LATEST_MS) }
    }
}

/// A range of times, inclusive, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possible {
    /// The earliest.
    pub from_ms: u64,
    /// The latest.
    pub until_ms: u64,
}

impl Possible {
    /// Everything that the format can express.
    pub const ANY: Possible = Possible { from_ms: 0, until_ms: LATEST_MS };

    /// Whether a time lies within.
    #[inline]
    pub fn has(&self, time_ms: u64) -> bool {
        (self.from_ms..=self.until_ms).contains(&time_ms)
    }

    /// The counter for a message with this time if it is implausible, otherwise none. [`BEYOND_NS`]
    /// counts as the future.
    #[inline]
    pub fn refusal(&self, time_ms: u64) -> Option<Counter> {
        match () {
            () if time_ms > self.until_ms => Some(Counter::TimeInFuture),
            () if time_ms < self.from_ms => Some(Counter::TimeTooEarly),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_767_225_600_000;
    const YEAR_MS: u64 = 365 * 86_400_000;

    #[test]
    fn a_file_may_be_old_and_not_of_the_future() {
        let possible = Bounds::default().of_files(NOW_MS);
        for (time_ms, refusal) in [
            (NOW_MS, None),
            (NOW_MS + 600_000, None),
            (NOW_MS + 600_001, Some(Counter::TimeInFuture)),
            (NOW_MS + 10 * YEAR_MS, Some(Counter::TimeInFuture)),
            (BEYOND_NS / 1_000_000, Some(Counter::TimeInFuture)),
            (315_532_800_000, None),
            (315_532_799_999, Some(Counter::TimeTooEarly)),
            (0, Some(Counter::TimeTooEarly)),
        ] {
            assert_eq!(possible.refusal(time_ms), refusal, "{time_ms}");
            assert_eq!(possible.has(time_ms), refusal.is_none(), "{time_ms}");
        }
    }

    #[test]
    fn a_packet_is_of_now() {
        let possible = Bounds::default().of_packets(NOW_MS);
        let cases = [(NOW_MS + 1000, true), (NOW_MS + 1001, false), (NOW_MS - 60_000, true), (NOW_MS - 60_001, false)];
        for (time_ms, is_possible) in cases {
            assert_eq!(possible.has(time_ms), is_possible, "{time_ms}");
        }
    }

    #[test]
    fn a_clock_of_1970_or_past_the_format_is_not_set() {
        let bounds = Bounds::default();
        assert!(bounds.is_clock_set(NOW_MS) && !bounds.is_clock_set(60_000) && !bounds.is_clock_set(u64::MAX));
    }
}
