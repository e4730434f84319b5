//! What tests put into a spool.

use zonepulse_wire::{Batch, Counters, Coverage, Identity, Records};

/// A batch without rows, of the minute of its number.
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
