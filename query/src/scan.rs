//! Reading a table: the leaf of every plan.
//!
//! A [`StoreScan`] holds what to read as plain values. Executing a partition sends a [`Request`] to where the store is;
//! batches of the session's size come back through a short queue: a slow plan slows the reader down, and a plan that is
//! dropped ends it.

use crate::data::Data;
use crate::groups::Groups;
use crate::levels::{self, Piece, Stretches};
use crate::request::{Request, RowsRequest};
use crate::rows::ms;
use crate::summed::is_of_sums;
use crate::table::{StoreTable, Table};
use arrow::array::AsArray;
use arrow::compute::SortOptions;
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::sync::Arc;
use zonepulse_store::{Level, Selection, Split, SplitKind};

/// So many records are read by one reader.
const FEW_RECORDS: usize = 4;
const HOUR_S: u64 = 3600;
/// A range of more hours than this is not cut into partitions: somebody left an end open.
const MAX_HOURS: u64 = 24 * 366 * 10;

/// A scan of a table: which rows, which columns, in how many partitions.
#[derive(Clone)]
pub(crate) struct StoreScan {
    table: Table,
    data: Data,
    /// One for each partition; they differ in time and level only, and follow each other.
    partitions: Vec<Piece>,
    /// What points are added up by, where they are.
    summed: Option<Split>,
    /// By their places in the table.
    columns: Vec<usize>,
    schema: SchemaRef,
    /// The most rows that a partition needs to give.
    limit: Option<usize>,
    /// How many rows there are, where they were counted when the plan was made.
    counted: Option<u64>,
    properties: Arc<PlanProperties>,
}

impl StoreScan {
    pub(crate) fn new(
        table: &StoreTable,
        selection: Selection,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
        threads: usize,
    ) -> Result<Self> {
        let whole = table.table.schema();
        let columns = projection.cloned().unwrap_or_else(|| (0..whole.fields().len()).collect());
        let schema = Arc::new(whole.project(&columns)?);
        // A day of a record is read before a second reader would have begun.
        let few = selection.records.as_ref().is_some_and(|records| records.len() <= FEW_RECORDS);
        let threads = if few { 1 } else { threads };
        let partitions = match table.table {
            Table::Dns(level) => {
                let pieces = match table.coarsest {
                    Some(coarsest) => levels::pieces(&selection, coarsest),
                    None => vec![Piece { level, selection }],
                };
                // A scan of nothing is a partition without rows.
                let nothing = Piece { level, selection: Selection { from_s: 0, until_s: 0, ..table.selection.clone() } };
                let cut = |piece: &Piece| by_hours(piece, threads);
                if pieces.is_empty() { vec![nothing] } else { pieces.iter().flat_map(cut).collect() }
            }
            _ => vec![Piece { level: Level::Raw, selection }],
        };
        let mut equivalences = EquivalenceProperties::new(schema.clone());
        if let Some((hour, _)) = schema.column_with_name("hour") {
            let hour = Arc::new(Column::new("hour", hour));
            equivalences.add_ordering([PhysicalSortExpr::new(hour, SortOptions::new(false, false))]);
        }
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(StoreScan {
            table: table.table,
            data: table.data.clone(),
            partitions,
            summed: None,
            columns,
            schema,
            limit,
            counted: None,
            properties: Arc::new(properties),
        })
    }

    /// The same scan, which knows how many rows it has: a plan that only counts them need not read any.
    pub(crate) async fn counted(self, memory: MemoryReservation) -> Result<Self> {
        let counted = self.data.rows(Request::Count(self.partitions.clone()), memory).await?;
        let rows = counted.first().and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>()?.values().first());
        let rows = rows
            .and_then(|rows| u64::try_from(*rows).ok())
            .ok_or_else(|| DataFusionError::Internal("a count without a number".into()))?;
        Ok(StoreScan { counted: Some(rows), ..self })
    }

    /// Whether nothing is wanted of points but how many they are.
    pub(crate) fn only_counts(&self) -> bool {
        matches!(self.table, Table::Dns(_)) && self.schema.fields().is_empty() && self.limit.is_none()
    }

    /// How many rows there are now, where that is known; if they were not counted, they may be more when they are read.
    fn rows_about(&self) -> Precision<usize> {
        if let Some(counted) = self.counted.and_then(|counted| usize::try_from(counted).ok()) {
            return Precision::Exact(counted);
        }
        let chosen = self.partitions.first().and_then(|piece| piece.selection.records.as_ref());
        let rows = match self.table {
            Table::Names => chosen.map_or_else(|| self.data.records(), Vec::len),
            _ => return Precision::Absent,
        };
        Precision::Inexact(self.limit.map_or(rows, |limit| limit.min(rows)))
    }

    /// Between which times its points begin, where both ends are given. A stretch without a second has no ends that a
    /// planner would take for an interval.
    fn tell_times(&self, statistics: &mut Statistics) {
        let time = self.schema.column_with_name("time").and_then(|(at, _)| statistics.column_statistics.get_mut(at));
        if let (Table::Dns(_), Some(time), Some(first), Some(last)) =
            (self.table, time, self.partitions.first(), self.partitions.last())
            && first.selection.from_s < last.selection.until_s
            && last.selection.until_s < u64::MAX
        {
            let instant =
                |time_s: u64| ScalarValue::TimestampMillisecond(Some(ms(time_s.saturating_mul(1000))), Some("UTC".into()));
            time.min_value = Precision::Inexact(instant(first.selection.from_s));
            time.max_value = Precision::Inexact(instant(last.selection.until_s - 1));
        }
    }

    /// The same scan of points, adding up by groups and by stretches of time: `time` is when they begin.
    pub(crate) fn summed_over(self, Stretches { length_s, shift_s }: Stretches, Groups(by): Groups) -> Self {
        let kind = if by.action { SplitKind::ByAction } else { SplitKind::Together };
        let split = Split { server: by.server, record: by.record, kind, length_s: Some(length_s), shift_s };
        StoreScan { summed: Some(split), ..self }
    }

    /// The same scan, adding up by what it gives; `None` where sums do not have that.
    pub(crate) fn summed(&self) -> Option<StoreScan> {
        let gives = |columns: &[&str]| columns.iter().any(|column| self.schema.column_with_name(column).is_some());
        let split = Split {
            server: gives(&["server_id", "server"]),
            record: gives(&["record_id", "host", "type", "folded"]),
            kind: match (gives(&["kind", "rcode"]), gives(&["action"])) {
                (true, _) => SplitKind::Each,
                (false, true) => SplitKind::ByAction,
                (false, false) => SplitKind::Together,
            },
            length_s: None,
            shift_s: 0,
        };
        let points = matches!(self.table, Table::Dns(_)) && self.limit.is_none();
        let fits = self.schema.fields().iter().all(|field| is_of_sums(field.name()));
        // What orders points is no column of sums, so the properties stay true.
        (points && fits).then(|| StoreScan { summed: Some(split), ..self.clone() })
    }
}

/// Cuts a piece into at most so many stretches of whole hours.
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
            crate::explain::selection(f, &first.selection, last.selection.until_s)?;
        }
        if self.partitions.iter().any(|piece| Table::Dns(piece.level) != self.table) && matches!(self.table, Table::Dns(_)) {
            let mut levels: Vec<&str> = self.partitions.iter().map(|piece| Table::Dns(piece.level).name()).collect();
            levels.dedup();
            write!(f, ", from=[{}]", levels.join(", "))?;
        }
        if self.summed.is_some() {
            write!(f, ", summed")?;
        }
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
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
