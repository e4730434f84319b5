//! State that writes leave for each other.

use super::epochs::Epochs;
use super::marker::Marker;
use super::overlap::Reaches;
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_model::ServerId;

/// What the one writer knows between writes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(super) last_commit: u64,
    pub(super) last_checkpoint: u64,
    pub(super) committed: u64,
    pub(super) duplicates: u64,
    /// The epochs that were written to last, so that an ordinary batch reads no marker.
    pub(crate) markers: BTreeMap<(ServerId, u64), Marker>,
    pub(crate) epochs: Epochs,
    pub(crate) reaches: Reaches,
    /// Servers that were removed since the store was opened: their batches may have been under way.
    pub(super) forbidden: BTreeSet<ServerId>,
}

impl Writer {
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.committed, self.duplicates)
    }

    pub(crate) fn last_commit(&self) -> u64 {
        self.last_commit
    }

    /// No batch of this server is taken any more.
    pub(crate) fn forbid(&mut self, server_id: ServerId) {
        self.forbidden.insert(server_id);
    }

    /// Forgets which batches of a server were taken.
    pub(crate) fn forget(&mut self, server_id: ServerId) {
        self.markers.retain(|(of, _), _| *of != server_id);
        self.epochs.forget(server_id);
        self.reaches.forget(server_id);
    }
}
