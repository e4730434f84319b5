//! What is monitored, and how often.

use super::Config;
use crate::agent::Monitoring;
use serde::Deserialize;
use zonepulse_wire::settings::{DEFAULT_SYSTEM_INTERVAL_S, MAX_SYSTEM_INTERVAL_S};

/// `[system]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct System {
    /// Whether the machine is measured.
    pub enabled: bool,
    /// How often, seconds.
    pub interval_s: u32,
    /// How much time goes into one batch, seconds.
    pub batch_s: u32,
}

impl System {
    pub(super) fn check(&self) -> Result<(), String> {
        let valid = |value: u32| (1..=MAX_SYSTEM_INTERVAL_S).contains(&value);
        if !valid(self.interval_s) {
            return Err(format!("system.interval_s: must be from 1 to {MAX_SYSTEM_INTERVAL_S}"));
        }
        if !valid(self.batch_s) {
            return Err(format!("system.batch_s: must be from 1 to {MAX_SYSTEM_INTERVAL_S}"));
        }
        Ok(())
    }
}

impl Config {
    /// What this file says is monitored.
    pub fn monitoring(&self) -> Monitoring {
        Monitoring {
            dns: self.dns_monitoring,
            dns_interval_s: self.interval_s,
            system: self.system.enabled,
            system_interval_s: self.system.interval_s,
        }
    }
}

impl Default for System {
    fn default() -> Self {
        System { enabled: true, interval_s: DEFAULT_SYSTEM_INTERVAL_S, batch_s: 60 }
    }
}
