//! What stands between listening and the disk.

use crate::spool::merge_evicted;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use zonepulse_wire::{Batch, Evicted};

/// Batches on their way to the spool. Nobody waits to put one in: when the
/// queue is full the oldest give way, and the next that is taken out reports it.
#[derive(Debug)]
pub(super) struct Queue {
    /// What the batches in it take, bytes; one always may be in it.
    max_bytes: usize,
    state: Mutex<State>,
    came: Condvar,
}

/// A batch that gave way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Displaced {
    /// Start of its interval, Unix seconds.
    pub(super) start_s: u64,
    /// What it had counted.
    pub(super) hits: u64,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    bytes: usize,
    lost: Option<Evicted>,
    closed: bool,
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Queue { max_bytes, state: Mutex::default(), came: Condvar::new() }
    }

    /// Puts a batch in, and gives those that had to give way.
    pub(super) fn push(&self, batch: Batch) -> Vec<Displaced> {
        let size_bytes = batch.size_bytes();
        let mut displaced = Vec::new();
        let mut state = self.lock();
        while state.bytes + size_bytes > self.max_bytes
            && let Some(oldest) = state.take_oldest()
        {
            let until_s = oldest.start_s + u64::from(oldest.interval_s);
            let loss = Evicted { batches: 1, from_s: oldest.start_s, until_s };
            state.lost = merge_evicted(merge_evicted(state.lost, oldest.evicted), Some(loss));
            displaced.push(Displaced { start_s: oldest.start_s, hits: oldest.hits() });
        }
        state.bytes += size_bytes;
        state.batches.push_back(batch);
        self.came.notify_one();
        displaced
    }

    /// Takes the oldest out; waits for one; none when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if let Some(mut batch) = state.take_oldest() {
                batch.evicted = merge_evicted(batch.evicted, state.lost.take());
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing will be put in any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_one();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().batches.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_oldest(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.bytes = self.bytes.saturating_sub(batch.size_bytes());
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_dns::{MessageKind, RecordType};
    use zonepulse_wire::{Counters, Coverage, Identity, Records, Row};

    fn batch(seq: u64) -> Batch {
        Batch {
            identity: Identity { server_id: 1, epoch: 1, seq },
            start_s: 60 * seq,
            interval_s: 60,
            coverage: Coverage { from_ms: 60_000 * seq, until_ms: 60_000 * seq },
            counters: Counters::new(),
            evicted: None,
            records: Records::new(),
            rows: Vec::new(),
        }
    }

    /// Room for eight of the batches.
    fn queue() -> Queue {
        Queue::new(8 * batch(0).size_bytes())
    }

    #[test]
    fn batches_come_out_as_they_went_in() {
        let queue = queue();
        (0..3).for_each(|seq| assert_eq!(queue.push(batch(seq)), []));
        queue.close();
        let out: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(out, [batch(0), batch(1), batch(2)]);
    }

    #[test]
    fn a_full_queue_gives_up_the_oldest_and_the_next_reports_it() {
        let queue = queue();
        let displaced: Vec<_> = (0..11).flat_map(|seq| queue.push(batch(seq))).collect();
        assert_eq!(displaced, [0, 60, 120].map(|start_s| Displaced { start_s, hits: 0 }));
        let next = queue.pop().unwrap();
        assert_eq!((next.identity.seq, next.evicted), (3, Some(Evicted { batches: 3, from_s: 0, until_s: 180 })));
        assert_eq!(queue.pop().unwrap().evicted, None);
    }

    #[test]
    fn a_batch_that_gives_way_hands_its_report_on() {
        let queue = queue();
        let mut first = batch(10);
        first.evicted = Some(Evicted { batches: 5, from_s: 0, until_s: 300 });
        queue.push(first);
        (11..19).for_each(|seq| drop(queue.push(batch(seq))));
        assert_eq!(queue.pop().unwrap().evicted, Some(Evicted { batches: 6, from_s: 0, until_s: 660 }));
    }

    #[test]
    fn a_large_batch_displaces_as_many_as_it_takes_and_is_always_taken() {
        let queue = queue();
        (0..8).for_each(|seq| drop(queue.push(batch(seq))));
        let mut large = batch(8);
        let record = large.records.push("example.", RecordType::A);
        large.rows = vec![Row { record, kind: MessageKind::REQUEST, hits: 1, first_ms: 0, last_ms: 0 }; 4];
        assert_eq!(queue.push(large.clone()).len(), 2);
        large.rows = vec![large.rows[0]; 1000];
        assert_eq!((queue.push(large).len(), queue.len()), (7, 1));
    }

    #[test]
    fn a_close_wakes_who_waits() {
        let queue = std::sync::Arc::new(queue());
        let waiter = queue.clone();
        let thread = std::thread::spawn(move || waiter.pop());
        queue.close();
        assert_eq!(thread.join().unwrap(), None);
    }
}
