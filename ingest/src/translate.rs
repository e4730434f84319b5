//! A batch in the store's words.

use zonepulse_store::{Evicted, Identity, Intake, IntakeRow, Write};
use zonepulse_wire::Batch;

/// The batch's identity as the store writes it.
pub(crate) fn identity(batch: &Batch) -> Identity {
    let zonepulse_wire::Identity { server_id, epoch, seq } = batch.identity;
    Identity { server_id, epoch, seq }
}

/// The batch with its records numbered by the store.
pub(crate) fn intake(batch: &Batch, write: &mut Write<'_>) -> Intake {
    let ids = write.record_ids(batch.records.iter());
    let start_ms = batch.start_ms();
    let rows = batch.rows.iter().filter_map(|row| {
        // `decode` saw to it that every row's record is there.
        let record_id = *ids.get(row.record as usize)?;
        let at = |offset_ms: u32| start_ms + u64::from(offset_ms);
        Some(IntakeRow { record_id, kind: row.kind, hits: row.hits, first_ms: at(row.first_ms), last_ms: at(row.last_ms) })
    });
    Intake {
        identity: identity(batch),
        start_s: batch.start_s,
        interval_s: batch.interval_s,
        covered_from_ms: batch.coverage.from_ms,
        covered_until_ms: batch.coverage.until_ms,
        counters: batch.counters.iter().collect(),
        evicted: batch.evicted.map(|evicted| Evicted {
            batches: evicted.batches,
            from_s: evicted.from_s,
            until_s: evicted.until_s,
        }),
        rows: rows.collect(),
    }
}
