//! Statistics of other services on the machine: Kea's DHCP servers and Knot DNS.
//!
//! Each service has a thread of its own that asks it over its control socket (`poller.rs`), so a
//! service that hangs delays neither the machine's metrics nor another service. The readings join
//! the machine's in the slot at whose end they were taken. Services are asked once a minute rather
//! than with every slot, because both log every question and Kea answers at length.
//!
//! | metric | label | from |
//! | --- | --- | --- |
//! | `dhcp4_total_addresses`, `_assigned_`, `_declined_` | `total`, subnet | Kea |
//! | `dhcp4_subnets` | | Kea |
//! | `dhcp4_packets_received_per_s`, `dhcp4_packets_sent_per_s` | `total`, type | Kea |
//! | `dhcp4_packets_dropped_per_s`, `dhcp4_allocation_failures_per_s` | `total`, reason | Kea |
//! | the same with `dhcp6_`, and `dhcp6_total_prefixes`, `dhcp6_assigned_prefixes` | | Kea |
//! | `knot_zones` | | Knot |
//! | `knot_NAME_per_s` for each counter of mod-stats | as in `knotc stats` | Knot |
//! | `knot_MODULE_NAME_per_s` for those of other modules | as in `knotc stats` | Knot |
//!
//! Rates are averages since the previous sample. A counter that went back was reset, so its metric
//! has no rates that time. Everything is bounded: the duration and length of an answer, the number
//! of counters, and the labels of a metric.

pub mod kea;
pub mod knot;
mod poller;
mod problem;
mod rates;
mod sample;
pub(crate) mod socket;

pub use problem::Problem;
pub use sample::Sample;

use crate::config::Sockets;
use crate::system::Reading;
use kea::Family;
use poller::Poller;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the machine's thread waits for answers. Later ones count in a later slot.
const PATIENCE: Duration = Duration::from_millis(500);

/// The services to sample.
#[derive(Debug)]
pub struct Services {
    interval_s: u64,
    pollers: Vec<Poller>,
    /// The interval in which the services were last asked.
    turn: Option<u64>,
}

impl Services {
    /// Starts a thread for each socket.
    pub fn start(sockets: &Sockets, interval_s: u32) -> Services {
        let kea4 = |path: &Path| kea::sample(path, Family::V4);
        let kea6 = |path: &Path| kea::sample(path, Family::V6);
        let pollers = [
            sockets.kea4.clone().map(|socket| Poller::start("kea4", socket, kea4)),
            sockets.kea6.clone().map(|socket| Poller::start("kea6", socket, kea6)),
            sockets.knot.clone().map(|socket| Poller::start("knot", socket, knot::sample)),
        ];
        let failed = |error| tracing::error!(%error, "cannot start a thread to sample a service");
        let pollers = pollers.into_iter().flatten().filter_map(|poller| poller.map_err(failed).ok()).collect();
        Services { interval_s: u64::from(interval_s.max(1)), pollers, turn: None }
    }

    /// Omits rates from the next sample, because the counters belong to another time.
    pub fn forget(&mut self) {
        self.turn = None;
        self.pollers.iter_mut().for_each(Poller::forget);
    }

    /// Readings for the slot that ends at `end_s`, Unix seconds, if they are due.
    pub fn sample(&mut self, end_s: u64) -> Vec<Reading> {
        let turn = Some(end_s / self.interval_s);
        if self.turn != turn {
            self.turn = turn;
            self.pollers.iter_mut().for_each(Poller::ask);
        }
        let until = Instant::now() + PATIENCE;
        self.pollers.iter_mut().flat_map(|poller| poller.take(until)).collect()
    }
}

#[cfg(test)]
mod tests;
