//! What the calls of HTTP work with: the services, and what only this endpoint needs.

use super::door::listen;
use super::metrics::{Metrics, Scraped};
use crate::config::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zonepulse_central::Central;
use zonepulse_central::pending::Pending;
use zonepulse_net::Places as Connections;

/// Answers that are being read may hold no less, bytes: several of the largest.
const LEAST_UNREAD_BYTES: u64 = 128 << 20;

/// What requests work with. Clones share it.
#[derive(Clone)]
pub struct App {
    central: Central,
    parts: Arc<Parts>,
}

struct Parts {
    limits: Limits,
    unread: Pending<u64>,
    connections: Connections,
    metrics: Metrics,
    logs_requests: AtomicBool,
}

impl App {
    /// Over the services.
    pub fn new(central: Central, limits: Limits) -> Self {
        let unread = Pending::new(central.engine().memory_bytes().max(LEAST_UNREAD_BYTES));
        let connections = Connections::new(listen::bounds(&limits));
        let scraped = Scraped { central: central.clone(), connections: connections.clone(), unread: unread.clone() };
        let (metrics, logs_requests) = (Metrics::new(scraped), AtomicBool::new(true));
        App { central, parts: Arc::new(Parts { limits, unread, connections, metrics, logs_requests }) }
    }

    /// The services.
    pub fn central(&self) -> &Central {
        &self.central
    }

    /// Bounds of requests.
    pub fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    /// Room for answers that are being read.
    pub fn unread(&self) -> &Pending<u64> {
        &self.parts.unread
    }

    /// The connections of its listener.
    pub fn connections(&self) -> &Connections {
        &self.parts.connections
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// Whether there is a line in the log about every request.
    pub fn logs_requests(&self) -> bool {
        self.parts.logs_requests.load(Ordering::Relaxed)
    }

    /// Turns those lines on or off.
    pub fn log_requests(&self, on: bool) {
        self.parts.logs_requests.store(on, Ordering::Relaxed);
    }
}
