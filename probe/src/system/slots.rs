//! Tracks which slot of the clock has ended, although the clock may be set.

use crate::clock::{Clock, Reading};
use crate::times::Bounds;

/// Tracks slots of one length.
#[derive(Debug)]
pub struct Slots {
    length_s: u64,
    bounds: Bounds,
    clock: Clock,
    current: Option<Current>,
}

/// The current slot.
#[derive(Debug, Clone, Copy)]
struct Current {
    start_s: u64,
    /// Whether it was sampled at its start, so that its end completes it.
    is_whole: bool,
}

/// The result of a look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// No slot has ended; the next one ends in this many milliseconds.
    Wait(u64),
    /// A slot began; only part of the previous one was observed.
    Begin,
    /// A slot has ended.
    End {
        /// Its start, Unix seconds.
        start_s: u64,
        /// Whether the slot before it was observed, too.
        follows: bool,
    },
    /// The clock was set by this many milliseconds, or is not set at all: earlier samples belong to
    /// another time.
    Set(i64),
}

impl Slots {
    /// Slots of this length, starting now.
    pub fn new(length_s: u32, bounds: Bounds, reading: Reading) -> Slots {
        Slots { length_s: u64::from(length_s.max(1)), bounds, clock: Clock::new(reading), current: None }
    }

    /// Takes the next reading of the clock.
    pub fn look(&mut self, reading: Reading) -> Look {
        if let Some(step) = self.clock.follow(reading) {
            self.current = None;
            return Look::Set(step.by_ms());
        }
        let length_ms = self.length_s * 1000;
        let left_ms = length_ms - reading.wall_ms % length_ms;
        if !self.bounds.is_clock_set(reading.wall_ms) {
            return Look::Wait(length_ms);
        }
        let start_s = reading.wall_ms / length_ms * self.length_s;
        match self.current {
            None => {
                self.current = Some(Current { start_s, is_whole: false });
                Look::Wait(left_ms)
            }
            // The clock was set back by less than a step.
            Some(current) if start_s <= current.start_s => Look::Wait(left_ms),
            Some(current) => {
                self.current = Some(Current { start_s, is_whole: true });
                let follows = current.start_s + self.length_s == start_s;
                if current.is_whole { Look::End { start_s: start_s - self.length_s, follows } } else { Look::Begin }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE_MS: u64 = 3_600_000 * 490_000;

    fn slots() -> Slots {
        Slots::new(5, Bounds::default(), at(1000, 0))
    }

    /// Milliseconds since the base by the wall clock, and by the steady clock.
    fn at(wall_ms: u64, steady_ms: u64) -> Reading {
        Reading { wall_ms: BASE_MS + wall_ms, steady_ms }
    }

    fn end(start_s: u64, follows: bool) -> Look {
        Look::End { start_s: BASE_MS / 1000 + start_s, follows }
    }

    #[test]
    fn the_first_slot_is_seen_in_part_and_the_others_as_a_whole() {
        let mut slots = slots();
        assert_eq!(slots.look(at(1000, 0)), Look::Wait(4000));
        assert_eq!(slots.look(at(5100, 4100)), Look::Begin);
        assert_eq!(slots.look(at(9999, 8999)), Look::Wait(1));
        assert_eq!(slots.look(at(10_050, 9050)), end(5, true));
        assert_eq!(slots.look(at(15_050, 14_050)), end(10, true));
    }

    #[test]
    fn a_machine_that_slept_saw_no_slot_but_the_last() {
        let mut slots = slots();
        for ms in [1000, 5100, 10_100] {
            slots.look(at(ms, ms - 1000));
        }
        assert_eq!(slots.look(at(62_000, 61_000)), end(55, false));
    }

    #[test]
    fn a_clock_that_is_set_starts_over_and_reports_no_unobserved_slot() {
        for to_ms in [3_610_200, 12_200, 5000, 10_900] {
            let mut slots = slots();
            for ms in [1000, 5100, 10_100] {
                slots.look(at(ms, ms - 1000));
            }
            let Look::Set(by_ms) = slots.look(at(to_ms, 9200)) else { panic!("{to_ms}") };
            assert_eq!(by_ms, to_ms as i64 - 10_200);
            assert_eq!(slots.look(at(to_ms + 1, 9201)), Look::Wait(5000 - (to_ms + 1) % 5000));
            assert_eq!(slots.look(at(to_ms + 5000, 14_200)), Look::Begin, "only part of the slot was observed");
            assert_eq!(slots.look(at(to_ms + 10_000, 19_200)), end((to_ms + 5000) / 5000 * 5, true));
        }
    }

    #[test]
    fn a_clock_that_is_not_set_names_no_slot() {
        let mut slots = Slots::new(5, Bounds::default(), Reading { wall_ms: 1000, steady_ms: 0 });
        for ms in [1000, 6000, 11_000] {
            assert_eq!(slots.look(Reading { wall_ms: ms, steady_ms: ms - 1000 }), Look::Wait(5000));
        }
        assert!(matches!(slots.look(at(0, 11_000)), Look::Set(_)));
        assert_eq!(slots.look(at(10, 11_010)), Look::Wait(4990));
    }
}
