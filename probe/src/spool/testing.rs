//! Batches for tests of the spool.

use zonepulse_model::Identity;
use zonepulse_wire::{Batch, Counters, Coverage, Records};

/// A batch without rows, for the minute given by its sequence number.
pub(crate) fn empty_batch(identity: Identity) -> Batch {
    let start_s = 60 * identity.seq;
    Batch {
        identity,
        start_s,
        interval_s: 60,
        coverage: Coverage { from_ms: 1000 * start_s, until_ms: 1000 * start_s },
        counters: Counters::new(),
        evicted: None,
        records: Records::new(),
        rows: Vec::new(),
    }
}
