//! What is monitored, and how often.

use super::{Config, bounds};
use serde::Deserialize;
use zonepulse_model::Settings;
use zonepulse_wire::settings::MAX_SYSTEM_INTERVAL_S;

/// What is monitored, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Monitoring {
    /// Whether to count DNS messages.
    pub dns: bool,
    /// Length of a DNS interval, seconds.
    pub dns_interval_s: u32,
    /// Whether to count which records responses served.
    pub dns_served: bool,
    /// Whether to sample the machine.
    pub system: bool,
    /// Sampling interval, seconds.
    pub system_interval_s: u32,
}

/// `[system]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct System {
    /// Whether to sample the machine.
    pub enabled: bool,
    /// Sampling interval, seconds; divides 300.
    pub interval_s: u32,
    /// Time span of a batch, seconds.
    pub batch_s: u32,
}

impl System {
    pub(super) fn check(&self) -> Result<(), String> {
        bounds::interval("system.interval_s", self.interval_s)?;
        bounds::within("system.batch_s", self.batch_s.into(), 1..=MAX_SYSTEM_INTERVAL_S.into())
    }
}

impl Config {
    /// What to monitor according to this file.
    pub fn monitoring(&self) -> Monitoring {
        Monitoring {
            dns: self.dns_monitoring,
            dns_interval_s: self.interval_s,
            // Only a central that can store it asks for it.
            dns_served: false,
            system: self.system.enabled,
            system_interval_s: self.system.interval_s,
        }
    }
}

impl Default for System {
    fn default() -> Self {
        System { enabled: true, interval_s: Settings::default().system_interval_s, batch_s: 60 }
    }
}
