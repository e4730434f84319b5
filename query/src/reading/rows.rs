//! Rows on their way from the store into Arrow arrays.
//!
//! The store deals in numbers (of records, servers, kinds), a plan in columns. [`Rows`]
//! collects only the numbers that the wanted columns need, and builds the columns when a
//! batch is full; the dictionary is locked only for that.

use crate::columns::{Column, Dimension, Role, Source, hours, instants, measure, ms};
use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result};
use std::sync::Arc;
use zonepulse_dns::{Action, MessageKind, ResponseCode};
use zonepulse_model::{RecordId, ServerId};
use zonepulse_store::{Points, Sum, SumKind, Total};

/// The numbers for a column; `None` where no wanted column needs them.
#[derive(Debug)]
struct Numbers<T>(Option<Vec<T>>);

impl<T: Copy> Numbers<T> {
    fn push(&mut self, value: T) {
        if let Some(values) = &mut self.0 {
            values.push(value);
        }
    }

    fn repeat(&mut self, value: T, count: usize) {
        if let Some(values) = &mut self.0 {
            values.resize(values.len() + count, value);
        }
    }

    fn extend(&mut self, more: impl Iterator<Item = T>) {
        if let Some(values) = &mut self.0 {
            values.extend(more);
        }
    }

    fn get(&self) -> &[T] {
        self.0.as_deref().unwrap_or_default()
    }

    fn clear(&mut self) {
        if let Some(values) = &mut self.0 {
            values.clear();
        }
    }
}

/// Hits of all time of one record, insofar as they are split by server and action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TotalSum {
    /// The record.
    pub(crate) record_id: RecordId,
    /// The server; `None` if sums are not split by server.
    pub(crate) server_id: Option<ServerId>,
    /// Requests or responses; `None` if sums are not split by action.
    pub(crate) action: Option<Action>,
    /// Number of messages.
    pub(crate) hits: u64,
    /// Time of the first message, in Unix milliseconds.
    pub(crate) first_ms: u64,
    /// Time of the last message, in Unix milliseconds.
    pub(crate) last_ms: u64,
}

/// Rows being collected.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: Vec<Column>,
    schema: SchemaRef,
    count: usize,
    start_ms: Numbers<i64>,
    interval_s: Numbers<i64>,
    server: Numbers<u32>,
    record: Numbers<u32>,
    kind: Numbers<u16>,
    hits: Numbers<i64>,
    first_ms: Numbers<i64>,
    last_ms: Numbers<i64>,
}

