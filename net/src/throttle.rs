//! Throttling of repeated warnings: one line per cause and minute, with a count.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Minimum time between two lines about the same cause.
const EVERY: Duration = Duration::from_secs(60);
/// Maximum number of causes tracked separately; all others share their lines.
const MAX_CAUSES: usize = 64;

/// Decides when to log a warning again. Causes may contain input from clients: memory stays
/// bounded.
#[derive(Debug)]
pub struct Throttle<K>(Mutex<State<K>>);

#[derive(Debug)]
struct State<K> {
    causes: BTreeMap<K, Told>,
    others: Told,
}

#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    since: u64,
}

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Throttle(Mutex::new(State { causes: BTreeMap::new(), others: Told::default() }))
    }
}

impl<K: Ord> Throttle<K> {
    /// Counts an occurrence. If it is time for a line, returns the number of occurrences since the
    /// previous one, including this one.
    pub fn add(&self, cause: K, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { causes, others } = &mut *state;
        if causes.len() >= MAX_CAUSES && !causes.contains_key(&cause) {
            causes.retain(|_, told| !told.is_due(now));
        }
        let told = match causes.len() < MAX_CAUSES || causes.contains_key(&cause) {
            true => causes.entry(cause).or_default(),
            false => others,
        };
        told.since += 1;
        if !told.is_due(now) {
            return None;
        }
        told.at = Some(now);
        Some(std::mem::take(&mut told.since))
    }
}

impl Told {
    fn is_due(&self, now: Instant) -> bool {
        self.at.is_none_or(|at| now.saturating_duration_since(at) >= EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_gets_a_line_a_minute_with_the_count() {
        let throttle = Throttle::default();
        let began = Instant::now();
        let at = |after_s| began + Duration::from_secs(after_s);
        assert_eq!(throttle.add("a", at(0)), Some(1));
        let lines: Vec<_> = (1..60).filter_map(|after_s| throttle.add("a", at(after_s))).collect();
        assert!(lines.is_empty(), "{lines:?}");
        assert_eq!(throttle.add("a", at(60)), Some(60));
    }

    #[test]
    fn another_cause_has_lines_of_its_own() {
        let throttle = Throttle::default();
        let now = Instant::now();
        assert_eq!((throttle.add("a", now), throttle.add("b", now)), (Some(1), Some(1)));
    }

    #[test]
    fn any_number_of_causes_makes_a_bounded_number_of_lines() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let lines = (0..10_000).filter_map(|cause| throttle.add(cause, now)).count();
        assert_eq!(lines, MAX_CAUSES + 1);
        let later = now + EVERY;
        assert_eq!(throttle.add(10_001, later), Some(1), "old causes do not make room");
    }
}
