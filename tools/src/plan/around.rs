//! What a fleet takes besides its points: questions, SQL, floods, and the probes themselves.

use super::{Constants, DAY_S, Figures, KINDS, Load, Wanted};
use crate::config::Settings;
use crate::popularity::Popularity;
use serde::Serialize;

/// Answers that are being read may hold no less, bytes.
const LEAST_ANSWERS_BYTES: u64 = 128 << 20;
/// What a probe may take by default (`memory.max_bytes`), bytes.
const PROBE_MEMORY_BYTES: f64 = 67_108_864.0;
/// Records of an interval for which that has room, about, as the probe's example configuration says.
pub(super) const PROBE_RECORDS: f64 = 40_000.0;
/// What waits in a probe by default (`spool.max_bytes`), bytes.
const PROBE_SPOOL_BYTES: f64 = 1_073_741_824.0;

/// Bounds that a central's configuration sets.
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

impl From<&Settings> for Bounds {
    fn from(settings: &Settings) -> Self {
        Bounds {
            query_memory_bytes: settings.query.memory_bytes as u64,
            sql_memory_bytes: settings.sql.memory_bytes as u64,
            sql_max_concurrent: settings.sql.max_concurrent as u64,
            max_records: settings.store.max_records as u64,
            max_series: settings.store.max_series as u64,
            min_free_bytes: settings.store.min_free_bytes,
        }
    }
}

/// What the memory of a central is for, besides points and records.
pub(super) struct Memory {
    /// All that is asked at once, at its bounds.
    pub(super) asked: f64,
    /// Workers that wait.
    pub(super) idle: f64,
    /// Names that a flood brings until there is no place for more.
    pub(super) flood: f64,
}

pub(super) fn memory(figures: &mut Figures, load: &Load, bounds: &Bounds, c: &Constants) -> Memory {
    let (of_query, of_sql) = (bounds.query_memory_bytes, bounds.sql_memory_bytes as f64);
    let turns = bounds.sql_max_concurrent as f64;
    let query = figures.put("query_memory", "bytes", "query.memory_bytes; for all questions together", of_query as f64);
    let answers = figures.put(
        "answers_memory",
        "bytes",
        "query.memory_bytes, but not less than 128 MiB; for answers that clients have not read to their end",
        of_query.max(LEAST_ANSWERS_BYTES) as f64,
    );
    let idle = figures.put(
        "sql_idle_memory",
        "bytes",
        "sql.max_concurrent × sql_worker_bytes; workers that wait, as many as there once were statements at a time",
        turns * c.sql_worker_bytes,
    );
    let sql = figures.put(
        "sql_memory",
        "bytes",
        "sql.max_concurrent × sql.memory_bytes + sql.memory_bytes + sql_idle_memory; statements in their workers, and what is read for all of them",
        turns * of_sql + of_sql + idle,
    );
    let flood = figures.put(
        "flood_memory",
        "bytes",
        "(store.max_records - records_known) × memory_bytes_per_record; a flood of random names that fills all places",
        free(load, bounds) * c.memory_bytes_per_record,
    );
    Memory { asked: query + answers + sql, idle, flood }
}

/// Places for names that the fleet leaves free.
fn free(load: &Load, bounds: &Bounds) -> f64 {
    (bounds.max_records as f64 - load.records).max(0.0)
}

/// What a flood adds to the disk: its names.
pub(super) fn flood(figures: &mut Figures, load: &Load, wanted: &Wanted, bounds: &Bounds, c: &Constants) -> f64 {
    let interval_s = f64::from(wanted.interval_s);
    let batch = c.batch_overhead_bytes + KINDS * PROBE_RECORDS * c.batch_bytes_per_point;
    figures.put(
        "flood_network",
        "bytes/s",
        "(batch_overhead_bytes + 2 × 40000 × batch_bytes_per_point) / interval_s; at most, for each server that is flooded: its probe has room for some 40000 records, others are summed as <other>",
        batch / interval_s,
    );
    figures.put(
        "flood_disk_per_hour",
        "bytes",
        "3600 / interval_s × 2 × 40000 × open_bytes_per_point; at most, for each server that is flooded, until its points expire",
        3600.0 / interval_s * KINDS * PROBE_RECORDS * c.open_bytes_per_point,
    );
    figures.put(
        "flood_disk",
        "bytes",
        "(store.max_records - records_known) × record_bytes; the names of such a flood",
        free(load, bounds) * c.record_bytes,
    )
}

