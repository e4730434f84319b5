//! Reading a table of metrics: the leaf of a plan.
//!
//! Like a scan of DNS points, it is made of plain values: a request for each partition, which is a stretch of hours.

use crate::columns::{Column, metrics};
use crate::reading::{Data, Request, SystemRequest};
use arrow::compute::SortOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::sync::Arc;
use zonepulse_store::{Level, SystemSelection};

const HOUR_S: u64 = 3600;
/// A range of more hours is not cut into partitions: one of its ends is open.
const MAX_HOURS: u64 = 24 * 366 * 10;
/// A longer list is shown as its length.
const SHOWN: usize = 8;

/// A scan: which rows, which columns, in how many partitions.
pub(crate) struct SystemScan {
    level: Level,
    data: Data,
    /// One per partition, in time order; they differ only in time.
    partitions: Vec<SystemSelection>,
    columns: Vec<Column>,
    /// The number of rows after which a partition may stop.
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl SystemScan {
    pub(crate) fn new(
        level: Level,
        data: Data,
        selection: SystemSelection,
        columns: Vec<Column>,
        limit: Option<usize>,
        threads: usize,
    ) -> Self {
        let partitions = by_hours(selection, threads);
        let mut equivalences = EquivalenceProperties::new(Column::schema(&columns));
        if let Some(hour) = columns.iter().position(|column| *column == Column::Hour) {
            let hour = Arc::new(ColumnExpr::new(Column::Hour.name(), hour));
            equivalences.add_ordering([PhysicalSortExpr::new(hour, SortOptions::new(false, false))]);
        }
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        SystemScan { level, data, partitions, columns, limit, properties: Arc::new(properties) }
    }
}

/// Cuts a selection into at most this many stretches of whole hours.
fn by_hours(selection: SystemSelection, at_most: usize) -> Vec<SystemSelection> {
    let first = selection.from_s / HOUR_S;
    let hours = selection.until_s.div_ceil(HOUR_S).saturating_sub(first);
    let stretches = (at_most as u64).min(hours).max(1);
    if stretches == 1 || hours > MAX_HOURS {
        return vec![selection];
    }
    let stretch = |stretch: u64| {
        let from_s = (first + hours * stretch / stretches) * HOUR_S;
        let until_s = (first + hours * (stretch + 1) / stretches) * HOUR_S;
        SystemSelection { from_s: from_s.max(selection.from_s), until_s: until_s.min(selection.until_s), ..selection.clone() }
    };
    (0..stretches).map(stretch).collect()
}

impl fmt::Debug for SystemScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DisplayAs for SystemScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemScan: {}", metrics::name(self.level))?;
        if let (Some(first), Some(last)) = (self.partitions.first(), self.partitions.last()) {
            if let Some(servers) = &first.servers {
                write!(f, ", servers={}", list(servers))?;
            }
            if first.from_s > 0 {
                write!(f, ", from_s={}", first.from_s)?;
            }
            if last.until_s < u64::MAX {
                write!(f, ", until_s={}", last.until_s)?;
            }
            if let Some(series) = &first.series {
                write!(f, ", series={}", list(series))?;
            }
        }
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))?;
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        if self.partitions.len() > 1 {
            write!(f, ", partitions={}", self.partitions.len())?;
        }
        Ok(())
    }
}

fn list<T: fmt::Debug>(ids: &[T]) -> String {
    if ids.len() > SHOWN { format!("({})", ids.len()) } else { format!("{ids:?}") }
}

impl ExecutionPlan for SystemScan {
    fn name(&self) -> &str {
        "SystemScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(selection) = self.partitions.get(partition) else {
            return Err(DataFusionError::Internal(format!("no partition {partition}")));
        };
        let request = Request::System(SystemRequest {
            level: self.level,
            selection: selection.clone(),
            columns: self.columns.clone(),
            limit: self.limit,
            batch_rows: context.session_config().batch_size().max(1),
        });
        self.data.read(request, MemoryConsumer::new("what a scan holds").register(context.memory_pool()))
    }
}
