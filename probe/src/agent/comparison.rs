//! Compares two sources on one machine: one is counted, the other serves only as a reference.
//!
//! The reference source tallies its messages in batches of its own, which go nowhere but here. Once
//! the interval of a counted batch has ended, the batch waits a few seconds for the reference's
//! data on the same interval before it is spooled. The positive differences are then summed in both
//! directions, per record and kind. If one source saw more hits for a record, the other missed at
//! least that many. Misses on both sides cancel out, so the true numbers may be higher. Two effects
//! inflate them instead: a message at the very edge of an interval may fall into the neighbouring
//! one, because the server reads the clock later than the kernel does; and reference data that
//! arrives after the wait counts as missed.
//!
//! Only intervals that both sources covered completely are compared.

use crate::clock::now_ms;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zonepulse_wire::{Batch, Counter, Counters};

/// How long to wait after the end of an interval, milliseconds: the reference's grace period plus a
/// margin.
const PATIENCE_MS: u64 = crate::meter::TOLD_GRACE_MS + 1500;
/// Maximum number of reference batches held for comparison.
const CAPACITY: usize = 3;

/// What the reference source has seen, and how far it has got.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    /// The reference is complete for all intervals that ended by this time, Unix milliseconds.
    passed_ms: u64,
    ended: bool,
    /// The reference's own counters that have not been passed on yet.
    pending: Counters,
}

/// Messages seen by only one of the two sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Differences {
    only_counted: u64,
    only_other: u64,
}

impl Comparison {
    /// Adds a batch of the reference source.
    pub(super) fn put(&self, batch: Batch) {
        let mut state = self.lock();
        for (number, count) in batch.counters.iter() {
            if let Some(counter) = passed_on(number) {
                state.pending.add(counter, count);
            }
        }
        if state.batches.len() >= CAPACITY {
            state.batches.pop_front();
        }
        state.batches.push_back(batch);
    }

    /// Marks the reference as complete for all intervals whose grace period was over by `now_ms`.
    pub(super) fn passed(&self, now_ms: u64) {
        self.lock().passed_ms = now_ms.saturating_sub(crate::meter::TOLD_GRACE_MS);
        self.came.notify_all();
    }

