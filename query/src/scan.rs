//! Reading a table: the leaf of every plan.
//!
//! A [`StoreScan`] holds what to read as plain values. Executing it starts a blocking reader per
//! partition that fills batches of the session's size and hands them over through a channel of two:
//! a slow plan slows the reader down, and a plan that is dropped ends it.

use crate::coverage::Reports;
use crate::rows::{Rows, Source, external};
use crate::table::{Counters, StoreTable, Table};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::Sender;
use zonepulse_dns::MessageKind;
use zonepulse_store::{Kinds, Level, Reading, Selection, Store, Total};

/// Batches that wait between a reader and the plan.
const QUEUE: usize = 2;
const HOUR_S: u64 = 3600;
/// A range of more hours than this is not cut into partitions: somebody left an end open.
const MAX_HOURS: u64 = 24 * 366 * 10;

/// A scan of a table: which rows, which columns, in how many partitions.
#[derive(Clone)]
pub(crate) struct StoreScan {
    table: Table,
    store: Store,
    /// One for each partition; they differ in time only, and follow each other.
    partitions: Vec<Selection>,
    counters: Arc<Counters>,
    schema: SchemaRef,
    /// The most rows that a partition needs to give.
    limit: Option<usize>,
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
        let partitions = match table.table {
            Table::DnsRaw => by_hours(&selection, threads),
            _ => vec![selection],
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
            counters: table.counters.clone(),
            schema,
            limit,
            properties: Arc::new(properties),
        })
    }
}

/// Cuts a selection into at most so many stretches of whole hours.
fn by_hours(selection: &Selection, at_most: usize) -> Vec<Selection> {
    let first = selection.from_s / HOUR_S;
    let hours = selection.until_s.div_ceil(HOUR_S).saturating_sub(first);
    let pieces = (at_most as u64).min(hours).max(1);
    if pieces == 1 || hours > MAX_HOURS {
        return vec![selection.clone()];
    }
    (0..pieces)
        .map(|piece| {
            let from_s = (first + hours * piece / pieces) * HOUR_S;
            let until_s = (first + hours * (piece + 1) / pieces) * HOUR_S;
            Selection { from_s: from_s.max(selection.from_s), until_s: until_s.min(selection.until_s), ..selection.clone() }
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
    selection: Selection,
    counters: Arc<Counters>,
    schema: SchemaRef,
    batch_rows: usize,
    memory: MemoryReservation,
    output: Output,
}

impl Reader {
    fn read(mut self) -> Result<()> {
        match self.table {
            Table::DnsRaw => self.points(),
            Table::Records => self.totals(),
            Table::Coverage => self.coverage(),
            Table::Servers => self.servers(),
            Table::Names => self.names(),
        }
    }

    fn points(&mut self) -> Result<()> {
        let source = Source::for_columns(&self.store, &self.schema)?;
        let mut rows = Rows::new(self.schema.clone());
        let mut failed = None;
        let last_access = self.schema.column_with_name("last_access").is_some();
        let reading = Reading { level: Level::Raw, now_s: now_s(), last_access };
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
        let ids: Box<dyn Iterator<Item = u32>> = match &self.selection.records {
            Some(ids) => Box::new(ids.iter().copied().filter(move |id| *id < count)),
            None => Box::new(0..count),
        };
        for id in ids {
            // Numbers of records that have vanished are nobody's.
            if self.store.dictionary().get(id).is_none() {
                continue;
            }
            rows.push_record(id);
            if rows.len() == self.batch_rows && self.output.give(rows.take(&source)?).is_break() {
                return Ok(());
            }
        }
        let _ = self.output.give(rows.take(&source)?);
        Ok(())
    }
}

/// The time by which points have expired or have not.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn has_kind(kinds: &Kinds, kind: MessageKind) -> bool {
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
            crate::explain::selection(f, first, last.until_s)?;
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(selection) = self.partitions.get(partition) else {
            return Err(DataFusionError::Internal(format!("no partition {partition}")));
        };
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), QUEUE);
        let reader = Reader {
            table: self.table,
            store: self.store.clone(),
            selection: selection.clone(),
            counters: self.counters.clone(),
            schema: self.schema.clone(),
            batch_rows: context.session_config().batch_size().max(1),
            memory: MemoryConsumer::new("totals").register(context.memory_pool()),
            output: Output { sender: stream.tx(), left: self.limit.unwrap_or(usize::MAX) },
        };
        stream.spawn_blocking(move || reader.read());
        Ok(stream.build())
    }
}
