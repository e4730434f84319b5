//! The measured costs that plans are calculated from.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Measured costs. `docs/BENCHMARKS.md` describes how each was measured and lists the default values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Constants {
    /// Disk space of a raw point.
    pub raw_bytes_per_point: f64,
    /// Disk space of a 5-minute point.
    pub rollup_5m_bytes: f64,
    /// Disk space of a 15-minute point.
    pub rollup_15m_bytes: f64,
    /// Disk space of a 30-minute point.
    pub rollup_30m_bytes: f64,
    /// Disk space of a 1-hour point.
    pub rollup_1h_bytes: f64,
    /// Disk space of a raw point in an hour that is not sealed yet.
    pub open_bytes_per_point: f64,
    /// Disk space of a batch's report.
    pub report_bytes: f64,
    /// Disk space of a record's name and totals.
    pub record_bytes: f64,
    /// Disk space of a metric value.
    pub system_raw_bytes_per_point: f64,
    /// Disk space of a day's metric roll-ups, divided by the number of values of that day.
    pub system_rollup_bytes_per_point: f64,
    /// Processor time to ingest, seal and roll up a million points, in seconds.
    pub cpu_s_per_million_points: f64,
    /// Processor time for a million metric values, in seconds.
    pub system_cpu_s_per_million_points: f64,
    /// Memory of a central under load that is also being queried, with buffers and caches full.
    pub memory_base_bytes: f64,
    /// Memory for a record's name and totals.
    pub memory_bytes_per_record: f64,
    /// Size of a point on the wire, with its share of names.
    pub batch_bytes_per_point: f64,
    /// Size of a batch on the wire, without its points.
    pub batch_overhead_bytes: f64,
    /// Size of a metric value on the wire, with its share of the batch.
    pub system_batch_bytes_per_point: f64,
    /// HTTP overhead of a batch, including the response.
    pub http_bytes: f64,
    /// AMQP overhead of a batch on the way to the broker.
    pub amqp_bytes: f64,
    /// Memory of an idle SQL worker, excluding what it shares with the central.
    pub sql_worker_bytes: f64,
    /// Processor time of a probe to capture and count a million messages, in seconds.
    pub probe_cpu_s_per_million_messages: f64,
    /// Processor cores used by an idle probe.
    pub probe_idle_cores: f64,
}

impl Default for Constants {
    fn default() -> Self {
        Constants {
            raw_bytes_per_point: 1.337,
            rollup_5m_bytes: 1.706,
            rollup_15m_bytes: 2.047,
            rollup_30m_bytes: 2.421,
            rollup_1h_bytes: 3.042,
            open_bytes_per_point: 2.342,
            report_bytes: 22.0,
            record_bytes: 41.2,
            system_raw_bytes_per_point: 0.526,
            system_rollup_bytes_per_point: 0.164,
            cpu_s_per_million_points: 0.323,
            system_cpu_s_per_million_points: 0.539,
            memory_base_bytes: 283.6e6,
            memory_bytes_per_record: 68.1,
            batch_bytes_per_point: 5.37,
            batch_overhead_bytes: 62.0,
            system_batch_bytes_per_point: 1.67,
            http_bytes: 358.0,
            amqp_bytes: 182.0,
            sql_worker_bytes: 5.8e6,
            probe_cpu_s_per_million_messages: 0.164,
            probe_idle_cores: 0.001,
        }
    }
}

/// The part of a `make bench` report that a plan needs.
#[derive(Debug, Deserialize)]
struct Report {
    /// Missing constants take their defaults.
    constants: Constants,
}

impl Constants {
    /// Reads a `make bench` report. Also returns where the constants come from.
    pub fn read(report: &Path) -> Result<(Self, String), Error> {
        let text = std::fs::read_to_string(report).map_err(|source| Error::File { path: report.to_owned(), source })?;
        let wrong = |error| Error::Report(format!("{} is no report of `make bench`: {error}", report.display()));
        let Report { constants } = serde_json::from_str(&text).map_err(wrong)?;
        let unusable = constants.all().into_iter().find(|(_, value)| !value.is_finite() || *value < 0.0);
        match unusable {
            Some((name, value)) => Err(Error::Report(format!("{}: {name} cannot be {value}", report.display()))),
            None => Ok((constants, report.display().to_string())),
        }
    }

    /// The default constants, and where they come from.
    pub fn documented() -> (Self, String) {
        (Constants::default(), "docs/BENCHMARKS.md".to_owned())
    }

    /// All constants by name.
    pub fn all(&self) -> [(&'static str, f64); 22] {
        [
            ("raw_bytes_per_point", self.raw_bytes_per_point),
            ("rollup_5m_bytes", self.rollup_5m_bytes),
            ("rollup_15m_bytes", self.rollup_15m_bytes),
            ("rollup_30m_bytes", self.rollup_30m_bytes),
            ("rollup_1h_bytes", self.rollup_1h_bytes),
            ("open_bytes_per_point", self.open_bytes_per_point),
            ("report_bytes", self.report_bytes),
            ("record_bytes", self.record_bytes),
            ("system_raw_bytes_per_point", self.system_raw_bytes_per_point),
            ("system_rollup_bytes_per_point", self.system_rollup_bytes_per_point),
            ("cpu_s_per_million_points", self.cpu_s_per_million_points),
            ("system_cpu_s_per_million_points", self.system_cpu_s_per_million_points),
            ("memory_base_bytes", self.memory_base_bytes),
            ("memory_bytes_per_record", self.memory_bytes_per_record),
            ("batch_bytes_per_point", self.batch_bytes_per_point),
            ("batch_overhead_bytes", self.batch_overhead_bytes),
            ("system_batch_bytes_per_point", self.system_batch_bytes_per_point),
            ("http_bytes", self.http_bytes),
            ("amqp_bytes", self.amqp_bytes),
            ("sql_worker_bytes", self.sql_worker_bytes),
            ("probe_cpu_s_per_million_messages", self.probe_cpu_s_per_million_messages),
            ("probe_idle_cores", self.probe_idle_cores),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Constants, String), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        std::fs::write(&path, text).unwrap();
        Constants::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_report_may_name_some_of_the_constants() {
        let (constants, from) = read(r#"{"machine": "x", "constants": {"record_bytes": 7, "other": 1}}"#).unwrap();
        assert_eq!(constants, Constants { record_bytes: 7.0, ..Constants::default() });
        assert!(from.ends_with("report.json"), "{from}");
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_name() {
        for text in ["", "{}", "[]", r#"{"constants": {"record_bytes": "7"}}"#] {
            assert!(read(text).unwrap_err().contains("report.json is no report"), "{text}");
        }
        assert!(read(r#"{"constants": {"record_bytes": -1}}"#).unwrap_err().contains("record_bytes cannot be -1"));
    }

    #[test]
    fn every_constant_is_told_by_its_name() {
        let json = serde_json::to_value(Constants::default()).unwrap();
        let told: serde_json::Map<_, _> =
            Constants::default().all().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        assert_eq!(json, serde_json::Value::Object(told));
    }
}
