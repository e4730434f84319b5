//! The tables of metrics, and how they take part in a plan.

use crate::pushdown::{asks_again, seconds};
use crate::rows::{Source, external};
use crate::system::scan::SystemScan;
use crate::table::field;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::fmt;
use std::sync::Arc;
use zonepulse_store::{Level, Store, SystemSelection};

const SERVER_COLUMNS: &[&str] = &["server_id", "server"];
const SERIES_COLUMNS: &[&str] = &["metric", "label"];

/// A table of metrics, restricted to a selection.
pub(crate) struct SystemTable {
    pub(crate) level: Level,
    pub(crate) store: Store,
    pub(crate) selection: SystemSelection,
    schema: SchemaRef,
}

/// All tables of metrics that a store has, with everything in them.
pub(crate) struct Tables;

impl Tables {
    pub(crate) fn all(store: &Store) -> impl Iterator<Item = SystemTable> + use<'_> {
        Level::ALL.into_iter().map(|level| SystemTable::new(level, store.clone(), SystemSelection::all()))
    }
}

impl SystemTable {
    pub(crate) fn new(level: Level, store: Store, selection: SystemSelection) -> Self {
        SystemTable { level, store, selection, schema: schema(level) }
    }

    pub(crate) fn name(&self) -> &'static str {
        name(self.level)
    }

    /// A scan of these columns.
    pub(crate) fn scan_of(&self, columns: &[&str], threads: usize) -> Result<SystemScan> {
        let columns = columns.iter().map(|column| self.schema.index_of(column)).collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::new(self.schema.project(&columns)?);
        Ok(SystemScan::new(self.level, self.store.clone(), self.selection.clone(), schema, None, threads))
    }

    async fn restricted(&self, state: &dyn Session, filters: &[Expr]) -> Result<SystemSelection> {
        let mut selection = self.selection.clone();
        for filter in filters {
            if dimension(filter) == Some(Dimension::Time)
                && let Some((from_s, until_s)) = seconds(filter)
            {
                selection.from_s = selection.from_s.max(from_s);
                selection.until_s = selection.until_s.min(until_s);
            }
        }
        let of = |dimension_: Dimension| conjunction(filters.iter().filter(|f| dimension(f) == Some(dimension_)).cloned());
        if let Some(predicate) = of(Dimension::Series) {
            let (numbers, names) = super::series(&self.store)?;
            let passes = passing(&predicate, &names, state)?;
            let wanted = numbers.into_iter().zip(passes).filter(|(_, passes)| *passes).map(|(number, _)| number);
            selection.series = Some(among(selection.series.take(), wanted.collect()));
        }
        if let Some(predicate) = of(Dimension::Servers) {
            let store = self.store.clone();
            let servers = tokio::task::spawn_blocking(move || servers(&store)).await;
            let servers = servers.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
            let passes = passing(&predicate, &servers, state)?;
            let ids = servers.column(0).as_primitive::<arrow::datatypes::UInt32Type>();
            let wanted = ids.values().iter().zip(passes).filter(|(_, passes)| *passes).map(|(id, _)| *id);
            selection.servers = Some(among(selection.servers.take(), wanted.collect()));
        }
        Ok(selection)
    }
}

/// The table's name.
pub(crate) fn name(level: Level) -> &'static str {
    match level {
        Level::Raw => "system_raw",
        Level::M5 => "system_5m",
        Level::M15 => "system_15m",
        Level::M30 => "system_30m",
        Level::H1 => "system_1h",
    }
}

fn schema(level: Level) -> SchemaRef {
    let columns: &[&str] = match level {
        Level::Raw => &["time", "interval_s", "server_id", "server", "metric", "label", "value", "hour"],
        _ => &["time", "server_id", "server", "metric", "label", "min", "max", "avg", "last", "count", "hour"],
    };
    Arc::new(Schema::new(columns.iter().map(|column| field(column)).collect::<Vec<_>>()))
}

/// What a filter restricts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Series,
    Servers,
    Time,
}

/// Which dimension a filter restricts; `None` where it is none, or more than one.
fn dimension(filter: &Expr) -> Option<Dimension> {
    if filter.is_volatile() || filter.contains_outer() || asks_again(filter) {
        return None;
    }
    let columns = filter.column_refs();
    let within = |of: &[&str]| !columns.is_empty() && columns.iter().all(|column| of.contains(&column.name.as_str()));
    if within(SERIES_COLUMNS) {
        Some(Dimension::Series)
    } else if within(SERVER_COLUMNS) {
        Some(Dimension::Servers)
    } else if within(&["time"]) && seconds(filter).is_some() {
        Some(Dimension::Time)
    } else {
        None
    }
}

/// Which of the rows pass a predicate.
fn passing(predicate: &Expr, rows: &RecordBatch, state: &dyn Session) -> Result<Vec<bool>> {
    let schema = DFSchema::try_from(rows.schema().as_ref().clone())?;
    let predicate = state.create_physical_expr(predicate.clone(), &schema)?;
    let passes = predicate.evaluate(rows)?.into_array(rows.num_rows())?;
    match passes.as_boolean_opt() {
        Some(passes) => Ok(passes.iter().map(|passes| passes == Some(true)).collect()),
        None => Err(DataFusionError::Internal(format!("a filter of type {}", passes.data_type()))),
    }
}

fn servers(store: &Store) -> Result<RecordBatch> {
    let servers = store.registry().servers().map_err(external)?;
    let ids: Vec<u32> = servers.iter().map(|server| server.id).collect();
    let names: Vec<Option<String>> = servers.into_iter().map(|server| Some(server.name)).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(ids)), Arc::new(StringArray::from(names))];
    Ok(RecordBatch::try_new(Arc::new(Schema::new(vec![field("server_id"), field("server")])), columns)?)
}

/// What is in both lists; the new one is rising.
fn among(before: Option<Vec<u32>>, mut wanted: Vec<u32>) -> Vec<u32> {
    wanted.retain(|id| before.as_ref().is_none_or(|before| before.contains(id)));
    wanted.sort_unstable();
    wanted
}

impl fmt::Debug for SystemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemTable").field("level", &self.level).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // What is taken is taken exactly: a filter either becomes a selection of the store or stays where it is.
        let of = |filter: &&Expr| match dimension(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(of).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let selection = self.restricted(state, filters).await?;
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let threads = state.config().target_partitions();
        Ok(Arc::new(SystemScan::new(self.level, self.store.clone(), selection, schema, limit, threads)))
    }
}

/// Where a scan gets the servers' names from, if it wants them.
pub(super) fn source(store: &Store, schema: &SchemaRef) -> Result<Source> {
    Source::for_columns(store, schema)
}
