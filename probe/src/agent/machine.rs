//! The system thread: measures the machine at the end of each slot; a file system that
//! does not answer keeps nobody else waiting.

use super::new_epoch;
use super::orders::Orders;
use super::outlet::Counted;
use crate::clock::Reading;
use crate::system::{Gather, Look, Sampler, Slots};
use crate::times::Bounds;
use std::sync::Arc;
use std::time::Duration;
use zonepulse_wire::{SystemBatch, Utc};

/// How often orders are looked at.
const TICK: Duration = Duration::from_millis(250);

pub(super) struct Machine {
    pub(super) server_id: u32,
    /// How much time goes into one batch, seconds.
    pub(super) batch_s: u32,
    pub(super) outlet: Counted,
    pub(super) orders: Arc<Orders>,
    /// Which clock is set.
    pub(super) bounds: Bounds,
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
        let (mut sampler, mut slots) = (Sampler::new(), Slots::new(interval_s, self.bounds, Reading::now()));
        self.push(gather.set_interval(interval_s));
        while self.orders.system() == Some(interval_s) {
            match slots.look(Reading::now()) {
                Look::Wait(left_ms) => std::thread::sleep(TICK.min(Duration::from_millis(left_ms))),
                Look::Begin => _ = sampler.sample(),
                Look::End { start_s, follows } => {
                    if !follows {
                        // The machine slept: the rates are not this slot's.
                        sampler.forget();
                    }
                    for batch in gather.add(start_s, sampler.sample()) {
                        self.push(batch);
                    }
                }
                Look::Set(by_ms) => {
                    tracing::info!(by_s = by_ms as f64 / 1000.0, "the clock was set; the slot that goes on is not measured");
                    sampler.forget();
                    self.push(gather.take());
                }
            }
        }
        self.push(gather.take());
    }

    fn push(&self, batch: Option<SystemBatch>) {
        if let Some(batch) = batch {
            tracing::debug!(start = %Utc(batch.start_s), slots = batch.slots, series = batch.series.len(), "measured");
            self.outlet.push(batch);
        }
    }
}
