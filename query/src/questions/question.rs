//! A question that is being answered: the engine, the moment that it takes for now, and the steps that questions share.

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

/// A question. Each of its parts sees the store as of the same moment.
pub(crate) struct Question {
    pub(super) engine: Engine,
    /// What time it is, for all of it.
    pub(super) now: Now,
}

/// Rows that a plan gave, held in memory that the engine accounts for.
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

    /// The store, as tables read it.
    pub(crate) fn data(&self) -> Data {
        self.engine.data(self.now)
    }

    /// How the store is read for what is only counted or added up.
    pub(super) fn reading(&self, level: Level) -> Reading {
        Reading { level, now_s: self.now.s(), last_access: false }
    }

    /// The points that a filter means.
    pub(super) async fn selected(&self, filter: &Filter, counts: Counts, from_s: u64, until_s: u64) -> Result<Selection, Error> {
        if is_quick(filter) {
            return Ok(selection(self.engine.store(), filter, counts, from_s, until_s));
        }
        let filter = filter.clone();
        self.engine.blocking(move |store| Ok(selection(store, &filter, counts, from_s, until_s))).await
    }

    /// A scan of these columns of the rows of a table that a selection means.
    pub(super) fn scan(&self, table: Table, selection: Selection, columns: &[Column], threads: usize) -> StoreScan {
        let whole = vec![Piece { level: table.level(), selection }];
        StoreScan::new(self.data(), table, whole, columns.to_vec(), None, threads)
    }

    /// Sums of points by these columns and by stretches of time, in which the buckets of a roll-up are as good:
    /// `time`, when a stretch begins, these columns, `hits`, and `last_access` where it is asked for.
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
            // A scan of nothing is a partition without rows.
            pieces.push(Piece { level: Level::Raw, selection: nothing(selection) });
        }
        let (columns, threads) = ([&keys[..], sums].concat(), self.engine.threads());
        let scan = StoreScan::new(self.data(), Table::Dns(Level::Raw), pieces, columns, None, threads);
        let scan = scan.summed_by(groups.split(stretches));
        let partitions = scan.properties().partitioning.partition_count();
        let plan = Plan::of(scan);
        // One partition has said everything of its stretches.
        self.gather(if partitions > 1 { plan.summed_by(&keys)? } else { plan }).await
    }

    /// A page of the rows of a table that a selection means: these columns, in this order.
    pub(super) async fn rows_of(
        &self,
        table: Table,
        selection: Selection,
        columns: &[Column],
        order: &[Key],
        page: &Page,
    ) -> Result<Gathered, Error> {
        let (skip, limit) = (size(page.offset), size(page.limit));
        // None are asked for: nothing is read, and nothing sorted.
        let selection = if limit == 0 { nothing(selection) } else { selection };
        let few = selection.records.is_some();
        let scan = self.scan(table, selection, columns, self.threads_for(order));
        // The points of certain records are few in an hour: to sort them all takes less than to keep the first ones.
        self.gather(Plan::of(scan).page(order, skip, limit, is_by_hour(order) && few)?).await
    }

    /// How many readers rows in an order have. Those that come hour by hour are read no further than they are needed: by
    /// one reader, from the first on.
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

    /// The page of rows that are in memory. Of rows that are about steps, marks say what was observed.
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
        // Texts are made for the rows that can be on the page, not for a million others.
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

    /// Where the texts of these columns come from. The store is read on this thread, which is one of a question's own.
    pub(crate) fn source(&self, columns: &[Column]) -> Result<Source, Error> {
        Ok(Source::of(self.engine.store(), columns)?)
    }
}

/// No time at all.
fn nothing(selection: Selection) -> Selection {
    Selection { from_s: 0, until_s: 0, ..selection }
}

fn is_by_hour(order: &[Key]) -> bool {
    order.first() == Some(&(Column::Hour, false))
}

/// A number of rows, within what plans can count with.
pub(crate) fn size(count: u64) -> usize {
    usize::try_from(count.min(1 << 60)).unwrap_or(usize::MAX)
}

/// Accounts for a batch that will be kept.
pub(crate) fn take_memory(memory: &mut MemoryReservation, batch: &RecordBatch) -> Result<(), Error> {
    Ok(memory.try_grow(batch.get_array_memory_size())?)
}

/// The rows that can be among `skip..skip + limit` when sorted by hits first, and how many of them
/// to skip: all rows with as many hits as the first or the last of the page, and those between.
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
