//! The engine: what all questions about a store share.

use crate::data::Data;
use crate::groups::Groups;
use crate::levels::{self, Stretches};
use crate::observed::Marks;
use crate::plan::Plan;
use crate::questions::Apart;
use crate::read::Here;
use crate::rows::Source;
use crate::scan::StoreScan;
use crate::select::{Counts, is_quick, selection};
use crate::shape::{Key, Shape, with_column};
use crate::table::{Counters, StoreTable, Table};
use crate::worker::Statements;
use crate::{Answer, Error, Filter, Options, Page};
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use zonepulse_store::{Level, Selection, Store};

/// Rows in a batch: what DataFusion works with best.
pub(crate) const BATCH_ROWS: usize = 8192;

/// Answers questions about a store. Clones share it.
///
/// Questions run on threads of the engine, whatever runtime asks them. Dropping a future ends the work for it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    here: Here,
    /// For the API's questions.
    questions: Arc<RuntimeEnv>,
    memory_bytes: usize,
    /// What their plans run in.
    question_task: Arc<TaskContext>,
    /// Statements of SQL, which run in other processes.
    statements: Statements,
    apart: Apart,
    threads: usize,
    turns: Semaphore,
    max_turns: usize,
    max_wait: Duration,
}

/// How much an engine is answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The API's questions.
    pub questions: Turns,
    /// Statements of SQL.
    pub statements: Turns,
}

/// How many are being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// Now.
    pub running: u64,
    /// At most at a time.
    pub limit: u64,
    /// Memory that they hold, bytes.
    pub memory_bytes: u64,
}

/// Rows that a plan gave, held in memory that the engine accounts for.
pub(crate) struct Gathered {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) schema: SchemaRef,
    pub(crate) rows: usize,
    pub(crate) memory: MemoryReservation,
}

impl Engine {
    /// An engine over a store.
    pub fn new(store: Store, options: Options) -> Result<Engine, Error> {
        let threads = options.threads.max(1);
        let questions = runtime(options.memory_bytes)?;
        let counters = Arc::new(Counters { names: options.counter_names, not_counted: options.not_counted });
        let here = Here { store, counters };
        let statements = Statements::new(here.clone(), options.sql, options.sql_workers, threads)?;
        Ok(Engine {
            inner: Arc::new(Inner {
                here,
                question_task: Arc::new(
                    TaskContext::default().with_session_config(config(threads)).with_runtime(questions.clone()),
                ),
                questions,
                memory_bytes: options.memory_bytes,
                statements,
                apart: Apart::new(threads)?,
                threads,
                turns: Semaphore::new(limit(options.max_concurrent)),
                max_turns: limit(options.max_concurrent),
                max_wait: Duration::from_millis(options.max_wait_ms),
            }),
        })
    }

    /// How much is being answered now.
    pub fn load(&self) -> Load {
        let inner = &self.inner;
        let running = inner.max_turns.saturating_sub(inner.turns.available_permits()) as u64;
        let memory_bytes = inner.questions.memory_pool.reserved() as u64;
        Load { questions: Turns { running, limit: inner.max_turns as u64, memory_bytes }, statements: inner.statements.turns() }
    }

