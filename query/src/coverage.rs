//! Columns of the coverage reports and of the servers.

use crate::rows::{Source, instants, measure, ms};
use crate::table::Counters;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, StringBuilder, TimestampMillisecondArray, UInt32Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result};
use std::fmt::Write;
use std::sync::Arc;
use zonepulse_store::{Report, Server};

/// Counters that have a column of their own, by their names.
const OWN_COLUMNS: &[&str] = &["messages_seen", "kernel_dropped", "interface_dropped", "overlap_ms", "blind_ms"];

/// Reports on their way into columns.
pub(crate) struct Reports {
    schema: SchemaRef,
    counters: Arc<Counters>,
    reports: Vec<Report>,
}

impl Reports {
    pub(crate) fn new(schema: SchemaRef, counters: Arc<Counters>) -> Self {
        Reports { schema, counters, reports: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.reports.len()
    }

    pub(crate) fn push(&mut self, report: &Report) {
        self.reports.push(report.clone());
    }

    /// The reports as columns; none are left.
    pub(crate) fn take(&mut self, source: &Source) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().map(|field| self.column(field.name(), source)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.reports.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.reports.clear();
        Ok(batch)
    }

    fn column(&self, name: &str, source: &Source) -> Result<ArrayRef> {
        let time = |of: fn(&Report) -> u64| instants(self.reports.iter().map(|report| ms(of(report))).collect());
        let number = |of: &dyn Fn(&Report) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(self.reports.iter().map(|report| measure(of(report)))))
        };
        let evicted = |of: fn(&zonepulse_store::Evicted) -> u64| -> ArrayRef {
            let times =
                self.reports.iter().map(|report| report.evicted.as_ref().map(|evicted| ms(of(evicted).saturating_mul(1000))));
            Arc::new(TimestampMillisecondArray::from_iter(times).with_timezone("UTC"))
        };
        let servers = || -> Vec<u32> { self.reports.iter().map(|report| report.server_id).collect() };
        Ok(match name {
            "time" => time(|report| report.start_s.saturating_mul(1000)),
            "interval_s" => number(&|report| report.interval_s.into()),
            "server_id" => Arc::new(UInt32Array::from(servers())),
            "server" => source.server_texts(&servers()),
            // As text: JSON's readers take numbers for floating point, which has 53 bits.
            "epoch" => {
                Arc::new(StringArray::from_iter_values(self.reports.iter().map(|report| format!("{:016x}", report.epoch))))
            }
            "seq" => number(&|report| report.seq),
            "covered_from" => time(|report| report.covered_from_ms),
            "covered_until" => time(|report| report.covered_until_ms),
            "hits" => number(&|report| report.hits),
            "not_counted" => number(&|report| self.counters.not_counted(report)),
            "batches_evicted" => number(&|report| report.evicted.map_or(0, |evicted| evicted.batches)),
            "evicted_from" => evicted(|evicted| evicted.from_s),
            "evicted_until" => evicted(|evicted| evicted.until_s),
            "losses" => self.losses(),
            name if OWN_COLUMNS.contains(&name) => number(&|report| self.counters.named(report, name)),
            _ => return Err(DataFusionError::Internal(format!("no column {name:?} of coverage"))),
        })
    }

    /// The counters without a column, as `name=value` with spaces between.
    fn losses(&self) -> ArrayRef {
        let mut texts = StringBuilder::new();
        for report in &self.reports {
            let mut space = "";
            for (number, value) in &report.counters {
                let name = self.counters.name(*number);
                if name.is_some_and(|name| OWN_COLUMNS.contains(&name)) {
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
    /// The number of the counter of the time in which a probe had reason to believe that it did not see all messages.
    pub(crate) fn blind(&self) -> Option<u16> {
        self.names.iter().find(|(_, name)| *name == "blind_ms").map(|(number, _)| *number)
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
pub(crate) fn servers(schema: &SchemaRef, servers: &[Server]) -> Result<RecordBatch> {
    let column = |name: &str| -> Result<ArrayRef> {
        Ok(match name {
            "server_id" => Arc::new(UInt32Array::from_iter_values(servers.iter().map(|server| server.id))),
            "server" => {
                let mut texts = StringBuilder::new();
                servers.iter().for_each(|server| texts.append_value(&server.name));
                Arc::new(texts.finish())
            }
            "sample" => Arc::new(servers.iter().map(|server| Some(server.sample)).collect::<BooleanArray>()),
            _ => return Err(DataFusionError::Internal(format!("no column {name:?} of servers"))),
        })
    };
    let columns = schema.fields().iter().map(|field| column(field.name())).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(servers.len()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
