//! The input of a plan: a fleet, and the assumptions about it.

use super::running::Observed;
use crate::popularity::Popularity;
use serde::Serialize;

/// Kinds of points per record: its requests, and its responses with one code.
pub const KINDS: f64 = 2.0;

/// A fleet, and the retention of its points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wanted {
    /// Number of servers.
    pub servers: u32,
    /// Records per server.
    pub records: u32,
    /// Number of them requested in an interval.
    pub active: u32,
    /// Length of an interval, in seconds.
    pub interval_s: u32,
    /// Series of metrics per server.
    pub metrics: u32,
    /// Retention of raw points, in minutes.
    pub raw_retention_minutes: u32,
    /// Retention of roll-ups and reports, in days.
    pub aggregated_retention_days: u32,
}

/// Values that the caller did not specify, and where each assumption comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assumed {
    /// Where the number of active records comes from.
    pub active_from: String,
    /// Whether that number is a guess, so that all records may be active instead.
    pub active_estimated: bool,
    /// Requests per second per server, if known.
    pub requests_per_s: Option<f64>,
    /// The extent of the observation, if the figures come from a running fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
    /// Limits of the central.
    pub bounds: Bounds,
    /// Where the limits come from.
    pub bounds_from: String,
}

/// Limits of a central, by their names in its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// `[query] memory_bytes`.
    pub query_memory_bytes: u64,
    /// `[sql] memory_bytes`.
    pub sql_memory_bytes: u64,
    /// `[sql] max_concurrent`.
    pub sql_max_concurrent: u64,
    /// `[store] max_records`.
    pub max_records: u64,
    /// `[store] max_series`.
    pub max_series: u64,
    /// `[store] min_free_bytes`.
    pub min_free_bytes: u64,
}

/// The share of records active in a minute in the workload of docs/BENCHMARKS.md: 1,939 points of requests and
/// responses for 2,500 records.
const ACTIVE_SHARE: f64 = 1_939.0 / KINDS / 2_500.0;

impl Assumed {
    /// Estimates how many records are active in an interval, from requests if known, otherwise from the benchmark's workload.
    /// Also returns where the number comes from.
    pub fn active(records: u32, interval_s: u32, requests_per_s: Option<f64>) -> (u32, String) {
        let (active, from) = match requests_per_s {
            Some(requests) => (
                Popularity::of_requests(records, requests * f64::from(interval_s)).active_in(1.0),
                format!(
                    "estimated from {requests} requests/s, the n-th most popular record being asked for 1/n as often as the first"
                ),
            ),
            None => {
                let of_minute = (f64::from(records) * ACTIVE_SHARE).max(1.0) as u32;
                let active = Popularity::new(records, of_minute).active_in(f64::from(interval_s) / 60.0);
                (active, "estimated: 39 % of the records in a minute, as in the workload of docs/BENCHMARKS.md; yours may differ much, so say --active, --requests or --from-running".to_owned())
            }
        };
        ((active.round() as u32).clamp(1, records), from)
    }
}