    /// What all questions that are being answered may hold, bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.inner.memory_bytes as u64
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.here.store
    }

    /// The store of this process, as tables read it.
    pub(crate) fn data(&self) -> Data {
        Data::Here(self.inner.here.clone())
    }

    /// The number of the counter `blind_ms` of reports.
    pub(crate) fn blind(&self) -> Option<u16> {
        self.inner.here.counters.blind()
    }

    pub(crate) fn threads_apart(&self) -> &Apart {
        &self.inner.apart
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.inner.statements
    }

    /// How long a question waits for its turn.
    pub(crate) fn max_wait(&self) -> Duration {
        self.inner.max_wait
    }

    /// Waits for a turn, not for ever.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        match tokio::time::timeout(self.inner.max_wait, self.inner.turns.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }

    /// Does something that blocks, such as reading the store, where it may.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.inner.here.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store));
        done.await.map_err(|error| Error::Engine(DataFusionError::ExecutionJoin(Box::new(error))))?
    }

    /// The points that a filter means.
    pub(crate) async fn selected(&self, filter: &Filter, counts: Counts, from_s: u64, until_s: u64) -> Result<Selection, Error> {
        if is_quick(filter) {
            return Ok(selection(self.store(), filter, counts, from_s, until_s));
        }
        let filter = filter.clone();
        self.blocking(move |store| Ok(selection(store, &filter, counts, from_s, until_s))).await
    }

    /// How many threads one question may use.
    pub(crate) fn threads(&self) -> usize {
        self.inner.threads
    }

    fn table(&self, table: Table, selection: Selection) -> StoreTable {
        StoreTable::new(table, self.data(), selection)
    }

    /// A scan of these columns of the rows of a table that a selection means.
    pub(crate) fn scan(&self, table: Table, selection: Selection, columns: &[&str], threads: usize) -> Result<StoreScan, Error> {
        scan_of(&self.table(table, selection), columns, threads)
    }

    /// Sums of points by these columns and by stretches of time, in which the buckets of a roll-up are as good:
    /// `time`, when a stretch begins, these columns, `hits`, and `last_access` where it is asked for.
    pub(crate) async fn sums(
        &self,
        selection: Selection,
        stretches: Stretches,
        groups: Groups,
        last_access: bool,
    ) -> Result<Gathered, Error> {
        let keys = [vec!["time"], groups.numbers()].concat();
        let sums: &[&str] = if last_access { &["hits", "last_access"] } else { &["hits"] };
        let points = self.table(Table::Dns(Level::Raw), selection);
        let points = points.summed_up_to(levels::coarsest(stretches));
        let scan = scan_of(&points, &[&keys[..], sums].concat(), self.inner.threads)?.summed_over(stretches, groups);
        let pieces = scan.properties().partitioning.partition_count();
        let plan = Plan::of(scan);
        // One piece has said everything of its stretches.
        self.gather(if pieces > 1 { plan.summed_by(&keys)? } else { plan }).await
    }

    /// A page of the rows of a table that a selection means: these columns, in this order.
    pub(crate) async fn rows_of(
        &self,
        table: Table,
        selection: Selection,
        columns: &[&str],
        order: &[Key],
        page: &Page,
    ) -> Result<Gathered, Error> {
        let (skip, limit) = (size(page.offset), size(page.limit));
        // None are asked for: nothing is read, and nothing sorted.
        let selection = if limit == 0 { Selection { from_s: 0, until_s: 0, ..selection } } else { selection };
        let few = selection.records.is_some();
        let by_hour = order.first() == Some(&("hour", false));
        let scan = self.scan(table, selection, columns, self.threads_for(order))?;
        // The points of certain records are few in an hour: to sort them all takes less than to keep the first ones.
        self.gather(Plan::of(scan).page(order, skip, limit, by_hour && few)?).await
    }

    /// How many readers rows in an order have. Those that come hour by hour are read no further than they are needed: by
    /// one reader, from the first on.
    pub(crate) fn threads_for(&self, order: &[Key]) -> usize {
        if order.first() == Some(&("hour", false)) { 1 } else { self.inner.threads }
    }

    /// Runs a plan and keeps its rows.
    pub(crate) async fn gather(&self, plan: Plan) -> Result<Gathered, Error> {
        self.gather_from(execute_stream(plan.done(), self.inner.question_task.clone())?).await
    }

    async fn gather_from(&self, mut stream: SendableRecordBatchStream) -> Result<Gathered, Error> {
        let mut memory = self.reserve("rows of an answer");
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

    pub(crate) fn reserve(&self, what: &str) -> MemoryReservation {
        MemoryConsumer::new(what).register(&self.inner.questions.memory_pool)
    }

    /// The page of rows that are in memory.
    pub(crate) async fn page(&self, gathered: Gathered, shape: &Shape, page: &Page) -> Result<Answer, Error> {
        self.page_of_steps(gathered, shape, page, None).await
    }

    /// The same of rows that are about steps, with what is said of these.
    pub(crate) async fn page_of_steps(
        &self,
        gathered: Gathered,
        shape: &Shape,
        page: &Page,
        marks: Option<Arc<Marks>>,
    ) -> Result<Answer, Error> {
        let order = shape.order(page)?;
        let total = gathered.rows as u64;
        let none = Answer { batches: Vec::new(), schema: shape.schema(), total };
        if page.limit == 0 || page.offset >= total {
            return Ok(none);
        }
        let source = self.source(&shape.columns)?.marked(marks);
        let Gathered { batches, mut memory, schema, .. } = gathered;
        let (skip, limit) = (size(page.offset), size(page.limit));
        // Texts are made for the rows that can be on the page, not for a million others.
        let texts: Vec<&str> =
            order.iter().map(|(column, _)| *column).filter(|column| schema.column_with_name(column).is_none()).collect();
        let (batches, skip) = match order.first() {
            Some(("hits", descending)) if !texts.is_empty() => narrow(batches, *descending, skip, limit)?,
            _ => (batches, skip),
        };
        let mut sortable = Vec::with_capacity(batches.len());
        for mut batch in batches {
            for text in &texts {
                batch = with_column(&batch, text, &source)?;
            }
            if !texts.is_empty() {
                take_memory(&mut memory, &batch)?;
            }
            sortable.push(batch);
        }
        let sorted = Plan::of_batches(sortable, self.inner.threads)?.page(&order, skip, limit, false)?;
        let sorted = self.gather(sorted).await?;
        let batches = sorted.batches.iter().map(|batch| shape.finish(batch, &source)).collect::<Result<_, _>>()?;
        Ok(Answer { batches, ..none })
    }

    /// Where the texts of these columns come from.
    pub(crate) fn source(&self, columns: &[&str]) -> Result<Source, Error> {
        if !columns.contains(&"server") {
            return Ok(Source::without_servers(&self.inner.here.store));
        }
        Ok(Source::with_servers(&self.inner.here.store)?)
    }
}

