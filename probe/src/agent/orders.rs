//! Orders for the agent's running threads.
//!
//! Threads check them several times a second. The orders are a few independent numbers, so no lock
//! is needed.

use crate::config::Monitoring;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Standing orders, in force until replaced.
#[derive(Debug)]
pub(super) struct Orders {
    stop: AtomicBool,
    dns: AtomicBool,
    dns_interval_s: AtomicU32,
    dns_served: AtomicBool,
    system: AtomicBool,
    system_interval_s: AtomicU32,
}

impl Orders {
    pub(super) fn new(monitoring: Monitoring) -> Self {
        Orders {
            stop: false.into(),
            dns: monitoring.dns.into(),
            dns_interval_s: monitoring.dns_interval_s.into(),
            dns_served: monitoring.dns_served.into(),
            system: monitoring.system.into(),
            system_interval_s: monitoring.system_interval_s.into(),
        }
    }

    pub(super) fn give(&self, monitoring: Monitoring) {
        self.dns_interval_s.store(monitoring.dns_interval_s, Ordering::Relaxed);
        self.dns_served.store(monitoring.dns_served, Ordering::Relaxed);
        self.dns.store(monitoring.dns, Ordering::Relaxed);
        self.system_interval_s.store(monitoring.system_interval_s, Ordering::Relaxed);
        self.system.store(monitoring.system, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether to count DNS messages.
    pub(super) fn dns(&self) -> bool {
        !self.stopping() && self.dns.load(Ordering::Relaxed)
    }

    pub(super) fn dns_interval_s(&self) -> u32 {
        self.dns_interval_s.load(Ordering::Relaxed)
    }

    /// Whether to count which records responses served.
    pub(super) fn dns_served(&self) -> bool {
        self.dns_served.load(Ordering::Relaxed)
    }

    /// The sampling interval, seconds; none if the machine is not to be sampled.
    pub(super) fn system(&self) -> Option<u32> {
        let on = !self.stopping() && self.system.load(Ordering::Relaxed);
        on.then(|| self.system_interval_s.load(Ordering::Relaxed))
    }
}