impl Rows {
    /// For columns of points, totals, records, servers or kinds.
    pub(crate) fn new(columns: &[Column]) -> Self {
        fn list<T>(wanted: bool) -> Numbers<T> {
            Numbers(wanted.then(Vec::new))
        }
        let wants = |wanted: &[Column]| columns.iter().any(|column| wanted.contains(column));
        let tells = |dimension| columns.iter().any(|column| column.dimension() == Some(dimension));
        Rows {
            count: 0,
            start_ms: list(tells(Dimension::Time)),
            interval_s: list(wants(&[Column::IntervalS])),
            server: list(tells(Dimension::Server)),
            record: list(tells(Dimension::Record)),
            kind: list(tells(Dimension::Kind)),
            hits: list(wants(&[Column::Hits, Column::Served])),
            first_ms: list(wants(&[Column::FirstSeen, Column::FirstServed])),
            last_ms: list(wants(&[Column::LastAccess, Column::LastServed])),
            columns: columns.to_vec(),
            schema: Column::schema(columns),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds up to `count` points starting at `from`, and returns how many it added.
    pub(crate) fn push_points(&mut self, points: &Points, from: usize, count: usize) -> usize {
        let until = points.record_ids.len().min(from.saturating_add(count));
        let count = until.saturating_sub(from);
        self.start_ms.extend(slice(&points.starts_s, from, until).iter().map(|start_s| ms(start_s.saturating_mul(1000))));
        self.interval_s.repeat(points.interval_s.into(), count);
        self.server.repeat(points.server_id.get(), count);
        self.record.extend(slice(&points.record_ids, from, until).iter().map(|id| id.get()));
        self.kind.extend(slice(&points.kinds, from, until).iter().map(|kind| kind.number()));
        self.hits.extend(slice(&points.hits, from, until).iter().copied().map(measure));
        self.last_ms.extend(slice(&points.last_ms, from, until).iter().copied().map(ms));
        self.count += count;
        count
    }

    pub(crate) fn push_total(&mut self, total: &Total) {
        self.server.push(total.server_id.get());
        self.record.push(total.record_id.get());
        self.kind.push(total.kind.number());
        self.hits.push(measure(total.hits));
        self.first_ms.push(ms(total.first_ms));
        self.last_ms.push(ms(total.last_ms));
        self.count += 1;
    }

    pub(crate) fn push_total_sum(&mut self, sum: &TotalSum) {
        // No wanted column shows what sums are not split by.
        self.server.push(sum.server_id.unwrap_or_default().get());
        self.record.push(sum.record_id.get());
        self.kind.push(a_kind_of(sum.action.unwrap_or(Action::Request)).number());
        self.hits.push(measure(sum.hits));
        self.first_ms.push(ms(sum.first_ms));
        self.last_ms.push(ms(sum.last_ms));
        self.count += 1;
    }

    pub(crate) fn push_sum(&mut self, sum: &Sum) {
        // No wanted column shows what sums are not split by.
        self.start_ms.push(ms(sum.start_s.unwrap_or(0).saturating_mul(1000)));
        self.server.push(sum.server_id.unwrap_or_default().get());
        self.record.push(sum.record_id.unwrap_or_default().get());
        self.kind.push(match sum.kind {
            SumKind::Only(kind) => kind.number(),
            SumKind::Responses => a_kind_of(Action::Response).number(),
            // Selections of messages have no others.
            SumKind::Requests | SumKind::Any | SumKind::Served => a_kind_of(Action::Request).number(),
        });
        self.hits.push(measure(sum.hits));
        self.last_ms.push(ms(sum.last_ms.unwrap_or(0)));
        self.count += 1;
    }

    pub(crate) fn push_record(&mut self, record_id: RecordId) {
        self.record.push(record_id.get());
        self.count += 1;
    }

    /// Takes the rows as columns.
    pub(crate) fn take(&mut self, source: &Source) -> Result<RecordBatch> {
        let columns = self.columns.iter().map(|column| self.column(*column, source)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.clear();
        Ok(batch)
    }

    fn column(&self, column: Column, source: &Source) -> Result<ArrayRef> {
        match column.role() {
            Role::Dimension(Dimension::Server) => return source.of_servers(column, self.server.get()),
            Role::Dimension(Dimension::Record) => return source.of_records(column, self.record.get()),
            Role::Dimension(Dimension::Kind) => return Source::of_kinds(column, self.kind.get()),
            _ => {}
        }
        Ok(match column {
            Column::Time => instants(self.start_ms.get().to_vec()),
            Column::Hour => hours(self.start_ms.get()),
            Column::IntervalS => Arc::new(Int64Array::from(self.interval_s.get().to_vec())),
            Column::Hits | Column::Served => Arc::new(Int64Array::from(self.hits.get().to_vec())),
            Column::FirstSeen | Column::FirstServed => instants(self.first_ms.get().to_vec()),
            Column::LastAccess | Column::LastServed => instants(self.last_ms.get().to_vec()),
            _ => return Err(DataFusionError::Internal(format!("points have no {column}"))),
        })
    }

    fn clear(&mut self) {
        self.count = 0;
        self.start_ms.clear();
        self.interval_s.clear();
        self.server.clear();
        self.record.clear();
        self.kind.clear();
        self.hits.clear();
        self.first_ms.clear();
        self.last_ms.clear();
    }
}

/// A kind of an action, for rows of which only the action is shown.
const fn a_kind_of(action: Action) -> MessageKind {
    match action {
        Action::Request => MessageKind::REQUEST,
        Action::Response => MessageKind::response(ResponseCode::NOERROR),
    }
}

fn slice<T>(values: &[T], from: usize, until: usize) -> &[T] {
    values.get(from..until).unwrap_or_default()
}
