//! The system thread: measures the machine at the end of each slot; a file system that
//! does not answer keeps nobody else waiting.

use super::orders::Orders;
use super::outlet::Counted;
use super::{new_epoch, now_ms};
use crate::system::{Gather, Sampler};
use std::sync::Arc;
use std::time::Duration;

/// How often orders are looked at.
const TICK: Duration = Duration::from_millis(250);

pub(super) struct Machine {
    pub(super) server_id: u32,
    /// How much time goes into one batch, seconds.
    pub(super) batch_s: u32,
    pub(super) outlet: Counted,
    pub(super) orders: Arc<Orders>,
}

impl Machine {
    /// Measures until it is told to stop, and as often as it is told.
    pub(super) fn run(self) {
        let mut gather = Gather::new(self.server_id, new_epoch(), self.batch_s, 1);
        while !self.orders.stopping() {
            match self.orders.system() {
                Some(interval_s) => self.measure(interval_s, &mut gather),
                None => std::thread::sleep(TICK),
            }
        }
    }

    /// Until the orders change.
    fn measure(&self, interval_s: u32, gather: &mut Gather) {
        tracing::info!(interval_s, "the machine is measured");
        let length_s = u64::from(interval_s);
        let mut sampler = Sampler::new();
        gather.set_interval(interval_s);
        let mut last_end_s = None;
        while let Some(end_s) = self.next_end(length_s, last_end_s) {
            if last_end_s.is_some_and(|last| last + length_s != end_s) {
                // The machine slept, or its clock was set: the rates are not this slot's.
                sampler.forget();
            }
            let readings = sampler.sample();
            // Of the slot in which measuring began a part was not seen.
            if last_end_s.is_some() {
                for batch in gather.add(end_s - length_s, readings).into_iter().flatten() {
                    tracing::debug!(start_s = batch.start_s, slots = batch.slots, series = batch.series.len(), "measured");
                    self.outlet.push(batch);
                }
            }
            last_end_s = Some(end_s);
        }
        if let Some(batch) = gather.take() {
            self.outlet.push(batch);
        }
    }

    /// Waits for the end of a slot that is not the last one, Unix seconds. None when the orders are others.
    fn next_end(&self, length_s: u64, last_end_s: Option<u64>) -> Option<u64> {
        let begin_s = now_ms() / 1000 / length_s * length_s;
        loop {
            if self.orders.system().map(u64::from) != Some(length_s) {
                return None;
            }
            let now_ms = now_ms();
            let end_s = now_ms / 1000 / length_s * length_s;
            // A slot that ended before the wait began counts when it is the one that comes next.
            if end_s != begin_s || last_end_s.is_some_and(|last| end_s != last) {
                return Some(end_s);
            }
            let left_ms = (begin_s + length_s).saturating_mul(1000).saturating_sub(now_ms);
            std::thread::sleep(TICK.min(Duration::from_millis(left_ms.max(1))));
        }
    }
}
