//! Refused batches that their probe does not know about.
//!
//! A probe that sends over HTTP or is pulled from puts a refused batch aside and reports it with its next one. A
//! probe that sends through a broker has forgotten the batch by then: the batch is in the dead-letter queue, and the
//! central adds it to the counter of that name in the server's next report. Batches not yet reported when the central
//! stops appear only in its log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_model::ServerId;

/// Number of batches per server. Bounded, because only servers in the registry are counted.
#[derive(Debug, Default)]
pub(crate) struct Untold(Mutex<BTreeMap<ServerId, u64>>);

impl Untold {
    /// Adds to a server's count.
    pub(crate) fn add(&self, server_id: ServerId, batches: u64) {
        if batches > 0 {
            let mut counts = self.counts();
            let count = counts.entry(server_id).or_default();
            *count = count.saturating_add(batches);
        }
    }

    /// Takes a server's count in order to report it.
    pub(crate) fn take(&self, server_id: ServerId) -> u64 {
        self.counts().remove(&server_id).unwrap_or(0)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<ServerId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
