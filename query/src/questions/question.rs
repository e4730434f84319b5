//! A question being answered: the engine, the moment that is now, and the steps that questions share.

use super::groups::Groups;
use super::plan::Plan;
use super::selection::{Counts, is_quick, selection};
use super::shape::{Key, Shape, with_column};
use crate::columns::{Column, Source, Table};
use crate::observed::Marks;
use crate::reading::Data;
use crate::tables::StoreScan;
use crate::time::{Now, Piece, Stretches, coarsest, pieces};
use crate::{Answer, Engine, Error, Filter, Page};
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use zonepulse_store::{Level, Reading, Selection};

/// A question being answered. All of its parts see the store as of the same moment.
pub(crate) struct Question {
    pub(super) engine: Engine,
    /// The time, for all of its parts.
    pub(super) now: Now,
}

/// The rows of a plan, in memory that the engine accounts for.
pub(crate) struct Gathered {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) schema: SchemaRef,
    pub(crate) rows: usize,
    pub(crate) memory: MemoryReservation,
}

impl Question {
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn now(&self) -> Now {
        self.now
    }

    /// The store, for tables.
    pub(crate) fn data(&self) -> Data {
        self.engine.data(self.now)
    }

    /// A reading of the store that needs no time of last access.
    pub(super) fn reading(&self, level: Level) -> Reading {
        Reading { level, now_s: self.now.s(), last_access: false }
    }

    /// The points that a filter selects.
    pub(super) async fn selected(&self, filter: &Filter, counts: Counts, from_s: u64, until_s: u64) -> Result<Selection, Error> {
        if is_quick(filter) {
            return Ok(selection(self.engine.store(), filter, counts, from_s, until_s));
        }
        let filter = filter.clone();
        self.engine.blocking(move |store| Ok(selection(store, &filter, counts, from_s, until_s))).await
    }

    /// A scan of these columns of the selected rows of a table.
    pub(super) fn scan(&self, table: Table, selection: Selection, columns: &[Column], threads: usize) -> StoreScan {
        let whole = vec![Piece { level: table.level(), selection }];
        StoreScan::new(self.data(), table, whole, columns.to_vec(), None, threads)
    }

    /// Sums of points by groups and by stretches of time, from the coarsest roll-ups that fit:
    /// `time`, the start of the stretch, the groups' columns, `hits`, and `last_access` if wanted.
    pub(super) async fn sums(
        &self,
        selection: Selection,
        stretches: Stretches,
        groups: Groups,
        last_access: bool,
    ) -> Result<Gathered, Error> {
        let keys = groups.numbers_in_steps();
        let sums: &[Column] = if last_access { &[Column::Hits, Column::LastAccess] } else { &[Column::Hits] };
        let mut pieces = pieces(&selection, coarsest(stretches));
        if pieces.is_empty() {
            // A plan needs a partition, even without rows.
            pieces.push(Piece { level: Level::Raw, selection: nothing(selection) });
        }
        let (columns, threads) = ([&keys[..], sums].concat(), self.engine.threads());
        let scan = StoreScan::new(self.data(), Table::Dns(Level::Raw), pieces, columns, None, threads);
        let scan = scan.summed_by(groups.split(stretches));
        let partitions = scan.properties().partitioning.partition_count();
        let plan = Plan::of(scan);
        // A single partition has complete sums already.
        self.gather(if partitions > 1 { plan.summed_by(&keys)? } else { plan }).await
    }

    /// A page of the selected rows of a table: these columns, in this order.
    pub(super) async fn rows_of(
        &self,
        table: Table,
        selection: Selection,
        columns: &[Column],
        order: &[Key],
        page: &Page,
    ) -> Result<Gathered, Error> {
        let (skip, limit) = (size(page.offset), size(page.limit));
        // No rows are wanted: read and sort nothing.
        let selection = if limit == 0 { nothing(selection) } else { selection };
        let few = selection.records.is_some();
        let scan = self.scan(table, selection, columns, self.threads_for(order));
        // Few points of an hour are of certain records: sorting them all is faster than keeping the first ones.
        self.gather(Plan::of(scan).page(order, skip, limit, is_by_hour(order) && few)?).await
    }

    /// The number of readers for rows in an order. Rows that come hour by hour are read from the first on by a single
    /// reader, and no further than needed.
    pub(crate) fn threads_for(&self, order: &[Key]) -> usize {
        if is_by_hour(order) { 1 } else { self.engine.threads() }
    }

    /// Runs a plan and keeps its rows.
    pub(crate) async fn gather(&self, plan: Plan) -> Result<Gathered, Error> {
        self.gather_from(execute_stream(plan.done(), self.engine.question_task())?).await
    }

