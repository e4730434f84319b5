//! The identity of a batch, and batches missing before it.

use crate::ServerId;

/// Identifies a batch: another one with the same identity is a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The server that the batch is about, by the id that the central assigned; not 0.
    pub server_id: ServerId,
    /// One run of the probe, in which sequence numbers are not reused.
    pub epoch: u64,
    /// The sequence number of the batch within its epoch.
    pub seq: u64,
}

/// Batches that left a probe's spool undelivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted {
    /// Number of batches.
    pub batches: u64,
    /// Start of the earliest batch's interval, in Unix seconds.
    pub from_s: u64,
    /// End of the latest batch's interval, in Unix seconds.
    pub until_s: u64,
}
