//! Notes on a plan: what does not fit, what is assumed, and why some figures are small.

use super::constants::Constants;
use super::input::{Assumed, Bounds, Wanted};
use super::load::{DAY_S, Load};
use super::probe::PROBE_RECORDS;

/// Below this number of cores, the plan explains why it is so low.
const FEW_CORES: f64 = 0.5;

/// All notes on a plan, warnings first.
pub fn notes(wanted: &Wanted, assumed: &Assumed, load: &Load, cores: f64, c: &Constants) -> Vec<String> {
    let mut notes = Vec::new();
    too_much(wanted, &assumed.bounds, &mut notes);
    notes.extend(assumed.observed.and_then(|observed| observed.too_short()).map(|short| format!("WARNING: {short}")));
    notes.push(format!("active records: {}", assumed.active_from));
    notes.extend(assumed.observed.map(|observed| observed.told()));
    notes.push(format!("bounds of questions, SQL and the store: {}; probes: their defaults", assumed.bounds_from));
    if cores < FEW_CORES {
        notes.push(explained(load, cores, c));
    }
    notes
}

/// Warns of every bound that the fleet exceeds, and says what to do.
fn too_much(wanted: &Wanted, bounds: &Bounds, notes: &mut Vec<String>) {
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

/// Explains why so little processor time and disk is needed.
fn explained(load: &Load, cores: f64, c: &Constants) -> String {
    let per_s = load.points / DAY_S;
    format!(
        "{cores:.5} cores is no mistake: probes count, so what comes is a point for each active record and interval however often it is asked for, {per_s:.0} a second, \
         and a core takes in, seals and rolls up {:.1} million of them in a second. A point takes {} bytes on the disk since points lie record by record and only what \
         differs from the one before is written. Both were measured with made-up traffic; last accesses in milliseconds take about twice as much.",
        1.0 / c.cpu_s_per_million_points,
        c.raw_bytes_per_point,
    )
}
