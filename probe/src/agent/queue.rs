//! What stands between listening and the disk.

use crate::spool::merge_evicted;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use zonepulse_wire::{Batch, Evicted};

/// A disk that hangs for as many intervals costs nothing but memory.
const CAPACITY: usize = 8;

/// Batches on their way to the spool. Nobody waits to put one in: when the
/// queue is full the oldest gives way, and the next that is taken out reports it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    lost: Option<Evicted>,
    closed: bool,
}

impl Queue {
    /// Puts a batch in, and gives the one that had to give way, if any.
    pub(super) fn push(&self, batch: Batch) -> Option<Batch> {
        let mut state = self.lock();
        let displaced = if state.batches.len() >= CAPACITY { state.batches.pop_front() } else { None };
        if let Some(displaced) = &displaced {
            let until_s = displaced.start_s + u64::from(displaced.interval_s);
            let loss = Evicted { batches: 1, from_s: displaced.start_s, until_s };
            state.lost = merge_evicted(merge_evicted(state.lost, displaced.evicted), Some(loss));
        }
        state.batches.push_back(batch);
        self.came.notify_one();
        displaced
    }

    /// Takes the oldest out; waits for one; none when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if let Some(mut batch) = state.batches.pop_front() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_wire::{Counters, Coverage, Identity, Records};

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

    #[test]
    fn batches_come_out_as_they_went_in() {
        let queue = Queue::default();
        (0..3).for_each(|seq| assert_eq!(queue.push(batch(seq)), None));
        queue.close();
        let out: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(out, [batch(0), batch(1), batch(2)]);
    }

    #[test]
    fn a_full_queue_gives_up_the_oldest_and_the_next_reports_it() {
        let queue = Queue::default();
        let displaced: Vec<_> = (0..11).filter_map(|seq| queue.push(batch(seq))).collect();
        assert_eq!(displaced, [batch(0), batch(1), batch(2)]);
        let next = queue.pop().unwrap();
        assert_eq!((next.identity.seq, next.evicted), (3, Some(Evicted { batches: 3, from_s: 0, until_s: 180 })));
        assert_eq!(queue.pop().unwrap().evicted, None);
    }

    #[test]
    fn a_batch_that_gives_way_hands_its_report_on() {
        let queue = Queue::default();
        let mut first = batch(10);
        first.evicted = Some(Evicted { batches: 5, from_s: 0, until_s: 300 });
        queue.push(first);
        (11..19).for_each(|seq| drop(queue.push(batch(seq))));
        assert_eq!(queue.pop().unwrap().evicted, Some(Evicted { batches: 6, from_s: 0, until_s: 660 }));
    }

    #[test]
    fn a_close_wakes_who_waits() {
        let queue = std::sync::Arc::new(Queue::default());
        let waiter = queue.clone();
        let thread = std::thread::spawn(move || waiter.pop());
        queue.close();
        assert_eq!(thread.join().unwrap(), None);
    }
}
