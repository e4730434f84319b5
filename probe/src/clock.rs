//! Detects when the wall clock is set.
//!
//! Intervals follow the wall clock, which may be set: by NTP after booting without a battery-backed
//! clock, by an administrator, or by a hypervisor. It is compared with a second clock that nobody
//! sets and that keeps running during sleep. Both are slewed alike, so their difference changes
//! only when the wall clock is set: that is a [`Step`]. A machine that slept, or a process that was
//! stopped, does not cause one.

use std::time::{Duration, SystemTime};

/// Smallest change that is a step, milliseconds. Less does no harm, since intervals close a second
/// after their end. Small changes add up until they form a step.
const MIN_STEP_MS: u64 = 500;
/// Maximum time between reading the two clocks. It is exceeded only if the process was interrupted
/// in between.
const READ_AT_ONCE: Duration = Duration::from_millis(20);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock, Unix milliseconds.
    pub wall_ms: u64,
    /// A clock that is never set, milliseconds since an arbitrary start.
    pub steady_ms: u64,
}

/// A change of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What the clock would say now if it had not been set, Unix milliseconds.
    pub from_ms: u64,
    /// What it says, Unix milliseconds.
    pub to_ms: u64,
}

/// Detects steps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What to add to the steady clock to get the wall clock, milliseconds.
    offset_ms: i64,
    last: Reading,
}

impl Reading {
    /// Reads both clocks.
    pub fn now() -> Reading {
        let mut reading = Reading::once();
        // A preemption between the two readings would look like a step.
        for _ in 0..3 {
            if reading.1 <= READ_AT_ONCE {
                break;
            }
            reading = Reading::once();
        }
        reading.0
    }

    fn once() -> (Reading, Duration) {
        let before = steady();
        let wall_ms = now_ms();
        (Reading { wall_ms, steady_ms: milliseconds(before) }, steady().saturating_sub(before))
    }
}

/// The wall clock, Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    milliseconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Time since boot, including sleep.
fn steady() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer outlives the call, which cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Clock {
    /// Starts from this reading, whether the wall clock is right or not.
    pub fn new(reading: Reading) -> Clock {
        Clock { offset_ms: offset(reading), last: reading }
    }

    /// The last reading.
    pub fn last(&self) -> Reading {
        self.last
    }

    /// Takes the next reading; returns a step if the wall clock was set since the last one.
    pub fn follow(&mut self, reading: Reading) -> Option<Step> {
        let last = std::mem::replace(&mut self.last, reading);
        let expected_ms = reading.steady_ms.saturating_add_signed(self.offset_ms);
        let is_set = reading.wall_ms.abs_diff(expected_ms) >= MIN_STEP_MS;
        // A wall clock that goes back was set, whatever the other clock says.
        let goes_back = reading.wall_ms.saturating_add(MIN_STEP_MS) <= last.wall_ms;
        if !is_set && !goes_back {
            return None;
        }
        self.offset_ms = offset(reading);
        let from_ms = if is_set { expected_ms } else { last.wall_ms };
        Some(Step { from_ms, to_ms: reading.wall_ms })
    }
}

fn offset(reading: Reading) -> i64 {
    reading.wall_ms.cast_signed().saturating_sub(reading.steady_ms.cast_signed())
}

impl Step {
    /// How far the clock was set, milliseconds; negative if it was set back.
    pub fn by_ms(self) -> i64 {
        self.to_ms.cast_signed().saturating_sub(self.from_ms.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: u64, steady_ms: u64) -> Reading {
        Reading { wall_ms, steady_ms }
    }

    const HOUR: u64 = 3_600_000;

    #[test]
    fn elapsed_time_is_no_step_however_long_the_gap() {
        let mut clock = Clock::new(at(1000, 50));
        assert_eq!(clock.follow(at(1200, 250)), None);
        assert_eq!(clock.follow(at(HOUR, HOUR - 950)), None);
    }

    #[test]
    fn a_step_has_its_start_and_end() {
        let mut clock = Clock::new(at(HOUR, 0));
        assert_eq!(clock.follow(at(2 * HOUR + 200, 200)), Some(Step { from_ms: HOUR + 200, to_ms: 2 * HOUR + 200 }));
        assert_eq!(clock.follow(at(2 * HOUR + 400, 400)), None);
        let back = clock.follow(at(HOUR + 600, 600)).unwrap();
        assert_eq!((back, back.by_ms()), (Step { from_ms: 2 * HOUR + 600, to_ms: HOUR + 600 }, -3_600_000));
    }

    #[test]
    fn small_changes_add_up_to_a_step() {
        let mut clock = Clock::new(at(HOUR, 0));
        assert_eq!(clock.follow(at(HOUR + 200 + 300, 200)), None);
        assert_eq!(clock.follow(at(HOUR + 400 + 600, 400)), Some(Step { from_ms: HOUR + 400, to_ms: HOUR + 1000 }));
    }

    #[test]
    fn a_clock_that_goes_back_was_set_whatever_the_other_clock_says() {
        let mut clock = Clock::new(at(2 * HOUR, 2 * HOUR));
        assert_eq!(clock.follow(at(HOUR, HOUR)), Some(Step { from_ms: 2 * HOUR, to_ms: HOUR }));
        assert_eq!(clock.follow(at(HOUR + 100, HOUR + 100)), None);
    }

    #[test]
    fn no_time_is_too_far() {
        let mut clock = Clock::new(at(u64::MAX, 0));
        let step = clock.follow(at(0, 1)).unwrap();
        assert_eq!(step.to_ms, 0);
        assert!(clock.follow(at(u64::MAX, 2)).is_some());
    }

    #[test]
    fn the_machines_clocks_go_at_the_same_rate() {
        let mut clock = Clock::new(Reading::now());
        std::thread::sleep(Duration::from_millis(30));
        let reading = Reading::now();
        assert_eq!(clock.follow(reading), None);
        assert!(reading.steady_ms > 0);
    }
}