/// What all plans have in common.
pub(crate) fn config(threads: usize) -> SessionConfig {
    SessionConfig::new().with_target_partitions(threads).with_batch_size(BATCH_ROWS)
}

/// Where plans get their memory from, and no more than this.
pub(crate) fn runtime(memory_bytes: usize) -> Result<Arc<RuntimeEnv>, Error> {
    let builder = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        // What does not fit is refused, not written to a disk that the store needs.
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled));
    Ok(builder.build_arc()?)
}

/// So many at a time, within what a semaphore can count.
pub(crate) fn limit(at_a_time: usize) -> usize {
    at_a_time.clamp(1, Semaphore::MAX_PERMITS)
}

/// A scan of these columns.
fn scan_of(table: &StoreTable, columns: &[&str], threads: usize) -> Result<StoreScan, Error> {
    let schema = table.schema();
    let columns = columns.iter().map(|column| schema.index_of(column)).collect::<Result<Vec<_>, _>>();
    let columns = columns.map_err(DataFusionError::from)?;
    Ok(StoreScan::new(table, table.selection.clone(), Some(&columns), None, threads)?)
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
        match batch.column_by_name("hits").and_then(|hits| hits.as_primitive_opt::<Int64Type>()) {
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
        let Some(hits) = batch.column_by_name("hits").and_then(|hits| hits.as_primitive_opt::<Int64Type>()) else { continue };
        let keep: BooleanArray = hits.values().iter().map(|hits| Some((least..=most).contains(hits))).collect();
        let batch = filter_record_batch(&batch, &keep).map_err(DataFusionError::from)?;
        if batch.num_rows() > 0 {
            narrowed.push(batch);
        }
    }
    Ok((narrowed, skip - before))
}
