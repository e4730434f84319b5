//! Telling what the clock does from what time does.
//!
//! Intervals are named by the wall clock, which is set now and then: by NTP after a start
//! without a battery-backed clock, by an administrator, by a hypervisor. A second clock,
//! which nobody sets and which goes on while the machine sleeps, stands beside it. Both are
//! slewed alike, so their difference changes only when the wall clock is set: that is a
//! [`Step`]. A machine that slept, or a process that was stopped, is none.

use std::time::{Duration, SystemTime};

/// A smaller change is none: an interval closes a second after its end, so that it does no
/// harm. Small ones add up, and together are a step. Milliseconds.
const MIN_STEP_MS: u64 = 500;
/// Longer than it takes to read both clocks, unless the process was interrupted in between.
const READ_AT_ONCE: Duration = Duration::from_millis(20);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Unix milliseconds, by the wall clock.
    pub wall_ms: u64,
    /// Milliseconds since some beginning, by a clock that is never set.
    pub steady_ms: u64,
}

/// The wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What it would say now if it had not been, Unix milliseconds.
    pub from_ms: u64,
    /// What it says, Unix milliseconds.
    pub to_ms: u64,
}

/// Finds steps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What to add to the steady clock to get the wall clock, milliseconds.
    offset_ms: i64,
    last: Reading,
}

impl Reading {
    /// Of this moment.
    pub fn now() -> Reading {
        let mut reading = Reading::once();
        // Somebody else's turn between the two would look like a step.
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
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (Reading { wall_ms: milliseconds(wall), steady_ms: milliseconds(before) }, steady().saturating_sub(before))
    }
}

/// Time since the machine started, sleep included.
fn steady() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer lives through the call, which cannot fail with this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Clock {
    /// One that is right at this moment, or as wrong as it stays.
    pub fn new(reading: Reading) -> Clock {
        Clock { offset_ms: offset(reading), last: reading }
    }

    /// What it said last.
    pub fn last(&self) -> Reading {
        self.last
    }

    /// Takes the next reading, and says whether the wall clock was set since the last step.
    pub fn follow(&mut self, reading: Reading) -> Option<Step> {
        let last = std::mem::replace(&mut self.last, reading);
        let expected_ms = reading.steady_ms.saturating_add_signed(self.offset_ms);
        let is_set = reading.wall_ms.abs_diff(expected_ms) >= MIN_STEP_MS;
        // Whatever the other clock says: time does not go back by itself.
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
    /// By how much the clock was set, milliseconds; less than 0 when it was set back.
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
    fn time_that_passes_is_no_step_however_long_nobody_looks() {
        let mut clock = Clock::new(at(1000, 50));
        assert_eq!(clock.follow(at(1200, 250)), None);
        assert_eq!(clock.follow(at(HOUR, HOUR - 950)), None);
    }

    #[test]
    fn a_clock_that_is_set_says_from_where_to_where() {
        let mut clock = Clock::new(at(HOUR, 0));
        assert_eq!(clock.follow(at(2 * HOUR + 200, 200)), Some(Step { from_ms: HOUR + 200, to_ms: 2 * HOUR + 200 }));
        assert_eq!(clock.follow(at(2 * HOUR + 400, 400)), None);
        let back = clock.follow(at(HOUR + 600, 600)).unwrap();
        assert_eq!((back, back.by_ms()), (Step { from_ms: 2 * HOUR + 600, to_ms: HOUR + 600 }, -3_600_000));
    }

    #[test]
    fn what_is_set_little_by_little_is_a_step_once_it_is_much() {
        let mut clock = Clock::new(at(HOUR, 0));
        assert_eq!(clock.follow(at(HOUR + 200 + 300, 200)), None);
        assert_eq!(clock.follow(at(HOUR + 400 + 600, 400)), Some(Step { from_ms: HOUR + 400, to_ms: HOUR + 1000 }));
    }

    #[test]
    fn a_clock_that_goes_back_was_set_whatever_the_other_says() {
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
