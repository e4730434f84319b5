//! State that is carried over from one write to the next.

use super::epochs::Epochs;
use super::marker::Marker;
use super::overlap::Reaches;
use crate::ledger::adding::Known;
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_model::ServerId;

/// The state of the single writer between writes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(super) last_commit: u64,
    pub(super) last_checkpoint: u64,
    pub(super) committed: u64,
    pub(super) duplicates: u64,
    /// Markers of the epochs written most recently, so that an ordinary batch reads none.
    pub(crate) markers: BTreeMap<(ServerId, u64), Marker>,
    pub(crate) epochs: Epochs,
    pub(crate) reaches: Reaches,
    pub(crate) ledger: Known,
    /// Servers removed since the store was opened: batches of theirs may have been in flight.
    pub(super) forbidden: BTreeSet<ServerId>,
}

impl Writer {
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.committed, self.duplicates)
    }

    pub(crate) fn last_commit(&self) -> u64 {
        self.last_commit
    }

    /// Refuses all further batches of this server.
    pub(crate) fn forbid(&mut self, server_id: ServerId) {
        self.forbidden.insert(server_id);
    }

    /// Forgets which batches of a server are stored.
    pub(crate) fn forget(&mut self, server_id: ServerId) {
        self.markers.retain(|(of, _), _| *of != server_id);
        self.epochs.forget(server_id);
        self.reaches.forget(server_id);
        self.ledger.forget(server_id);
    }
}
