//! Tracks whether the peer accepts batches, and when to try again.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::{Duration, Instant};

/// Minimum wait; jitter can double it.
const MIN_WAIT: Duration = Duration::from_millis(250);
/// Maximum wait, before jitter.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Upper limit for a Retry-After.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Up until the peer is found to be down, then down until a batch gets through.
#[derive(Debug, Default)]
pub(super) struct Health {
    known: bool,
    down: Option<Down>,
    /// Consecutive batches that failed individually at their first attempt.
    failures: usize,
}

#[derive(Debug)]
struct Down {
    reason: String,
    backoff: ExponentialBackoff,
    until: Instant,
    /// Whether this was inferred from failed batches, and thus might be their fault.
    by_batches: bool,
}

/// A change worth logging.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Up,
    Down(String),
}

impl Health {
    /// Number of batches that may be in flight, given the window for normal operation.
    pub(super) fn window(&self, window: usize) -> usize {
        match &self.down {
            None => window,
            Some(down) if down.until > Instant::now() => 0,
            Some(_) => 1,
        }
    }

    /// When the current wait ends, if there is one.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.down.as_ref().map(|down| down.until).filter(|until| *until > Instant::now())
    }

    /// Lets the next batch go at once.
    pub(super) fn end_wait(&mut self) {
        if let Some(down) = &mut self.down {
            down.until = Instant::now();
        }
    }

    /// Records that a batch got through.
    pub(super) fn succeeded(&mut self) -> Option<Change> {
        self.failures = 0;
        let was_down = self.down.take().is_some();
        let first = !std::mem::replace(&mut self.known, true);
        (was_down || first).then_some(Change::Up)
    }

    /// Records that a batch failed, for the first time or again. If a whole window of batches fails
    /// in a row at the first attempt, the peer is probably at fault.
    pub(super) fn failed(&mut self, reason: &str, first_try: bool, window: usize) -> Option<Change> {
        self.failures += usize::from(first_try);
        if self.failures < window && self.down.is_none() {
            return None;
        }
        let change = self.unavailable(reason, None);
        if let Some(down) = &mut self.down {
            down.by_batches = true;
        }
        change
    }

    /// Whether the next attempt should use the newest batch: after this many failures of old
    /// batches, a good one could be stuck behind them for hours.
    pub(super) fn prefers_newest(&self) -> bool {
        self.down.as_ref().is_some_and(|down| down.by_batches)
    }

    /// Records that the peer accepts no batches.
    pub(super) fn unavailable(&mut self, reason: &str, retry_after: Option<Duration>) -> Option<Change> {
        self.known = true;
        let now = Instant::now();
        let asked = retry_after.map(|wait| wait.min(MAX_RETRY_AFTER));
        match &mut self.down {
            // Batches that were in flight when the peer went down add no information.
            Some(down) if down.until > now => return None,
            Some(down) => {
                let wait = asked.or_else(|| down.backoff.next()).unwrap_or(MAX_WAIT);
                down.until = now + wait;
                down.by_batches = false;
                if down.reason == reason {
                    return None;
                }
                reason.clone_into(&mut down.reason);
            }
            None => {
                let builder = ExponentialBuilder::new().with_min_delay(MIN_WAIT).with_max_delay(MAX_WAIT);
                let mut backoff = builder.with_jitter().without_max_times().build();
                let wait = asked.or_else(|| backoff.next()).unwrap_or(MAX_WAIT);
                self.down = Some(Down { reason: reason.to_owned(), backoff, until: now + wait, by_batches: false });
            }
        }
        Some(Change::Down(reason.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_reported_once() {
        let mut health = Health::default();
        assert_eq!(health.succeeded(), Some(Change::Up));
        assert_eq!(health.succeeded(), None);
        assert_eq!(health.unavailable("gone", None), Some(Change::Down("gone".into())));
        assert_eq!(health.unavailable("gone", None), None);
        health.end_wait();
        assert_eq!(health.unavailable("gone", None), None);
        health.end_wait();
        assert_eq!(health.unavailable("forbidden", None), Some(Change::Down("forbidden".into())));
        assert_eq!(health.succeeded(), Some(Change::Up));
    }

    #[test]
    fn after_a_wait_one_batch_tries() {
        let mut health = Health::default();
        assert_eq!(health.window(8), 8);
        health.unavailable("gone", None);
        assert_eq!(health.window(8), 0);
        health.end_wait();
        assert_eq!(health.window(8), 1);
        health.succeeded();
        assert_eq!(health.window(8), 8);
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let mut health = Health::default();
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            health.unavailable("gone", None);
            longest = health.paused_until().unwrap() - Instant::now();
            health.end_wait();
        }
        assert!(longest > MAX_WAIT / 2 && longest <= 2 * MAX_WAIT, "{longest:?}");
    }

    #[test]
    fn the_other_side_may_ask_for_a_wait() {
        let mut health = Health::default();
        health.unavailable("busy", Some(Duration::from_secs(30)));
        let wait = health.paused_until().unwrap() - Instant::now();
        assert!(wait > Duration::from_secs(29) && wait <= Duration::from_secs(30), "{wait:?}");
        health.end_wait();
        health.unavailable("busy", Some(Duration::from_secs(1 << 40)));
        assert!(health.paused_until().unwrap() - Instant::now() <= MAX_RETRY_AFTER);
    }

    #[test]
    fn one_failing_batch_does_not_stop_the_others_but_a_windowful_does() {
        let mut health = Health::default();
        for _ in 0..5 {
            assert_eq!(health.failed("500", true, 8), None);
        }
        health.succeeded();
        for _ in 0..7 {
            assert_eq!(health.failed("500", true, 8), None);
            assert_eq!(health.failed("500", false, 8), None);
        }
        assert!(!health.prefers_newest());
        assert_eq!(health.failed("500", true, 8), Some(Change::Down("500".into())));
        assert!(health.prefers_newest());
        health.end_wait();
        health.unavailable("gone", None);
        assert!(!health.prefers_newest());
    }
}
