//! Batches that were refused and that their probe does not know of.
//!
//! A probe that sends over HTTP, or is pulled from, puts a refused batch aside and tells of it with its next one. One that
//! sends through a broker has forgotten the batch by then: it is in the dead-letter queue, and the central adds it to the
//! counter of that name in the next report of the server. What is untold when the central ends is in its log only.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_model::ServerId;

/// How many of each server; only of servers that the registry knows, which bounds it.
#[derive(Debug, Default)]
pub(crate) struct Untold(Mutex<BTreeMap<ServerId, u64>>);

impl Untold {
    /// So many more.
    pub(crate) fn add(&self, server_id: ServerId, batches: u64) {
        if batches > 0 {
            let mut counts = self.counts();
            let count = counts.entry(server_id).or_default();
            *count = count.saturating_add(batches);
        }
    }

    /// How many there are, which are told now.
    pub(crate) fn take(&self, server_id: ServerId) -> u64 {
        self.counts().remove(&server_id).unwrap_or(0)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<ServerId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
