//! Questions about metrics.

use super::filter::SystemFilter;
use super::scan::SystemScan;
use crate::columns::{Column, Dimension, metrics};
use crate::questions::{Gathered, Plan, Question, Shape, size};
use crate::reading::series;
use crate::time::{Bucket, Interval, Range, TimeRange};
use crate::{Answer, Error, Page};
use zonepulse_store::Level;

/// The order of values with the same time.
pub(super) const TIES: [Column; 4] = [Column::Time, Column::ServerId, Column::Metric, Column::Label];

impl Question {
    /// [`Engine::system_raw`](crate::Engine::system_raw).
    pub(crate) async fn system_raw(&self, filter: &SystemFilter, range: TimeRange, page: &Page) -> Result<Answer, Error> {
        self.system(Level::Raw, metrics::VALUE, filter, Range::at(range, self.now())?, page).await
    }

    /// [`Engine::system_aggregate`](crate::Engine::system_aggregate).
    pub(crate) async fn system_aggregate(
        &self,
        filter: &SystemFilter,
        range: TimeRange,
        interval: Interval,
        page: &Page,
    ) -> Result<Answer, Error> {
        let bucket = match interval {
            Interval::Bucket(bucket) => bucket,
            Interval::Day(zone) => return self.system_days(filter, Range::of_days(range, zone, self.now())?, zone, page).await,
        };
        let level = match bucket {
            Bucket::M5 => Level::M5,
            Bucket::M15 => Level::M15,
            Bucket::M30 => Level::M30,
            Bucket::H1 => Level::H1,
        };
        self.system(level, metrics::BUCKET, filter, Range::of_buckets(range, bucket.length_s(), self.now())?, page).await
    }

    /// [`Engine::system_series`](crate::Engine::system_series).
    pub(crate) async fn system_series(&self, page: &Page) -> Result<Answer, Error> {
        let columns = Dimension::Series.columns().to_vec();
        let shape = Shape { ties: columns.clone(), columns, order: Vec::new() };
        let engine = self.engine();
        let _turn = engine.turn().await?;
        let (_, batch) = engine.blocking(|store| Ok(series(store)?)).await?;
        let memory = engine.reserve("series");
        let gathered = Gathered { schema: batch.schema(), rows: batch.num_rows(), batches: vec![batch], memory };
        self.page(gathered, &shape, page, None).await
    }

    async fn system(
        &self,
        level: Level,
        columns: &[Column],
        filter: &SystemFilter,
        range: Range,
        page: &Page,
    ) -> Result<Answer, Error> {
        let shape = Shape { columns: columns.to_vec(), order: Vec::new(), ties: TIES.to_vec() };
        let mut order = shape.order(page)?;
        if order.first() == Some(&(Column::Time, false)) {
            // The store yields points hour by hour: a page is complete as soon as its hour is over.
            order.insert(0, (Column::Hour, false));
        }
        let (engine, now) = (self.engine(), self.now());
        let _turn = engine.turn().await?;
        let filter = filter.clone();
        let selection = engine.blocking(move |store| Ok(filter.selection(store, range.begin_s(), range.end_s()))).await?;
        let mut carried = shape.columns.clone();
        carried.push(Column::Hour);
        let scan = SystemScan::new(level, self.data(), selection.clone(), carried, None, self.threads_for(&order));
        let rows = Plan::of(scan).page(&order, size(page.offset), size(page.limit), false)?;
        let count = engine.blocking(move |store| Ok(store.system_count(level, now.s(), &selection)?));
        let (rows, all) = futures::try_join!(self.gather(rows), count)?;
        let source = self.source(&[])?;
        let batches = rows.batches.iter().map(|batch| shape.finish(batch, &source, None)).collect::<Result<_, _>>()?;
        // Batches may arrive between count and page: never report fewer rows than were seen.
        let seen = if rows.rows > 0 { page.offset + rows.rows as u64 } else { 0 };
        Ok(Answer { batches, schema: shape.schema(), total: all.max(seen) })
    }
}
