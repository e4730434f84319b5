//! The system thread: samples the machine at the end of each slot, and the services on it when they
//! are due. A file system that hangs blocks nothing else.

use super::new_epoch;
use super::orders::Orders;
use super::outlet::Counted;
use crate::clock::Reading;
use crate::config::Sockets;
use crate::services::Services;
use crate::system::{Gather, Look, Sampler, Slots};
use crate::times::Bounds;
use std::sync::Arc;
use std::time::Duration;
use zonepulse_wire::{SystemBatch, Utc};

/// How often to check for new orders.
const TICK: Duration = Duration::from_millis(250);

pub(super) struct Machine {
    pub(super) server_id: u32,
    /// Time span of a batch, seconds.
    pub(super) batch_s: u32,
    /// The services to sample.
    pub(super) sockets: Sockets,
    /// How often, seconds.
    pub(super) services_interval_s: u32,
    pub(super) outlet: Counted,
    pub(super) orders: Arc<Orders>,
    /// Bounds within which a clock counts as set.
    pub(super) bounds: Bounds,
}

impl Machine {
    /// Samples as ordered until told to stop.
    pub(super) fn run(self) {
        let mut gather = Gather::new(self.server_id, new_epoch(), self.batch_s, 1);
        let mut services = Services::start(&self.sockets, self.services_interval_s);
        while !self.orders.stopping() {
            match self.orders.system() {
                Some(interval_s) => self.measure(interval_s, &mut gather, &mut services),
                None => std::thread::sleep(TICK),
            }
        }
    }

    /// Samples until the orders change.
    fn measure(&self, interval_s: u32, gather: &mut Gather, services: &mut Services) {
        tracing::info!(interval_s, "sampling the machine");
        services.forget();
        let (mut sampler, mut slots) = (Sampler::new(), Slots::new(interval_s, self.bounds, Reading::now()));
        self.push(gather.set_interval(interval_s));
        while self.orders.system() == Some(interval_s) {
            match slots.look(Reading::now()) {
                Look::Wait(left_ms) => std::thread::sleep(TICK.min(Duration::from_millis(left_ms))),
                Look::Begin => _ = sampler.sample(),
                Look::End { start_s, follows } => {
                    if !follows {
                        // The machine slept, so the rates do not belong to this slot.
                        sampler.forget();
                    }
                    let of_machine = sampler.sample();
                    let of_services = services.sample(start_s + u64::from(interval_s));
                    for batch in gather.add(start_s, of_machine.iter().chain(&of_services)) {
                        self.push(batch);
                    }
                }
                Look::Set(by_ms) => {
                    tracing::info!(by_s = by_ms as f64 / 1000.0, "the clock was set; skipping the current slot");
                    sampler.forget();
                    services.forget();
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
