//! How tables of the catalogue take part in a plan: whole, with the columns that are wanted; filters are left to DataFusion.

use super::Listed;
use crate::columns::Column;
use crate::reading::{Data, ListedRequest, Request};
use crate::tables::projected;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// A table of the catalogue.
pub(crate) struct CatalogueTable {
    table: Listed,
    data: Data,
    schema: SchemaRef,
}

impl CatalogueTable {
    pub(crate) fn new(table: Listed, data: Data) -> Self {
        CatalogueTable { table, data, schema: table.schema_of(table.columns()) }
    }
}

impl fmt::Debug for CatalogueTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogueTable").field("table", &self.table).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for CatalogueTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projected(self.table.columns(), projection);
        let schema = self.table.schema_of(&columns);
        let rows = Rows { table: self.table, data: self.data.clone(), columns, schema: schema.clone(), limit };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, [], false, limit)?))
    }
}

/// The rows of a scan.
struct Rows {
    table: Listed,
    data: Data,
    columns: Vec<Column>,
    schema: SchemaRef,
    limit: Option<usize>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("table", &self.table).field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let request = Request::Listed(ListedRequest { table: self.table, columns: self.columns.clone(), limit: self.limit });
        let memory = MemoryConsumer::new("what a scan holds").register(context.memory_pool());
        match self.data.read(request, memory) {
            Ok(rows) => rows,
            Err(error) => {
                let failed = futures::stream::once(async move { Err(error) }).boxed();
                Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), failed))
            }
        }
    }
}
