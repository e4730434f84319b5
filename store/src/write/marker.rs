//! Markers: the committed batches of an epoch, as runs of sequence numbers.
//!
//! Batches arrive nearly in order, so an epoch of any length is one run, `(first, count)`, and one small value. A
//! batch that never arrives (evicted from a spool, or refused) leaves a gap, and gaps accumulate over the years; a
//! hostile probe can create one with every batch. The value is written with every batch, so it is limited to
//! [`MAX_RUNS`] runs: past that, the lowest run is *settled*. Below [`Marker::floor`] the number of stored batches is
//! known, but not which ones. A batch from there may be a copy, so it can neither be stored, which could count it
//! twice, nor acknowledged, which could lose it: it is refused permanently, and the probe keeps it.
//!
//! An epoch may have had a marker that was forgotten, see [`epochs`](super::epochs). So an epoch that begins when its
//! server has a floor of starts remembers that floor as its **past**: batches that start before it may be copies,
//! too.
//!
//! ```text
//! version u8 = 3 · 0, or 1 + latest start · past · floor · settled · runs · (gap before it · count) for each run
//! ```
//!
//! Version 2 has no past. Version 1 has only the runs, without a limit.

use zonepulse_codec::{Malformed, Reader, put};

const VERSION: u8 = 3;
/// Maximum number of runs per epoch.
pub(crate) const MAX_RUNS: usize = 256;

/// What is known about the batches of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    /// First number and count of each run, ascending and not adjacent, all from the floor on.
    runs: Vec<(u64, u64)>,
    /// Below this number, it is no longer known which batches were stored.
    floor: u64,
    /// How many batches were stored below the floor.
    settled: u64,
    /// Batches that start before this may have been stored under a forgotten marker, Unix seconds.
    past_s: u64,
    /// The latest start of a batch, Unix seconds; unknown for epochs older than this field.
    latest_start_s: Option<u64>,
}

/// What is known about a sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// It was stored.
    Taken,
    /// It was not stored.
    Free,
    /// No longer known: it is below the floor, or the batch starts in the marker's past.
    Settled,
}

impl Marker {
    /// A marker without batches, for an epoch whose batches from before `past_s`, Unix seconds, may have been
    /// forgotten.
    pub(crate) const fn new(past_s: u64) -> Self {
        Marker { runs: Vec::new(), floor: 0, settled: 0, past_s, latest_start_s: Some(0) }
    }

    /// What is known about a batch with this number and start, Unix seconds.
    pub(crate) fn look_up(&self, number: u64, start_s: u64) -> Number {
        match self.look_up_number(number) {
            Number::Free if start_s < self.past_s => Number::Settled,
            known => known,
        }
    }

    pub(crate) fn look_up_number(&self, number: u64) -> Number {
        if number < self.floor {
            return Number::Settled;
        }
        let after = self.runs.partition_point(|(first, _)| *first <= number);
        let run = after.checked_sub(1).and_then(|at| self.runs.get(at));
        if run.is_some_and(|(first, count)| number - first < *count) { Number::Taken } else { Number::Free }
    }

    /// Stores the number of a batch with this start, Unix seconds, if it is free; returns its previous state.
    pub(crate) fn take(&mut self, number: u64, start_s: u64) -> Number {
        let was = self.look_up(number, start_s);
        if was != Number::Free {
            return was;
        }
        self.latest_start_s = self.latest_start_s.map(|latest_s| latest_s.max(start_s));
        let at = self.runs.partition_point(|(first, _)| *first < number);
        let joins_next = number.checked_add(1).is_some_and(|next| self.runs.get(at).is_some_and(|(first, _)| *first == next));
        let before = at.checked_sub(1).and_then(|before| self.runs.get_mut(before));
        if let Some((first, count)) = before
            && first.checked_add(*count) == Some(number)
        {
            *count = count.saturating_add(1);
            if joins_next {
                let (_, next_count) = self.runs.remove(at);
                if let Some((_, count)) = self.runs.get_mut(at - 1) {
                    *count = count.saturating_add(next_count);
                }
            }
        } else if joins_next {
            if let Some((first, count)) = self.runs.get_mut(at) {
                *first = number;
                *count = count.saturating_add(1);
            }
        } else {
            self.runs.insert(at, (number, 1));
            self.settle();
        }
        was
    }

    /// Settles the lowest runs beyond the limit.
    fn settle(&mut self) {
        let excess = self.runs.len().saturating_sub(MAX_RUNS);
        for (first, count) in self.runs.drain(..excess) {
            self.floor = first.saturating_add(count);
            self.settled = self.settled.saturating_add(count);
        }
    }

