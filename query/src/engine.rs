//! The engine: one DataFusion session over a store, and what all questions share.

use crate::levels;
use crate::plans::Plans;
use crate::rows::Source;
use crate::scan::StoreScan;
use crate::shape::{Key, Shape, with_column};
use crate::summed::SumInScan;
use crate::table::{Counters, StoreTable, Table};
use crate::{Answer, Error, Options, Page, SqlLimits, system};
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{SortOptions, filter_record_batch};
use arrow::datatypes::{SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion::functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::logical_expr::{LogicalPlanBuilder, SortExpr, col};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::sorts::partial_sort::PartialSortExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use zonepulse_store::{Level, Selection, Store};

/// Rows in a batch: what DataFusion works with best.
const BATCH_ROWS: usize = 8192;

/// Answers questions about a store. Clones share it.
///
/// The questions are futures of the caller's tokio runtime; what reads the store runs on its blocking
/// threads. Dropping a future ends the work for it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    counters: Arc<Counters>,
    /// For the API's questions.
    questions: SessionContext,
    /// For SQL: the tables by name, and memory of its own.
    context: SessionContext,
    /// The session of SQL as it began, for what does not ask when that was: to copy it costs more than many an answer.
    sql_state: SessionState,
    plans: Plans,
    /// What plans run in: of the API's questions, of SQL.
    question_task: Arc<TaskContext>,
    sql_task: Arc<TaskContext>,
    sql_limits: SqlLimits,
    threads: usize,
    turns: Semaphore,
    max_turns: usize,
    sql_turns: Arc<Semaphore>,
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
        let questions = session(config(threads), runtime(options.memory_bytes)?)?;
        let mut for_sql = config(threads).with_information_schema(true);
        for_sql.options_mut().sql_parser.collect_spans = true;
        let context = session(for_sql, runtime(options.sql.memory_bytes)?)?;
        let counters = Arc::new(Counters { names: options.counter_names, not_counted: options.not_counted });
        for table in Table::ALL {
            let provider = StoreTable::new(table, store.clone(), Selection::all(), counters.clone());
            context.register_table(table.name(), Arc::new(provider))?;
        }
        for table in system::Tables::all(&store) {
            context.register_table(table.name(), Arc::new(table))?;
        }
        Ok(Engine {
            inner: Arc::new(Inner {
                store,
                counters,
                question_task: questions.task_ctx(),
                sql_task: context.task_ctx(),
                sql_state: context.state(),
                plans: Plans::default(),
                questions,
                context,
                sql_limits: options.sql,
                threads,
                turns: Semaphore::new(limit(options.max_concurrent)),
                max_turns: limit(options.max_concurrent),
                sql_turns: Arc::new(Semaphore::new(limit(options.sql.max_concurrent))),
                max_wait: Duration::from_millis(options.max_wait_ms),
            }),
        })
    }

    /// The session with the tables, for SQL. What runs in it shares the memory of all statements, but
    /// takes no turn, and nothing bounds what it says: [`Engine::sql`] is for what comes from outside.
    pub fn context(&self) -> &SessionContext {
        &self.inner.context
    }

    /// How much is being answered now.
    pub fn load(&self) -> Load {
        let inner = &self.inner;
        let turns = |semaphore: &Semaphore, limit: usize, session: &SessionContext| Turns {
            running: limit.saturating_sub(semaphore.available_permits()) as u64,
            limit: limit as u64,
            memory_bytes: session.runtime_env().memory_pool.reserved() as u64,
        };
        Load {
            questions: turns(&inner.turns, inner.max_turns, &inner.questions),
            statements: turns(&inner.sql_turns, limit(inner.sql_limits.max_concurrent), &inner.context),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The session of the API's questions as it is now.
    pub(crate) fn session_state(&self) -> SessionState {
        self.inner.questions.state()
    }

    /// What a statement's plan runs in.
    pub(crate) fn sql_task(&self) -> Arc<TaskContext> {
        self.inner.sql_task.clone()
    }

    pub(crate) fn sql_state(&self) -> &SessionState {
        &self.inner.sql_state
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.inner.plans
    }

    pub(crate) fn sql_limits(&self) -> SqlLimits {
        self.inner.sql_limits
    }

    /// Waits for a statement's turn, not for ever.
    pub(crate) async fn sql_turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        match tokio::time::timeout(self.inner.max_wait, self.inner.sql_turns.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
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
        let store = self.inner.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store));
        done.await.map_err(|error| Error::Engine(DataFusionError::ExecutionJoin(Box::new(error))))?
    }

    /// The rows of a table that a selection means.
    pub(crate) fn frame(&self, table: Table, selection: Selection) -> Result<DataFrame, Error> {
        self.frame_of(StoreTable::new(table, self.inner.store.clone(), selection, self.inner.counters.clone()))
    }

    /// Points to be added up in stretches of time of a length, in which the buckets of a roll-up are as good.
    pub(crate) fn sums_frame(&self, selection: Selection, length_s: u64) -> Result<DataFrame, Error> {
        let points = StoreTable::new(Table::Dns(Level::Raw), self.inner.store.clone(), selection, self.inner.counters.clone());
        self.frame_of(points.summed_up_to(levels::coarsest(length_s)))
    }

    fn frame_of(&self, provider: StoreTable) -> Result<DataFrame, Error> {
        let table = provider.table;
        let plan = LogicalPlanBuilder::scan(table.name(), provider_as_source(Arc::new(provider)), None)?.build()?;
        Ok(DataFrame::new(self.inner.questions.state(), plan))
    }

    /// A page of the rows of a table that a selection means: these columns, in this order.
    ///
    /// What this asks is always the same, so is its plan: it is made here, without a planner.
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
        let first = size(page.offset.saturating_add(page.limit)).max(1);
        let few = selection.records.is_some();
        let table = StoreTable::new(table, self.inner.store.clone(), selection, self.inner.counters.clone());
        let schema = table.schema();
        let columns = columns.iter().map(|column| schema.index_of(column)).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(DataFusionError::from)?;
        // Rows that come hour by hour are read no further than they are needed: by one reader, from the first on.
        let by_hour = order.first() == Some(&("hour", false));
        let threads = if by_hour { 1 } else { self.inner.threads };
        let scan = StoreScan::new(&table, table.selection.clone(), Some(&columns), None, threads)?;
        let schema = scan.schema();
        let keys = order.iter().map(|(column, descending)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column, schema.index_of(column)?));
            Ok(PhysicalSortExpr::new(column, SortOptions::new(*descending, false)))
        });
        let keys = keys.collect::<Result<Vec<_>, ArrowError>>().map_err(DataFusionError::from)?;
        let keys = LexOrdering::new(keys).ok_or_else(|| DataFusionError::Internal("rows in no order".into()))?;
        let partitions = scan.properties().partitioning.partition_count();
        // The points of certain records are few in an hour: to sort them all takes less than to keep the first ones.
        let mut plan: Arc<dyn ExecutionPlan> = if by_hour && few {
            Arc::new(PartialSortExec::new(keys.clone(), Arc::new(scan), 1).with_fetch(Some(first)))
        } else {
            Arc::new(SortExec::new(keys.clone(), Arc::new(scan)).with_preserve_partitioning(true).with_fetch(Some(first)))
        };
        if partitions > 1 {
            plan = Arc::new(SortPreservingMergeExec::new(keys, plan).with_fetch(Some(first)));
        }
        let plan = Arc::new(GlobalLimitExec::new(plan, skip, Some(limit)));
        self.gather_from(execute_stream(plan, self.inner.question_task.clone())?).await
    }

    /// Runs a plan and keeps its rows.
    pub(crate) async fn gather(&self, frame: DataFrame) -> Result<Gathered, Error> {
        self.gather_from(frame.execute_stream().await?).await
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
        MemoryConsumer::new(what).register(&self.inner.questions.runtime_env().memory_pool)
    }

    /// The page of rows that are in memory.
    pub(crate) async fn page(&self, gathered: Gathered, shape: &Shape, page: &Page) -> Result<Answer, Error> {
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
        let sorted = self.sorted(sortable, &order, skip, limit).await?;
        let batches = sorted.batches.iter().map(|batch| shape.finish(batch, &source)).collect::<Result<_, _>>()?;
        Ok(Answer { batches, ..none })
    }

    async fn sorted(&self, batches: Vec<RecordBatch>, order: &[Key], skip: usize, limit: usize) -> Result<Gathered, Error> {
        let Some(schema) = batches.first().map(RecordBatch::schema) else {
            return Err(Error::Engine(DataFusionError::Internal("nothing to sort".into())));
        };
        let mut partitions: Vec<Vec<RecordBatch>> = vec![Vec::new(); self.inner.threads.min(batches.len())];
        let count = partitions.len();
        for (at, batch) in batches.into_iter().enumerate() {
            if let Some(partition) = partitions.get_mut(at % count) {
                partition.push(batch);
            }
        }
        let table = MemTable::try_new(schema, partitions)?;
        let frame = self.inner.questions.read_table(Arc::new(table))?;
        self.gather(frame.sort(sort_by(order))?.limit(skip, Some(limit))?).await
    }

    /// Where the texts of these columns come from.
    pub(crate) fn source(&self, columns: &[&str]) -> Result<Source, Error> {
        if !columns.contains(&"server") {
            return Ok(Source::without_servers(&self.inner.store));
        }
        Ok(Source::with_servers(&self.inner.store)?)
    }
}

