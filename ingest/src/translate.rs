//! Translates a message into the store's types.

use crate::unobserved;
use zonepulse_model::RecordId;
use zonepulse_store::{Error, Intake, IntakeRow, OTHER, Outcome, SeriesIntake, SystemIntake, Write};
use zonepulse_wire::{Batch, Counter, Counters, Message, SystemBatch};

/// Adds a message of either kind to a write. `overlap_ms` is how much of the batch's coverage another epoch also
/// covers, in milliseconds.
pub(crate) fn add(message: Message, overlap_ms: u64, write: &mut Write<'_>) -> Result<Outcome, Error> {
    match message {
        Message::Dns(batch) => {
            let intake = intake(&batch, overlap_ms, write);
            write.count_folded_as(Counter::HitsFoldedByCentral.number());
            write.add(intake)
        }
        Message::System(batch) => {
            let intake = system_intake(batch, write);
            write.add_system(&intake)
        }
    }
}

/// Converts metrics, with series numbers assigned by the store.
fn system_intake(batch: SystemBatch, write: &mut Write<'_>) -> SystemIntake {
    let ids = write
        .series_ids(batch.identity.server_id, batch.series.iter().map(|series| (series.metric.as_str(), series.label.as_str())));
    let series = ids.into_iter().zip(batch.series);
    SystemIntake {
        identity: batch.identity,
        start_s: batch.start_s,
        interval_s: batch.interval_s,
        slots: batch.slots,
        evicted: batch.evicted,
        series: series.map(|(series_id, series)| SeriesIntake { series_id, values: series.values }).collect(),
    }
}

/// Counts what the store folds into `<other>` because the server has used up its share of names.
fn count_folded(batch: &Batch, ids: &[RecordId], counters: &mut Counters) {
    // Only the name `<other>` itself has that number among known names.
    if !ids.contains(&RecordId::OTHER) {
        return;
    }
    let is_folded = |record: u32| {
        ids.get(record as usize) == Some(&RecordId::OTHER) && batch.records.get(record).is_some_and(|(name, _)| name != OTHER)
    };
    let names = (0..batch.records.len() as u32).filter(|record| is_folded(*record)).count();
    let hits = batch.rows.iter().filter(|row| is_folded(row.record)).fold(0, |sum: u64, row| sum.saturating_add(row.hits));
    counters.add(Counter::NamesFoldedByCentral, names as u64);
    counters.add(Counter::HitsFoldedByCentral, hits);
}

/// Converts a batch, with record numbers assigned by the store.
fn intake(batch: &Batch, overlap_ms: u64, write: &mut Write<'_>) -> Intake {
    let ids = write.record_ids(batch.identity.server_id, batch.records.iter());
    let start_ms = batch.start_ms();
    let mut counters = batch.counters.clone();
    count_folded(batch, &ids, &mut counters);
    counters.add(Counter::OverlapMs, overlap_ms);
    let rows = batch.rows.iter().filter_map(|row| {
        // `decode` has checked that every row's record exists.
        let record_id = *ids.get(row.record as usize)?;
        let at = |offset_ms: u32| start_ms + u64::from(offset_ms);
        Some(IntakeRow { record_id, kind: row.kind, hits: row.hits, first_ms: at(row.first_ms), last_ms: at(row.last_ms) })
    });
    Intake {
        identity: batch.identity,
        start_s: batch.start_s,
        interval_s: batch.interval_s,
        covered_from_ms: batch.coverage.from_ms,
        covered_until_ms: batch.coverage.until_ms,
        counters: counters.iter().collect(),
        loss: unobserved::loss(batch),
        evicted: batch.evicted,
        rows: rows.collect(),
    }
}
