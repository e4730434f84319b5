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
fn count_folded(batch: &Batch, ids: &Ids, counters: &mut Counters) {
    // Only the name `<other>` itself has that number among known names.
    if !ids.of_messages.contains(&Some(RecordId::OTHER)) {
        return;
    }
    let is_folded = |record: u32| {
        ids.of(record, true) == Some(RecordId::OTHER) && batch.records.get(record).is_some_and(|(name, _)| name != OTHER)
    };
    let names = (0..batch.records.len() as u32).filter(|record| is_folded(*record)).count();
    let folded = batch.rows.iter().filter(|row| row.kind.is_message() && is_folded(row.record));
    counters.add(Counter::NamesFoldedByCentral, names as u64);
    counters.add(Counter::HitsFoldedByCentral, folded.fold(0, |sum: u64, row| sum.saturating_add(row.hits)));
}

/// The numbers that the store has for a batch's records.
struct Ids {
    of_messages: Vec<Option<RecordId>>,
    /// Of what was served: only resources of zones that the server serves. Empty if the batch does not tell.
    of_served: Vec<Option<RecordId>>,
}

impl Ids {
    fn new(batch: &Batch, write: &mut Write<'_>) -> Self {
        let server_id = batch.identity.server_id;
        if batch.rows.iter().all(|row| row.kind.is_message()) {
            let ids = write.record_ids(server_id, batch.records.iter());
            return Ids { of_messages: ids.into_iter().map(Some).collect(), of_served: Vec::new() };
        }
        let of_served = write.resource_record_ids(server_id, batch.records.iter());
        // What was served and not asked takes no room in the dictionary.
        let mut is_asked = vec![false; batch.records.len()];
        for row in batch.rows.iter().filter(|row| row.kind.is_message()) {
            if let Some(is_asked) = is_asked.get_mut(row.record as usize) {
                *is_asked = true;
            }
        }
        let asked = batch.records.iter().zip(&is_asked).filter(|(_, is_asked)| **is_asked).map(|(record, _)| record);
        let mut ids = write.record_ids(server_id, asked).into_iter();
        let of_messages = is_asked.iter().map(|is_asked| if *is_asked { ids.next() } else { None }).collect();
        Ids { of_messages, of_served }
    }

    fn of(&self, record: u32, is_message: bool) -> Option<RecordId> {
        let ids = if is_message { &self.of_messages } else { &self.of_served };
        ids.get(record as usize).copied().flatten()
    }
}

/// Converts a batch, with record numbers assigned by the store.
fn intake(batch: &Batch, overlap_ms: u64, write: &mut Write<'_>) -> Intake {
    let ids = Ids::new(batch, write);
    let start_ms = batch.start_ms();
    let mut counters = batch.counters.clone();
    count_folded(batch, &ids, &mut counters);
    counters.add(Counter::OverlapMs, overlap_ms);
    let rows = batch.rows.iter().filter_map(|row| {
        // `decode` has checked that every row's record exists.
        let record_id = ids.of(row.record, row.kind.is_message())?;
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
