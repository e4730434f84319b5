//! Reading a table: the leaf of every plan.
//!
//! A [`StoreScan`] is made of plain values. Executing a partition sends a [`Request`] to the process that has the store;
//! batches of the session's size come back through a short queue: a slow plan slows the reader down, and dropping the plan
//! cancels it.

use super::explain;
use crate::columns::{Column, Dimension, Table, ms};
use crate::reading::{Data, Request, RowsRequest};
use crate::time::Piece;
use arrow::array::AsArray;
use arrow::compute::SortOptions;
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::sync::Arc;
use zonepulse_store::{Selection, Split, SplitKind};

/// Up to this many records are read by a single reader.
const FEW_RECORDS: usize = 4;
const HOUR_S: u64 = 3600;
/// A range of more hours is not cut into partitions: one of its ends is open.
const MAX_HOURS: u64 = 24 * 366 * 10;

/// A scan of a table: which rows, which columns, in how many partitions.
#[derive(Clone)]
pub(crate) struct StoreScan {
    table: Table,
    data: Data,
    /// One per partition, in time order; they differ only in time and level.
    partitions: Vec<Piece>,
    /// How points are added up, if they are.
    summed: Option<Split>,
    columns: Vec<Column>,
    schema: SchemaRef,
    /// The number of rows after which a partition may stop.
    limit: Option<usize>,
    /// The number of rows, if they were counted during planning.
    counted: Option<u64>,
    properties: Arc<PlanProperties>,
}

impl StoreScan {
    /// A scan of these pieces, which are in time order and differ only in time and level.
    pub(crate) fn new(
        data: Data,
        table: Table,
        pieces: Vec<Piece>,
        columns: Vec<Column>,
        limit: Option<usize>,
        threads: usize,
    ) -> Self {
        let schema = Column::schema(&columns);
        // A day of one record is read before a second reader would have started.
        let few = pieces.iter().any(|piece| piece.selection.records.as_ref().is_some_and(|ids| ids.len() <= FEW_RECORDS));
        let threads = if few { 1 } else { threads };
        let partitions = match table {
            table if table.has_points() => pieces.iter().flat_map(|piece| by_hours(piece, threads)).collect(),
            _ => pieces,
        };
        let mut equivalences = EquivalenceProperties::new(schema.clone());
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
        StoreScan {
            table,
            data,
            partitions,
            summed: None,
            columns,
            schema,
            limit,
            counted: None,
            properties: Arc::new(properties),
        }
    }

    /// Counts the rows, so that a plan that needs nothing else reads none.
    pub(crate) async fn counted(self, memory: MemoryReservation) -> Result<Self> {
        let counted = self.data.rows(Request::Count(self.partitions.clone()), memory).await?;
        let rows = counted.first().and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>()?.values().first());
        let rows = rows
            .and_then(|rows| u64::try_from(*rows).ok())
            .ok_or_else(|| DataFusionError::Internal("a count without a number".into()))?;
        Ok(StoreScan { counted: Some(rows), ..self })
    }

    /// Whether only the number of points is wanted.
    pub(crate) fn only_counts(&self) -> bool {
        self.table.has_points() && self.columns.is_empty() && self.limit.is_none()
    }

    /// The number of rows, if known; unless they were counted, there may be more when they are read.
    fn rows_about(&self) -> Precision<usize> {
        if let Some(counted) = self.counted.and_then(|counted| usize::try_from(counted).ok()) {
            return Precision::Exact(counted);
        }
        let chosen = self.partitions.first().and_then(|piece| piece.selection.records.as_ref());
        let rows = match self.table {
            Table::Names => chosen.map_or_else(|| self.data.records(), |chosen| chosen.len()),
            _ => return Precision::Absent,
        };
        Precision::Inexact(self.limit.map_or(rows, |limit| limit.min(rows)))
    }

    /// The times between which its points begin, if both ends are given. An empty range has no bounds that a
    /// planner would accept.
    fn tell_times(&self, statistics: &mut Statistics) {
        let time = self.columns.iter().position(|column| *column == Column::Time);
        let time = time.and_then(|at| statistics.column_statistics.get_mut(at));
        if let (true, Some(time), Some(first), Some(last)) =
            (self.table.has_points(), time, self.partitions.first(), self.partitions.last())
            && first.selection.from_s < last.selection.until_s
            && last.selection.until_s < u64::MAX
        {
            let instant =
                |time_s: u64| ScalarValue::TimestampMillisecond(Some(ms(time_s.saturating_mul(1000))), Some("UTC".into()));
            time.min_value = Precision::Inexact(instant(first.selection.from_s));
            time.max_value = Precision::Inexact(instant(last.selection.until_s - 1));
        }
    }

    /// The same scan of points, but adding them up: `time` is the start of a stretch.
    pub(crate) fn summed_by(self, split: Split) -> Self {
        StoreScan { summed: Some(split), ..self }
    }

    /// The same scan, but adding up by its own columns; `None` if sums do not have them.
    pub(crate) fn summed(&self) -> Option<StoreScan> {
        let tells = |dimension| self.columns.iter().any(|column| column.dimension() == Some(dimension));
        let only_actions = self.columns.iter().all(|column| !matches!(column, Column::Kind | Column::Rcode | Column::Class));
        let split = Split {
            server: tells(Dimension::Server),
            record: tells(Dimension::Record),
            kind: match (tells(Dimension::Kind), only_actions) {
                (true, false) => SplitKind::Each,
                (true, true) => SplitKind::ByAction,
                (false, _) => SplitKind::Together,
            },
            length_s: None,
            shift_s: 0,
        };
        let points = self.table.has_points() && self.limit.is_none();
        let fits = self.columns.iter().all(|column| is_of_sums(*column));
        // Sums lack the columns that order points, so the properties remain true.
        (points && fits).then(|| StoreScan { summed: Some(split), ..self.clone() })
    }
}

