//! Reading a table of metrics: the leaf of a plan.
//!
//! As a scan of DNS points, it holds what to read as plain values, and starts a blocking reader for each
//! partition: a stretch of hours.

use crate::rows::{Source, external, instants, ms};
use crate::scan::now_s;
use crate::system::table::{name, source};
use arrow::array::{ArrayRef, Float64Array, StringBuilder, UInt32Array, UInt64Array};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;
use zonepulse_store::{Bucket, Level, Store, SystemPoints, SystemSelection};

/// Batches that wait between a reader and the plan.
const QUEUE: usize = 2;
const HOUR_S: u64 = 3600;
const HOUR_MS: i64 = 3_600_000;
/// A range of more hours than this is not cut into partitions: somebody left an end open.
const MAX_HOURS: u64 = 24 * 366 * 10;
/// Numbers beyond this many are only counted.
const SHOWN: usize = 8;

/// A scan: which rows, which columns, in how many partitions.
pub(crate) struct SystemScan {
    level: Level,
    store: Store,
    /// One for each partition; they differ in time only, and follow each other.
    partitions: Vec<SystemSelection>,
    schema: SchemaRef,
    /// The most rows that a partition needs to give.
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl SystemScan {
    pub(crate) fn new(
        level: Level,
        store: Store,
        selection: SystemSelection,
        schema: SchemaRef,
        limit: Option<usize>,
        threads: usize,
    ) -> Self {
        let partitions = by_hours(selection, threads);
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
        SystemScan { level, store, partitions, schema, limit, properties: Arc::new(properties) }
    }
}

/// Cuts a selection into at most so many stretches of whole hours.
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

/// Rows that are being collected.
#[derive(Default)]
struct Rows {
    start_ms: Vec<i64>,
    interval_s: Vec<u32>,
    server: Vec<u32>,
    series: Vec<u32>,
    values: Vec<f64>,
    buckets: Vec<Bucket>,
}

impl Rows {
    /// Adds the points from `from` on, at most `count`, and gives how many it added.
    fn push(&mut self, points: &SystemPoints, from: usize, count: usize) -> usize {
        let until = points.starts_s.len().min(from.saturating_add(count));
        let starts = points.starts_s.get(from..until).unwrap_or_default();
        self.start_ms.extend(starts.iter().map(|start_s| ms(start_s.saturating_mul(1000))));
        let len = self.start_ms.len();
        self.interval_s.resize(len, points.interval_s);
        self.server.resize(len, points.server_id);
        self.series.resize(len, points.series_id);
        self.values.extend(points.values.get(from..until).unwrap_or_default());
        self.buckets.extend(points.buckets.get(from..until).unwrap_or_default());
        starts.len()
    }

    /// The rows as columns; none are left.
    fn take(&mut self, schema: &SchemaRef, store: &Store, servers: &Source) -> Result<RecordBatch> {
        let columns = schema.fields().iter().map(|field| self.column(field.name(), store, servers));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.start_ms.len()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        *self = Rows::default();
        Ok(batch)
    }

    fn column(&self, name: &str, store: &Store, servers: &Source) -> Result<ArrayRef> {
        let of_buckets = |value: fn(&Bucket) -> f64| -> ArrayRef {
            Arc::new(self.buckets.iter().map(|bucket| Some(value(bucket))).collect::<Float64Array>())
        };
        Ok(match name {
            "time" => instants(self.start_ms.clone()),
            "hour" => instants(self.start_ms.iter().map(|start| start - start.rem_euclid(HOUR_MS)).collect()),
            "interval_s" => Arc::new(UInt32Array::from(self.interval_s.clone())),
            "server_id" => Arc::new(UInt32Array::from(self.server.clone())),
            "server" => servers.server_texts(&self.server),
            "metric" => self.texts(store, |(metric, _)| metric),
            "label" => self.texts(store, |(_, label)| label),
            "value" => Arc::new(Float64Array::from(self.values.clone())),
            "min" => of_buckets(|bucket| bucket.min),
            "max" => of_buckets(|bucket| bucket.max),
            "avg" => of_buckets(Bucket::avg),
            "last" => of_buckets(|bucket| bucket.last),
            "count" => Arc::new(self.buckets.iter().map(|bucket| Some(u64::from(bucket.count))).collect::<UInt64Array>()),
            _ => return Err(DataFusionError::Internal(format!("no column {name}"))),
        })
    }

    fn texts(&self, store: &Store, of: for<'t> fn((&'t str, &'t str)) -> &'t str) -> ArrayRef {
        let known = store.series();
        let mut texts = StringBuilder::with_capacity(self.series.len(), self.series.len() * 16);
        // A series that points name is known.
        self.series.iter().for_each(|series| texts.append_value(known.get(*series).map_or("", of)));
        Arc::new(texts.finish())
    }
}

/// What a partition reads, on a thread that may block.
struct Reader {
    level: Level,
    store: Store,
    selection: SystemSelection,
    schema: SchemaRef,
    batch_rows: usize,
    sender: Sender<Result<RecordBatch>>,
    left: usize,
}

impl Reader {
    fn read(mut self) -> Result<()> {
        let servers = source(&self.store, &self.schema)?;
        let (store, selection) = (self.store.clone(), self.selection.clone());
        let mut rows = Rows::default();
        let mut failed = None;
        store
            .system(self.level, now_s(), &selection, &mut |points| {
                let mut at = 0;
                while at < points.starts_s.len() {
                    at += rows.push(points, at, self.batch_rows - rows.start_ms.len());
                    if rows.start_ms.len() < self.batch_rows {
                        continue;
                    }
                    match rows.take(&self.schema, &self.store, &servers) {
                        Ok(batch) => self.give(batch)?,
                        Err(error) => {
                            failed = Some(error);
                            return ControlFlow::Break(());
                        }
                    }
                }
                if self.sender.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map_err(external)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let _ = self.give(rows.take(&self.schema, &self.store, &servers)?);
        Ok(())
    }

    /// Hands a batch over; breaks when enough is there, or nobody wants more.
    fn give(&mut self, batch: RecordBatch) -> ControlFlow<()> {
        let batch = if batch.num_rows() > self.left { batch.slice(0, self.left) } else { batch };
        self.left -= batch.num_rows();
        let unwanted = batch.num_rows() > 0 && self.sender.blocking_send(Ok(batch)).is_err();
        if unwanted || self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl fmt::Debug for SystemScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DisplayAs for SystemScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemScan: {}", name(self.level))?;
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

fn list(numbers: &[u32]) -> String {
    if numbers.len() > SHOWN { format!("({})", numbers.len()) } else { format!("{numbers:?}") }
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
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), QUEUE);
        let reader = Reader {
            level: self.level,
            store: self.store.clone(),
            selection: selection.clone(),
            schema: self.schema.clone(),
            batch_rows: context.session_config().batch_size().max(1),
            sender: stream.tx(),
            left: self.limit.unwrap_or(usize::MAX),
        };
        stream.spawn_blocking(move || reader.read());
        Ok(stream.build())
    }
}
