//! The network between probes and central.

use super::constants::Constants;
use super::figures::Figures;
use super::load::{DAY_S, Load};

/// The traffic of all probes together, in bytes per second.
#[derive(Clone, Copy)]
pub struct Network {
    /// Over HTTP.
    pub total: f64,
    /// Batches only, without the overhead of HTTP.
    pub payload: f64,
}

impl Network {
    /// The network that a load needs, directly or through a broker.
    pub fn new(figures: &mut Figures, load: &Load, c: &Constants) -> Self {
        let payload = figures.put(
        "payload",
        "bytes/s",
        "(batches_per_day × (batch_overhead_bytes + points_per_batch × batch_bytes_per_point) + values_per_day × system_batch_bytes_per_point) / 86400",
        (load.batches * (c.batch_overhead_bytes + load.of_batch * c.batch_bytes_per_point)
            + load.values * c.system_batch_bytes_per_point)
            / DAY_S,
    );
        let messages = (load.batches + load.value_batches) / DAY_S;
        let messages = figures.put("messages", "messages/s", "(batches_per_day + value_batches_per_day) / 86400", messages);
        let total = figures.put(
            "network",
            "bytes/s",
            "payload + messages × http_bytes; over HTTP, both ways, without TLS, TCP and IP",
            payload + messages * c.http_bytes,
        );
        let broker = figures.put(
            "broker",
            "bytes/s",
            "payload + messages × amqp_bytes; through RabbitMQ instead: into it, and as much out of it",
            payload + messages * c.amqp_bytes,
        );
        figures.put(
            "backlog_per_hour",
            "bytes",
            "3600 × broker; what waits in the broker, or in the probes, while the central is away",
            3600.0 * broker,
        );
        Network { total, payload }
    }
}
