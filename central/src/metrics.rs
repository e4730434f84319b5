//! Metrics of the central itself, for Prometheus.
//!
//! All values are read at the time of a scrape, so that nothing is counted twice. An endpoint adds its own metrics,
//! such as requests and connections. Names follow the Prometheus conventions: `_total` for counters since the start,
//! units in the name. Labels come from the server registry, never from callers.

use crate::Central;
use crate::fleet::health::ServerHealth;
use crate::fleet::watch::Condition;
use crate::time::now_ms;
use crate::zones::{STATES, state};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use zonepulse_model::ServerId;

/// Prefix of the RabbitMQ metrics, and their old prefix, which release 0.2 drops.
const BROKER_NAMES: [(&str, &str); 2] = [("rabbitmq", ""), ("amqp", "; the old name of zonepulse_rabbitmq_*")];

/// Metrics of the central's services.
pub struct Services<'a>(pub &'a Central);

impl Services<'_> {
    /// Everything except batches being received.
    pub fn tell(&self, out: &mut Out<'_>) -> fmt::Result {
        out.info("build_info", "The program", &[("version", env!("CARGO_PKG_VERSION"))])?;
        self.ingest(out)?;
        self.broker(out)?;
        self.store(out)?;
        self.shares(out)?;
        self.servers(out)?;
        self.queries(out)?;
        self.catalogue(out)?;
        self.sessions(out)?;
        self.backups(out)?;
        self.pulled(out)
    }

    /// Users who have logged in.
    fn sessions(&self, out: &mut Out<'_>) -> fmt::Result {
        let counts = self.0.sessions().counts();
        out.gauge("sessions", "Sessions of users who have logged in", counts.open)?;
        out.gauge("sessions_limit", "Sessions that may be open", counts.limit)?;
        out.counter("sessions_displaced", "Sessions that ended because their user opened too many", counts.displaced)
    }

    /// Backups, if they are configured.
    fn backups(&self, out: &mut Out<'_>) -> fmt::Result {
        let backups = self.0.backups();
        if backups.options().is_none() {
            return Ok(());
        }
        let status = backups.status();
        out.gauge("backup_running", "1 while a backup is being made", u64::from(status.running.is_some()))?;
        out.counter("backup_failures", "Backups that failed", status.failures)?;
        out.gauge("backups", "Backups at the destination, as of the last look", status.backups.len() as u64)?;
        if let Some(free_bytes) = status.free_bytes {
            out.gauge("backup_free_bytes", "What was free at the destination after the last backup", free_bytes)?;
        }
        let Some(last) = status.backups.iter().map(|backup| &backup.manifest).max_by_key(|manifest| manifest.time_ms) else {
            return Ok(());
        };
        out.gauge("backup_last_success_timestamp_seconds", "The time whose state the last backup holds", last.time_ms / 1000)?;
        let age_s = now_ms().saturating_sub(last.time_ms) / 1000;
        out.gauge("backup_age_seconds", "The age of the last backup", age_s)?;
        out.gauge("backup_size_bytes", "Bytes of all objects of the last backup", last.size_bytes())?;
        out.gauge("backup_new_bytes", "Bytes that the last backup added", last.new_bytes)?;
        out.gauge("backup_duration_milliseconds", "How long the last backup took", last.duration_ms)
    }

    /// Zones, and records that are being retired.
    fn catalogue(&self, out: &mut Out<'_>) -> fmt::Result {
        let current = self.0.zones().current();
        let rows = || current.zones.iter().map(|loaded| &loaded.row);
        let states = STATES.map(|of| (state(of), rows().filter(|row| row.state == of).count() as u64));
        out.gauges("zones", "Zones by state", "state", &states)?;
        out.gauge("zone_resources", "RRsets of all zones", rows().map(|row| row.resources).sum())?;
        let (waiting, dropped) = self.0.store().catalogue().late_counts();
        let help = "Accesses that were reported after their zone had changed, and are not credited yet";
        out.gauge("late_accesses_waiting", help, waiting)?;
        out.counter("late_accesses_dropped", "Such accesses that are not credited, because too many waited", dropped)?;
        let help = "Records being retired that were asked for after they were marked, as of some seconds ago";
        out.gauge("retirement_alerts", help, self.0.retirements().standing_alerts())
    }

    /// Batches being received.
    pub fn tell_pending(&self, out: &mut Out<'_>) -> fmt::Result {
        let pending = self.0.pending();
        out.gauge("batches_pending_bytes", "Bytes of batches that are being received", pending.held())?;
        out.gauge("batches_pending_limit_bytes", "As many there may be", pending.most())?;
        let help = "Batches that found no room while they were received, by server";
        out.counters("batches_without_room", help, "server", &pending.refused())
    }

    fn ingest(&self, out: &mut Out<'_>) -> fmt::Result {
        let ingest = self.0.ingest().statistics();
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
        out.gauge("committer_running", "1 while batches can be written", u64::from(self.0.ingest().is_alive()))
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
        let refused = self.0.ingest().broker_refusals();
        let text = help("Messages of the broker that went to the dead-letter queue");
        out.counters(&name("messages_refused"), &text, "reason", &refused)?;
        let Some(broker) = self.0.ingest().broker() else { return Ok(()) };
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
        let store = self.0.store().statistics();
        out.gauge("store_size_bytes", "Bytes of the store's files, the write-ahead log left out", store.size_bytes)?;
        out.gauge("store_records", "Records that have a number", store.records)?;
        out.gauge("store_series", "Series of metrics that have a number", store.series)?;
        out.gauge("store_open_hours", "Hours that are not sealed, each counted per server", store.open_hours)?;
        out.counter("store_sealed_blocks", "Blocks that were sealed", store.sealed_blocks)?;
        out.counter("store_upkeep_failures", "Steps of upkeep that failed", store.upkeep_failures)?;
        if let Some((free_bytes, min_free_bytes)) = self.0.store().room() {
            out.gauge("disk_free_bytes", "What is free on the store's disk", free_bytes)?;
            out.gauge("disk_min_free_bytes", "With less free than this no batch is taken", min_free_bytes)?;
        }
        Ok(())
    }

    /// Each server's share of shared resources. Only servers in the registry get a label.
    fn shares(&self, out: &mut Out<'_>) -> fmt::Result {
        let servers = self.0.store().registry().servers().map_err(|_| fmt::Error)?;
        let ids: Vec<ServerId> = servers.iter().filter(|server| !server.is_removed()).map(|server| server.id).collect();
        let each = |of: &dyn Fn(ServerId) -> u64| ids.iter().map(|id| (id.to_string(), of(*id))).collect::<Vec<_>>();
        let names = |id| self.0.store().names_of(id);
        out.per_server(false, "server_names", "Names that the server introduced", &each(&|id| names(id).owned))?;
        out.per_server(false, "server_names_limit", "Names that it may have now", &each(&|id| names(id).limit))?;
        let help = "New names of the server that exceeded its share or rate and were counted as <other>";
        out.per_server(true, "server_names_folded", help, &each(&|id| names(id).refused))?;
        let totals = |id| self.0.store().totals_of(id);
        out.per_server(
            false,
            "server_totals",
            "Totals, of a record and kind, that the server has",
            &each(&|id| totals(id).owned),
        )?;
        let help = "Points whose totals exceeded the server's share and were counted as <other>";
        out.per_server(true, "server_points_folded", help, &each(&|id| totals(id).refused))?;
        let series = |id| self.0.store().series_of(id);
        out.per_server(false, "server_series", "Series of metrics that the server introduced", &each(&|id| series(id).owned))?;
        let help = "Points of series that exceeded the server's share and were not taken";
        out.per_server(true, "server_series_points_refused", help, &each(&|id| series(id).refused))?;
        let overlaps = |id| self.0.ingest().overlaps(id);
        let help = "Batches of the server that were counted though another probe covers their time";
        out.per_server(true, "server_batches_overlapping", help, &each(&|id| overlaps(id).counted))?;
        let help = "Batches of the server that were refused because another probe covers their time";
        out.per_server(true, "server_batches_overlapping_refused", help, &each(&|id| overlaps(id).refused))?;
        let waiting = |id| self.0.ingest().on_the_way(id);
        out.per_server(false, "server_waiting_batches", "Batches on the way in", &each(&|id| waiting(id).batches))?;
        out.per_server(false, "server_waiting_bytes", "Bytes of batches on the way in", &each(&|id| waiting(id).bytes))?;
        let help = "Batches of the server that were not taken because too many were on the way, and that its probe sends again";
        out.per_server(true, "server_batches_postponed", help, &each(&|id| waiting(id).postponed))?;
        let lost = |id| self.0.ingest().lost(id);
        let help = "Batches that the server's probe gave up before the central had them, as its reports say";
        out.per_server(true, "server_batches_evicted", help, &each(&|id| lost(id).evicted))?;
        let help = "Batches of the server that were refused for good";
        out.per_server(true, "server_batches_refused", help, &each(&|id| lost(id).refused))?;
        let times = |id| self.0.ingest().bad_times(id);
        let help = "Attempts to send a batch of the server whose time is ahead of the central's clock; the probe keeps such a batch and sends it again";
        out.per_server(true, "server_batches_ahead", help, &each(&|id| times(id).ahead))?;
        let help = "Batches of the server that told of a time too long ago, and were refused for good";
        out.per_server(true, "server_batches_too_old", help, &each(&|id| times(id).too_old))
    }

    /// Health of each server. Samples have no probe, hence no health.
    fn servers(&self, out: &mut Out<'_>) -> fmt::Result {
        let all = self.0.watch().all(now_ms()).map_err(|_| fmt::Error)?;
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
        let pulled = self.0.pulled().statistics();
        let failing = pulled.servers.values().flatten().count() as u64;
        let states = [("pulled", pulled.servers.len() as u64 - failing), ("failing", failing)];
        out.gauges("pull_servers", "Servers that are to be pulled from", "state", &states)?;
        out.counter("pull_batches_confirmed", "Batches that were fetched and confirmed", pulled.confirmed)?;
        out.counter("pull_batches_refused", "Batches that were fetched and refused for good", pulled.refused)?;
        out.counter("pull_failures", "Attempts to pull that failed", pulled.failures)
    }

    fn queries(&self, out: &mut Out<'_>) -> fmt::Result {
        let load = self.0.engine().load();
        let kinds = [("question", load.questions), ("sql", load.statements)];
        let each = |of: fn(&zonepulse_query::Turns) -> u64| kinds.map(|(kind, turns)| (kind, of(&turns)));
        out.gauges("queries_running", "Questions and statements of SQL that are being answered", "kind", &each(|t| t.running))?;
        out.gauges("queries_limit", "As many may be answered at a time", "kind", &each(|t| t.limit))?;
        out.gauges("query_memory_bytes", "Memory that they hold", "kind", &each(|t| t.memory_bytes))
    }
}

/// Writes metrics under their names.
pub struct Out<'a>(pub DescriptorEncoder<'a>);

impl Out<'_> {
    /// Writes a counter.
    pub fn counter<N>(&mut self, name: &str, help: &str, value: N) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        self.put(name, help, &ConstCounter::new(value))
    }

    /// Writes a gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
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

    /// Writes an info metric: a gauge that is always 1 and carries its information in labels, as is customary.
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        let one = ConstGauge::new(1u64);
        let mut encoder = self.0.encode_descriptor(name, help, None, one.metric_type())?;
        one.encode(encoder.encode_family(&labels)?)
    }
}
