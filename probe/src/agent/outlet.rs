//! Where the batches of a source go.

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

/// One source is counted. A second one, if there is any, only serves as its reference.
pub(super) enum Outlet {
    /// To the spool.
    Count(Counted),
    /// Only to the comparison.
    Compare(Arc<Comparison>),
}

/// The way to the spool, and the status to report to.
pub(super) struct Counted {
    pub(super) producer: Producer,
    pub(super) status: Arc<Status>,
}

impl Outlet {
    /// Passes on complete batches, after calling `look` on each.
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
                    tracing::debug!(%start, records, hits, "interval closed; for comparison only");
                    comparison.put(batch);
                }
            }
        }
    }

    /// Checks whether the source may be missing messages. Called several times a second, before
    /// intervals are closed.
    pub(super) fn watch<R: Fn() -> Reading>(&self, live: &mut LiveMeter<R>, interval_s: u32) {
        if let Outlet::Count(counted) = self {
            let now = Moment { steady: Instant::now(), wall_ms: live.now_ms() };
            let totals = live.meter.totals();
            counted.status.sight.turn(now, interval_s, totals, || live.meter.take_other_ports());
        }
    }

    /// Reports that every interval due at this time, Unix milliseconds, was passed on.
    pub(super) fn passed(&self, now_ms: u64) {
        if let Outlet::Compare(comparison) = self {
            comparison.passed(now_ms);
        }
    }

    /// Reports a step of the clock, if any. Only the counted source logs it.
    pub(super) fn stepped(&self, step: Option<Step>) {
        if let (Outlet::Count(counted), Some(step)) = (self, step) {
            let Step { from_ms, to_ms } = step;
            tracing::warn!(
                from_ms,
                to_ms,
                by_s = step.by_ms() as f64 / 1000.0,
                "this machine's clock was set: the open interval ends by the old clock, and counting continues by the new one"
            );
            counted.status.clock_was_set(step.by_ms());
            counted.status.sight.stepped();
        }
    }

    /// Reports whether hits can be dated.
    pub(super) fn clock_is_set(&self, is_set: bool) {
        if let Outlet::Count(counted) = self {
            counted.status.clock_is_set(is_set);
        }
    }

    /// Reports packets that were dropped before the capture saw them.
    pub(super) fn dropped(&self, by_kernel: u64, by_interface: u64) {
        if let Outlet::Count(counted) = self {
            count(&counted.status.counts.kernel_dropped, by_kernel);
            count(&counted.status.counts.interface_dropped, by_interface);
        }
    }

    /// The source's share of the memory.
    pub(super) fn budget(&self, config: &Config) -> Budget {
        match self {
            Outlet::Count(_) => config.budget(),
            Outlet::Compare(_) => config.budget_of_comparison(),
        }
    }

    /// Reports that the source is running.
    pub(super) fn runs(&self) {
        if let Outlet::Count(counted) = self {
            counted.status.capture_runs();
            counted.status.sight.begin(Moment::now());
        }
    }

    /// Reports that the source is not running.
    pub(super) fn stopped(&self, why: impl Into<String>) {
        if let Outlet::Count(counted) = self {
            counted.status.capture_stopped(why);
            counted.status.sight.end(Moment::now());
        }
    }
}

impl Counted {
    /// Hands a batch to the spool thread.
    pub(super) fn push(&self, batch: impl Into<Message>) {
        for Displaced { start_s, hits } in self.producer.push(batch) {
            count(&self.status.counts.evicted, 1);
            tracing::error!(start = %Utc(start_s), hits, "the disk is too slow: a batch was discarded, and the next one reports the loss");
        }
    }
}

/// However the source's thread ends, those waiting for it must learn that nothing more comes.
impl Drop for Outlet {
    fn drop(&mut self) {
        if let Outlet::Compare(comparison) = self {
            comparison.end();
        }
    }
}