fn config(threads: usize) -> SessionConfig {
    SessionConfig::new().with_target_partitions(threads).with_batch_size(BATCH_ROWS)
}

fn session(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Result<SessionContext, Error> {
    let builder = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features();
    let mut state = builder.with_physical_optimizer_rule(Arc::new(SumInScan)).build();
    // EXTRACT, SUBSTRING and POSITION: the functions are there, their syntax is not among the features.
    state.register_expr_planner(Arc::new(DatetimeFunctionPlanner))?;
    state.register_expr_planner(Arc::new(UnicodeFunctionPlanner))?;
    Ok(SessionContext::new_with_state(state))
}

fn runtime(memory_bytes: usize) -> Result<Arc<RuntimeEnv>, Error> {
    let builder = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        // What does not fit is refused, not written to a disk that the store needs.
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled));
    Ok(builder.build_arc()?)
}

/// So many at a time, within what a semaphore can count.
fn limit(at_a_time: usize) -> usize {
    at_a_time.clamp(1, Semaphore::MAX_PERMITS)
}

/// The order as DataFusion puts it; what has no value comes last.
pub(crate) fn sort_by(order: &[Key]) -> Vec<SortExpr> {
    order.iter().map(|(column, descending)| col(*column).sort(!descending, false)).collect()
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
    let mut all: Vec<u64> = Vec::new();
    for batch in &batches {
        match batch.column_by_name("hits").and_then(|hits| hits.as_primitive_opt::<UInt64Type>()) {
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
        let Some(hits) = batch.column_by_name("hits").and_then(|hits| hits.as_primitive_opt::<UInt64Type>()) else { continue };
        let keep: BooleanArray = hits.values().iter().map(|hits| Some((least..=most).contains(hits))).collect();
        let batch = filter_record_batch(&batch, &keep).map_err(DataFusionError::from)?;
        if batch.num_rows() > 0 {
            narrowed.push(batch);
        }
    }
    Ok((narrowed, skip - before))
}
