//! The spool thread: writes batches from the queue to disk.

use super::comparison::Comparison;
use super::orders::Orders;
use super::queue::Queue;
use crate::Error;
use crate::spool::Spool;
use crate::status::{Status, count};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zonepulse_wire::{Message, Utc};

/// How long a stopping agent retries writing to a failing disk.
const LAST_TRIES: Duration = Duration::from_secs(5);
const RETRY_DISK: Duration = Duration::from_secs(1);

pub(super) struct Spooler {
    pub(super) queue: Arc<Queue>,
    pub(super) spool: Arc<Spool>,
    pub(super) status: Arc<Status>,
    pub(super) comparison: Option<Arc<Comparison>>,
    pub(super) orders: Arc<Orders>,
}

impl Spooler {
    /// Runs until the queue is empty and has no producer.
    pub(super) fn run(self) {
        while let Some(mut batch) = self.queue.pop() {
            if let (Some(comparison), Message::Dns(batch)) = (&self.comparison, &mut batch) {
                comparison.complete(batch);
            }
            if !self.make_safe(&batch) {
                return;
            }
        }
    }

    /// Retries until the batch is on disk; returns whether to go on.
    fn make_safe(&self, batch: &Message) -> bool {
        let mut failing_since: Option<Instant> = None;
        let mut patience_until: Option<Instant> = None;
        loop {
            match self.spool.put(batch) {
                Ok(()) => {
                    self.status.spooled(batch);
                    break;
                }
                Err(Error::Encode(error)) => {
                    tracing::error!(%error, start = %Utc(batch.start_s()), "cannot write a batch; the next one reports its loss");
                    self.spool.give_up(batch);
                    count(&self.status.counts.evicted, 1);
                    break;
                }
                Err(error) if failing_since.is_none() => {
                    tracing::error!(%error, "cannot write to the spool; retrying every second, with batches kept in memory");
                }
                Err(_) => {}
            }
            failing_since.get_or_insert_with(Instant::now);
            if self.orders.stopping() && *patience_until.get_or_insert_with(|| Instant::now() + LAST_TRIES) < Instant::now() {
                tracing::error!(
                    batches = 1 + self.queue.len(),
                    start = %Utc(batch.start_s()),
                    "batches lost: cannot write to the spool, and the probe is stopping"
                );
                return false;
            }
            std::thread::sleep(RETRY_DISK);
        }
        if let Some(since) = failing_since {
            tracing::info!(failed_for_s = since.elapsed().as_secs(), "writing to the spool works again");
        }
        true
    }
}
