//! Which series a question is about.

use zonepulse_model::ServerId;
use zonepulse_store::{Store, SystemSelection};

/// Which series a question is about. The parts are joined by *and*, the values of a part by *or*. An
/// empty part means no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemFilter {
    /// Servers by id.
    pub servers: Vec<u32>,
    /// Metrics by name.
    pub metrics: Vec<String>,
    /// Labels: cores, mounts, devices, states; empty for metrics of which there is only one.
    pub labels: Vec<String>,
}

impl SystemFilter {
    pub(super) fn selection(&self, store: &Store, from_s: u64, until_s: u64) -> SystemSelection {
        let named = |all: &[String], name: &str| all.is_empty() || all.iter().any(|one| one == name);
        let restricted = !self.metrics.is_empty() || !self.labels.is_empty();
        let series = restricted.then(|| {
            let known = store.series();
            let wanted = known.iter().filter(|(_, metric, label)| named(&self.metrics, metric) && named(&self.labels, label));
            wanted.map(|(number, ..)| number).collect()
        });
        let servers = (!self.servers.is_empty()).then(|| self.servers.iter().copied().map(ServerId::new).collect());
        SystemSelection { servers, from_s, until_s, series }
    }
}