    /// The number of batches stored.
    pub(crate) fn batches(&self) -> u64 {
        self.runs.iter().fold(self.settled, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The latest start of a batch, Unix seconds, if known.
    pub(crate) fn latest_start_s(&self) -> Option<u64> {
        self.latest_start_s
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.latest_start_s.map_or(0, |latest_s| latest_s.saturating_add(1)));
        put(&mut out, self.past_s);
        put(&mut out, self.floor);
        put(&mut out, self.settled);
        put(&mut out, self.runs.len() as u64);
        let mut end = self.floor;
        for (first, count) in &self.runs {
            put(&mut out, first.saturating_sub(end));
            put(&mut out, *count);
            end = first.saturating_add(*count);
        }
        out
    }

    /// Decodes a marker. If it has too many runs, the lowest ones are settled.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (&version, rest) = value.split_first().ok_or(Malformed("marker version"))?;
        let mut reader = Reader::new(rest);
        let mut marker = match version {
            1 => Marker { latest_start_s: None, ..Marker::new(0) },
            2 | VERSION => {
                let latest_start_s = reader.number("latest start")?.checked_sub(1);
                let past_s = if version == VERSION { reader.number("past")? } else { 0 };
                let (floor, settled) = (reader.number("floor")?, reader.number("settled")?);
                Marker { latest_start_s, past_s, floor, settled, ..Marker::new(0) }
            }
            _ => return Err(Malformed("marker version")),
        };
        // Where the next run may begin; `None` after a run that includes the largest possible number.
        let mut next = Some(marker.floor);
        for _ in 0..reader.count(rest.len(), "runs")? {
            let gap = reader.number("run")?;
            let first = next.and_then(|next| next.checked_add(gap)).ok_or(Malformed("run"))?;
            let count = reader.number("run")?;
            let last = count.checked_sub(1).and_then(|more| first.checked_add(more)).ok_or(Malformed("run"))?;
            next = last.checked_add(1);
            marker.runs.push((first, count));
        }
        if !reader.is_empty() {
            return Err(Malformed("marker"));
        }
        marker.settle();
        Ok(marker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use zonepulse_fixtures::extremes::up_to;

    const START_S: u64 = 1_767_225_600;

    fn with(numbers: impl IntoIterator<Item = u64>) -> Marker {
        let mut marker = Marker::new(0);
        numbers.into_iter().for_each(|number| assert_eq!(marker.take(number, START_S), Number::Free));
        marker
    }

    /// Encodes runs as version 1 did.
    fn version_1(runs: &[(u64, u64)]) -> Vec<u8> {
        let mut out = vec![1];
        put(&mut out, runs.len() as u64);
        let mut end = 0;
        for (first, count) in runs {
            put(&mut out, first - end);
            put(&mut out, *count);
            end = first.saturating_add(*count);
        }
        out
    }

    proptest! {
        #[test]
        fn a_marker_holds_what_a_plain_set_holds(numbers in prop::collection::vec(0..40u64, 0..60)) {
            let mut marker = Marker::new(0);
            let mut set = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(marker.take(number, START_S) == Number::Free, set.insert(number));
            }
            for number in 0..41 {
                prop_assert_eq!(marker.look_up_number(number) == Number::Taken, set.contains(&number));
            }
            prop_assert_eq!(marker.batches(), set.len() as u64);
            prop_assert!(marker.runs.is_sorted_by(|a, b| a.0 + a.1 < b.0), "{:?}", marker);
            prop_assert_eq!(Marker::decode(&marker.encode()), Ok(marker));
        }

        /// For any input, nothing is stored twice, and settled batches were stored or never can be.
        #[test]
        fn no_number_is_taken_twice_and_no_copy_is_free(numbers in prop::collection::vec(up_to(u64::MAX), 0..900), start_s in up_to(u64::MAX - 1), past_s in up_to(u64::MAX)) {
            let mut marker = Marker::new(past_s);
            let mut set = BTreeSet::new();
            for number in numbers {
                if marker.take(number, start_s) == Number::Free {
                    prop_assert!(set.insert(number), "{} was taken twice", number);
                }
                prop_assert!(marker.runs.len() <= MAX_RUNS);
            }
            prop_assert!(set.iter().all(|number| marker.look_up_number(*number) != Number::Free));
            prop_assert_eq!(marker.batches(), set.len() as u64);
            prop_assert!(start_s >= past_s || set.is_empty(), "{} was taken in the past {}", start_s, past_s);
            prop_assert_eq!(Marker::decode(&marker.encode()), Ok(marker));
        }

        #[test]
        fn bytes_of_any_kind_never_panic(version in 0..5u8, bytes in prop::collection::vec(any::<u8>(), 0..60), number in up_to(u64::MAX)) {
            if let Ok(mut marker) = Marker::decode(&[&[version][..], &bytes].concat()) {
                marker.take(number, number >> 1);
                prop_assert_eq!(Marker::decode(&marker.encode()), Ok(marker));
            }
        }
    }

    #[test]
    fn version_3_stays_as_it_is_byte_for_byte() {
        assert_eq!(with(0..1000).encode(), [3, 0x81, 0xf2, 0xd6, 0xca, 0x06, 0, 0, 0, 1, 0, 0xe8, 0x07]);
        let settled = Marker { runs: vec![(7, 2), (300, 1)], floor: 5, settled: 3, past_s: 300, latest_start_s: None };
        assert_eq!(settled.encode(), [3, 0, 0xac, 2, 5, 3, 2, 2, 2, 0xa3, 2, 1]);
    }

    #[test]
    fn version_2_is_read_as_it_was_written() {
        let marker = Marker::decode(&[2, 0x81, 0xf2, 0xd6, 0xca, 0x06, 0, 0, 1, 0, 0xe8, 0x07]).unwrap();
        assert_eq!(marker, with(0..1000));
        let settled = Marker { runs: vec![(7, 2), (300, 1)], floor: 5, settled: 3, past_s: 0, latest_start_s: None };
        assert_eq!(Marker::decode(&[2, 0, 5, 3, 2, 2, 2, 0xa3, 2, 1]), Ok(settled));
    }

    #[test]
    fn what_starts_in_the_past_of_a_marker_may_be_a_copy() {
        let mut marker = Marker::new(START_S);
        assert_eq!(marker.take(1, START_S - 1), Number::Settled);
        assert_eq!(marker.take(1, START_S), Number::Free);
        assert_eq!((marker.look_up(1, START_S - 1), marker.look_up(2, START_S - 1)), (Number::Taken, Number::Settled));
        let read = Marker::decode(&marker.encode()).unwrap();
        assert_eq!((read.look_up(2, START_S - 1), read.look_up(2, START_S)), (Number::Settled, Number::Free));
    }

    #[test]
    fn version_1_is_read_as_it_was_written() {
        let marker = Marker::decode(&[1, 2, 0, 0xe8, 0x07, 1, 1]).unwrap();
        assert_eq!(marker, Marker { runs: vec![(0, 1000), (1001, 1)], latest_start_s: None, ..Marker::new(0) });
    }

    /// Earlier versions accepted this, but could not read back what they had written.
    #[test]
    fn a_marker_of_version_1_with_the_largest_number_is_read() {
        for runs in [vec![(0, 3), (u64::MAX, 1)], vec![(u64::MAX - 1, 2)]] {
            let mut marker = Marker::decode(&version_1(&runs)).unwrap();
            assert_eq!(marker.runs, runs);
            assert_eq!(marker.look_up_number(u64::MAX), Number::Taken);
            assert_eq!(marker.take(7, START_S), Number::Free);
            assert_eq!(Marker::decode(&marker.encode()), Ok(marker));
        }
    }

    #[test]
    fn a_marker_of_version_1_with_many_gaps_is_settled_to_the_bound() {
        let runs: Vec<_> = (0..10_000).map(|number| (2 * number, 1)).collect();
        let marker = Marker::decode(&version_1(&runs)).unwrap();
        assert_eq!((marker.runs.len(), marker.batches(), marker.floor), (MAX_RUNS, 10_000, 2 * (10_000 - MAX_RUNS as u64) - 1));
        assert!(marker.encode().len() < 2 * MAX_RUNS + 20);
    }

    #[test]
    fn gaps_past_the_bound_settle_the_lowest_numbers() {
        let most = MAX_RUNS as u64;
        let mut marker = with((0..most).map(|number| 10 * number));
        assert_eq!(marker.look_up_number(1), Number::Free);
        assert_eq!(marker.take(10 * most, START_S), Number::Free);
        assert_eq!(
            (marker.look_up_number(0), marker.look_up_number(1), marker.look_up_number(10)),
            (Number::Settled, Number::Free, Number::Taken)
        );
        assert_eq!(marker.take(10 * most + 10, START_S), Number::Free);
        assert_eq!(
            (marker.look_up_number(1), marker.look_up_number(10), marker.look_up_number(11)),
            (Number::Settled, Number::Settled, Number::Free)
        );
        assert_eq!(marker.take(1, START_S), Number::Settled, "it may be a copy");
        assert_eq!((marker.runs.len(), marker.batches()), (MAX_RUNS, most + 2));
    }

    #[test]
    fn the_largest_number_can_be_taken_once() {
        let mut marker = with([u64::MAX - 1, u64::MAX]);
        assert_eq!(marker.take(u64::MAX, START_S), Number::Taken);
        assert_eq!(marker.take(u64::MAX - 2, START_S), Number::Free);
        assert_eq!(marker.runs, [(u64::MAX - 2, 3)]);
        assert_eq!(Marker::decode(&marker.encode()), Ok(marker));
    }
}
