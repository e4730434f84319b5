//! What the agent's threads are told while they run.
//!
//! Threads look several times a second. What they are told is a few numbers, each of
//! which means something by itself, so no lock is needed.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What is monitored, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Monitoring {
    /// Whether DNS messages are counted.
    pub dns: bool,
    /// The length of their intervals, seconds.
    pub dns_interval_s: u32,
    /// Whether the machine is measured.
    pub system: bool,
    /// How often, seconds.
    pub system_interval_s: u32,
}

/// Orders that stand until others are given.
#[derive(Debug)]
pub(super) struct Orders {
    stop: AtomicBool,
    dns: AtomicBool,
    dns_interval_s: AtomicU32,
    system: AtomicBool,
    system_interval_s: AtomicU32,
}

impl Orders {
    pub(super) fn new(monitoring: Monitoring) -> Self {
        Orders {
            stop: false.into(),
            dns: monitoring.dns.into(),
            dns_interval_s: monitoring.dns_interval_s.into(),
            system: monitoring.system.into(),
            system_interval_s: monitoring.system_interval_s.into(),
        }
    }

    pub(super) fn give(&self, monitoring: Monitoring) {
        self.dns_interval_s.store(monitoring.dns_interval_s, Ordering::Relaxed);
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

    /// Whether whoever counts DNS messages is to go on.
    pub(super) fn dns(&self) -> bool {
        !self.stopping() && self.dns.load(Ordering::Relaxed)
    }

    pub(super) fn dns_interval_s(&self) -> u32 {
        self.dns_interval_s.load(Ordering::Relaxed)
    }

    /// Whether whoever measures the machine is to go on, and how often, seconds.
    pub(super) fn system(&self) -> Option<u32> {
        let on = !self.stopping() && self.system.load(Ordering::Relaxed);
        on.then(|| self.system_interval_s.load(Ordering::Relaxed))
    }
}
