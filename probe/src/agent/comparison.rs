//! Two sources on one machine: one is counted, the other only compared with it.
//!
//! The other source sums its messages in batches of its own, which go nowhere but here.
//! Before a counted batch is spooled it waits, for a few seconds after the end of its
//! interval, for what the other source has to say of the same interval. Then, record by
//! record and kind by kind, the positive differences are summed both ways. A record that
//! one source saw more often was missed by the other as many times at least: what each
//! missed of the other cancels out, so the true numbers may be higher. Two things make
//! them less than exact the other way: a message at the very edge of an interval, whose
//! time the server reads from the clock later than the kernel does, may lie in another
//! interval there; and what the other source tells later than the waiting allows counts
//! as missed.
//!
//! Only intervals that both covered from end to end are compared.

use super::now_ms;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zonepulse_wire::{Batch, Counter, Counters};

/// How long after its end an interval is waited for: the other's grace, and some more, milliseconds.
const PATIENCE_MS: u64 = crate::meter::TOLD_GRACE_MS + 1500;
/// How many batches of the other source wait to be compared.
const CAPACITY: usize = 3;

/// What the other source saw, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    /// Of the intervals that ended by then nothing more comes, Unix milliseconds.
    passed_ms: u64,
    ended: bool,
    /// What the other source says of itself, and has not been passed on.
    pending: Counters,
}

/// How many messages only one of two sources saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Differences {
    only_counted: u64,
    only_other: u64,
}

impl Comparison {
    /// Takes in what the other source saw.
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

    /// The other source has said everything about the intervals that ended long enough before this.
    pub(super) fn passed(&self, now_ms: u64) {
        self.lock().passed_ms = now_ms.saturating_sub(crate::meter::TOLD_GRACE_MS);
        self.came.notify_all();
    }

    /// The other source says nothing more.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.came.notify_all();
    }

    /// Adds to a counted batch what the comparison with the other source gives.
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
            // Nobody waits for what takes a while.
            drop(state);
            compare_into(batch, &others);
            state = self.lock();
        }
        batch.counters.merge(&std::mem::take(&mut state.pending));
    }

    /// Until the other source is done with the intervals up to then, but not for ever.
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

/// Under which counter a batch passes on what the other source counted besides messages.
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

/// By record and kind; by kind alone where a table was full, because what was folded in
/// the one may stand for itself in the other.
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
    use zonepulse_wire::{Coverage, Identity, Records, Row};

    /// An interval of a minute that both sources may cover, long ago.
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
            identity: Identity { server_id: 1, epoch: 1, seq: 0 },
            start_s: 600,
            interval_s: 60,
            coverage: Coverage { from_ms: 600_000, until_ms: 660_000 },
            counters: Counters::new(),
            evicted: None,
            records,
            rows,
        }
    }

    /// What a batch says after it was compared: other's hits, only counted, only other, compared.
    fn compared(counted: &Batch, others: Vec<Batch>) -> [u64; 4] {
        let comparison = Comparison::default();
        others.into_iter().for_each(|other| comparison.put(other));
        let mut counted = counted.clone();
        comparison.complete(&mut counted);
        [Counter::OtherSourceHits, Counter::OnlyCountedSource, Counter::OnlyOtherSource, Counter::IntervalsCompared]
            .map(|counter| counted.counters.get(counter))
    }

    #[test]
    fn what_only_one_saw_is_summed_by_record_and_kind() {
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
    fn where_a_table_was_full_kinds_are_compared() {
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
    fn a_batch_waits_for_the_other_source_but_not_for_ever() {
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
    fn nobody_waits_for_a_source_that_has_ended() {
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
