//! Sums by the days of a time zone.
//!
//! Days are steps like others, except that they are shifted from UTC, and that clocks change. So a range is cut at clock
//! changes: in each part the scan adds up by stretches of 24 hours that begin at the zone's midnight, from the coarsest
//! roll-up each of whose buckets lies in one of them. A day with a clock change has a sum in two parts, which are added up
//! here.

use super::groups::Groups;
use super::plan::Plan;
use super::question::{Gathered, Question, take_memory};
use crate::Error;
use crate::columns::{Column, instants, ms};
use crate::time::{DAY_S, Steady, Stretches, TimeZone};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMillisecondType;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use zonepulse_store::{Level, Selection};

impl Question {
    /// Sums of points by groups and days: `time`, the start of the day, the groups' columns, `hits` and `last_access`.
    pub(super) async fn sums_of_days(&self, selection: Selection, zone: TimeZone, groups: Groups) -> Result<Gathered, Error> {
        let selection = self.begun_at_first_point(selection).await?;
        let parts = zone.steady(selection.from_s, selection.until_s);
        let Some((first, others)) = parts.split_first() else {
            return self.sums(selection, Stretches::of(DAY_S), groups, true).await;
        };
        let mut all = self.sums_of_part(&selection, *first, zone, groups).await?;
        for part in others {
            let more = self.sums_of_part(&selection, *part, zone, groups).await?;
            for batch in &more.batches {
                take_memory(&mut all.memory, batch)?;
            }
            all.batches.extend(more.batches);
            all.rows += more.rows;
        }
        if others.is_empty() || all.batches.is_empty() {
            return Ok(all);
        }
        let sums = Plan::of_batches(std::mem::take(&mut all.batches), self.engine.threads())?;
        self.gather(sums.summed_by(&groups.numbers_in_steps())?).await
    }

    /// The same selection, but starting at the hour of its first point, which skips decades without points.
    pub(super) async fn begun_at_first_point(&self, selection: Selection) -> Result<Selection, Error> {
        let reading = self.reading(Level::H1);
        self.engine
            .blocking(move |store| {
                // The bucket in which the range begins also contains points of the range.
                let hours = Selection { from_s: selection.from_s - selection.from_s % 3600, ..selection.clone() };
                let first_s = store.first_hour_s(&reading, &hours)?.unwrap_or(selection.until_s);
                Ok(Selection { from_s: selection.from_s.max(first_s), ..selection })
            })
            .await
    }

    /// The sums of a part of the range.
    async fn sums_of_part(&self, selection: &Selection, part: Steady, zone: TimeZone, groups: Groups) -> Result<Gathered, Error> {
        let selection = Selection { from_s: part.from_s, until_s: part.until_s, ..selection.clone() };
        let mut sums = self.sums(selection, part.into(), groups, true).await?;
        for batch in &mut sums.batches {
            *batch = dated(batch, part, zone)?;
        }
        Ok(sums)
    }
}

/// The same sums with the start of the day as `time`, which may be before the part.
fn dated(batch: &RecordBatch, part: Steady, zone: TimeZone) -> Result<RecordBatch, Error> {
    let schema = batch.schema();
    let at = schema.index_of(Column::Time.name()).map_err(DataFusionError::from)?;
    let times = batch.column(at).as_primitive::<TimestampMillisecondType>().values();
    // Sums of the same day are adjacent.
    let mut last = None;
    let dated = times.iter().map(|time_ms| {
        let day = part.local_day(time_ms.div_euclid(1000));
        match last {
            Some((known, start_ms)) if known == day => start_ms,
            _ => last.insert((day, ms(zone.start_of_local_day_ms(day)))).1,
        }
    });
    let dated = instants(dated.collect());
    let columns =
        batch.columns().iter().enumerate().map(|(place, column)| if place == at { dated.clone() } else { column.clone() });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect()).map_err(DataFusionError::from)?)
}
