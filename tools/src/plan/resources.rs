//! Disk, memory and processor of a central: for its load, for queries, and in a flood of random names.

use super::constants::Constants;
use super::figures::Figures;
use super::input::{Bounds, KINDS, Wanted};
use super::load::{DAY_S, Load};
use super::probe::PROBE_RECORDS;

/// Minimum memory for answers being read, in bytes.
const LEAST_ANSWERS_BYTES: u64 = 128 << 20;

/// What the load alone requires in the steady state.
pub struct Steady {
    /// Bytes on disk.
    pub disk: f64,
    /// Bytes of memory.
    pub memory: f64,
    /// Processor cores.
    pub cores: f64,
}

impl Steady {
    /// What a load requires.
    pub fn new(figures: &mut Figures, load: &Load, wanted: &Wanted, c: &Constants) -> Self {
        let disk = disk(figures, load, wanted, c);
        let memory = figures.put(
            "memory",
            "bytes",
            "memory_base_bytes + records_known × memory_bytes_per_record",
            c.memory_base_bytes + load.records * c.memory_bytes_per_record,
        );
        let cores = figures.put(
            "cores",
            "cores",
            "(points_per_day × cpu_s_per_million_points + values_per_day × system_cpu_s_per_million_points) / 86400 / 1000000; to take in, seal and roll up, without questions",
            (load.points * c.cpu_s_per_million_points + load.values * c.system_cpu_s_per_million_points) / DAY_S / 1e6,
        );
        Steady { disk, memory, cores }
    }
}

fn disk(figures: &mut Figures, load: &Load, wanted: &Wanted, c: &Constants) -> f64 {
    let raw_day = figures.put(
        "disk_raw_per_day",
        "bytes",
        "points_per_day × raw_bytes_per_point + values_per_day × system_raw_bytes_per_point",
        load.points * c.raw_bytes_per_point + load.values * c.system_raw_bytes_per_point,
    );
    let each = [c.rollup_5m_bytes, c.rollup_15m_bytes, c.rollup_30m_bytes, c.rollup_1h_bytes];
    let rolled_day = figures.put(
        "disk_rollups_per_day",
        "bytes",
        "points_5m × rollup_5m_bytes + points_15m × rollup_15m_bytes + points_30m × rollup_30m_bytes + points_1h × rollup_1h_bytes + values_per_day × system_rollup_bytes_per_point",
        load.rolled.iter().zip(each).map(|(points, bytes)| points * bytes).sum::<f64>()
            + load.values * c.system_rollup_bytes_per_point,
    );
    let reports_day = figures.put(
        "disk_reports_per_day",
        "bytes",
        "(batches_per_day + value_batches_per_day) × report_bytes",
        (load.batches + load.value_batches) * c.report_bytes,
    );
    let records = figures.put("disk_records", "bytes", "records_known × record_bytes", load.records * c.record_bytes);
    let open = figures.put(
        "disk_open",
        "bytes",
        "2 / 24 × (points_per_day × open_bytes_per_point + values_per_day × system_batch_bytes_per_point); the hour that runs, and the one before it until its space is given back",
        2.0 / 24.0 * (load.points * c.open_bytes_per_point + load.values * c.system_batch_bytes_per_point),
    );
    let (raw_days, days) = (f64::from(wanted.raw_retention_minutes) / 1440.0, f64::from(wanted.aggregated_retention_days));
    figures.put(
        "disk_steady",
        "bytes",
        "(raw_retention_minutes / 1440 + 1/24) × disk_raw_per_day + (aggregated_retention_days + 1/24) × (disk_rollups_per_day + disk_reports_per_day) + disk_records + disk_open; what expires leaves by whole hours",
        (raw_days + 1.0 / 24.0) * raw_day + (days + 1.0 / 24.0) * (rolled_day + reports_day) + records + open,
    )
}

/// Memory of a central for anything other than points and records, in bytes.
pub struct Extra {
    /// For concurrent queries, at their limits.
    pub asked: f64,
    /// For idle SQL workers.
    pub idle: f64,
    /// For names that a flood adds until the store accepts no more.
    pub flood: f64,
}

/// What queries, SQL and a flood may allocate.
pub fn extra_memory(figures: &mut Figures, load: &Load, bounds: &Bounds, c: &Constants) -> Extra {
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
    Extra { asked: query + answers + sql, idle, flood }
}

/// Number of names that a flood can add.
fn free(load: &Load, bounds: &Bounds) -> f64 {
    (bounds.max_records as f64 - load.records).max(0.0)
}

/// What a flood adds to network and disk. Returns the size of its names on disk, in bytes.
pub fn flood(figures: &mut Figures, load: &Load, wanted: &Wanted, bounds: &Bounds, c: &Constants) -> f64 {
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