/// Whether sums have this column.
fn is_of_sums(column: Column) -> bool {
    is_same(column) || matches!(column, Column::Hits | Column::LastAccess | Column::Served | Column::LastServed)
}

/// Whether this column is the same for all points of a server, record and kind.
pub(crate) fn is_same(column: Column) -> bool {
    matches!(column.dimension(), Some(Dimension::Server | Dimension::Record | Dimension::Kind))
}

/// Cuts a piece into at most this many stretches of whole hours.
fn by_hours(piece: &Piece, at_most: usize) -> Vec<Piece> {
    let Piece { level, selection } = piece;
    let first = selection.from_s / HOUR_S;
    let hours = selection.until_s.div_ceil(HOUR_S).saturating_sub(first);
    let stretches = (at_most as u64).min(hours).max(1);
    if stretches == 1 || hours > MAX_HOURS {
        return vec![piece.clone()];
    }
    (0..stretches)
        .map(|stretch| {
            let from_s = (first + hours * stretch / stretches) * HOUR_S;
            let until_s = (first + hours * (stretch + 1) / stretches) * HOUR_S;
            let (from_s, until_s) = (from_s.max(selection.from_s), until_s.min(selection.until_s));
            Piece { level: *level, selection: Selection { from_s, until_s, ..selection.clone() } }
        })
        .collect()
}

impl fmt::Debug for StoreScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DisplayAs for StoreScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreScan: {}", self.table.name())?;
        if let (Some(first), Some(last)) = (self.partitions.first(), self.partitions.last()) {
            explain::selection(f, &first.selection, last.selection.until_s)?;
        }
        let at = |piece: &Piece| self.table.at(piece.level);
        if self.partitions.iter().any(|piece| at(piece) != self.table) {
            let mut levels: Vec<&str> = self.partitions.iter().map(|piece| at(piece).name()).collect();
            levels.dedup();
            write!(f, ", from=[{}]", levels.join(", "))?;
        }
        if self.summed.is_some() {
            write!(f, ", summed")?;
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

impl ExecutionPlan for StoreScan {
    fn name(&self) -> &str {
        "StoreScan"
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

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if args.partition().is_none() {
            statistics.num_rows = self.rows_about();
            self.tell_times(&mut statistics);
        }
        Ok(Arc::new(statistics))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(piece) = self.partitions.get(partition) else {
            return Err(DataFusionError::Internal(format!("no partition {partition}")));
        };
        let request = Request::Rows(RowsRequest {
            table: self.table,
            piece: piece.clone(),
            summed: self.summed,
            columns: self.columns.clone(),
            limit: self.limit,
            batch_rows: context.session_config().batch_size().max(1),
        });
        let memory = MemoryConsumer::new("what a scan holds").register(context.memory_pool());
        self.data.read(request, memory)
    }
}
