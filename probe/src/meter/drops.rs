//! Packets that were dropped at an unknown moment of a period.
//!
//! The kernel only says how many packets it has dropped so far. A probe that was suspended, or is behind, asks late, so
//! the period since it last asked may span several intervals. Any of them may have lost packets, hence each is told of at
//! least one; otherwise they share the number evenly.

use zonepulse_wire::Counter;

/// Dropped packets that were not passed on to all intervals yet.
#[derive(Debug, Default)]
pub(super) struct Drops {
    periods: Vec<Period>,
}

#[derive(Debug, Clone, Copy)]
struct Period {
    counter: Counter,
    count: u64,
    from_ms: u64,
    until_ms: u64,
}

impl Drops {
    /// Notes packets that were dropped between these times, Unix milliseconds.
    pub(super) fn note(&mut self, counter: Counter, count: u64, from_ms: u64, until_ms: u64, interval_ms: u64) {
        if count == 0 {
            return;
        }
        let from_ms = from_ms.min(until_ms);
        // While packets are being dropped, this is called several times a second.
        let same = self.periods.iter_mut().find(|period| {
            let number = from_ms / interval_ms;
            period.counter == counter && [period.from_ms, period.until_ms, until_ms].iter().all(|at| at / interval_ms == number)
        });
        match same {
            Some(period) => {
                period.count = period.count.saturating_add(count);
                period.until_ms = period.until_ms.max(until_ms);
            }
            None => self.periods.push(Period { counter, count, from_ms, until_ms }),
        }
    }

    /// What an interval that is being closed lost.
    pub(super) fn take(&mut self, start_ms: u64, interval_ms: u64) -> Vec<(Counter, u64)> {
        let end_ms = start_ms.saturating_add(interval_ms);
        let mut lost = Vec::new();
        self.periods.retain_mut(|period| {
            if period.from_ms >= end_ms {
                return true;
            }
            let goes_on = period.until_ms >= end_ms;
            let share = if goes_on {
                let first_ms = period.from_ms.max(start_ms);
                let intervals = (period.until_ms / interval_ms).saturating_sub(first_ms / interval_ms) + 1;
                (period.count / intervals).max(1)
            } else if period.until_ms >= start_ms {
                period.count.max(1)
            } else {
                // Their interval is not reported any more.
                period.count
            };
            period.count = period.count.saturating_sub(share);
            if share > 0 {
                lost.push((period.counter, share));
            }
            goes_on
        });
        lost
    }

    /// Everything happened by this time: no later interval follows.
    pub(super) fn end_at(&mut self, time_ms: u64) {
        for period in &mut self.periods {
            period.from_ms = period.from_ms.min(time_ms);
            period.until_ms = period.until_ms.min(time_ms);
        }
    }

    /// What was not passed on.
    pub(super) fn take_rest(&mut self) -> Vec<(Counter, u64)> {
        let rest = self.periods.drain(..).filter(|period| period.count > 0);
        rest.map(|period| (period.counter, period.count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KERNEL: Counter = Counter::KernelDropped;

    #[test]
    fn drops_of_one_interval_are_its_own() {
        let mut drops = Drops::default();
        drops.note(KERNEL, 5, 1000, 1200, 1000);
        drops.note(KERNEL, 7, 1200, 1400, 1000);
        assert_eq!(drops.take(0, 1000), []);
        assert_eq!(drops.take(1000, 1000), [(KERNEL, 12)]);
        assert_eq!(drops.take(2000, 1000), []);
    }

    #[test]
    fn every_interval_of_a_suspension_is_told() {
        let mut drops = Drops::default();
        drops.note(KERNEL, 10, 1900, 4100, 1000);
        let told: Vec<_> = [1000, 2000, 3000, 4000, 5000].map(|start_ms| drops.take(start_ms, 1000)).concat();
        assert_eq!(told, [(KERNEL, 2), (KERNEL, 2), (KERNEL, 3), (KERNEL, 3)]);
        drops.note(KERNEL, 1, 1900, 3100, 1000);
        assert_eq!([1000, 2000, 3000, 4000].map(|start_ms| drops.take(start_ms, 1000).len()), [1, 1, 1, 0]);
    }

    #[test]
    fn what_ends_early_is_told_with_the_last_interval() {
        let mut drops = Drops::default();
        drops.note(KERNEL, 10, 1900, 4100, 1000);
        drops.end_at(2500);
        assert_eq!((drops.take(1000, 1000), drops.take(2000, 1000)), (vec![(KERNEL, 5)], vec![(KERNEL, 5)]));
        assert_eq!(drops.take_rest(), []);
    }

    proptest! {
        /// No packet is forgotten, and no interval of a period is left out.
        #[test]
        fn all_packets_are_told(periods in proptest::collection::vec((1u64..9, 0u64..9000, 0u64..4000), 0..9)) {
            let mut drops = Drops::default();
            for (count, from_ms, length_ms) in &periods {
                drops.note(KERNEL, *count, *from_ms, from_ms + length_ms, 1000);
            }
            let told: Vec<u64> = (0..14).map(|number| {
                drops.take(number * 1000, 1000).iter().map(|(_, count)| count).sum()
            }).collect();
            for (_, from_ms, length_ms) in &periods {
                for number in from_ms / 1000..=(from_ms + length_ms) / 1000 {
                    prop_assert!(told[number as usize] > 0, "{told:?}");
                }
            }
            prop_assert!(told.iter().sum::<u64>() >= periods.iter().map(|(count, ..)| count).sum());
            prop_assert_eq!(drops.take_rest(), []);
        }
    }
}