    /// Marks the end of the reference source.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.came.notify_all();
    }

    /// Adds the results of the comparison to a counted batch.
    pub(super) fn complete(&self, batch: &mut Batch) {
        let mut state = self.lock();
        if is_whole(batch) {
            state = self.wait(state, end_ms(batch));
            let batches = std::mem::take(&mut state.batches);
            let (others, later) = batches
                .into_iter()
                .filter(|other| other.start_s >= batch.start_s)
                .partition::<Vec<_>, _>(|other| other.start_s == batch.start_s);
            state.batches = later.into();
            // Comparing takes a while, so release the lock first.
            drop(state);
            compare_into(batch, &others);
            state = self.lock();
        }
        batch.counters.merge(&std::mem::take(&mut state.pending));
    }

    /// Waits until the reference is complete up to `end_ms`, but not forever.
    fn wait<'s>(&'s self, state: MutexGuard<'s, State>, end_ms: u64) -> MutexGuard<'s, State> {
        let patience_ms = (end_ms + PATIENCE_MS).saturating_sub(now_ms()).min(PATIENCE_MS);
        let waits = |state: &mut State| !state.ended && state.passed_ms < end_ms;
        let waited = self.came.wait_timeout_while(state, Duration::from_millis(patience_ms), waits);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counter under which a batch passes on a counter of the reference other than its messages.
fn passed_on(number: u16) -> Option<Counter> {
    match Counter::from_number(number)? {
        Counter::KernelDropped | Counter::InterfaceDropped => Some(Counter::OtherSourceDropped),
        counter @ (Counter::DnstapFramesSeen
        | Counter::DnstapFramesUnreadable
        | Counter::DnstapConnectionsRefused
        | Counter::DnstapConnectionsBroken
        | Counter::DnstapTimesReplaced) => Some(counter),
        _ => None,
    }
}

fn compare_into(batch: &mut Batch, others: &[Batch]) {
    let hits = others.iter().map(Batch::hits).fold(0, u64::saturating_add);
    batch.counters.add(Counter::OtherSourceHits, hits);
    if others.iter().any(is_whole) {
        let Differences { only_counted, only_other } = differences(batch, others);
        batch.counters.add(Counter::IntervalsCompared, 1);
        batch.counters.add(Counter::OnlyCountedSource, only_counted);
        batch.counters.add(Counter::OnlyOtherSource, only_other);
    }
}

/// Compares by record and kind, or by kind alone if either table was full: a name that was folded
/// in one may have its own row in the other.
fn differences(counted: &Batch, others: &[Batch]) -> Differences {
    let folded = |batch: &Batch| batch.counters.get(Counter::MessagesFolded) > 0;
    if folded(counted) || others.iter().any(folded) {
        return difference(counted, others, |_, row| row.kind);
    }
    difference(counted, others, |batch, row| (batch.records.get(row.record), row.kind))
}

fn difference<'b, K: Eq + Hash>(
    counted: &'b Batch,
    others: &'b [Batch],
    key: impl Fn(&'b Batch, &zonepulse_wire::Row) -> K,
) -> Differences {
    let mut sums: HashMap<K, (u64, u64)> = HashMap::new();
    for row in &counted.rows {
        sums.entry(key(counted, row)).or_default().0 += row.hits;
    }
    for (other, row) in others.iter().flat_map(|other| other.rows.iter().map(move |row| (other, row))) {
        sums.entry(key(other, row)).or_default().1 += row.hits;
    }
    let mut differences = Differences::default();
    for (counted, other) in sums.into_values() {
        differences.only_counted += counted.saturating_sub(other);
        differences.only_other += other.saturating_sub(counted);
    }
    differences
}

fn end_ms(batch: &Batch) -> u64 {
    batch.start_ms() + batch.interval_ms()
}

fn is_whole(batch: &Batch) -> bool {
    (batch.coverage.from_ms, batch.coverage.until_ms) == (batch.start_ms(), end_ms(batch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;
    use zonepulse_dns::{MessageKind, RecordType};
    use zonepulse_model::{Identity, ServerId};
    use zonepulse_wire::{Coverage, Records, Row};

    /// A one-minute interval, long ago, that either source may cover.
    fn batch(rows: &[(&str, u16, u64)]) -> Batch {
        let mut records = Records::new();
        let rows = rows.iter().map(|(name, kind, hits)| Row {
            record: records.push(name, RecordType::A),
            kind: MessageKind::from_number(*kind).unwrap(),
            hits: *hits,
            first_ms: 0,
            last_ms: 0,
        });
        let rows = rows.collect();
        Batch {
            identity: Identity { server_id: ServerId::new(1), epoch: 1, seq: 0 },
            start_s: 600,
            interval_s: 60,
            coverage: Coverage { from_ms: 600_000, until_ms: 660_000 },
            counters: Counters::new(),
            evicted: None,
            records,
            rows,
        }
    }

    /// The comparison counters of a batch: the reference's hits, only counted, only reference,
    /// compared.
    fn compared(counted: &Batch, others: Vec<Batch>) -> [u64; 4] {
        let comparison = Comparison::default();
        others.into_iter().for_each(|other| comparison.put(other));
        let mut counted = counted.clone();
        comparison.complete(&mut counted);
        [Counter::OtherSourceHits, Counter::OnlyCountedSource, Counter::OnlyOtherSource, Counter::IntervalsCompared]
            .map(|counter| counted.counters.get(counter))
    }

    #[test]
    fn messages_of_only_one_source_are_summed_by_record_and_kind() {
        let counted = batch(&[("a.", 0, 10), ("a.", 1, 10), ("b.", 0, 3)]);
        let other = batch(&[("c.", 0, 2), ("a.", 1, 12), ("a.", 0, 9)]);
        assert_eq!(compared(&counted, vec![other]), [23, 4, 4, 1]);
        assert_eq!(compared(&counted, vec![counted.clone()]), [23, 0, 0, 1]);
    }

    #[test]
    fn a_late_batch_of_the_other_source_belongs_to_its_interval() {
        let counted = batch(&[("a.", 0, 10)]);
        let mut late = batch(&[("a.", 0, 4)]);
        late.coverage.until_ms = late.coverage.from_ms;
        assert_eq!(compared(&counted, vec![batch(&[("a.", 0, 6)]), late]), [10, 0, 0, 1]);
    }

    #[test]
    fn an_interval_that_one_covered_only_in_part_is_not_compared() {
        let whole = batch(&[("a.", 0, 10)]);
        let mut part = batch(&[("a.", 0, 4)]);
        part.coverage.from_ms += 1;
        assert_eq!(compared(&whole, vec![part.clone()]), [4, 0, 0, 0]);
        assert_eq!(compared(&part, vec![whole.clone()]), [0; 4]);
        assert_eq!(compared(&whole, vec![]), [0; 4]);
        let other_interval = Batch { start_s: 540, ..whole.clone() };
        assert_eq!(compared(&whole, vec![other_interval]), [0; 4]);
    }

    #[test]
    fn if_a_table_was_full_kinds_are_compared() {
        let counted = batch(&[("a.", 0, 10), ("b.", 0, 3)]);
        let mut other = batch(&[("a.", 0, 5), ("<other>", 0, 9)]);
        other.counters.add(Counter::MessagesFolded, 9);
        assert_eq!(compared(&counted, vec![other]), [14, 0, 1, 1]);
    }

    #[test]
    fn the_other_sources_messages_are_never_added_up() {
        let mut other = batch(&[("a.", 0, 5)]);
        for (counter, count) in [
            (Counter::MessagesSeen, 9),
            (Counter::OpcodeNotify, 4),
            (Counter::KernelDropped, 3),
            (Counter::DnstapConnectionsBroken, 2),
        ] {
            other.counters.add(counter, count);
        }
        let comparison = Comparison::default();
        comparison.put(other);
        let mut counted = batch(&[("a.", 0, 5)]);
        comparison.complete(&mut counted);
        let counters: Vec<_> = counted.counters.iter().collect();
        assert_eq!(counters, [(85, 2), (90, 5), (93, 1), (94, 3)]);
        let mut next = batch(&[]);
        comparison.complete(&mut next);
        assert!(next.counters.is_empty(), "once");
    }

    #[test]
    fn a_batch_waits_for_the_other_source_but_not_forever() {
        let mut counted = batch(&[("a.", 0, 1)]);
        counted.interval_s = 1;
        counted.start_s = now_ms() / 1000;
        counted.coverage = Coverage { from_ms: counted.start_ms(), until_ms: end_ms(&counted) };
        let comparison = Arc::new(Comparison::default());
        let (other, teller) = (counted.clone(), comparison.clone());
        let told = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(150));
            let end_ms = end_ms(&other);
            teller.put(other);
            teller.passed(end_ms + crate::meter::TOLD_GRACE_MS);
        });
        let mut first = counted.clone();
        comparison.complete(&mut first);
        told.join().unwrap();
        assert_eq!(first.counters.get(Counter::IntervalsCompared), 1);

        let silent = Comparison::default();
        let began = Instant::now();
        counted.start_s -= 6;
        counted.coverage = Coverage { from_ms: counted.start_ms(), until_ms: end_ms(&counted) };
        silent.complete(&mut counted);
        assert!(began.elapsed() < Duration::from_millis(1500) && counted.counters.is_empty());
    }

    #[test]
    fn a_source_that_has_ended_is_not_waited_for() {
        let mut counted = batch(&[]);
        counted.start_s = now_ms() / 1000;
        counted.coverage = Coverage { from_ms: counted.start_ms(), until_ms: end_ms(&counted) };
        let comparison = Comparison::default();
        comparison.end();
        let began = Instant::now();
        comparison.complete(&mut counted);
        assert!(began.elapsed() < Duration::from_millis(50));
    }
}