/// One of the probes, with its default settings.
pub(super) fn probe(figures: &mut Figures, wanted: &Wanted, requests_per_s: Option<f64>, c: &Constants, transport: [f64; 2]) {
    let servers = f64::from(wanted.servers);
    let [network, payload] = transport;
    let (formula, requests) = match requests_per_s {
        Some(requests) => ("of each server, as given or found", requests),
        None => (
            "of each server, the fewest with which so many records are active: the n-th most popular is asked for 1/n as often as the first",
            Popularity::new(wanted.records, wanted.active).requests() / f64::from(wanted.interval_s),
        ),
    };
    let requests = figures.put("requests", "requests/s", formula, requests);
    figures.put(
        "probe_cores",
        "cores",
        "2 × requests × probe_cpu_s_per_million_messages / 1000000 + probe_idle_cores; of each server",
        KINDS * requests * c.probe_cpu_s_per_million_messages / 1e6 + c.probe_idle_cores,
    );
    let formula = "memory.max_bytes of each probe, the ring between kernel and probe included: it never takes more";
    figures.put("probe_memory", "bytes", formula, PROBE_MEMORY_BYTES);
    figures.put("probe_network", "bytes/s", "network / servers", network / servers);
    let hour = "3600 × payload / servers; what waits on the disk of each server while the central is away";
    let spooled = figures.put("probe_spool_per_hour", "bytes", hour, 3600.0 * payload / servers);
    figures.put(
        "probe_spool_lasts",
        "hours",
        "1 GiB (spool.max_bytes) / probe_spool_per_hour; then the oldest batches go",
        PROBE_SPOOL_BYTES / spooled,
    );
}

/// What of the plan does not fit the bounds, and what to do.
pub(super) fn too_much(wanted: &Wanted, bounds: &Bounds, notes: &mut Vec<String>) {
    let records = u64::from(wanted.servers) * u64::from(wanted.records);
    if records > bounds.max_records {
        notes.push(format!(
            "WARNING: {records} records are more than store.max_records, {}: those that come last are counted as <other>. Set it to more.",
            bounds.max_records
        ));
    }
    let series = u64::from(wanted.servers) * u64::from(wanted.metrics);
    if series > bounds.max_series {
        notes.push(format!(
            "WARNING: {series} series of metrics are more than store.max_series, {}: others are not taken. Set it to more.",
            bounds.max_series
        ));
    }
    if f64::from(wanted.active) > PROBE_RECORDS {
        notes.push(format!(
            "WARNING: a probe of 64 MiB has room for some {PROBE_RECORDS} records in an interval, and {} are active: set memory.max_bytes of the probes to more.",
            wanted.active
        ));
    }
}

/// Why some figures are so small.
pub(super) fn explained(load: &Load, cores: f64, c: &Constants) -> String {
    let per_s = load.points / DAY_S;
    format!(
        "{cores:.5} cores is no mistake: probes count, so what comes is a point for each active record and interval however often it is asked for, {per_s:.0} a second, \
         and a core takes in, seals and rolls up {:.1} million of them in a second. A point takes {} bytes on the disk since points lie record by record and only what \
         differs from the one before is written. Both were measured with made-up traffic; last accesses in milliseconds take about twice as much.",
        1.0 / c.cpu_s_per_million_points,
        c.raw_bytes_per_point,
    )
}
