//! The resources that a probe needs with its default settings.

use super::constants::Constants;
use super::figures::Figures;
use super::input::{KINDS, Wanted};
use super::network::Network;
use crate::popularity::Popularity;

/// Default of `memory.max_bytes`.
const MEMORY_BYTES: f64 = 67_108_864.0;
/// Approximate number of active records per interval for which that suffices, according to the probe's example
/// configuration.
pub const PROBE_RECORDS: f64 = 40_000.0;
/// Default of `spool.max_bytes`.
const SPOOL_BYTES: f64 = 1_073_741_824.0;

/// Processor, memory, network and spool of each probe.
pub fn probe(figures: &mut Figures, wanted: &Wanted, requests_per_s: Option<f64>, c: &Constants, network: Network) {
    let servers = f64::from(wanted.servers);
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
    figures.put("probe_memory", "bytes", formula, MEMORY_BYTES);
    figures.put("probe_network", "bytes/s", "network / servers", network.total / servers);
    let hour = "3600 × payload / servers; what waits on the disk of each server while the central is away";
    let spooled = figures.put("probe_spool_per_hour", "bytes", hour, 3600.0 * network.payload / servers);
    figures.put(
        "probe_spool_lasts",
        "hours",
        "1 GiB (spool.max_bytes) / probe_spool_per_hour; then the oldest batches go",
        SPOOL_BYTES / spooled,
    );
}
