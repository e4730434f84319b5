//! Answering a request for rows of metrics from the store.

use crate::read::{Output, now_s};
use crate::request::SystemRequest;
use crate::rows::{Source, external, instants, measure, ms};
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringBuilder, UInt32Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result};
use std::ops::ControlFlow;
use std::sync::Arc;
use zonepulse_store::{Bucket, Store, SystemPoints};

const HOUR_MS: i64 = 3_600_000;

/// Reads a partition of a scan, on a thread that may block.
pub(crate) fn read(store: &Store, of: &SystemRequest, schema: SchemaRef, mut output: Output) -> Result<()> {
    let servers = Source::for_columns(store, &schema)?;
    let mut rows = Rows::default();
    let mut failed = None;
    store
        .system(of.level, now_s(), &of.selection, &mut |points| {
            let mut at = 0;
            while at < points.starts_s.len() {
                at += rows.push(points, at, of.batch_rows - rows.start_ms.len());
                if rows.start_ms.len() < of.batch_rows {
                    continue;
                }
                match rows.take(&schema, store, &servers) {
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
    let _ = output.give(rows.take(&schema, store, &servers)?);
    Ok(())
}

/// Rows that are being collected.
#[derive(Default)]
pub(super) struct Rows {
    start_ms: Vec<i64>,
    interval_s: Vec<i64>,
    server: Vec<u32>,
    series: Vec<u32>,
    values: Vec<f64>,
    buckets: Vec<Bucket>,
}

impl Rows {
    /// Adds the points from `from` on, at most `count`, and gives how many it added.
    fn push(&mut self, points: &SystemPoints, from: usize, count: usize) -> usize {
        let until = points.starts_s.len().min(from.saturating_add(count));
        let starts = points.starts_s.get(from..until).unwrap_or_default();
        self.start_ms.extend(starts.iter().map(|start_s| ms(start_s.saturating_mul(1000))));
        let len = self.start_ms.len();
        self.interval_s.resize(len, points.interval_s.into());
        self.server.resize(len, points.server_id);
        self.series.resize(len, points.series_id);
        self.values.extend(points.values.get(from..until).unwrap_or_default());
        self.buckets.extend(points.buckets.get(from..until).unwrap_or_default());
        starts.len()
    }

    /// Adds a bucket.
    pub(super) fn push_bucket(&mut self, start_ms: u64, server_id: u32, series_id: u32, bucket: Bucket) {
        self.start_ms.push(ms(start_ms));
        self.server.push(server_id);
        self.series.push(series_id);
        self.buckets.push(bucket);
    }

    /// The rows as columns; none are left.
    pub(super) fn take(&mut self, schema: &SchemaRef, store: &Store, servers: &Source) -> Result<RecordBatch> {
        let columns = schema.fields().iter().map(|field| self.column(field.name(), store, servers));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.start_ms.len()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        *self = Rows::default();
        Ok(batch)
    }

    fn column(&self, name: &str, store: &Store, servers: &Source) -> Result<ArrayRef> {
        let of_buckets = |value: fn(&Bucket) -> f64| -> ArrayRef {
            Arc::new(self.buckets.iter().map(|bucket| Some(value(bucket))).collect::<Float64Array>())
        };
        Ok(match name {
            "time" => instants(self.start_ms.clone()),
            "hour" => instants(self.start_ms.iter().map(|start| start - start.rem_euclid(HOUR_MS)).collect()),
            "interval_s" => Arc::new(Int64Array::from(self.interval_s.clone())),
            "server_id" => Arc::new(UInt32Array::from(self.server.clone())),
            "server" => servers.server_texts(&self.server),
            "metric" => self.texts(store, |(metric, _)| metric),
            "label" => self.texts(store, |(_, label)| label),
            "value" => Arc::new(Float64Array::from(self.values.clone())),
            "min" => of_buckets(|bucket| bucket.min),
            "max" => of_buckets(|bucket| bucket.max),
            "avg" => of_buckets(Bucket::avg),
            "last" => of_buckets(|bucket| bucket.last),
            "count" => Arc::new(self.buckets.iter().map(|bucket| Some(measure(bucket.count.into()))).collect::<Int64Array>()),
            _ => return Err(DataFusionError::Internal(format!("no column {name}"))),
        })
    }

    fn texts(&self, store: &Store, of: for<'t> fn((&'t str, &'t str)) -> &'t str) -> ArrayRef {
        let known = store.series();
        let mut texts = StringBuilder::with_capacity(self.series.len(), self.series.len() * 16);
        // A series that points name is known.
        self.series.iter().for_each(|series| texts.append_value(known.get(*series).map_or("", of)));
        Arc::new(texts.finish())
    }
}
