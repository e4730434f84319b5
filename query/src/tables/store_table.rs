//! How tables take part in a plan.
//!
//! A [`StoreTable`] is a table, a [`Selection`] and a source of rows. DataFusion tells it which
//! columns and which rows it wants; filters that the store can express become part of the selection, and the rest
//! is left to DataFusion.

use super::pushdown;
use super::scan::StoreScan;
use crate::columns::{Column, Table};
use crate::reading::Data;
use crate::time::Piece;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::fmt;
use std::sync::Arc;
use zonepulse_store::Selection;

/// A table of a store, restricted to a selection.
pub(crate) struct StoreTable {
    table: Table,
    data: Data,
    selection: Selection,
    /// The columns that a plan sees, in the table's order.
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl StoreTable {
    pub(crate) fn new(table: Table, data: Data, selection: Selection) -> Self {
        StoreTable { table, data, selection, columns: table.columns().to_vec(), schema: table.schema() }
    }

    /// The table as SQL statements see it: without the number that stands for action and response code.
    pub(crate) fn without_kind(self) -> Self {
        let columns: Vec<Column> = self.columns.iter().copied().filter(|column| *column != Column::Kind).collect();
        StoreTable { schema: Column::schema(&columns), columns, ..self }
    }
}

impl fmt::Debug for StoreTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreTable").field("table", &self.table).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for StoreTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // A filter is either applied exactly, as a selection of the store, or left to DataFusion.
        Ok(filters
            .iter()
            .map(|filter| match pushdown::dimension(self.table.selectable(), filter) {
                Some(_) => TableProviderFilterPushDown::Exact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let selection = pushdown::apply(self.table, &self.data, &self.selection, state, filters).await?;
        let whole = vec![Piece { level: self.table.level(), selection }];
        let columns = projected(&self.columns, projection);
        let threads = state.config().target_partitions();
        let scan = StoreScan::new(self.data.clone(), self.table, whole, columns, limit, threads);
        if !scan.only_counts() {
            return Ok(Arc::new(scan));
        }
        let memory = MemoryConsumer::new("a count").register(&state.runtime_env().memory_pool);
        Ok(Arc::new(scan.counted(memory).await?))
    }
}

/// The columns at these places, or all.
pub(crate) fn projected(columns: &[Column], projection: Option<&Vec<usize>>) -> Vec<Column> {
    match projection {
        Some(places) => places.iter().filter_map(|place| columns.get(*place)).copied().collect(),
        None => columns.to_vec(),
    }
}
