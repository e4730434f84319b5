//! The tables: their columns, and how they take part in a plan.
//!
//! A [`StoreTable`] is a table and a [`Selection`], plain values both, and where its rows come from. DataFusion tells it which
//! columns and which rows it wants; what can be said as a selection of the store is, and the rest
//! is left to DataFusion.

use crate::data::Data;
use crate::pushdown;
use crate::scan::StoreScan;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::fmt;
use std::sync::Arc;
use zonepulse_store::{Level, Selection};

/// Action and response code as one number of the store: the last column of tables that have it. Statements of SQL say
/// `action` and `rcode`.
const KIND: &str = "kind";

/// The tables that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Hits per server, interval or bucket of a roll-up, record and kind.
    Dns(Level),
    /// Hits of all time per server, record and kind.
    Records,
    /// What the probes observed, and what they lost.
    Coverage,
    /// The managed servers.
    Servers,
    /// The records by number.
    Names,
}

impl Table {
    pub(crate) const ALL: [Table; 9] = [
        Table::Dns(Level::Raw),
        Table::Dns(Level::M5),
        Table::Dns(Level::M15),
        Table::Dns(Level::M30),
        Table::Dns(Level::H1),
        Table::Records,
        Table::Coverage,
        Table::Servers,
        Table::Names,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Dns(Level::Raw) => "dns_raw",
            Table::Dns(Level::M5) => "dns_5m",
            Table::Dns(Level::M15) => "dns_15m",
            Table::Dns(Level::M30) => "dns_30m",
            Table::Dns(Level::H1) => "dns_1h",
            Table::Records => "records",
            Table::Coverage => "coverage",
            Table::Servers => "servers",
            Table::Names => "names",
        }
    }

    /// What the table is called that has its requests only: a sum of its hits counts no question twice, whatever filter is
    /// forgotten.
    pub(crate) fn name_of_requests(self) -> Option<&'static str> {
        match self {
            Table::Dns(Level::Raw) => Some("requests_raw"),
            Table::Dns(Level::M5) => Some("requests_5m"),
            Table::Dns(Level::M15) => Some("requests_15m"),
            Table::Dns(Level::M30) => Some("requests_30m"),
            Table::Dns(Level::H1) => Some("requests_1h"),
            Table::Records => Some("requests_total"),
            Table::Coverage | Table::Servers | Table::Names => None,
        }
    }

    /// The columns. `record_id` and `kind`, which is last, are numbers of the store: what to group and to sort by
    /// where the text is not needed. `hour` is the start of the hour in which `time` lies, by which
    /// the store keeps its points in order.
    pub(crate) fn schema(self) -> SchemaRef {
        let columns: &[&str] = match self {
            Table::Dns(_) => &[
                "time",
                "interval_s",
                "server_id",
                "server",
                "resource_id",
                "host",
                "type",
                "folded",
                "action",
                "rcode",
                "hits",
                "last_access",
                "record_id",
                "hour",
                KIND,
            ],
            Table::Records => &[
                "server_id",
                "server",
                "record_id",
                "resource_id",
                "host",
                "type",
                "folded",
                "action",
                "rcode",
                "hits",
                "first_seen",
                "last_access",
                KIND,
            ],
            Table::Coverage => COVERAGE,
            Table::Servers => &["server_id", "server", "sample"],
            Table::Names => &["record_id", "resource_id", "host", "type", "folded"],
        };
        Arc::new(Schema::new(columns.iter().map(|column| field(column)).collect::<Vec<_>>()))
    }
}

/// What a coverage report says, in the order in which an answer says it.
pub(crate) const COVERAGE: &[&str] = &[
    "time",
    "interval_s",
    "server_id",
    "server",
    "epoch",
    "seq",
    "covered_from",
    "covered_until",
    "hits",
    "messages_seen",
    "not_counted",
    "kernel_dropped",
    "interface_dropped",
    "batches_evicted",
    "evicted_from",
    "evicted_until",
    "overlap_ms",
    "losses",
    "blind_ms",
];

/// Instants: Unix milliseconds, UTC.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// A column by its name, which has the same type and meaning in every table and answer.
pub(crate) fn field(column: &str) -> Field {
    let (data_type, nullable) = match column {
        "time" | "hour" | "first_seen" | "last_access" | "covered_from" | "covered_until" => (instant(), false),
        "evicted_from" | "evicted_until" => (instant(), true),
        "server_id" | "record_id" | "series_id" => (DataType::UInt32, false),
        "kind" => (DataType::UInt16, false),
        "sample" | "folded" | "open" => (DataType::Boolean, false),
        "rps" => (DataType::Float64, true),
        "value" | "min" | "max" | "avg" | "last" => (DataType::Float64, false),
        "server" | "rcode" => (DataType::Utf8, true),
        "host" | "type" | "action" | "epoch" | "losses" | "metric" | "label" => (DataType::Utf8, false),
        // Measures are signed, so that differences of them are.
        _ => (DataType::Int64, false),
    };
    Field::new(column, data_type, nullable)
}

/// A table of a store, restricted to a selection.
pub(crate) struct StoreTable {
    pub(crate) table: Table,
    pub(crate) data: Data,
    pub(crate) selection: Selection,
    /// For sums: the coarsest roll-up that may stand for the points.
    pub(crate) coarsest: Option<Level>,
    schema: SchemaRef,
}

/// What the counters of a report are called: the engine only passes them on.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) names: Vec<(u16, &'static str)>,
    pub(crate) not_counted: Vec<u16>,
}

impl StoreTable {
    pub(crate) fn new(table: Table, data: Data, selection: Selection) -> Self {
        StoreTable { table, data, selection, coarsest: None, schema: table.schema() }
    }

    /// The same rows as statements of SQL see them: without the number that is action and response code.
    pub(crate) fn without_kind(self) -> Self {
        let fields = self.schema.fields().iter().filter(|field| field.name() != KIND);
        StoreTable { schema: Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>())), ..self }
    }

    /// The same points, but sums of them may be read from roll-ups up to this one.
    pub(crate) fn summed_up_to(self, coarsest: Level) -> Self {
        StoreTable { coarsest: Some(coarsest), ..self }
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
        // What is taken is taken exactly: a filter either becomes a selection of the store or stays where it is.
        Ok(filters
            .iter()
            .map(|filter| match pushdown::dimension(self.table, filter) {
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
        let selection = pushdown::apply(self, state, filters).await?;
        // A column that is hidden is behind those that are not.
        let all = || (0..self.schema.fields().len()).collect();
        let projection = projection.cloned().unwrap_or_else(all);
        let scan = StoreScan::new(self, selection, Some(&projection), limit, state.config().target_partitions())?;
        if !scan.only_counts() {
            return Ok(Arc::new(scan));
        }
        let memory = MemoryConsumer::new("a count").register(&state.runtime_env().memory_pool);
        Ok(Arc::new(scan.counted(memory).await?))
    }
}
