//! The tables of metrics, and how they take part in a plan.

use crate::data::Data;
use crate::levels::Piece;
use crate::pushdown::{BATCH_ROWS, asks_again, seconds};
use crate::request::{Request, RowsRequest};
use crate::system::scan::SystemScan;
use crate::table::{Table, field};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Schema, SchemaRef, UInt32Type};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use std::fmt;
use std::sync::Arc;
use zonepulse_store::{Level, Selection, SystemSelection};

const SERVER_COLUMNS: &[&str] = &["server_id", "server"];
const SERIES_COLUMNS: &[&str] = &["metric", "label"];

/// A table of metrics, restricted to a selection.
pub(crate) struct SystemTable {
    pub(crate) level: Level,
    pub(crate) data: Data,
    pub(crate) selection: SystemSelection,
    schema: SchemaRef,
}

impl SystemTable {
    pub(crate) fn new(level: Level, data: Data, selection: SystemSelection) -> Self {
        SystemTable { level, data, selection, schema: schema(level) }
    }

    pub(crate) fn name(&self) -> &'static str {
        name(self.level)
    }

    /// A scan of these columns.
    pub(crate) fn scan_of(&self, columns: &[&str], threads: usize) -> Result<SystemScan> {
        let columns = columns.iter().map(|column| self.schema.index_of(column)).collect::<Result<Vec<_>, _>>()?;
        SystemScan::new(self.level, self.data.clone(), self.selection.clone(), columns, None, threads)
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
            let wanted = self.passing(&predicate, state, Request::Series, "series_id").await?;
            selection.series = Some(among(selection.series.take(), wanted));
        }
        if let Some(predicate) = of(Dimension::Servers) {
            let columns = vec![0, 1];
            let piece = Piece { level: Level::Raw, selection: Selection::all() };
            let table = Table::Servers;
            let servers = RowsRequest { table, piece, summed: None, columns, limit: None, batch_rows: BATCH_ROWS };
            let wanted = self.passing(&predicate, state, Request::Rows(servers), "server_id").await?;
            selection.servers = Some(among(selection.servers.take(), wanted));
        }
        Ok(selection)
    }

    /// The numbers of the rows for which a predicate holds.
    async fn passing(&self, predicate: &Expr, state: &dyn Session, request: Request, id: &str) -> Result<Vec<u32>> {
        let memory = MemoryConsumer::new("rows that a filter looks at").register(&state.runtime_env().memory_pool);
        let mut rows = self.data.read(request, memory)?;
        let schema = DFSchema::try_from(rows.schema().as_ref().clone())?;
        let predicate = state.create_physical_expr(predicate.clone(), &schema)?;
        let mut wanted = Vec::new();
        while let Some(batch) = rows.try_next().await? {
            let passes = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
            let Some(passes) = passes.as_boolean_opt() else {
                return Err(DataFusionError::Internal(format!("a filter of type {}", passes.data_type())));
            };
            let ids = batch.column_by_name(id).and_then(|ids| ids.as_primitive_opt::<UInt32Type>());
            let ids = ids.ok_or_else(|| DataFusionError::Internal(format!("rows without {id}")))?;
            wanted.extend(ids.values().iter().zip(passes).filter(|(_, passes)| *passes == Some(true)).map(|(id, _)| *id));
        }
        Ok(wanted)
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

/// The columns of the table of a level.
pub(crate) fn schema(level: Level) -> SchemaRef {
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
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let threads = state.config().target_partitions();
        Ok(Arc::new(SystemScan::new(self.level, self.data.clone(), selection, columns, limit, threads)?))
    }
}
