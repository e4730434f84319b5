//! Plans of the API's own questions.
//!
//! Each fixed question has a plan: a scan, sums, an order and a page are put together here, and DataFusion executes them.
//! A planner would take longer than reading a day of a record.

use super::shape::Key;
use crate::columns::Column;
use crate::sql::saturating_sum;
use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::{Column as ColumnExpr, binary, cast, col, lit};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::sorts::partial_sort::PartialSortExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use std::sync::Arc;

/// A plan under construction.
#[derive(Clone)]
pub(crate) struct Plan(Arc<dyn ExecutionPlan>);

impl Plan {
    /// The rows of a scan.
    pub(crate) fn of(scan: impl ExecutionPlan + 'static) -> Self {
        Plan(Arc::new(scan))
    }

    /// Rows in memory, in up to this many partitions.
    pub(crate) fn of_batches(batches: Vec<RecordBatch>, partitions: usize) -> Result<Self> {
        let schema = batches.first().map(RecordBatch::schema);
        let schema = schema.ok_or_else(|| DataFusionError::Internal("nothing to sort".into()))?;
        let mut parts: Vec<Vec<RecordBatch>> = vec![Vec::new(); partitions.min(batches.len()).max(1)];
        let count = parts.len();
        for (at, batch) in batches.into_iter().enumerate() {
            if let Some(part) = parts.get_mut(at % count) {
                part.push(batch);
            }
        }
        Ok(Plan(MemorySourceConfig::try_new_exec(&parts, schema, None)?))
    }

    /// The finished plan.
    pub(crate) fn done(self) -> Arc<dyn ExecutionPlan> {
        self.0
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn partitions(&self) -> usize {
        self.0.output_partitioning().partition_count()
    }

    /// Sums by these columns: the sum of `hits`, and, if present, the first `first_seen` and the last `last_access`.
    /// A kind becomes 0 for a request and 1 for a response, whatever its code.
    pub(crate) fn summed_by(self, keys: &[Column]) -> Result<Self> {
        let schema = self.schema();
        let keys = keys.iter().map(|key| Ok((of_group(*key, &schema)?, key.name().to_owned()))).collect::<Result<Vec<_>>>()?;
        let sums = [(Column::Hits, saturating_sum()), (Column::FirstSeen, min_udaf()), (Column::LastAccess, max_udaf())];
        let sums = sums.into_iter().filter(|(column, _)| schema.column_with_name(column.name()).is_some());
        let sums = sums.map(|(column, function)| {
            let builder = AggregateExprBuilder::new(function, vec![col(column.name(), &schema)?]);
            builder.schema(schema.clone()).alias(column.name()).build().map(Arc::new)
        });
        let sums = sums.collect::<Result<Vec<_>>>()?;
        let input = if self.partitions() > 1 { Arc::new(CoalescePartitionsExec::new(self.0)) } else { self.0 };
        let (groups, filters) = (PhysicalGroupBy::new_single(keys), vec![None; sums.len()]);
        Ok(Plan(Arc::new(AggregateExec::try_new(AggregateMode::Single, groups, sums, filters, input, schema)?)))
    }

    /// A page of the rows in an order. Rows that already come in the order of the first key may be sorted as they come.
    pub(crate) fn page(self, order: &[Key], skip: usize, limit: usize, as_they_come: bool) -> Result<Self> {
        let schema = self.schema();
        let keys = order.iter().map(|(column, descending)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(ColumnExpr::new(column.name(), schema.index_of(column.name())?));
            Ok(PhysicalSortExpr::new(column, SortOptions::new(*descending, false)))
        });
        let keys = keys.collect::<Result<Vec<_>, ArrowError>>()?;
        let keys = LexOrdering::new(keys).ok_or_else(|| DataFusionError::Internal("rows in no order".into()))?;
        let partitions = self.partitions();
        let first = Some(skip.saturating_add(limit).max(1));
        let mut plan: Arc<dyn ExecutionPlan> = if as_they_come {
            Arc::new(PartialSortExec::new(keys.clone(), self.0, 1).with_preserve_partitioning(true).with_fetch(first))
        } else {
            Arc::new(SortExec::new(keys.clone(), self.0).with_preserve_partitioning(true).with_fetch(first))
        };
        if partitions > 1 {
            plan = Arc::new(SortPreservingMergeExec::new(keys, plan).with_fetch(first));
        }
        Ok(Plan(Arc::new(GlobalLimitExec::new(plan, skip, Some(limit)))))
    }
}

/// The expression that groups by a column.
fn of_group(column: Column, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let value = col(column.name(), schema)?;
    if column != Column::Kind {
        return Ok(value);
    }
    cast(binary(value, Operator::Gt, lit(0u16), schema)?, schema, DataType::UInt16)
}
