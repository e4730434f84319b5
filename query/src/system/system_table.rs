//! The tables of metrics, and how they take part in a plan.

use super::scan::SystemScan;
use crate::columns::{Column, Dimension, Table, metrics};
use crate::reading::{Data, Request, RowsRequest};
use crate::tables::{BATCH_ROWS, both, dimension, projected, seconds};
use crate::time::Piece;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{SchemaRef, UInt32Type};
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

/// What a selection of the store can restrict.
const SELECTABLE: &[Dimension] = &[Dimension::Series, Dimension::Server, Dimension::Time];

/// A table of metrics, restricted to a selection.
pub(crate) struct SystemTable {
    level: Level,
    data: Data,
    selection: SystemSelection,
    schema: SchemaRef,
}

impl SystemTable {
    pub(crate) fn new(level: Level, data: Data, selection: SystemSelection) -> Self {
        SystemTable { level, data, selection, schema: metrics::schema(level) }
    }

    pub(crate) fn name(&self) -> &'static str {
        metrics::name(self.level)
    }

    async fn restricted(&self, state: &dyn Session, filters: &[Expr]) -> Result<SystemSelection> {
        let mut selection = self.selection.clone();
        for filter in filters {
            if dimension(SELECTABLE, filter) == Some(Dimension::Time)
                && let Some((from_s, until_s)) = seconds(filter)
            {
                selection.from_s = selection.from_s.max(from_s);
                selection.until_s = selection.until_s.min(until_s);
            }
        }
        let of = |wanted: Dimension| {
            conjunction(filters.iter().filter(|filter| dimension(SELECTABLE, filter) == Some(wanted)).cloned())
        };
        if let Some(predicate) = of(Dimension::Series) {
            let wanted = self.passing(&predicate, state, Request::Series, Column::SeriesId).await?;
            selection.series = Some(both(selection.series.as_ref(), wanted));
        }
        if let Some(predicate) = of(Dimension::Server) {
            let columns = Dimension::Server.columns().to_vec();
            let piece = Piece { level: Level::Raw, selection: Selection::all() };
            let table = Table::Servers;
            let servers = RowsRequest { table, piece, summed: None, columns, limit: None, batch_rows: BATCH_ROWS };
            let wanted = self.passing(&predicate, state, Request::Rows(servers), Column::ServerId).await?;
            selection.servers = Some(both(selection.servers.as_ref(), wanted));
        }
        Ok(selection)
    }

    /// The ids of the rows for which a predicate holds.
    async fn passing(&self, predicate: &Expr, state: &dyn Session, request: Request, id: Column) -> Result<Vec<u32>> {
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
            let ids = batch.column_by_name(id.name()).and_then(|ids| ids.as_primitive_opt::<UInt32Type>());
            let ids = ids.ok_or_else(|| DataFusionError::Internal(format!("rows without {id}")))?;
            wanted.extend(ids.values().iter().zip(passes).filter(|(_, passes)| *passes == Some(true)).map(|(id, _)| *id));
        }
        Ok(wanted)
    }
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
        // A filter is either applied exactly, as a selection of the store, or left to DataFusion.
        let of = |filter: &&Expr| match dimension(SELECTABLE, filter) {
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
        let columns = projected(metrics::columns(self.level), projection);
        let threads = state.config().target_partitions();
        Ok(Arc::new(SystemScan::new(self.level, self.data.clone(), selection, columns, limit, threads)))
    }
}
