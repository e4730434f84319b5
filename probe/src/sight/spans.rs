//! When something applied, and for how much of an interval.

use std::collections::VecDeque;
use zonepulse_wire::Coverage;

/// Maximum number of past spans that may still overlap an open interval. Beyond that, the oldest
/// are merged.
const MAX_OVER: usize = 256;

/// Past spans of time, Unix milliseconds; the caller keeps those that have not ended.
#[derive(Debug, Default)]
pub(super) struct Spans {
    over: VecDeque<(u64, u64)>,
}

impl Spans {
    /// Adds a span that has ended.
    pub(super) fn add(&mut self, from_ms: u64, until_ms: u64) {
        if from_ms >= until_ms {
            return;
        }
        if self.over.len() >= MAX_OVER
            && let Some((first_ms, _)) = self.over.pop_front()
            && let Some((next_ms, _)) = self.over.front_mut()
        {
            // Rather too much than too little.
            *next_ms = first_ms.min(*next_ms);
        }
        self.over.push_back((from_ms, until_ms));
    }

    /// How much of `coverage` lies in a past span, or after one of the starts in `open`,
    /// milliseconds.
    pub(super) fn within(&self, coverage: Coverage, open: impl Iterator<Item = u64>) -> u64 {
        let all = self.over.iter().copied().chain(open.map(|from_ms| (from_ms, u64::MAX)));
        let clip = |(from_ms, until_ms): (u64, u64)| (from_ms.max(coverage.from_ms), until_ms.min(coverage.until_ms));
        let mut clipped: Vec<(u64, u64)> = all.map(clip).filter(|(from_ms, until_ms)| from_ms < until_ms).collect();
        clipped.sort_unstable();
        let (mut sum_ms, mut reached_ms) = (0, 0);
        for (from_ms, until_ms) in clipped {
            let from_ms = from_ms.max(reached_ms);
            sum_ms += until_ms.saturating_sub(from_ms);
            reached_ms = until_ms.max(reached_ms);
        }
        sum_ms
    }

    /// Drops spans that ended by then.
    pub(super) fn forget(&mut self, before_ms: u64) {
        self.over.retain(|(_, until_ms)| *until_ms > before_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Coverage = Coverage { from_ms: 60, until_ms: 120 };

    fn within(over: &[(u64, u64)], open: &[u64]) -> u64 {
        let mut spans = Spans::default();
        over.iter().for_each(|(from_ms, until_ms)| spans.add(*from_ms, *until_ms));
        spans.within(MINUTE, open.iter().copied())
    }

    #[test]
    fn only_time_within_the_coverage_counts_and_only_once() {
        assert_eq!(within(&[], &[]), 0);
        assert_eq!(within(&[(0, 60), (120, 200)], &[120]), 0);
        assert_eq!(within(&[(70, 80), (75, 85), (80, 90)], &[]), 20);
        assert_eq!(within(&[(70, 80)], &[100]), 30);
        assert_eq!(within(&[(70, 80)], &[0, 100]), 60);
    }

    #[test]
    fn with_very_many_spans_time_is_overestimated() {
        let many: Vec<(u64, u64)> = (0..1000).map(|at| (61 + at % 50, 62 + at % 50)).collect();
        assert!((50..=60).contains(&within(&many, &[])));
    }

    proptest! {
        #[test]
        fn exactly_the_milliseconds_in_any_span_count(
            over in prop::collection::vec((0u64..200, 0u64..200), 0..20),
            open in prop::collection::vec(0u64..200, 0..3),
        ) {
            let is_in = |ms: u64| over.iter().any(|(from, until)| (*from..*until).contains(&ms)) || open.iter().any(|from| *from <= ms);
            let expected = (MINUTE.from_ms..MINUTE.until_ms).filter(|ms| is_in(*ms)).count() as u64;
            prop_assert_eq!(within(&over, &open), expected);
        }
    }
}
