//! The clock of the upkeep thread.

use std::time::{Duration, Instant};

/// A forward jump of the clock by more than this is not trusted at first, seconds.
const LEAP_S: u64 = 600;
/// A jump is trusted once it has persisted for this long.
const BELIEVED_AFTER: Duration = Duration::from_secs(3600);

/// The time by which points expire. Expired points are gone for good, so a clock that is temporarily wrong must not
/// decide this.
pub(super) struct Clock {
    begun: Instant,
    begun_s: u64,
    leapt: Option<Instant>,
}

impl Clock {
    pub(super) fn new(begun: Instant, begun_s: u64) -> Self {
        Clock { begun, begun_s, leapt: None }
    }

    /// The time to use when the system clock reads `system_s`.
    pub(super) fn now_s(&mut self, now: Instant, system_s: u64) -> u64 {
        let expected_s = self.begun_s.saturating_add(now.saturating_duration_since(self.begun).as_secs());
        let leaps = system_s > expected_s.saturating_add(LEAP_S);
        let believed = !leaps || now.saturating_duration_since(*self.leapt.get_or_insert(now)) >= BELIEVED_AFTER;
        if !believed {
            return expected_s;
        }
        *self = Clock { begun: now, begun_s: system_s, leapt: None };
        system_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0_S: u64 = 490_000 * 3600;

    #[test]
    fn a_clock_that_leaps_forward_is_believed_only_when_it_stays_so() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut clock = Clock::new(begun, T0_S);
        assert_eq!(clock.now_s(after(60), T0_S + 60), T0_S + 60);
        let year_s = 365 * 86_400;
        assert_eq!(clock.now_s(after(70), T0_S + year_s), T0_S + 70);
        assert_eq!(clock.now_s(after(80), T0_S + 80), T0_S + 80, "it was set right again");
        assert_eq!(clock.now_s(after(90), T0_S + year_s), T0_S + 90);
        assert_eq!(clock.now_s(after(90 + 3600), T0_S + year_s + 3600), T0_S + year_s + 3600);
        assert_eq!(clock.now_s(after(4000), T0_S), T0_S, "back it may go");
    }
}
