//! Reading a table: the leaf of every plan.
//!
//! A [`StoreScan`] holds what to read as plain values. Executing it starts a blocking reader per
//! partition that fills batches of the session's size and hands them over through a channel of two:
//! a slow plan slows the reader down, and a plan that is dropped ends it.

use crate::coverage::Reports;
use crate::groups::Groups;
use crate::levels::{self, Piece};
use crate::rows::{Rows, Source, external, ms};
use crate::summed::is_of_sums;
use crate::table::{Counters, StoreTable, Table};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::Sender;
use zonepulse_dns::MessageKind;
use zonepulse_store::{Kinds, Level, Reading, Selection, Split, SplitKind, Store, Total};

/// Batches that wait between a reader and the plan.
const QUEUE: usize = 2;
/// Rows without columns come in batches that are so many times larger.
const COUNTED_BATCHES: usize = 8;
/// So many records are read by one reader.
const FEW_RECORDS: usize = 4;
const HOUR_S: u64 = 3600;
/// A range of more hours than this is not cut into partitions: somebody left an end open.
const MAX_HOURS: u64 = 24 * 366 * 10;

/// A scan of a table: which rows, which columns, in how many partitions.
#[derive(Clone)]
pub(crate) struct StoreScan {
    table: Table,
    store: Store,
    /// One for each partition; they differ in time and level only, and follow each other.
    partitions: Vec<Piece>,
    /// What points are added up by, where they are.
    summed: Option<Split>,
    counters: Arc<Counters>,
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
        let schema = match projection {
            Some(columns) => Arc::new(whole.project(columns)?),
            None => whole,
        };
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
            store: table.store.clone(),
            partitions,
            summed: None,
            counters: table.counters.clone(),
            schema,
            limit,
            counted: None,
            properties: Arc::new(properties),
        })
    }

    /// The same scan, which knows how many rows it has: a plan that only counts them need not read any.
    pub(crate) fn counted(self) -> Result<Self> {
        let mut counted = 0u64;
        for Piece { level, selection } in &self.partitions {
            let reading = Reading { level: *level, now_s: now_s(), last_access: false };
            counted = counted.saturating_add(self.store.count(&reading, selection).map_err(external)?);
        }
        Ok(StoreScan { counted: Some(counted), ..self })
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
            Table::Names => chosen.map_or_else(|| self.store.dictionary().len(), Vec::len),
            _ => return Precision::Absent,
        };
        Precision::Inexact(self.limit.map_or(rows, |limit| limit.min(rows)))
    }

    /// Between which times its points begin, where both ends are given.
    fn tell_times(&self, statistics: &mut Statistics) {
        let time = self.schema.column_with_name("time").and_then(|(at, _)| statistics.column_statistics.get_mut(at));
        if let (Table::Dns(_), Some(time), Some(first), Some(last)) =
            (self.table, time, self.partitions.first(), self.partitions.last())
            && (last.selection.until_s > 0 && last.selection.until_s < u64::MAX)
        {
            let instant =
                |time_s: u64| ScalarValue::TimestampMillisecond(Some(ms(time_s.saturating_mul(1000))), Some("UTC".into()));
            time.min_value = Precision::Inexact(instant(first.selection.from_s));
            time.max_value = Precision::Inexact(instant(last.selection.until_s - 1));
        }
    }

    /// The same scan of points, adding up by groups and by stretches of so many seconds: `time` is when they begin.
    pub(crate) fn summed_over(self, length_s: u32, Groups(by): Groups) -> Self {
        let kind = if by.action { SplitKind::ByAction } else { SplitKind::Together };
        let split = Split { server: by.server, record: by.record, kind, length_s: Some(length_s) };
        StoreScan { summed: Some(split), ..self }
    }

    /// The same scan, adding up by what it gives; `None` where sums do not have that.
    pub(crate) fn summed(&self) -> Option<StoreScan> {
        let gives = |columns: &[&str]| columns.iter().any(|column| self.schema.column_with_name(column).is_some());
        let split = Split {
            server: gives(&["server_id", "server"]),
            record: gives(&["record_id", "host", "type"]),
            kind: match (gives(&["kind", "rcode"]), gives(&["action"])) {
                (true, _) => SplitKind::Each,
                (false, true) => SplitKind::ByAction,
                (false, false) => SplitKind::Together,
            },
            length_s: None,
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

/// Where a reader puts its batches.
struct Output {
    sender: Sender<Result<RecordBatch>>,
    left: usize,
}

impl Output {
    /// Hands a batch over; breaks when enough is there, or nobody wants more.
    fn give(&mut self, batch: RecordBatch) -> ControlFlow<()> {
        let batch = if batch.num_rows() > self.left { batch.slice(0, self.left) } else { batch };
        self.left -= batch.num_rows();
        let unwanted = batch.num_rows() > 0 && self.sender.blocking_send(Ok(batch)).is_err();
        if unwanted || self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What a partition reads, taken out of the scan for the reader's thread.
struct Reader {
    table: Table,
    store: Store,
    level: Level,
    selection: Selection,
    summed: Option<Split>,
    counters: Arc<Counters>,
    schema: SchemaRef,
    batch_rows: usize,
    memory: MemoryReservation,
    output: Output,
}

impl Reader {
    fn read(mut self) -> Result<()> {
        match (self.table, self.summed) {
            (Table::Dns(_), Some(split)) => self.sums(split),
            (Table::Dns(_), None) if self.schema.fields().is_empty() => self.count(),
            (Table::Dns(_), None) => self.points(),
            (Table::Records, _) => self.totals(),
            (Table::Coverage, _) => self.coverage(),
            (Table::Servers, _) => self.servers(),
            (Table::Names, _) => self.names(),
        }
    }

    fn points(&mut self) -> Result<()> {
        let source = Source::for_columns(&self.store, &self.schema)?;
        let mut rows = Rows::new(self.schema.clone());
        let mut failed = None;
        let reading = self.reading();
        let Reader { store, selection, batch_rows, output, .. } = self;
        store
            .scan(&reading, selection, &mut |points| {
                let mut at = 0;
                while at < points.record_ids.len() {
                    at += rows.push_points(points, at, *batch_rows - rows.len());
                    if rows.len() < *batch_rows {
                        continue;
                    }
                    match rows.take(&source) {
                        Ok(batch) => output.give(batch)?,
                        Err(error) => {
                            failed = Some(error);
                            return ControlFlow::Break(());
                        }
                    }
                }
                if output.sender.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map_err(external)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let _ = output.give(rows.take(&source)?);
        Ok(())
    }

    fn reading(&self) -> Reading {
        Reading { level: self.level, now_s: now_s(), last_access: self.schema.column_with_name("last_access").is_some() }
    }

    /// Nothing is given before everything is added up, so it is looked at meanwhile whether anybody waits.
    fn sums(&mut self, split: Split) -> Result<()> {
        let source = Source::for_columns(&self.store, &self.schema)?;
        let mut rows = Rows::new(self.schema.clone());
        let (mut room, mut flow) = (Ok(()), Ok(ControlFlow::Continue(())));
        let reading = self.reading();
        let Reader { store, selection, batch_rows, output, memory, .. } = self;
        let sender = output.sender.clone();
        let go_on = &mut |more_bytes: usize| {
            if more_bytes > 0 {
                room = memory.try_grow(more_bytes);
            }
            if room.is_err() || sender.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let each = &mut |sum| {
            rows.push_sum(&sum);
            if rows.len() < *batch_rows {
                return ControlFlow::Continue(());
            }
            flow = rows.take(&source).map(|batch| output.give(batch));
            if matches!(flow, Ok(ControlFlow::Continue(()))) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        store.sums_by(&[(reading, selection.clone())], split, go_on, each).map_err(external)?;
        room?;
        if flow?.is_continue() && !output.sender.is_closed() {
            let _ = output.give(rows.take(&source)?);
        }
        Ok(())
    }

    /// Rows without columns are counted, not read.
    fn count(&mut self) -> Result<()> {
        let reading = self.reading();
        let points = self.store.count(&reading, &self.selection).map_err(external)?;
        let mut left = usize::try_from(points).unwrap_or(usize::MAX);
        while left > 0 {
            let rows = left.min(self.batch_rows * COUNTED_BATCHES);
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(self.schema.clone(), Vec::new(), &options)?;
            if self.output.give(batch).is_break() {
                break;
            }
            left -= rows;
        }
        Ok(())
    }

    /// The store holds its totals while it tells them, so they are written down first.
    fn totals(&mut self) -> Result<()> {
        let source = Source::for_columns(&self.store, &self.schema)?;
        let mut totals: Vec<Total> = Vec::new();
        let mut room = Ok(());
        let Reader { store, selection: Selection { servers, kinds, records, .. }, memory, .. } = self;
        store.totals(servers.as_deref(), &mut |total| {
            let wanted =
                has_kind(kinds, total.kind) && records.as_ref().is_none_or(|ids| ids.binary_search(&total.record_id).is_ok());
            if !wanted || room.is_err() {
                return;
            }
            if totals.len() == totals.capacity() {
                let more = totals.len().max(1024);
                room = memory.try_grow(more * size_of::<Total>());
                if room.is_ok() {
                    totals.reserve_exact(more);
                }
            }
            if room.is_ok() {
                totals.push(total);
            }
        });
        room?;
        let mut rows = Rows::new(self.schema.clone());
        for totals in totals.chunks(self.batch_rows) {
            totals.iter().for_each(|total| rows.push_total(total));
            if self.output.give(rows.take(&source)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn coverage(&mut self) -> Result<()> {
        let source = Source::for_columns(&self.store, &self.schema)?;
        let mut reports = Reports::new(self.schema.clone(), self.counters.clone());
        let mut failed = None;
        let Reader { store, selection, batch_rows, output, .. } = self;
        store
            .coverage(selection.servers.as_deref(), selection.from_s, selection.until_s, now_s(), &mut |report| {
                reports.push(report);
                if reports.len() < *batch_rows {
                    return ControlFlow::Continue(());
                }
                match reports.take(&source) {
                    Ok(batch) => output.give(batch),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
            .map_err(external)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let _ = output.give(reports.take(&source)?);
        Ok(())
    }

    fn servers(&mut self) -> Result<()> {
        let servers = self.store.registry().servers().map_err(external)?;
        let batch = crate::coverage::servers(&self.schema, &servers)?;
        let _ = self.output.give(batch);
        Ok(())
    }

    fn names(&mut self) -> Result<()> {
        let source = Source::without_servers(&self.store);
        let mut rows = Rows::new(self.schema.clone());
        let count = u32::try_from(self.store.dictionary().len()).unwrap_or(u32::MAX);
        let mut ids: Box<dyn Iterator<Item = u32>> = match &self.selection.records {
            Some(ids) => Box::new(ids.iter().copied().filter(move |id| *id < count)),
            None => Box::new(0..count),
        };
        loop {
            // Held for a batch at a time: whoever writes needs it too. Numbers of records that have vanished are nobody's.
            let dictionary = self.store.dictionary();
            let wanted = ids.by_ref().take(self.batch_rows).map(|id| (id, dictionary.get(id).is_some()));
            let mut asked = 0;
            for (id, known) in wanted {
                asked += 1;
                if known {
                    rows.push_record(id);
                }
            }
            drop(dictionary);
            if self.output.give(rows.take(&source)?).is_break() || asked < self.batch_rows {
                return Ok(());
            }
        }
    }
}

/// The time by which points have expired or have not.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(crate) fn has_kind(kinds: &Kinds, kind: MessageKind) -> bool {
    match kinds {
        Kinds::All => true,
        Kinds::Responses => kind != MessageKind::REQUEST,
        Kinds::Only(kinds) => kinds.contains(&kind),
    }
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
        let Some(Piece { level, selection }) = self.partitions.get(partition) else {
            return Err(DataFusionError::Internal(format!("no partition {partition}")));
        };
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), QUEUE);
        let reader = Reader {
            table: self.table,
            store: self.store.clone(),
            level: *level,
            selection: selection.clone(),
            summed: self.summed,
            counters: self.counters.clone(),
            schema: self.schema.clone(),
            batch_rows: context.session_config().batch_size().max(1),
            memory: MemoryConsumer::new("what a scan holds").register(context.memory_pool()),
            output: Output { sender: stream.tx(), left: self.limit.unwrap_or(usize::MAX) },
        };
        stream.spawn_blocking(move || reader.read());
        Ok(stream.build())
    }
}
