//! What is counted of requests, and everything that is told to Prometheus.
//!
//! Requests are counted as they end; connections and all that the services count is asked for at the moment of a scrape.
//! Labels are routes, methods and statuses, never what a caller can choose.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Duration;
use zonepulse_central::Central;
use zonepulse_central::metrics::{Out, Services};
use zonepulse_central::pending::Pending;
use zonepulse_net::Places as Connections;

/// Everything that is told.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    sent_bytes: Counter,
    running: Gauge,
}

/// What requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// What their durations are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// What is asked at a scrape.
pub(super) struct Scraped {
    /// The services.
    pub(super) central: Central,
    /// The connections of the listener.
    pub(super) connections: Connections,
    /// Room for answers that are being read.
    pub(super) unread: Pending<u64>,
}

impl Metrics {
    /// With nothing counted yet.
    pub(super) fn new(scraped: Scraped) -> Self {
        let mut registry = Registry::with_prefix("zonepulse");
        // From a millisecond to a minute.
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.5, 13));
        let (requests, durations) = (Family::default(), Family::new_with_constructor(histogram));
        let (sent_bytes, running) = (Counter::default(), Gauge::default());
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "From the head of a request to the last byte of its answer",
            durations.clone(),
        );
        registry.register("http_response_bytes", "Bytes of answers, without heads", sent_bytes.clone());
        registry.register("http_requests_running", "Requests that are being answered", running.clone());
        registry.register_collector(Box::new(scraped));
        Metrics { registry, requests, durations, sent_bytes, running }
    }

    /// As Prometheus reads it.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A request began.
    pub fn began(&self) {
        self.running.inc();
    }

    /// A request that began has ended.
    pub fn ended(&self, method: &'static str, route: &str, status: u16, took: Duration, bytes: u64) {
        self.running.dec();
        self.sent_bytes.inc_by(bytes);
        self.requests.get_or_create(&RequestLabels { method, route: route.to_owned(), status }).inc();
        self.durations.get_or_create(&RouteLabels { route: route.to_owned() }).observe(took.as_secs_f64());
    }
}

impl fmt::Debug for Scraped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scraped").finish_non_exhaustive()
    }
}

impl Collector for Scraped {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut out, services) = (Out(encoder), Services(&self.central));
        services.tell(&mut out)?;
        self.connections(&mut out)?;
        self.unread(&mut out)?;
        services.tell_pending(&mut out)
    }
}

impl Scraped {
    fn connections(&self, out: &mut Out<'_>) -> fmt::Result {
        let (connections, counts) = (&self.connections, self.connections.counts());
        out.gauge("http_connections", "Open connections", connections.open() as u64)?;
        let authenticated = connections.authenticated() as u64;
        out.gauge("http_connections_authenticated", "Open connections whose client has authenticated", authenticated)?;
        out.gauge("http_connections_limit", "Connections that may be open", connections.most() as u64)?;
        out.counter("http_connections_displaced", "Connections that were closed to make room for others", counts.displaced)?;
        out.counter("http_connections_timed_out", "Connections that were closed because no request came", counts.timed_out)?;
        out.counter("http_connections_unread", "Connections whose client did not read its answer", counts.unread)?;
        let help = "Requests that were refused because their credentials were missing or wrong";
        out.counter("http_requests_unauthenticated", help, self.central.refusals().unauthenticated())?;
        let help = "Requests that were refused because their credentials were wrong";
        out.counter("http_requests_wrong_credentials", help, self.central.refusals().wrong_credentials())?;
        out.counter("tls_handshake_failures", "TLS handshakes that ended without a connection", counts.failed_handshakes)
    }

    fn unread(&self, out: &mut Out<'_>) -> fmt::Result {
        out.gauge("answers_unread_bytes", "Bytes of answers that clients have not read to their end", self.unread.held())?;
        out.gauge("answers_unread_limit_bytes", "As many there may be", self.unread.most())?;
        let refused: u64 = self.unread.refused().iter().map(|(_, count)| count).sum();
        out.counter("answers_unread_refused", "Answers for which there was no room beside those", refused)
    }
}
