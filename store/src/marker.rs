//! Which batches are in: per server and epoch, the committed numbers as runs.
//!
//! Batches come nearly in order, so an epoch of any length is one run, `(first,
//! count)`, and one small value. A number that was taken is never forgotten:
//! a copy that arrives years later is still a copy.

use zonepulse_codec::{Malformed, Reader, put};

const VERSION: u8 = 1;

/// A set of numbers as runs, rising and apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runs(Vec<(u64, u64)>);

impl Runs {
    pub(crate) fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(first, count)| number - first < *count)
    }

    /// Adds a number; gives `false` when it was in already.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let at = self.0.partition_point(|(first, _)| *first < number);
        let joins_next = number.checked_add(1).is_some_and(|next| self.0.get(at).is_some_and(|(first, _)| *first == next));
        let before = at.checked_sub(1).and_then(|before| self.0.get_mut(before));
        if let Some((first, count)) = before
            && *first + *count == number
        {
            *count += 1;
            if joins_next {
                let (_, next_count) = self.0.remove(at);
                if let Some((_, count)) = self.0.get_mut(at - 1) {
                    *count += next_count;
                }
            }
        } else if joins_next {
            if let Some((first, count)) = self.0.get_mut(at) {
                *first = number;
                *count += 1;
            }
        } else {
            self.0.insert(at, (number, 1));
        }
        true
    }

    /// How many numbers.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.0.len() as u64);
        let mut end = 0;
        for (first, count) in &self.0 {
            put(&mut out, first - end);
            put(&mut out, *count);
            end = first.saturating_add(*count);
        }
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (&version, rest) = value.split_first().ok_or(Malformed("marker version"))?;
        if version != VERSION {
            return Err(Malformed("marker version"));
        }
        let mut reader = Reader::new(rest);
        let mut runs = Vec::new();
        let mut end = 0u64;
        for _ in 0..reader.count(rest.len(), "runs")? {
            let first = end.checked_add(reader.number("run")?).ok_or(Malformed("run"))?;
            let count = reader.number("run")?;
            end = first.checked_add(count).ok_or(Malformed("run"))?;
            runs.push((first, count));
        }
        Ok(Runs(runs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn runs_hold_what_a_plain_set_holds(numbers in prop::collection::vec(0..40u64, 0..60)) {
            let mut runs = Runs::default();
            let mut set = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(runs.insert(number), set.insert(number));
            }
            for number in 0..41 {
                prop_assert_eq!(runs.contains(number), set.contains(&number));
            }
            prop_assert_eq!(runs.len(), set.len() as u64);
            prop_assert!(runs.0.is_sorted_by(|a, b| a.0 + a.1 < b.0), "{:?}", runs);
            prop_assert_eq!(Runs::decode(&runs.encode()), Ok(runs));
        }
    }

    #[test]
    fn numbers_in_order_are_one_run() {
        let mut runs = Runs::default();
        (0..1000).for_each(|number| assert!(runs.insert(number)));
        assert_eq!(runs.encode(), [VERSION, 1, 0, 0xe8, 0x07]);
    }

    #[test]
    fn the_largest_number_can_be_taken_once() {
        let mut runs = Runs::default();
        assert!(runs.insert(u64::MAX - 1));
        assert!(!runs.insert(u64::MAX - 1));
    }
}
