//! Answering a request for rows of metrics from the store.

use super::output::Output;
use super::request::SystemRequest;
use crate::columns::{Column, Dimension, Source, external, hours, instants, measure, ms};
use crate::time::Now;
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, StringBuilder};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result};
use std::ops::ControlFlow;
use std::sync::Arc;
use zonepulse_model::SeriesId;
use zonepulse_store::{Bucket, Store, SystemPoints};

/// Reads a partition of a scan, on a thread that may block.
pub(super) fn read(store: &Store, now: Now, of: &SystemRequest, mut output: Output) -> Result<()> {
    let servers = Source::of(store, &of.columns)?;
    let mut rows = Rows::new(&of.columns);
    let mut failed = None;
    store
        .system(of.level, now.s(), &of.selection, &mut |points| {
            let mut at = 0;
            while at < points.starts_s.len() {
                at += rows.push(points, at, of.batch_rows - rows.len());
                if rows.len() < of.batch_rows {
                    continue;
                }
                match rows.take(store, &servers) {
                    Ok(batch) => output.give(batch)?,
                    Err(error) => {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            if output.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(external)?;
    if let Some(error) = failed {
        return Err(error);
    }
    let _ = output.give(rows.take(store, &servers)?);
    Ok(())
}

/// Rows being collected.
pub(crate) struct Rows {
    columns: Vec<Column>,
    schema: SchemaRef,
    collected: Collected,
}

#[derive(Default)]
struct Collected {
    start_ms: Vec<i64>,
    interval_s: Vec<i64>,
    server: Vec<u32>,
    series: Vec<SeriesId>,
    values: Vec<f64>,
    buckets: Vec<Bucket>,
}

impl Rows {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Rows { columns: columns.to_vec(), schema: Column::schema(columns), collected: Collected::default() }
    }

    fn len(&self) -> usize {
        self.collected.start_ms.len()
    }

    /// Adds up to `count` points starting at `from`, and returns how many it added.
    fn push(&mut self, points: &SystemPoints, from: usize, count: usize) -> usize {
        let Collected { start_ms, interval_s, server, series, values, buckets } = &mut self.collected;
        let until = points.starts_s.len().min(from.saturating_add(count));
        let starts = points.starts_s.get(from..until).unwrap_or_default();
        start_ms.extend(starts.iter().map(|start_s| ms(start_s.saturating_mul(1000))));
        let len = start_ms.len();
        interval_s.resize(len, points.interval_s.into());
        server.resize(len, points.server_id.get());
        series.resize(len, points.series_id);
        values.extend(points.values.get(from..until).unwrap_or_default());
        buckets.extend(points.buckets.get(from..until).unwrap_or_default());
        starts.len()
    }

    /// Adds a bucket.
    pub(crate) fn push_bucket(&mut self, start_ms: u64, server_id: u32, series_id: SeriesId, bucket: Bucket) {
        self.collected.start_ms.push(ms(start_ms));
        self.collected.server.push(server_id);
        self.collected.series.push(series_id);
        self.collected.buckets.push(bucket);
    }

    /// Takes the rows as columns.
    pub(crate) fn take(&mut self, store: &Store, servers: &Source) -> Result<RecordBatch> {
        let collected = std::mem::take(&mut self.collected);
        let columns = self.columns.iter().map(|column| collected.column(*column, store, servers)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(collected.start_ms.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

impl Collected {
    fn column(&self, column: Column, store: &Store, servers: &Source) -> Result<ArrayRef> {
        let of_buckets = |value: fn(&Bucket) -> f64| -> ArrayRef {
            Arc::new(self.buckets.iter().map(|bucket| Some(value(bucket))).collect::<Float64Array>())
        };
        Ok(match column {
            Column::Time => instants(self.start_ms.clone()),
            Column::Hour => hours(&self.start_ms),
            Column::IntervalS => Arc::new(Int64Array::from(self.interval_s.clone())),
            column if column.dimension() == Some(Dimension::Server) => servers.of_servers(column, &self.server)?,
            Column::Metric => self.texts(store, |(metric, _)| metric),
            Column::Label => self.texts(store, |(_, label)| label),
            Column::Value => Arc::new(Float64Array::from(self.values.clone())),
            Column::Min => of_buckets(|bucket| bucket.min),
            Column::Max => of_buckets(|bucket| bucket.max),
            Column::Avg => of_buckets(Bucket::avg),
            Column::Last => of_buckets(|bucket| bucket.last),
            Column::Count => {
                Arc::new(self.buckets.iter().map(|bucket| Some(measure(bucket.count.into()))).collect::<Int64Array>())
            }
            _ => return Err(DataFusionError::Internal(format!("metrics have no {column}"))),
        })
    }

    fn texts(&self, store: &Store, of: for<'t> fn((&'t str, &'t str)) -> &'t str) -> ArrayRef {
        let known = store.series();
        let mut texts = StringBuilder::with_capacity(self.series.len(), self.series.len() * 16);
        // Every series that points refer to is known.
        self.series.iter().for_each(|series| texts.append_value(known.get(*series).map_or("", of)));
        Arc::new(texts.finish())
    }
}

/// All series: their numbers and their names.
pub(crate) fn series(store: &Store) -> Result<(Vec<u32>, RecordBatch)> {
    let (mut numbers, mut metrics, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (number, metric, label) in store.series().iter() {
        numbers.push(number.get());
        metrics.push(metric.to_owned());
        labels.push(label.to_owned());
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(metrics)), Arc::new(StringArray::from(labels))];
    Ok((numbers, RecordBatch::try_new(Column::schema(Dimension::Series.columns()), columns)?))
}
