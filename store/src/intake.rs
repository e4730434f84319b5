//! The contents of a batch, in the store's terms.

use crate::ledger::reasons::Loss;
use zonepulse_dns::MessageKind;
use zonepulse_model::{Evicted, Identity, Interval, RecordId};

/// The points of one server and interval, before they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// The batch they belong to.
    pub identity: Identity,
    /// Start of the interval, Unix seconds, a multiple of its length.
    pub start_s: u64,
    /// Length of the interval, seconds; see [`Interval`].
    pub interval_s: u32,
    /// When the probe started listening, Unix milliseconds, within the interval.
    pub covered_from_ms: u64,
    /// When it stopped listening, Unix milliseconds, within the interval.
    pub covered_until_ms: u64,
    /// Everything the probe counted besides hits, by counter number in the wire format, ascending.
    pub counters: Vec<(u16, u64)>,
    /// What the batch may have missed of the time that it covers; recorded in the observation ledger. A row of
    /// [`RecordId::OTHER`] adds [`Unobserved::Folded`](crate::Unobserved::Folded).
    pub loss: Loss,
    /// What the probe evicted before this batch.
    pub evicted: Option<Evicted>,
    /// The points, in any order; points with the same record and kind are summed.
    pub rows: Vec<IntakeRow>,
}

/// A point before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeRow {
    /// The record, from [`Write::record_ids`](crate::Write::record_ids).
    pub record_id: RecordId,
    /// What is counted.
    pub kind: MessageKind,
    /// Number of messages, not 0.
    pub hits: u64,
    /// Time of the first message, Unix milliseconds, within the interval.
    pub first_ms: u64,
    /// Time of the last message, Unix milliseconds, within the interval.
    pub last_ms: u64,
}

/// The outcome of adding a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The batch is part of the write.
    Committed,
    /// The batch was committed before; it changes nothing.
    Duplicate,
}

impl Intake {
    /// Sorts rows into block order, (kind, record), merging duplicates.
    pub(crate) fn arrange(&mut self) {
        let place = |row: &IntakeRow| (row.kind, row.record_id);
        if self.rows.is_sorted_by(|a, b| place(a) < place(b)) {
            return;
        }
        // A batch lists all kinds of a record together, so there are fewer runs than rows, and integers sort in half
        // the time of rows. A run's record and start fit into one integer.
        let mut runs = Vec::with_capacity(self.rows.len());
        let mut begin = 0u64;
        for run in self.rows.chunk_by(|a, b| a.record_id == b.record_id) {
            runs.extend(run.first().map(|row| u64::from(row.record_id.get()) << 32 | begin));
            begin += run.len() as u64;
        }
        runs.sort_unstable();
        // There are few kinds: the next free position for each.
        let mut places: Vec<(MessageKind, usize)> = Vec::new();
        for row in &self.rows {
            match places.iter_mut().find(|(kind, _)| *kind == row.kind) {
                Some((_, count)) => *count += 1,
                None => places.push((row.kind, 1)),
            }
        }
        places.sort_unstable_by_key(|(kind, _)| *kind);
        let mut sum = 0;
        for (_, place) in &mut places {
            sum += std::mem::replace(place, sum);
        }
        let mut arranged = self.rows.clone();
        for run in runs {
            let (record_id, begin) = (RecordId::new((run >> 32) as u32), run as u32 as usize);
            let rows = self.rows.get(begin..).unwrap_or_default();
            for row in rows.iter().take_while(|row| row.record_id == record_id) {
                if let Some((_, place)) = places.iter_mut().find(|(kind, _)| *kind == row.kind)
                    && let Some(room) = arranged.get_mut(*place)
                {
                    *room = *row;
                    *place += 1;
                }
            }
        }
        self.rows = arranged;
        self.rows.dedup_by(|later, kept| {
            let same = place(later) == place(kept);
            if same {
                kept.hits = kept.hits.saturating_add(later.hits);
                kept.first_ms = kept.first_ms.min(later.first_ms);
                kept.last_ms = kept.last_ms.max(later.last_ms);
            }
            same
        });
    }

    /// Number of messages counted.
    pub(crate) fn hits(&self) -> u64 {
        self.rows.iter().filter(|row| row.kind.is_message()).map(|row| row.hits).fold(0, u64::saturating_add)
    }

    /// Adds to a counter.
    pub(crate) fn count(&mut self, counter: u16, more: u64) {
        match self.counters.binary_search_by_key(&counter, |(number, _)| *number) {
            Ok(at) => self.counters.get_mut(at).into_iter().for_each(|(_, value)| *value = value.saturating_add(more)),
            Err(at) => self.counters.insert(at, (counter, more)),
        }
    }

    /// The first invariant that the fields violate, if any.
    pub(crate) fn broken_promise(&self) -> Option<&'static str> {
        if Interval::new(self.interval_s).is_err() {
            return Some("interval_s");
        }
        if self.start_s >= 1 << 40 || !self.start_s.is_multiple_of(u64::from(self.interval_s)) {
            return Some("start_s");
        }
        let start_ms = self.start_s * 1000;
        let end_ms = start_ms + u64::from(self.interval_s) * 1000;
        if self.covered_from_ms < start_ms || self.covered_until_ms < self.covered_from_ms || self.covered_until_ms > end_ms {
            return Some("coverage");
        }
        if !self.loss.is_good() {
            return Some("loss");
        }
        let within =
            |row: &IntakeRow| row.hits > 0 && start_ms <= row.first_ms && row.first_ms <= row.last_ms && row.last_ms < end_ms;
        if self.rows.iter().all(within) { None } else { Some("rows") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use zonepulse_model::ServerId;

    fn any_row() -> impl Strategy<Value = IntakeRow> {
        (0..9u32, 0..4u16, 1..9u64, 0..50u64, 0..50u64).prop_map(|(record_id, kind, hits, first_ms, age_ms)| IntakeRow {
            record_id: RecordId::new(record_id),
            kind: MessageKind::from_number(kind).unwrap(),
            hits,
            first_ms,
            last_ms: first_ms + age_ms,
        })
    }

    proptest! {
        #[test]
        fn arranged_rows_are_the_sums_of_each_kind_and_record(rows in prop::collection::vec(any_row(), 0..40)) {
            let mut sums: BTreeMap<(MessageKind, RecordId), IntakeRow> = BTreeMap::new();
            for row in &rows {
                let sum = sums.entry((row.kind, row.record_id)).or_insert(IntakeRow { hits: 0, ..*row });
                sum.hits += row.hits;
                sum.first_ms = sum.first_ms.min(row.first_ms);
                sum.last_ms = sum.last_ms.max(row.last_ms);
            }
            let identity = Identity { server_id: ServerId::new(1), epoch: 1, seq: 1 };
            let mut intake = Intake {
                identity,
                start_s: 0,
                interval_s: 60,
                covered_from_ms: 0,
                covered_until_ms: 60_000,
                counters: Vec::new(),
                loss: Default::default(),
                evicted: None,
                rows,
            };
            intake.arrange();
            prop_assert_eq!(intake.rows, sums.into_values().collect::<Vec<_>>());
        }
    }
}
