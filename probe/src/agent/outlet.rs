//! Where a source's batches go.

use super::comparison::Comparison;
use super::live_meter::LiveMeter;
use super::queue::{Displaced, Producer};
use crate::clock::{Reading, Step};
use crate::config::Config;
use crate::memory::Budget;
use crate::meter::Meter;
use crate::sight::Moment;
use crate::status::{Status, count};
use std::sync::Arc;
use std::time::Instant;
use zonepulse_wire::{Batch, Message, Utc};

/// One source is counted; another, if there is one, is only compared with it.
pub(super) enum Outlet {
    /// To the spool.
    Count(Counted),
    /// Nowhere but to the comparison.
    Compare(Arc<Comparison>),
}

/// The way to the spool, and who is told how it goes.
pub(super) struct Counted {
    pub(super) producer: Producer,
    pub(super) status: Arc<Status>,
}

impl Outlet {
    /// Takes the batches that are complete, after a look at each.
    pub(super) fn pass_on(&self, meter: &mut Meter, mut look: impl FnMut(&Batch)) {
        while let Some(mut batch) = meter.take_closed() {
            look(&batch);
            if let Outlet::Count(counted) = self {
                counted.status.sight.complete(&mut batch);
            }
            let (start, records, hits) = (Utc(batch.start_s), batch.records.len(), batch.hits());
            match self {
                Outlet::Count(counted) => {
                    tracing::debug!(%start, records, hits, "interval closed");
                    counted.push(batch);
                }
                Outlet::Compare(comparison) => {
                    tracing::debug!(%start, records, hits, "interval closed; it is compared only");
                    comparison.put(batch);
                }
            }
        }
    }

    /// Sees whether what counts can be all; several times a second, before intervals are closed.
    pub(super) fn watch<R: Fn() -> Reading>(&self, live: &mut LiveMeter<R>, interval_s: u32) {
        if let Outlet::Count(counted) = self {
            let now = Moment { steady: Instant::now(), wall_ms: live.now_ms() };
            let totals = live.meter.totals();
            counted.status.sight.turn(now, interval_s, totals, || live.meter.take_other_ports());
        }
    }

    /// Every interval that is due at this time, Unix milliseconds, was passed on.
    pub(super) fn passed(&self, now_ms: u64) {
        if let Outlet::Compare(comparison) = self {
            comparison.passed(now_ms);
        }
    }

    /// The clock was set, or not. One source says so.
    pub(super) fn stepped(&self, step: Option<Step>) {
        if let (Outlet::Count(counted), Some(step)) = (self, step) {
            let Step { from_ms, to_ms } = step;
            tracing::warn!(
                from_ms,
                to_ms,
                by_s = step.by_ms() as f64 / 1000.0,
                "this machine's clock was set: the open interval ends by the old one, and counting goes on by the new one"
            );
            counted.status.clock_was_set(step.by_ms());
            counted.status.sight.stepped();
        }
    }

    /// What is counted can be dated, or not.
    pub(super) fn clock_is_set(&self, is_set: bool) {
        if let Outlet::Count(counted) = self {
            counted.status.clock_is_set(is_set);
        }
    }

    /// What of the memory the source may take.
    pub(super) fn budget(&self, config: &Config) -> Budget {
        match self {
            Outlet::Count(_) => config.budget(),
            Outlet::Compare(_) => config.budget_of_comparison(),
        }
    }

    /// What counts is being counted.
    pub(super) fn runs(&self) {
        if let Outlet::Count(counted) = self {
            counted.status.capture_runs();
            counted.status.sight.begin(Moment::now());
        }
    }

    /// What counts is not being counted.
    pub(super) fn stopped(&self, why: impl Into<String>) {
        if let Outlet::Count(counted) = self {
            counted.status.capture_stopped(why);
            counted.status.sight.end(Moment::now());
        }
    }
}

impl Counted {
    /// Hands a batch to the spool's thread.
    pub(super) fn push(&self, batch: impl Into<Message>) {
        for Displaced { start_s, hits } in self.producer.push(batch) {
            count(&self.status.counts.evicted, 1);
            tracing::error!(start = %Utc(start_s), hits, "the disk does not keep up: a batch is given up, and the next one reports it");
        }
    }
}

/// However the source's thread ends, who waits for it must learn that nothing more comes.
impl Drop for Outlet {
    fn drop(&mut self) {
        if let Outlet::Compare(comparison) = self {
            comparison.end();
        }
    }
}
