//! Which batch a batch is, and what is missing before it.

use crate::ServerId;

/// Identifies a batch: one that comes again with the same identity is a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The server that the batch is about, as the central numbers it; not 0.
    pub server_id: ServerId,
    /// One run of the probe, in which sequence numbers are not reused.
    pub epoch: u64,
    /// The number of the batch in its epoch.
    pub seq: u64,
}

/// Batches that left a probe's spool without being delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted {
    /// How many.
    pub batches: u64,
    /// Start of the earliest one's interval, Unix seconds.
    pub from_s: u64,
    /// End of the latest one's interval, Unix seconds.
    pub until_s: u64,
}
