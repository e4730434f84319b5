//! Metrics of the machines: tables, and the questions about them.
//!
//! The tables `system_raw`, `system_5m`, `system_15m`, `system_30m` and `system_1h` have a row for each
//! value or bucket of a *series*, which is a metric and a label on a server. Filters of servers, of metric
//! and label, and of time become a selection of the store, exactly, as with DNS points.

mod days;
mod read;
mod scan;
mod table;

pub(crate) use read::read;
pub(crate) use table::{SystemTable, schema};

use crate::engine::{Gathered, size};
use crate::plan::Plan;
use crate::read::{now_ms, now_s};
use crate::select::Range;
use crate::shape::Shape;
use crate::table::field;
use crate::{Answer, Bucket, Engine, Error, Interval, Page, TimeRange};
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use std::sync::Arc;
use zonepulse_store::{Level, Store, SystemSelection};

/// The columns of an answer about buckets.
const ROLLED_UP: [&str; 10] = ["time", "server_id", "server", "metric", "label", "min", "max", "avg", "last", "count"];

/// Which series a question is about. The parts are joined by *and*; within a part any value will do. An
/// empty part means no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemFilter {
    /// Servers by id.
    pub servers: Vec<u32>,
    /// Metrics by name.
    pub metrics: Vec<String>,
    /// Labels: cores, mounts, devices, states; the empty one is that of metrics of which there is one.
    pub labels: Vec<String>,
}

impl SystemFilter {
    fn selection(&self, store: &Store, from_s: u64, until_s: u64) -> SystemSelection {
        let named = |all: &[String], name: &str| all.is_empty() || all.iter().any(|one| one == name);
        let restricted = !self.metrics.is_empty() || !self.labels.is_empty();
        let series = restricted.then(|| {
            let known = store.series();
            let wanted = known.iter().filter(|(_, metric, label)| named(&self.metrics, metric) && named(&self.labels, label));
            wanted.map(|(number, ..)| number).collect()
        });
        let mut servers = self.servers.clone();
        servers.sort_unstable();
        servers.dedup();
        SystemSelection { servers: (!servers.is_empty()).then_some(servers), from_s, until_s, series }
    }
}

impl Engine {
    /// [`Engine::system_raw`], on the threads of questions.
    pub(crate) async fn system_raw_apart(&self, filter: &SystemFilter, range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let columns = vec!["time", "server_id", "server", "metric", "label", "value"];
        self.system(Level::Raw, columns, filter, Range::of(range)?, page).await
    }

    /// [`Engine::system_aggregate`], on the threads of questions.
    pub(crate) async fn system_aggregate_apart(
        &self,
        filter: &SystemFilter,
        range: TimeRange,
        interval: impl Into<Interval>,
        page: &Page,
    ) -> Result<Answer, Error> {
        let bucket = match interval.into() {
            Interval::Bucket(bucket) => bucket,
            Interval::Day(zone) => return self.system_days(filter, Range::of_days(range, zone, now_ms())?, zone, page).await,
        };
        let level = match bucket {
            Bucket::M5 => Level::M5,
            Bucket::M15 => Level::M15,
            Bucket::M30 => Level::M30,
            Bucket::H1 => Level::H1,
        };
        self.system(level, ROLLED_UP.to_vec(), filter, Range::of_buckets(range, bucket.length_s(), now_ms())?, page).await
    }

    /// [`Engine::system_series`], on the threads of questions.
    pub(crate) async fn system_series_apart(&self, page: &Page) -> Result<Answer, Error> {
        let shape = Shape { columns: vec!["metric", "label"], order: Vec::new(), ties: vec!["metric", "label"] };
        let _turn = self.turn().await?;
        let (_, batch) = self.blocking(|store| Ok(series(store)?)).await?;
        let gathered =
            Gathered { schema: batch.schema(), rows: batch.num_rows(), batches: vec![batch], memory: self.reserve("series") };
        self.page(gathered, &shape, page).await
    }

    async fn system(
        &self,
        level: Level,
        columns: Vec<&'static str>,
        filter: &SystemFilter,
        range: Range,
        page: &Page,
    ) -> Result<Answer, Error> {
        let shape = Shape { columns, order: Vec::new(), ties: vec!["time", "server_id", "metric", "label"] };
        let mut order = shape.order(page)?;
        if order.first() == Some(&("time", false)) {
            // The store gives its points hour by hour: a page is complete as soon as its hour is over.
            order.insert(0, ("hour", false));
        }
        let _turn = self.turn().await?;
        let filter = filter.clone();
        let selection = self.blocking(move |store| Ok(filter.selection(store, range.begin_s(), range.end_s()))).await?;
        let mut carried = shape.columns.clone();
        carried.push("hour");
        let table = SystemTable::new(level, self.data(), selection.clone());
        let scan = table.scan_of(&carried, self.threads_for(&order))?;
        let rows = Plan::of(scan).page(&order, size(page.offset), size(page.limit), false)?;
        let count = self.blocking(move |store| Ok(store.system_count(level, now_s(), &selection)?));
        let (rows, all) = futures::try_join!(self.gather(rows), count)?;
        let source = self.source(&[])?;
        let batches = rows.batches.iter().map(|batch| shape.finish(batch, &source)).collect::<Result<_, _>>()?;
        // Batches may arrive between the two: never fewer than are there.
        let seen = if rows.rows > 0 { page.offset + rows.rows as u64 } else { 0 };
        Ok(Answer { batches, schema: shape.schema(), total: all.max(seen) })
    }
}

/// All series: their numbers, and what each is called.
pub(crate) fn series(store: &Store) -> Result<(Vec<u32>, RecordBatch), DataFusionError> {
    let (mut numbers, mut metrics, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (number, metric, label) in store.series().iter() {
        numbers.push(number);
        metrics.push(metric.to_owned());
        labels.push(label.to_owned());
    }
    let schema = Schema::new(vec![field("metric"), field("label")]);
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(metrics)), Arc::new(StringArray::from(labels))];
    Ok((numbers, RecordBatch::try_new(Arc::new(schema), columns)?))
}
