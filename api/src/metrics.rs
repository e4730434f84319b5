//! `/metrics`: how the central itself is doing, for Prometheus.
//!
//! Requests are counted as they end; everything else is asked of the parts at
//! the moment of a scrape, so that no number is kept twice. Names follow
//! Prometheus' conventions: `_total` counts up since the start, units are in
//! the name. Labels are routes, methods, statuses and the registry's servers,
//! never what a caller can choose.

use crate::app::App;
use crate::parameters;
use crate::problem::Problem;
use crate::refusals::Refusals;
use crate::server_health::ServerHealth;
use crate::time::now_ms;
use crate::watch::{Condition, Watch};
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_ingest::{Ingest, pull};
use zonepulse_query::Engine;
use zonepulse_store::Store;

use crate::listen::Connections;
use crate::pending::Pending;

/// What the text of an answer is called.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What metrics of RabbitMQ begin with, and what they began with; release 0.2 leaves the old ones out.
const BROKER_NAMES: [(&str, &str); 2] = [("rabbitmq", ""), ("amqp", "; the old name of zonepulse_rabbitmq_*")];

/// The routes, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(metrics))
}

/// Metrics for Prometheus
///
/// How the central itself is doing: batches, points, queues, sizes of the
/// store, room on the disk, questions, requests. With `metrics.listen` in the
/// configuration they are at an address of their own as well, where no
/// credentials are needed.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "Service",
    responses((status = 200, description = "The metrics.", content_type = "application/openmetrics-text", body = String)),
)]
pub(crate) async fn metrics(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    parameters::none(&uri)?;
    // Sizes are asked of the database.
    let text = tokio::task::spawn_blocking(move || app.metrics().text()).await;
    let text = text.map_err(Problem::internal)?.map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

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

/// The parts that are asked at a scrape.
pub(crate) struct Parts {
    /// Sizes, upkeep, room.
    pub store: Store,
    /// Batches.
    pub ingest: Ingest,
    /// Questions.
    pub engine: Engine,
    /// Connections.
    pub connections: Connections,
    /// Batches that are being received.
    pub pending: Pending<u32>,
    pub unread: Pending<u64>,
    /// Pulling.
    pub pulled: pull::Progress,
    /// How servers are.
    pub watch: Arc<Watch>,
    /// What was refused.
    pub refusals: Arc<Refusals>,
}

impl Metrics {
    /// With nothing counted yet.
    pub(crate) fn new(parts: Parts) -> Self {
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
        registry.register_collector(Box::new(parts));
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

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Collector for Parts {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        out.info("build_info", "The program", &[("version", env!("CARGO_PKG_VERSION"))])?;
        self.ingest(&mut out)?;
        self.broker(&mut out)?;
        self.store(&mut out)?;
        self.shares(&mut out)?;
        self.servers(&mut out)?;
        self.queries(&mut out)?;
        self.pulled(&mut out)?;
        self.connections(&mut out)?;
        self.pending(&mut out)
    }
}

impl Parts {
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
        out.counter("http_requests_unauthenticated", help, self.refusals.unauthenticated())?;
        out.counter("tls_handshake_failures", "TLS handshakes that ended without a connection", counts.failed_handshakes)
    }

    fn pending(&self, out: &mut Out<'_>) -> fmt::Result {
        out.gauge("answers_unread_bytes", "Bytes of answers that clients have not read to their end", self.unread.held())?;
        out.gauge("answers_unread_limit_bytes", "As many there may be", self.unread.most())?;
        let refused: u64 = self.unread.refused().iter().map(|(_, count)| count).sum();
        out.counter("answers_unread_refused", "Answers for which there was no room beside those", refused)?;
        out.gauge("batches_pending_bytes", "Bytes of batches that are being received", self.pending.held())?;
        out.gauge("batches_pending_limit_bytes", "As many there may be", self.pending.most())?;
        let refused = self.pending.refused();
        let help = "Batches that found no room while they were received, by server";
        out.counters("batches_without_room", help, "server", &refused)
    }

    fn ingest(&self, out: &mut Out<'_>) -> fmt::Result {
        let ingest = self.ingest.statistics();
        out.counter("batches_committed", "Batches that were written", ingest.committed)?;
        out.counter("batches_duplicate", "Batches that came again and changed nothing", ingest.duplicates)?;
        out.counter("batches_refused", "Batches that were refused for good", ingest.refused)?;
        out.counter(
            "batches_postponed",
            "Batches that were not taken and whose senders were asked to try again",
            ingest.postponed,
        )?;
        out.counter("batches_received_bytes", "Bytes of batches that came, whatever became of them", ingest.received_bytes)?;
        out.counter("points", "Points that were written", ingest.points)?;
        out.counter("commits", "Writes, each of one batch or more", ingest.commits)?;
        out.counter("commit_seconds", "How long writes took together", ingest.commit_us as f64 / 1e6)?;
        out.gauge("ingest_queue_batches", "Batches on the way in, until they are written", ingest.waiting)?;
        out.gauge("ingest_queue_limit_batches", "Batches that may be on the way in", ingest.max_waiting)?;
        out.gauge("committer_running", "1 while batches can be written", u64::from(self.ingest.is_alive()))
    }

    fn broker(&self, out: &mut Out<'_>) -> fmt::Result {
        for (broker, note) in BROKER_NAMES {
            self.broker_as(out, broker, note)?;
        }
        Ok(())
    }

    fn broker_as(&self, out: &mut Out<'_>, named: &str, note: &str) -> fmt::Result {
        let name = |metric: &str| format!("{named}_{metric}");
        let help = |text: &str| format!("{text}{note}");
        let refused = self.ingest.broker_refusals();
        let text = help("Messages of the broker that went to the dead-letter queue");
        out.counters(&name("messages_refused"), &text, "reason", &refused)?;
        let Some(broker) = self.ingest.broker() else { return Ok(()) };
        let text = help("1 while batches are taken from the broker's queue");
        out.gauge(&name("consuming"), &text, u64::from(broker.is_consuming))?;
        let text = help("Queues whose messages the broker may drop, because an earlier release declared them");
        out.gauge(&name("queues_unprotected"), &text, broker.unprotected.len() as u64)?;
        out.counter(&name("connections"), &help("Connections over which batches were taken"), broker.connections)?;
        let text = help("Times that the broker ended the consumption of a queue");
        out.counter(&name("consumers_cancelled"), &text, broker.cancelled)?;
        let text = help("Times that consumption was stopped because the central could take no batch");
        out.counter(&name("rests"), &text, broker.rests)?;
        let text = help("Messages that had come back several times and were put into their queue anew");
        out.counter(&name("messages_renewed"), &text, broker.renewed)?;
        let text = help("Messages that the broker took out of the queue");
        out.counters(&name("messages_returned"), &text, "reason", &broker.returned)?;
        let text = help("Messages that the broker took out of the queue and whose batches were taken all the same");
        out.counter(&name("messages_restored"), &text, broker.restored)?;
        let text = help("Times that the dead-letter queue began to take no message");
        out.counter(&name("dead_letter_failures"), &text, broker.dead_letter_failures)
    }

    fn store(&self, out: &mut Out<'_>) -> fmt::Result {
        let store = self.store.statistics();
        out.gauge("store_size_bytes", "Bytes of the store's files, the write-ahead log left out", store.size_bytes)?;
        out.gauge("store_records", "Records that have a number", store.records)?;
        out.gauge("store_series", "Series of metrics that have a number", store.series)?;
        out.gauge("store_open_hours", "Hours that are not sealed, each counted per server", store.open_hours)?;
        out.counter("store_sealed_blocks", "Blocks that were sealed", store.sealed_blocks)?;
        out.counter("store_upkeep_failures", "Steps of upkeep that failed", store.upkeep_failures)?;
        if let Some((free_bytes, min_free_bytes)) = self.store.room() {
            out.gauge("disk_free_bytes", "What is free on the store's disk", free_bytes)?;
            out.gauge("disk_min_free_bytes", "With less free than this no batch is taken", min_free_bytes)?;
        }
        Ok(())
    }

    /// What each server has of what all share. There is a label for each server of the registry, and no other.
    fn shares(&self, out: &mut Out<'_>) -> fmt::Result {
        let servers = self.store.registry().servers().map_err(|_| fmt::Error)?;
        let ids: Vec<u32> = servers.iter().filter(|server| !server.is_removed()).map(|server| server.id).collect();
        let each = |of: &dyn Fn(u32) -> u64| ids.iter().map(|id| (id.to_string(), of(*id))).collect::<Vec<_>>();
        let names = |id| self.store.names_of(id);
        out.per_server(false, "server_names", "Names that the server introduced", &each(&|id| names(id).owned))?;
        out.per_server(false, "server_names_limit", "Names that it may have now", &each(&|id| names(id).limit))?;
        let help = "New names of the server that exceeded its share or rate and were counted as <other>";
        out.per_server(true, "server_names_folded", help, &each(&|id| names(id).refused))?;
        let totals = |id| self.store.totals_of(id);
        out.per_server(
            false,
            "server_totals",
            "Totals, of a record and kind, that the server has",
            &each(&|id| totals(id).owned),
        )?;
        let help = "Points whose totals exceeded the server's share and were counted as <other>";
        out.per_server(true, "server_points_folded", help, &each(&|id| totals(id).refused))?;
        let series = |id| self.store.series_of(id);
        out.per_server(false, "server_series", "Series of metrics that the server introduced", &each(&|id| series(id).owned))?;
        let help = "Points of series that exceeded the server's share and were not taken";
        out.per_server(true, "server_series_points_refused", help, &each(&|id| series(id).refused))?;
        let overlaps = |id| self.ingest.overlaps(id);
        let help = "Batches of the server that were counted though another probe covers their time";
        out.per_server(true, "server_batches_overlapping", help, &each(&|id| overlaps(id).counted))?;
        let help = "Batches of the server that were refused because another probe covers their time";
        out.per_server(true, "server_batches_overlapping_refused", help, &each(&|id| overlaps(id).refused))?;
        let waiting = |id| self.ingest.on_the_way(id);
        out.per_server(false, "server_waiting_batches", "Batches on the way in", &each(&|id| waiting(id).batches))?;
        out.per_server(false, "server_waiting_bytes", "Bytes of batches on the way in", &each(&|id| waiting(id).bytes))?;
        let help = "Batches of the server that were not taken because too many were on the way, and that its probe sends again";
        out.per_server(true, "server_batches_postponed", help, &each(&|id| waiting(id).postponed))?;
        let lost = |id| self.ingest.lost(id);
        let help = "Batches that the server's probe gave up before the central had them, as its reports say";
        out.per_server(true, "server_batches_evicted", help, &each(&|id| lost(id).evicted))?;
        let help = "Batches of the server that were refused for good";
        out.per_server(true, "server_batches_refused", help, &each(&|id| lost(id).refused))?;
        let times = |id| self.ingest.bad_times(id);
        let help = "Attempts to send a batch of the server whose time is ahead of the central's clock; the probe keeps such a batch and sends it again";
        out.per_server(true, "server_batches_ahead", help, &each(&|id| times(id).ahead))?;
        let help = "Batches of the server that told of a time too long ago, and were refused for good";
        out.per_server(true, "server_batches_too_old", help, &each(&|id| times(id).too_old))
    }

    /// How each server is. A sample has no probe that could be well.
    fn servers(&self, out: &mut Out<'_>) -> fmt::Result {
        let all = self.watch.all(now_ms()).map_err(|_| fmt::Error)?;
        let several = |condition: &Condition| match (condition.pulse.several.len(), &condition.conflict) {
            (0, Some(_)) => 2,
            (several, _) => several as u64,
        };
        let each: Vec<_> = all.iter().map(|(server, condition)| (server.id.to_string(), several(condition))).collect();
        let help = "Probes that use the server's token at the same time; 0 where there are not several";
        out.per_server(false, "server_probes_conflicting", help, &each)?;
        let help = "1 for each health that holds for the server, of which heartbeat lists tell the worst";
        let mut encoder = out.0.encode_descriptor("server_health", help, None, ConstGauge::new(0u64).metric_type())?;
        for (server, Condition { reasons, .. }) in all.iter().filter(|(_, condition)| !condition.reasons.is_empty()) {
            let id = server.id.to_string();
            for health in ServerHealth::ALL {
                let holds = u64::from(reasons.iter().any(|reason| reason.health == health));
                let labels = [("server", id.as_str()), ("health", health.as_str())];
                ConstGauge::new(holds).encode(encoder.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn pulled(&self, out: &mut Out<'_>) -> fmt::Result {
        let pulled = self.pulled.statistics();
        let failing = pulled.servers.values().flatten().count() as u64;
        let states = [("pulled", pulled.servers.len() as u64 - failing), ("failing", failing)];
        out.gauges("pull_servers", "Servers that are to be pulled from", "state", &states)?;
        out.counter("pull_batches_confirmed", "Batches that were fetched and confirmed", pulled.confirmed)?;
        out.counter("pull_batches_refused", "Batches that were fetched and refused for good", pulled.refused)?;
        out.counter("pull_failures", "Attempts to pull that failed", pulled.failures)
    }

    fn queries(&self, out: &mut Out<'_>) -> fmt::Result {
        let load = self.engine.load();
        let kinds = [("question", load.questions), ("sql", load.statements)];
        let each = |of: fn(&zonepulse_query::Turns) -> u64| kinds.map(|(kind, turns)| (kind, of(&turns)));
        out.gauges("queries_running", "Questions and statements of SQL that are being answered", "kind", &each(|t| t.running))?;
        out.gauges("queries_limit", "As many may be answered at a time", "kind", &each(|t| t.limit))?;
        out.gauges("query_memory_bytes", "Memory that they hold", "kind", &each(|t| t.memory_bytes))
    }
}

/// Writes numbers under their names.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter<N>(&mut self, name: &str, help: &str, value: N) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        self.put(name, help, &ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.put(name, help, &ConstGauge::new(value))
    }

    fn put(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.metric_type())?)
    }

    fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let kind = ConstGauge::new(0u64).metric_type();
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (of, value) in values {
            ConstGauge::new(*value).encode(encoder.encode_family(&[(label, *of)])?)?;
        }
        Ok(())
    }

    fn counters<T: std::fmt::Display>(&mut self, name: &str, help: &str, label: &str, values: &[(T, u64)]) -> fmt::Result {
        let kind = ConstCounter::new(0u64).metric_type();
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (of, value) in values {
            ConstCounter::new(*value).encode(encoder.encode_family(&[(label, of.to_string().as_str())])?)?;
        }
        Ok(())
    }

    fn per_server(&mut self, counts_up: bool, name: &str, help: &str, values: &[(String, u64)]) -> fmt::Result {
        let kind = if counts_up { ConstCounter::new(0u64).metric_type() } else { ConstGauge::new(0u64).metric_type() };
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (server, value) in values {
            let labels = [("server", server.as_str())];
            match counts_up {
                true => ConstCounter::new(*value).encode(encoder.encode_family(&labels)?)?,
                false => ConstGauge::new(*value).encode(encoder.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }

    /// A gauge that is always 1 and says something in its labels, as is the custom.
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        let one = ConstGauge::new(1u64);
        let mut encoder = self.0.encode_descriptor(name, help, None, one.metric_type())?;
        one.encode(encoder.encode_family(&labels)?)
    }
}
