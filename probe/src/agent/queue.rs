//! The queue between listening and the disk.

use crate::spool::merge_evicted;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use zonepulse_model::Evicted;
use zonepulse_wire::Message;

/// Batches on their way to the spool. Adding one never blocks: if the queue is full, the oldest are
/// displaced, and the next batch taken out reports the loss.
#[derive(Debug)]
pub(super) struct Queue {
    /// Maximum size of the queued batches, bytes. A single batch is always accepted.
    max_bytes: usize,
    state: Mutex<State>,
    came: Condvar,
}

/// A batch that was displaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Displaced {
    /// Start of its interval, Unix seconds.
    pub(super) start_s: u64,
    /// Its hits.
    pub(super) hits: u64,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Message>,
    bytes: usize,
    lost: Option<Evicted>,
    producers: usize,
}

/// Puts batches into a queue. Once its last producer is gone, no more batches can come.
#[derive(Debug)]
pub(super) struct Producer(Arc<Queue>);

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Queue { max_bytes, state: Mutex::default(), came: Condvar::new() }
    }

    /// Creates a producer. Create all of them before the first batch is taken out.
    pub(super) fn producer(self: &Arc<Self>) -> Producer {
        self.lock().producers += 1;
        Producer(self.clone())
    }

    /// Adds a batch; returns those it displaced.
    fn push(&self, batch: Message) -> Vec<Displaced> {
        let size_bytes = batch.size_bytes();
        let mut displaced = Vec::new();
        let mut state = self.lock();
        while state.bytes + size_bytes > self.max_bytes
            && let Some(oldest) = state.take_oldest()
        {
            let loss = Evicted { batches: 1, from_s: oldest.start_s(), until_s: oldest.end_s() };
            state.lost = merge_evicted(merge_evicted(state.lost, oldest.evicted()), Some(loss));
            displaced.push(Displaced { start_s: oldest.start_s(), hits: hits(&oldest) });
        }
        state.bytes += size_bytes;
        state.batches.push_back(batch);
        self.came.notify_one();
        displaced
    }

    /// Takes out the oldest batch, waiting for one if necessary. None when the queue is empty and
    /// has no producer left.
    pub(super) fn pop(&self) -> Option<Message> {
        let mut state = self.lock();
        loop {
            if let Some(mut batch) = state.take_oldest() {
                let evicted = match &mut batch {
                    Message::Dns(batch) => &mut batch.evicted,
                    Message::System(batch) => &mut batch.evicted,
                };
                *evicted = merge_evicted(*evicted, state.lost.take());
                return Some(batch);
            }
            if state.producers == 0 {
                return None;
            }
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().batches.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_oldest(&mut self) -> Option<Message> {
        let batch = self.batches.pop_front()?;
        self.bytes = self.bytes.saturating_sub(batch.size_bytes());
        Some(batch)
    }
}

impl Producer {
    /// Adds a batch; returns those it displaced.
    pub(super) fn push(&self, batch: impl Into<Message>) -> Vec<Displaced> {
        self.0.push(batch.into())
    }
}

/// However the producer's thread ends, those waiting for it must learn that nothing more comes.
impl Drop for Producer {
    fn drop(&mut self) {
        self.0.lock().producers -= 1;
        self.0.came.notify_one();
    }
}

fn hits(batch: &Message) -> u64 {
    match batch {
        Message::Dns(batch) => batch.hits(),
        Message::System(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::testing::empty_batch;
    use zonepulse_dns::{MessageKind, RecordType};
    use zonepulse_model::{Identity, ServerId};
    use zonepulse_wire::{Batch, Row};

    fn batch(seq: u64) -> Batch {
        empty_batch(Identity { server_id: ServerId::new(1), epoch: 1, seq })
    }

    /// A queue with room for eight test batches.
    fn queue() -> Arc<Queue> {
        Arc::new(Queue::new(8 * Message::Dns(batch(0)).size_bytes()))
    }

    #[test]
    fn batches_come_out_as_they_went_in() {
        let queue = queue();
        let (one, other) = (queue.producer(), queue.producer());
        assert_eq!((one.push(batch(0)), other.push(batch(1)), one.push(batch(2))), (vec![], vec![], vec![]));
        drop((one, other));
        let out: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(out, [batch(0), batch(1), batch(2)].map(Message::Dns));
    }

    #[test]
    fn a_full_queue_displaces_the_oldest_and_the_next_reports_it() {
        let queue = queue();
        let displaced: Vec<_> = (0..11).flat_map(|seq| queue.push(batch(seq).into())).collect();
        assert_eq!(displaced, [0, 60, 120].map(|start_s| Displaced { start_s, hits: 0 }));
        let next = queue.pop().unwrap();
        assert_eq!((next.identity().seq, next.evicted()), (3, Some(Evicted { batches: 3, from_s: 0, until_s: 180 })));
        assert_eq!(queue.pop().unwrap().evicted(), None);
    }

    #[test]
    fn a_displaced_batch_passes_on_its_report() {
        let queue = queue();
        let mut first = batch(10);
        first.evicted = Some(Evicted { batches: 5, from_s: 0, until_s: 300 });
        queue.push(first.into());
        (11..19).for_each(|seq| drop(queue.push(batch(seq).into())));
        assert_eq!(queue.pop().unwrap().evicted(), Some(Evicted { batches: 6, from_s: 0, until_s: 660 }));
    }

    #[test]
    fn a_large_batch_displaces_as_many_as_it_takes_and_is_always_taken() {
        let queue = queue();
        (0..8).for_each(|seq| drop(queue.push(batch(seq).into())));
        let mut large = batch(8);
        let record = large.records.push("example.", RecordType::A);
        large.rows = vec![Row { record, kind: MessageKind::REQUEST, hits: 1, first_ms: 0, last_ms: 0 }; 4];
        assert_eq!(queue.push(large.clone().into()).len(), 2);
        large.rows = vec![large.rows[0]; 1000];
        assert_eq!((queue.push(large.into()).len(), queue.len()), (7, 1));
    }

    #[test]
    fn the_end_of_the_last_producer_wakes_the_consumer() {
        let queue = queue();
        let producers = (queue.producer(), queue.producer());
        let waiter = queue.clone();
        let thread = std::thread::spawn(move || waiter.pop());
        drop(producers);
        assert_eq!(thread.join().unwrap(), None);
    }
}
