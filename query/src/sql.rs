//! SQL from outside: one statement that reads, within bounds, its rows as they come.
//!
//! A statement has memory, turns and time of its own, so that whoever writes SQL does not keep the
//! API's questions from being answered. What is dropped ends: the rows are a stream, and dropping it,
//! or the future that makes it, ends the work for it.

use crate::plans::lasts;
use crate::statement::{bad, parse};
use crate::{Engine, Error};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

/// How large the stacks of threads must be on which statements are planned and run.
pub const STACK_BYTES: usize = 8 << 20;

/// Bounds of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Memory for all statements that are being answered together, bytes.
    pub memory_bytes: usize,
    /// How many statements are answered at the same time; more wait.
    pub max_concurrent: usize,
    /// How long a statement may take, from its start until its last row was taken, milliseconds.
    pub timeout_ms: u64,
    /// The most rows of an answer.
    pub max_rows: u64,
    /// The most bytes of an answer, as Arrow has them in memory.
    pub max_bytes: u64,
}

impl Default for SqlLimits {
    fn default() -> Self {
        SqlLimits { memory_bytes: 256 << 20, max_concurrent: 4, timeout_ms: 60_000, max_rows: 10_000_000, max_bytes: 2 << 30 }
    }
}

/// The rows of a statement, as they come.
pub struct SqlAnswer {
    /// Names, types and order of the columns.
    pub schema: SchemaRef,
    /// The rows. After an error nothing comes.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

impl Engine {
    /// Answers a statement of SQL: `SELECT`, `EXPLAIN`, `DESCRIBE` or `SHOW` over the tables.
    ///
    /// What is wrong with the statement is [`Error::BadArgument`] with the argument `sql`, which says
    /// where. The runtime's threads need [`STACK_BYTES`] of stack for what a statement may nest. A bound that is met on the way ends the rows with [`Error::TooLarge`] or [`Error::TooSlow`].
    pub async fn sql(&self, text: &str) -> Result<SqlAnswer, Error> {
        let limits = self.sql_limits();
        let until = Instant::now() + Duration::from_millis(limits.timeout_ms);
        let turn = self.sql_turn().await?;
        let planned = timeout_at(until, self.planned(text)).await;
        let rows = planned.map_err(|_| Error::TooSlow(limits.timeout_ms))??;
        let schema = rows.schema();
        let running = Running { rows: Some(rows), limits, until, given_rows: 0, given_bytes: 0, _turn: turn };
        Ok(SqlAnswer { schema, batches: stream::unfold(running, next).boxed() })
    }

    async fn planned(&self, text: &str) -> Result<SendableRecordBatchStream, Error> {
        let plan = match self.plans().of(text) {
            Some(plan) => self.executable(&plan, self.sql_state()).await?,
            None => self.newly_planned(text).await?,
        };
        execute_stream(plan, self.sql_task()).map_err(of_statement)
    }

    async fn newly_planned(&self, text: &str) -> Result<Arc<dyn ExecutionPlan>, Error> {
        let statement = parse(text)?;
        // One copy of the session's state for all steps: it knows when this statement began.
        let state = self.context().state();
        let plan = state.statement_to_plan(statement).await.map_err(of_statement)?;
        // The statement was looked at by its kind; this looks at everything that it became.
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan).map_err(of_statement)?;
        let lasts = lasts(&plan).map_err(of_statement)?;
        let plan = Arc::new(state.optimize(&plan).map_err(of_statement)?);
        if lasts {
            self.plans().keep(text, plan.clone());
        }
        self.executable(&plan, &state).await
    }

    /// Gives a plan its scans, as the tables are now.
    async fn executable(&self, plan: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>, Error> {
        state.query_planner().create_physical_plan(plan, state).await.map_err(of_statement)
    }
}

/// A statement that is being answered.
struct Running {
    /// None after an error.
    rows: Option<SendableRecordBatchStream>,
    limits: SqlLimits,
    until: Instant,
    given_rows: u64,
    given_bytes: u64,
    _turn: OwnedSemaphorePermit,
}

async fn next(mut running: Running) -> Option<(Result<RecordBatch, Error>, Running)> {
    let rows = running.rows.as_mut()?;
    let next = match timeout_at(running.until, rows.next()).await {
        Ok(None) => return None,
        Ok(Some(Ok(batch))) => running.count(batch),
        Ok(Some(Err(error))) => Err(of_statement(error)),
        Err(_) => Err(Error::TooSlow(running.limits.timeout_ms)),
    };
    if next.is_err() {
        // Ends the work at once, not when the caller has looked at the error.
        running.rows = None;
    }
    Some((next, running))
}

impl Running {
    fn count(&mut self, batch: RecordBatch) -> Result<RecordBatch, Error> {
        let SqlLimits { max_rows, max_bytes, .. } = self.limits;
        self.given_rows += batch.num_rows() as u64;
        self.given_bytes += size_bytes(&batch);
        if self.given_rows > max_rows {
            return Err(Error::TooLarge(format!("more than {max_rows} rows")));
        }
        if self.given_bytes > max_bytes {
            return Err(Error::TooLarge(format!("more than {max_bytes} bytes")));
        }
        Ok(batch)
    }
}

/// What the rows of a batch take, not what they share with others.
fn size_bytes(batch: &RecordBatch) -> u64 {
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default());
    sizes.sum::<usize>() as u64
}

/// An error of a statement: mostly the statement's fault, unlike in questions that the engine asks itself.
fn of_statement(error: DataFusionError) -> Error {
    let place = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let (ours, said) = match error.find_root() {
        DataFusionError::ResourcesExhausted(_)
        | DataFusionError::External(_)
        | DataFusionError::Internal(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ExecutionJoin(_) => (true, String::new()),
        root => (false, root.strip_backtrace()),
    };
    if ours {
        return Error::from(error);
    }
    let said = said.lines().next().unwrap_or_default().to_owned();
    match place {
        Some(span) => bad(format!("{said} at Line: {}, Column: {}", span.start.line, span.start.column)),
        None => bad(said),
    }
}
