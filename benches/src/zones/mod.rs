//! Zones: what it costs to import a million resources, to ask for verdicts, and to take batches
//! whose names are resources.
//!
//! The central is the real `zonepulse serve` with default settings. Its CPU time and memory are read
//! from `/proc`.

mod contents;
mod grid;
mod import;
mod ingest;
mod questions;
mod reporter;
mod subject;

/// Resources, unless `ZONEPULSE_BENCH_RESOURCES` says otherwise.
const RESOURCES: u64 = 1_000_000;
/// With fewer, the records of the batches would not fit into the zones.
const LEAST_RESOURCES: u64 = 100_000;

/// Runs a part with this many resources.
type Part = fn(u64);

/// Runs everything, or only the named part.
pub fn run(part: Option<&str>) {
    let resources = resources();
    let parts: [(&str, Part); 3] = [("import", import::run), ("grid", grid::run), ("ingest", ingest::run)];
    assert!(part.is_none_or(|part| parts.iter().any(|(name, _)| *name == part)), "no part {part:?}");
    for (name, run) in parts {
        if part.is_none_or(|part| part == name) {
            run(resources);
        }
    }
}

fn resources() -> u64 {
    let set = std::env::var("ZONEPULSE_BENCH_RESOURCES").ok().filter(|text| !text.is_empty());
    let resources = set.map_or(RESOURCES, |text| text.parse().expect("a number of resources"));
    let fits = resources >= LEAST_RESOURCES && resources.is_multiple_of(LEAST_RESOURCES);
    assert!(fits, "ZONEPULSE_BENCH_RESOURCES is a multiple of {LEAST_RESOURCES}, not {resources}");
    resources
}

/// Memory in megabytes.
fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
