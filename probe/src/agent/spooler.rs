//! The spool's thread: batches from the queue to the disk.

use super::comparison::Comparison;
use super::orders::Orders;
use super::queue::Queue;
use crate::Error;
use crate::spool::Spool;
use crate::status::{Status, count};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zonepulse_wire::{Message, Utc};

/// How long a stopping agent tries to write to a disk that refuses.
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
    /// Until the queue has no producer and is empty.
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

    /// Tries until it is done; says whether to go on.
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
                    tracing::error!(%error, start = %Utc(batch.start_s()), "a batch cannot be written; the next one reports its loss");
                    self.spool.give_up(batch);
                    count(&self.status.counts.evicted, 1);
                    break;
                }
                Err(error) if failing_since.is_none() => {
                    tracing::error!(%error, "the spool cannot be written to; it is tried again every second, and batches wait in memory");
                }
                Err(_) => {}
            }
            failing_since.get_or_insert_with(Instant::now);
            if self.orders.stopping() && *patience_until.get_or_insert_with(|| Instant::now() + LAST_TRIES) < Instant::now() {
                tracing::error!(
                    batches = 1 + self.queue.len(),
                    start = %Utc(batch.start_s()),
                    "batches are lost: the spool cannot be written to, and the probe must stop"
                );
                return false;
            }
            std::thread::sleep(RETRY_DISK);
        }
        if let Some(since) = failing_since {
            tracing::info!(failed_for_s = since.elapsed().as_secs(), "the spool can be written to again");
        }
        true
    }
}
