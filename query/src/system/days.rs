//! Metrics by the days of a time zone: merged buckets of a roll-up.

use super::filter::SystemFilter;
use super::questions::TIES;
use crate::columns::{Source, metrics};
use crate::questions::{Gathered, Question, Shape};
use crate::reading::MetricRows;
use crate::time::{Now, Range, TimeZone};
use crate::{Answer, Error, Page};
use datafusion::execution::memory_pool::MemoryReservation;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zonepulse_model::SeriesId;
use zonepulse_store::{Bucket, Level, Store, SystemSelection};

/// Memory is reserved for this many days of series at a time.
const PAID_AT_ONCE: usize = 1024;
/// Memory for a day of a series, bytes: here, and then as a row.
const DAY_BYTES: usize = 320;

/// By start of the day, Unix milliseconds, server and series.
type Days = BTreeMap<(u64, u32, SeriesId), Bucket>;

impl Question {
    pub(super) async fn system_days(
        &self,
        filter: &SystemFilter,
        range: Range,
        zone: TimeZone,
        page: &Page,
    ) -> Result<Answer, Error> {
        let shape = Shape { columns: metrics::BUCKET.to_vec(), order: Vec::new(), ties: TIES.to_vec() };
        shape.order(page)?;
        let (engine, now) = (self.engine(), self.now());
        let _turn = engine.turn().await?;
        let memory = engine.reserve("days of metrics");
        let filter = filter.clone();
        let gathered = engine.blocking(move |store| {
            let selection = filter.selection(store, range.begin_s(), range.end_s());
            gather(store, now, &selection, zone, memory)
        });
        self.page(gathered.await?, &shape, page, None).await
    }
}

fn gather(
    store: &Store,
    now: Now,
    selection: &SystemSelection,
    zone: TimeZone,
    memory: MemoryReservation,
) -> Result<Gathered, Error> {
    let level = zone.coarsest(selection.from_s, selection.until_s);
    let (mut days, mut room) = (Days::new(), Ok(()));
    // Points come hour by hour, so one look-up in the calendar serves many series.
    let mut last: Option<(u64, u64)> = None;
    store.system(level, now.s(), selection, &mut |points| {
        for (start_s, bucket) in points.starts_s.iter().zip(&points.buckets) {
            let day_ms = match last {
                Some((known_s, day_ms)) if known_s == *start_s => day_ms,
                _ => last.insert((*start_s, zone.start_of_day_ms(start_s.saturating_mul(1000)))).1,
            };
            let count = days.len();
            days.entry((day_ms, points.server_id.get(), points.series_id)).and_modify(|day| day.then(bucket)).or_insert(*bucket);
            if days.len() > count && count.is_multiple_of(PAID_AT_ONCE) {
                room = memory.try_grow(PAID_AT_ONCE * DAY_BYTES);
            }
        }
        if room.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    room?;
    let columns = metrics::columns(Level::H1);
    let servers = Source::of(store, columns)?;
    let mut rows = MetricRows::new(columns);
    let count = days.len();
    for ((day_ms, server_id, series_id), bucket) in days {
        rows.push_bucket(day_ms, server_id, series_id, bucket);
    }
    let batch = rows.take(store, &servers)?;
    Ok(Gathered { schema: batch.schema(), batches: vec![batch], rows: count, memory })
}
