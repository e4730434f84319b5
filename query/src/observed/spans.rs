//! The union of time ranges, however many reports they come from.

use std::ops::Range;

/// A union of time ranges, Unix milliseconds. What two probes of a server report counts once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// Adds a range. Ranges that come in time order and touch are merged: a day is usually one span instead of 1,440.
    pub(crate) fn add(&mut self, from_ms: u64, until_ms: u64) {
        if from_ms >= until_ms {
            return;
        }
        match self.0.last_mut() {
            Some(last) if (last.0..=last.1).contains(&from_ms) => last.1 = last.1.max(until_ms),
            _ => self.0.push((from_ms, until_ms)),
        }
    }

    /// To be called after adding: sorts and merges, so that spans neither overlap nor touch.
    pub(crate) fn settle(&mut self) {
        if self.0.is_sorted_by(|one, next| one.1 < next.0) {
            return;
        }
        self.0.sort_unstable();
        self.0.dedup_by(|later, kept| {
            let touch = later.0 <= kept.1;
            if touch {
                kept.1 = kept.1.max(later.1);
            }
            touch
        });
    }

    /// The number of spans.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(from_ms, until_ms)| *from_ms..*until_ms)
    }

    /// The spans that overlap a range.
    fn within(&self, of: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let first = self.0.partition_point(|(_, until_ms)| *until_ms <= of.start);
        let end_ms = of.end;
        self.0.iter().skip(first).map(|(from_ms, until_ms)| *from_ms..*until_ms).take_while(move |span| span.start < end_ms)
    }

    /// Whether any span overlaps a range.
    pub(crate) fn overlap(&self, of: &Range<u64>) -> bool {
        self.within(of).next().is_some()
    }

    /// How much of a range the spans cover, milliseconds.
    pub(crate) fn length_within(&self, of: &Range<u64>) -> u64 {
        self.within(of).map(|span| span.end.min(of.end) - span.start.max(of.start)).sum()
    }

    /// The end of the span that contains this moment.
    pub(crate) fn unbroken_from(&self, moment_ms: u64) -> Option<u64> {
        self.within(&(moment_ms..moment_ms.saturating_add(1))).next().map(|span| span.end)
    }
}

/// Consecutive steps of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lattice {
    pub(crate) begin_ms: u64,
    pub(crate) step_ms: u64,
    pub(crate) steps: u64,
}

impl Lattice {
    pub(crate) fn step(self, at: usize) -> Range<u64> {
        let from_ms = self.begin_ms + at as u64 * self.step_ms;
        from_ms..from_ms + self.step_ms
    }

    /// Reports the steps that the spans cover completely, and those that they cover in part, with how much, milliseconds.
    /// A step that several spans cover in part is reported once. This takes time in proportion to spans, not steps.
    pub(crate) fn covered(self, spans: &Spans, whole: &mut dyn FnMut(Range<usize>), part: &mut dyn FnMut(usize, u64)) {
        let mut pending: Option<(u64, u64)> = None;
        let mut add = |step: u64, ms: u64| match &mut pending {
            Some((last, sum)) if *last == step => *sum += ms,
            _ => {
                if let Some((last, sum)) = pending.replace((step, ms)) {
                    part(index(last), sum);
                }
            }
        };
        for span in spans.within(&(self.begin_ms..self.begin_ms.saturating_add(self.steps.saturating_mul(self.step_ms)))) {
            // Relative to the start of the lattice.
            let from_ms = span.start.max(self.begin_ms) - self.begin_ms;
            let until_ms = (span.end - self.begin_ms).min(self.steps * self.step_ms);
            let (first, last) = (from_ms.div_ceil(self.step_ms), until_ms / self.step_ms);
            if !from_ms.is_multiple_of(self.step_ms) {
                add(from_ms / self.step_ms, until_ms.min(first * self.step_ms) - from_ms);
            }
            if first < last {
                whole(index(first)..index(last));
            }
            if first <= last && last * self.step_ms < until_ms {
                add(last, until_ms - last * self.step_ms);
            }
        }
        if let Some((last, sum)) = pending {
            part(index(last), sum);
        }
    }
}

/// There are no more steps than an answer has rows.
fn index(step: u64) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn spans(told: &[(u64, u64)]) -> Spans {
        let mut spans = Spans::default();
        told.iter().for_each(|(from_ms, until_ms)| spans.add(*from_ms, *until_ms));
        spans.settle();
        spans
    }

    #[test]
    fn neighbours_are_one_span_and_a_gap_parts_them() {
        let spans = spans(&[(0, 60), (60, 120), (121, 180)]);
        assert_eq!(spans.iter().collect::<Vec<_>>(), [0..120, 121..180]);
        assert_eq!(spans.unbroken_from(0), Some(120));
        assert_eq!(spans.unbroken_from(120), None);
    }

    #[test]
    fn halves_of_an_interval_are_one_span_in_either_order() {
        assert_eq!(spans(&[(30, 60), (0, 30), (60, 120)]), spans(&[(0, 120)]));
    }

    proptest! {
        #[test]
        fn they_say_of_every_millisecond_whether_it_is_covered(told in prop::collection::vec((0u64..200, 0u64..40), 0..12), from in 0u64..200, length in 1u64..80) {
            let told: Vec<(u64, u64)> = told.into_iter().map(|(from, length)| (from, from + length)).collect();
            let spans = spans(&told);
            let covered = |ms: u64| told.iter().any(|(from, until)| (*from..*until).contains(&ms));
            let of = from..from + length;
            prop_assert_eq!(spans.length_within(&of), of.clone().filter(|ms| covered(*ms)).count() as u64);
            prop_assert_eq!(spans.overlap(&of), of.clone().any(covered));
            prop_assert_eq!(spans.unbroken_from(from), covered(from).then(|| (from..).find(|ms| !covered(*ms)).unwrap()));
        }

        #[test]
        fn a_lattice_says_of_every_step_how_much_of_it_is_covered(told in prop::collection::vec((0u64..300, 0u64..90), 0..9), begin in 0u64..9, step_ms in 1u64..40, steps in 0u64..9) {
            let told: Vec<(u64, u64)> = told.into_iter().map(|(from, length)| (from, from + length)).collect();
            let (spans, lattice) = (spans(&told), Lattice { begin_ms: begin * step_ms, step_ms, steps });
            let mut found: BTreeMap<usize, u64> = BTreeMap::new();
            let mut parts: Vec<(usize, u64)> = Vec::new();
            lattice.covered(&spans, &mut |whole| found.extend(whole.map(|step| (step, step_ms))), &mut |step, ms| parts.push((step, ms)));
            for (step, ms) in parts {
                prop_assert!(ms < step_ms);
                prop_assert_eq!(found.insert(step, ms), None, "a step is told once");
            }
            for step in 0..steps as usize {
                let expected = spans.length_within(&lattice.step(step));
                prop_assert_eq!(found.remove(&step).unwrap_or(0), expected);
            }
            prop_assert!(found.is_empty(), "there are no other steps");
        }
    }
}
