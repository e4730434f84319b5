//! Coverage reports and servers as columns.

use crate::columns::{Column, Dimension, Source, instants, measure, ms};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, StringBuilder, TimestampMillisecondArray, UInt32Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result};
use std::fmt::Write;
use std::sync::Arc;
use zonepulse_store::{Report, Server};

/// Counters with a column of their own, which has the same name.
const OWN_COLUMNS: [Column; 5] =
    [Column::MessagesSeen, Column::KernelDropped, Column::InterfaceDropped, Column::OverlapMs, Column::BlindMs];

/// The names of a report's counters, which the engine only passes on.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) names: Vec<(u16, &'static str)>,
    pub(crate) not_counted: Vec<u16>,
}

/// Reports being collected.
pub(crate) struct Reports {
    columns: Vec<Column>,
    schema: SchemaRef,
    counters: Arc<Counters>,
    reports: Vec<Report>,
}

impl Reports {
    pub(crate) fn new(columns: &[Column], counters: Arc<Counters>) -> Self {
        Reports { columns: columns.to_vec(), schema: Column::schema(columns), counters, reports: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.reports.len()
    }

    pub(crate) fn push(&mut self, report: &Report) {
        self.reports.push(report.clone());
    }

    /// Takes the reports as columns.
    pub(crate) fn take(&mut self, source: &Source) -> Result<RecordBatch> {
        let columns = self.columns.iter().map(|column| self.column(*column, source)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.reports.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.reports.clear();
        Ok(batch)
    }

    fn column(&self, column: Column, source: &Source) -> Result<ArrayRef> {
        let time = |of: fn(&Report) -> u64| instants(self.reports.iter().map(|report| ms(of(report))).collect());
        let number = |of: &dyn Fn(&Report) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(self.reports.iter().map(|report| measure(of(report)))))
        };
        let evicted = |of: fn(&zonepulse_model::Evicted) -> u64| -> ArrayRef {
            let times =
                self.reports.iter().map(|report| report.evicted.as_ref().map(|evicted| ms(of(evicted).saturating_mul(1000))));
            Arc::new(TimestampMillisecondArray::from_iter(times).with_timezone("UTC"))
        };
        let servers = || -> Vec<u32> { self.reports.iter().map(|report| report.server_id.get()).collect() };
        Ok(match column {
            Column::Time => time(|report| report.start_s.saturating_mul(1000)),
            Column::IntervalS => number(&|report| report.interval_s.into()),
            column if column.dimension() == Some(Dimension::Server) => source.of_servers(column, &servers())?,
            // As text: many JSON readers parse numbers as floating point, which has 53 bits.
            Column::Epoch => {
                Arc::new(StringArray::from_iter_values(self.reports.iter().map(|report| format!("{:016x}", report.epoch))))
            }
            Column::Seq => number(&|report| report.seq),
            Column::CoveredFrom => time(|report| report.covered_from_ms),
            Column::CoveredUntil => time(|report| report.covered_until_ms),
            Column::Hits => number(&|report| report.hits),
            Column::NotCounted => number(&|report| self.counters.not_counted(report)),
            Column::BatchesEvicted => number(&|report| report.evicted.map_or(0, |evicted| evicted.batches)),
            Column::EvictedFrom => evicted(|evicted| evicted.from_s),
            Column::EvictedUntil => evicted(|evicted| evicted.until_s),
            Column::Losses => self.losses(),
            column if OWN_COLUMNS.contains(&column) => number(&|report| self.counters.named(report, column.name())),
            _ => return Err(DataFusionError::Internal(format!("reports have no {column}"))),
        })
    }

    /// The other counters, as `name=value` separated by spaces.
    fn losses(&self) -> ArrayRef {
        let mut texts = StringBuilder::new();
        for report in &self.reports {
            let mut space = "";
            for (number, value) in &report.counters {
                let name = self.counters.name(*number);
                if name.is_some_and(|name| OWN_COLUMNS.iter().any(|own| own.name() == name)) {
                    continue;
                }
                // Writing into memory cannot fail.
                let _ = match name {
                    Some(name) => write!(texts, "{space}{name}={value}"),
                    None => write!(texts, "{space}counter_{number}={value}"),
                };
                space = " ";
            }
            texts.append_value("");
        }
        Arc::new(texts.finish())
    }
}

impl Counters {
    /// The number of the counter for the time in which a probe had reason to believe that it missed messages.
    pub(crate) fn blind(&self) -> Option<u16> {
        self.names.iter().find(|(_, name)| *name == Column::BlindMs.name()).map(|(number, _)| *number)
    }

    fn name(&self, number: u16) -> Option<&'static str> {
        self.names.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    }

    fn named(&self, report: &Report, name: &str) -> u64 {
        sum(report, |number| self.name(number) == Some(name))
    }

    fn not_counted(&self, report: &Report) -> u64 {
        sum(report, |number| self.not_counted.contains(&number))
    }
}

fn sum(report: &Report, wanted: impl Fn(u16) -> bool) -> u64 {
    report.counters.iter().filter(|(number, _)| wanted(*number)).fold(0, |sum, (_, value)| sum.saturating_add(*value))
}

/// The servers as columns.
pub(crate) fn servers(columns: &[Column], servers: &[Server]) -> Result<RecordBatch> {
    let column = |column: &Column| -> Result<ArrayRef> {
        Ok(match column {
            Column::ServerId => Arc::new(UInt32Array::from_iter_values(servers.iter().map(|server| server.id.get()))),
            Column::Server => {
                let mut texts = StringBuilder::new();
                servers.iter().for_each(|server| texts.append_value(&server.name));
                Arc::new(texts.finish())
            }
            Column::Sample => Arc::new(servers.iter().map(|server| Some(server.sample)).collect::<BooleanArray>()),
            _ => return Err(DataFusionError::Internal(format!("servers have no {column}"))),
        })
    };
    let arrays = columns.iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(servers.len()));
    Ok(RecordBatch::try_new_with_options(Column::schema(columns), arrays, &options)?)
}
