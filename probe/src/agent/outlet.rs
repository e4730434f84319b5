//! Where a source's batches go.

use super::comparison::Comparison;
use super::queue::Queue;
use crate::config::Config;
use crate::memory::Budget;
use crate::meter::Meter;
use std::sync::Arc;
use zonepulse_wire::Batch;

/// One source is counted; another, if there is one, is only compared with it.
pub(super) enum Outlet {
    /// To the spool.
    Count(Arc<Queue>),
    /// Nowhere but to the comparison.
    Compare(Arc<Comparison>),
}

impl Outlet {
    /// Takes the batches that are complete, after a look at each.
    pub(super) fn pass_on(&self, meter: &mut Meter, mut look: impl FnMut(&Batch)) {
        while let Some(batch) = meter.take_closed() {
            look(&batch);
            let (start_s, records, hits) = (batch.start_s, batch.records.len(), batch.hits());
            let queue = match self {
                Outlet::Count(queue) => queue,
                Outlet::Compare(comparison) => {
                    tracing::debug!(start_s, records, hits, "interval closed; it is compared only");
                    comparison.put(batch);
                    continue;
                }
            };
            tracing::debug!(start_s, records, hits, "interval closed");
            for lost in queue.push(batch) {
                tracing::error!(
                    start_s = lost.start_s,
                    hits = lost.hits,
                    "the disk does not keep up: a batch is given up, and the next one reports it"
                );
            }
        }
    }

    /// Every interval that is due at this time, Unix milliseconds, was passed on.
    pub(super) fn passed(&self, now_ms: u64) {
        if let Outlet::Compare(comparison) = self {
            comparison.passed(now_ms);
        }
    }

    /// What of the memory the source may take.
    pub(super) fn budget(&self, config: &Config) -> Budget {
        match self {
            Outlet::Count(_) => config.budget(),
            Outlet::Compare(_) => config.budget_of_comparison(),
        }
    }
}

/// However the source's thread ends, who waits for it must learn that nothing more comes.
impl Drop for Outlet {
    fn drop(&mut self) {
        match self {
            Outlet::Count(queue) => queue.close(),
            Outlet::Compare(comparison) => comparison.end(),
        }
    }
}