    async fn gather_from(&self, mut stream: SendableRecordBatchStream) -> Result<Gathered, Error> {
        let mut memory = self.engine.reserve("rows of an answer");
        let schema = stream.schema();
        let mut batches = Vec::new();
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            take_memory(&mut memory, &batch)?;
            rows += batch.num_rows();
            batches.push(batch);
        }
        Ok(Gathered { batches, schema, rows, memory })
    }

    /// A page of rows in memory. For rows about steps, `marks` says what was observed.
    pub(crate) async fn page(
        &self,
        gathered: Gathered,
        shape: &Shape,
        page: &Page,
        marks: Option<&Marks>,
    ) -> Result<Answer, Error> {
        let order = shape.order(page)?;
        let total = gathered.rows as u64;
        let none = Answer { batches: Vec::new(), schema: shape.schema(), total };
        if page.limit == 0 || page.offset >= total {
            return Ok(none);
        }
        let source = self.source(&shape.columns)?;
        let Gathered { batches, mut memory, schema, .. } = gathered;
        let (skip, limit) = (size(page.offset), size(page.limit));
        // Only rows that can be on the page get texts, not a million others.
        let carried = |column: &Column| schema.column_with_name(column.name()).is_some();
        let texts: Vec<Column> = order.iter().map(|(column, _)| *column).filter(|column| !carried(column)).collect();
        let (batches, skip) = match order.first() {
            Some((Column::Hits, descending)) if !texts.is_empty() => narrow(batches, *descending, skip, limit)?,
            _ => (batches, skip),
        };
        let mut sortable = Vec::with_capacity(batches.len());
        for mut batch in batches {
            for text in &texts {
                batch = with_column(&batch, *text, &source, marks)?;
            }
            if !texts.is_empty() {
                take_memory(&mut memory, &batch)?;
            }
            sortable.push(batch);
        }
        let sorted = Plan::of_batches(sortable, self.engine.threads())?.page(&order, skip, limit, false)?;
        let sorted = self.gather(sorted).await?;
        let batches = sorted.batches.iter().map(|batch| shape.finish(batch, &source, marks)).collect::<Result<_, _>>()?;
        Ok(Answer { batches, ..none })
    }

    /// The source of these columns' texts. This reads the store on the current thread, which belongs to the question.
    pub(crate) fn source(&self, columns: &[Column]) -> Result<Source, Error> {
        Ok(Source::of(self.engine.store(), columns)?)
    }
}

/// The same selection of no time at all.
fn nothing(selection: Selection) -> Selection {
    Selection { from_s: 0, until_s: 0, ..selection }
}

fn is_by_hour(order: &[Key]) -> bool {
    order.first() == Some(&(Column::Hour, false))
}

/// A number of rows that plans can calculate with.
pub(crate) fn size(count: u64) -> usize {
    usize::try_from(count.min(1 << 60)).unwrap_or(usize::MAX)
}

/// Accounts for a batch that is kept.
pub(crate) fn take_memory(memory: &mut MemoryReservation, batch: &RecordBatch) -> Result<(), Error> {
    Ok(memory.try_grow(batch.get_array_memory_size())?)
}

/// The rows that can be among `skip..skip + limit` when sorted by hits first, and how many of them
/// to skip: all rows whose hits are between those of the first and the last row of the page.
fn narrow(batches: Vec<RecordBatch>, descending: bool, skip: usize, limit: usize) -> Result<(Vec<RecordBatch>, usize), Error> {
    let mut all: Vec<i64> = Vec::new();
    for batch in &batches {
        match batch.column_by_name(Column::Hits.name()).and_then(|hits| hits.as_primitive_opt::<Int64Type>()) {
            Some(hits) if hits.null_count() == 0 => all.extend(hits.values()),
            _ => return Ok((batches, skip)),
        }
    }
    let mut at = |place: usize| {
        let place = if descending { all.len() - 1 - place } else { place };
        *all.select_nth_unstable(place).1
    };
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let (first, last) = (at(skip), at(skip.saturating_add(limit).min(rows) - 1));
    let (least, most) = (first.min(last), first.max(last));
    let before = all.iter().filter(|hits| if descending { **hits > most } else { **hits < least }).count();
    let mut narrowed = Vec::with_capacity(batches.len());
    for batch in batches {
        let Some(hits) = batch.column_by_name(Column::Hits.name()).and_then(|hits| hits.as_primitive_opt::<Int64Type>()) else {
            continue;
        };
        let keep: BooleanArray = hits.values().iter().map(|hits| Some((least..=most).contains(hits))).collect();
        let batch = filter_record_batch(&batch, &keep).map_err(DataFusionError::from)?;
        if batch.num_rows() > 0 {
            narrowed.push(batch);
        }
    }
    Ok((narrowed, skip - before))
}
