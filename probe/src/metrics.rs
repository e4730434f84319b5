//! The probe's own metrics for Prometheus.
//!
//! All values are read when requested; the probe does not keep a second copy. Requests need no
//! token, so the endpoint is off by default, and reveals no names.

use crate::deliver;
use crate::serve::{Running, Server};
use crate::sight;
use crate::spool::Spool;
use crate::status::Status;
use crate::system::{own_memory_bytes, own_time};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zonepulse_wire::{BlindReason, State};

/// OpenMetrics 1.0.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const MAX_CONNECTIONS: usize = 8;

/// Where the values come from.
#[derive(Clone)]
pub struct Sources {
    /// The probe's state.
    pub status: Arc<Status>,
    /// Waiting batches.
    pub spool: Arc<Spool>,
    /// Delivered batches.
    pub delivered: Arc<deliver::Counts>,
}

/// Serves `/metrics` and `/healthz` on this address until the returned value is dropped.
pub(crate) fn listen(address: SocketAddr, sources: Sources) -> io::Result<Running> {
    let server = Server::bind(address)?;
    tracing::info!(address = %server.address()?, "serving metrics");
    let status = sources.status.clone();
    let app =
        Router::new().route("/metrics", get(move || async move { answer(&sources) })).route("/healthz", get(|| async { "ok\n" }));
    server.start(app, None, MAX_CONNECTIONS, status)
}

fn answer(sources: &Sources) -> Response {
    match text(sources) {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The metrics as a text.
pub(crate) fn text(sources: &Sources) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, &registry(sources))?;
    Ok(text)
}

fn registry(sources: &Sources) -> Registry {
    let Sources { status, spool, delivered } = sources;
    let mut registry = Registry::default();
    let process = registry.sub_registry_with_prefix("process");
    process.register_with_unit(
        "cpu",
        "Processor time, user and system",
        Unit::Seconds,
        ConstCounter::new(own_time().as_secs_f64()),
    );
    let memory_bytes = own_memory_bytes().unwrap_or_default();
    process.register_with_unit("resident_memory", "Resident memory", Unit::Bytes, gauge(memory_bytes));

    let registry_of_probe = registry.sub_registry_with_prefix("zonepulse_probe");
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry_of_probe.register("build", "Version of the program", Info::new(version));
    let capture = status.capture().state == State::Running;
    let gauges = [
        ("capturing", "Whether DNS messages are being counted", u64::from(capture)),
        ("spool_batches", "Batches not yet confirmed by the central", spool.len() as u64),
        ("settings_version", "Version of the central's settings in force, 0 for none", status.settings_version().unwrap_or(0)),
    ];
    for (name, help, value) in gauges {
        registry_of_probe.register(name, help, gauge(value));
    }
    let help = "Whether the probe may be missing messages of the DNS server for this reason";
    registry_of_probe.register("blind", help, blind(status));
    registry_of_probe.register_with_unit("spool", "Disk space used by batches", Unit::Bytes, gauge(spool.disk_bytes()));
    registry_of_probe.register_with_unit("uptime", "Time since the probe started", Unit::Seconds, gauge(status.uptime_s()));
    if let Some(ahead_ms) = status.clock_ahead_ms() {
        let ahead = ConstGauge::new(ahead_ms as f64 / 1000.0);
        let help = "How far the central's clock is ahead of this machine's";
        registry_of_probe.register_with_unit("central_clock_ahead", help, Unit::Seconds, ahead);
    }
    let counts = &status.counts;
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let counters = [
        ("dns_batches", "Batches of DNS hits spooled", read(&counts.dns_batches)),
        ("dns_hits", "DNS messages counted", read(&counts.hits)),
        ("system_batches", "Batches of system metrics spooled", read(&counts.system_batches)),
        ("delivered_batches", "Batches confirmed by the central", delivered.delivered()),
        ("refused_batches", "Batches refused for good by the central", delivered.refused()),
        ("pulled_batches", "Batches handed to a pulling central, including repeats", read(&counts.pulled)),
        ("evicted_batches", "Batches discarded at a limit", read(&counts.evicted) + spool.evicted()),
        ("clock_steps", "Times the machine's clock was set while DNS was being counted", read(&counts.clock_steps)),
        ("heartbeats", "Heartbeats answered by the central", read(&counts.heartbeats)),
        ("heartbeats_failed", "Heartbeats not answered by the central", read(&counts.heartbeats_failed)),
        ("connections_refused", "Connections to the probe closed to make room for others", read(&counts.connections_refused)),
        ("requests_unauthorized", "Requests to the probe without the right token", read(&counts.requests_unauthorized)),
        ("kernel_dropped_packets", "Packets that the kernel dropped, the probe being too slow", read(&counts.kernel_dropped)),
        ("interface_dropped_packets", "Packets that the interface dropped", read(&counts.interface_dropped)),
    ];
    for (name, help, value) in counters {
        registry_of_probe.register(name, help, ConstCounter::new(value));
    }
    registry
}

/// All reasons, with 1 for those that apply.
fn blind(status: &Status) -> Family<[(&'static str, &'static str); 1], Gauge> {
    let held = status.capture().blind;
    let gauges = Family::default();
    for reason in BlindReason::KNOWN {
        let holds = held.iter().any(|blindness| blindness.reason == reason);
        let gauge: &Gauge = &gauges.get_or_create(&[("reason", sight::name(reason))]);
        gauge.set(holds.into());
    }
    gauges
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool;
    use crate::status::count;

    #[test]
    fn metrics_match_the_events() {
        let dir = tempfile::TempDir::new().unwrap();
        let settings = spool::Settings {
            dir: dir.path().into(),
            max_bytes: spool::MIN_BYTES,
            min_free_bytes: 0,
            max_refused_bytes: 1 << 20,
            max_delivered_bytes: 0,
        };
        let status = Arc::new(Status::new(1));
        status.capture_runs();
        status.set_clock_ahead_ms(-1500);
        count(&status.counts.hits, 42);
        count(&status.counts.kernel_dropped, 3);
        let sources = Sources { status, spool: Arc::new(Spool::open(settings).unwrap()), delivered: Arc::default() };
        let text = text(&sources).unwrap();
        for line in [
            "zonepulse_probe_dns_hits_total 42",
            "zonepulse_probe_capturing 1",
            "zonepulse_probe_kernel_dropped_packets_total 3",
            "zonepulse_probe_interface_dropped_packets_total 0",
            "zonepulse_probe_central_clock_ahead_seconds -1.5",
            "zonepulse_probe_spool_bytes 0",
            "zonepulse_probe_blind{reason=\"other_sockets\"} 0",
            "zonepulse_probe_blind{reason=\"no_message\"} 0",
            "zonepulse_probe_delivered_batches_total 0",
            concat!("zonepulse_probe_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse::<f64>().unwrap();
        assert!(value("process_cpu_seconds_total ") > 0.0);
        assert!(value("process_resident_memory_bytes ") > 1e6);
    }
}
