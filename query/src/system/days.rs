//! Metrics by the days of a time zone: the buckets of a roll-up, put together.

use super::read::Rows;
use super::{ROLLED_UP, SystemFilter, schema};
use crate::engine::Gathered;
use crate::read::now_s;
use crate::rows::Source;
use crate::select::Range;
use crate::shape::Shape;
use crate::{Answer, Engine, Error, Page, TimeZone};
use datafusion::execution::memory_pool::MemoryReservation;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zonepulse_store::{Bucket, Level, Store, SystemSelection};

/// Days of series are paid for so many at a time.
const PAID_AT_ONCE: usize = 1024;
/// What a day of a series takes, bytes: here, and then as a row.
const DAY_BYTES: usize = 320;

/// By start of the day, Unix milliseconds, server and series.
type Days = BTreeMap<(u64, u32, u32), Bucket>;

impl Engine {
    pub(super) async fn system_days(
        &self,
        filter: &SystemFilter,
        range: Range,
        zone: TimeZone,
        page: &Page,
    ) -> Result<Answer, Error> {
        let ties = vec!["time", "server_id", "metric", "label"];
        let shape = Shape { columns: ROLLED_UP.to_vec(), order: Vec::new(), ties };
        shape.order(page)?;
        let _turn = self.turn().await?;
        let memory = self.reserve("days of metrics");
        let filter = filter.clone();
        let gathered = self.blocking(move |store| {
            let selection = filter.selection(store, range.begin_s(), range.end_s());
            gather(store, &selection, zone, memory)
        });
        self.page(gathered.await?, &shape, page).await
    }
}

fn gather(store: &Store, selection: &SystemSelection, zone: TimeZone, memory: MemoryReservation) -> Result<Gathered, Error> {
    let level = zone.coarsest(selection.from_s, selection.until_s);
    let (mut days, mut room) = (Days::new(), Ok(()));
    // Hours follow each other, so one look at the calendar is enough for many series.
    let mut last: Option<(u64, u64)> = None;
    store.system(level, now_s(), selection, &mut |points| {
        for (start_s, bucket) in points.starts_s.iter().zip(&points.buckets) {
            let day_ms = match last {
                Some((known_s, day_ms)) if known_s == *start_s => day_ms,
                _ => last.insert((*start_s, zone.start_of_day_ms(start_s.saturating_mul(1000)))).1,
            };
            let count = days.len();
            days.entry((day_ms, points.server_id, points.series_id)).and_modify(|day| day.then(bucket)).or_insert(*bucket);
            if days.len() > count && count.is_multiple_of(PAID_AT_ONCE) {
                room = memory.try_grow(PAID_AT_ONCE * DAY_BYTES);
            }
        }
        if room.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    room?;
    let schema = schema(Level::H1);
    let servers = Source::for_columns(store, &schema)?;
    let mut rows = Rows::default();
    let count = days.len();
    for ((day_ms, server_id, series_id), bucket) in days {
        rows.push_bucket(day_ms, server_id, series_id, bucket);
    }
    let batch = rows.take(&schema, store, &servers)?;
    Ok(Gathered { batches: vec![batch], schema, rows: count, memory })
}
