//! How a worker plans a statement.

use super::faults::of_statement;
use super::link::Link;
use crate::Error;
use crate::columns::Table;
use crate::listed::{CatalogueTable, Listed};
use crate::reading::Data;
use crate::runtime::{config, runtime};
use crate::sql::{CanonicalHosts, PlanCache, SumInScan, WholeNumbers, lasts, names_kind, parse, saturating_sum};
use crate::system::SystemTable;
use crate::tables::StoreTable;
use crate::time::Now;
use chrono::DateTime;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion::functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use std::sync::{Arc, OnceLock};
use zonepulse_dns::MessageKind;
use zonepulse_store::{Kinds, Level, Selection, SystemSelection};

/// The tables by name, and memory.
pub(super) struct Session {
    context: SessionContext,
    /// The initial state, for plans that do not depend on the time: copying it costs more than many an answer.
    state: SessionState,
    task: Arc<TaskContext>,
    plans: PlanCache,
    /// The tables of the previous release, for statements that use a removed column.
    former: OnceLock<SessionContext>,
    link: Arc<Link>,
    threads: usize,
}

impl Session {
    pub(super) fn new(link: Arc<Link>, memory_bytes: usize, threads: usize) -> Result<Self, Error> {
        let context = tables(&link, runtime(memory_bytes)?, threads, StoreTable::without_kind)?;
        let (state, task) = (context.state(), context.task_ctx());
        Ok(Session { state, task, plans: PlanCache::default(), former: OnceLock::new(), context, link, threads })
    }

    fn former(&self) -> Result<&SessionContext, Error> {
        if let Some(former) = self.former.get() {
            return Ok(former);
        }
        let former = tables(&self.link, self.context.runtime_env(), self.threads, |table| table)?;
        Ok(self.former.get_or_init(|| former))
    }

    /// Starts a statement, with this time as now.
    pub(super) async fn rows(&self, text: &str, now: Now) -> Result<SendableRecordBatchStream, Error> {
        let plan = match self.plans.of(text) {
            Some(plan) => self.executable(&plan, &self.state).await?,
            None => self.newly_planned(text, now).await?,
        };
        execute_stream(plan, self.task.clone()).map_err(of_statement)
    }

    async fn newly_planned(&self, text: &str, now: Now) -> Result<Arc<dyn ExecutionPlan>, Error> {
        let statement = parse(text)?;
        // One copy of the session's state for all steps, with this statement's time.
        let mut state = state_at(&self.context, now);
        let planned = state.statement_to_plan(statement.clone()).await;
        let plan = match planned {
            Err(_) if names_kind(text) => {
                state = state_at(self.former()?, now);
                state.statement_to_plan(statement).await.map_err(of_statement)?
            }
            planned => planned.map_err(of_statement)?,
        };
        // The parser checked the kind of the statement; this checks the whole plan.
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan).map_err(of_statement)?;
        let lasts = lasts(&plan).map_err(of_statement)?;
        let plan = Arc::new(state.optimize(&plan).map_err(of_statement)?);
        if lasts {
            self.plans.keep(text, plan.clone());
        }
        self.executable(&plan, &state).await
    }

    /// Gives a plan its scans of the current tables.
    async fn executable(&self, plan: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>, Error> {
        state.query_planner().create_physical_plan(plan, state).await.map_err(of_statement)
    }
}

/// A copy of a session's state in which `now()` is this moment.
fn state_at(context: &SessionContext, now: Now) -> SessionState {
    let mut state = context.state();
    let now = i64::try_from(now.ns()).unwrap_or(i64::MAX);
    state.execution_props_mut().query_execution_start_time = Some(DateTime::from_timestamp_nanos(now));
    state
}

/// A session with all tables, each mapped by `seen`.
fn tables(
    link: &Arc<Link>,
    runtime: Arc<RuntimeEnv>,
    threads: usize,
    seen: impl Fn(StoreTable) -> StoreTable,
) -> Result<SessionContext, Error> {
    let mut config = config(threads).with_information_schema(true);
    config.options_mut().sql_parser.collect_spans = true;
    // It also limits rows before they are partitioned for the window, which then misses neighbours.
    config.options_mut().optimizer.enable_window_limits = false;
    let builder = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime);
    let builder = builder.with_default_features().with_analyzer_rule(Arc::new(CanonicalHosts));
    let mut state = builder.with_physical_optimizer_rule(Arc::new(SumInScan)).build();
    // EXTRACT, SUBSTRING and POSITION: the default features include the functions, but not their syntax.
    state.register_expr_planner(Arc::new(DatetimeFunctionPlanner))?;
    state.register_expr_planner(Arc::new(UnicodeFunctionPlanner))?;
    state.register_expr_planner(Arc::new(WholeNumbers))?;
    state.register_udaf(saturating_sum())?;
    let context = SessionContext::new_with_state(state);
    let data = Data::Away(link.clone());
    for table in Table::ALL {
        let of = |selection| Arc::new(seen(StoreTable::new(table, data.clone(), selection)));
        context.register_table(table.name(), of(Selection { kinds: table.kinds(), ..Selection::all() }))?;
        if let Some(name) = table.name_of_requests() {
            let requests = Selection { kinds: Kinds::Only(vec![MessageKind::REQUEST]), ..Selection::all() };
            context.register_table(name, of(requests))?;
        }
    }
    for level in Level::ALL {
        let table = SystemTable::new(level, data.clone(), SystemSelection::all());
        context.register_table(table.name(), Arc::new(table))?;
    }
    for table in Listed::ALL {
        context.register_table(table.name(), Arc::new(CatalogueTable::new(table, data.clone())))?;
    }
    Ok(context)
}
