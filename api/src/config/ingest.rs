//! Limits of batches being received: how much room they take, and which times they cover.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Limits of batches being received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    /// Maximum number of batches being received, from all servers together.
    pub queue_batches: usize,
    /// Maximum total size of those, bytes.
    pub queue_bytes: usize,
    /// How long a batch waits for room, milliseconds.
    pub max_wait_ms: u64,
    /// How far ahead of this machine's clock a batch may be, seconds.
    pub max_ahead_s: u64,
    /// How long ago a batch may begin, days.
    pub max_age_days: u32,
}

impl Default for Ingest {
    fn default() -> Self {
        let zonepulse_ingest::Settings { queue_batches, queue_bytes, patience, max_ahead_s, max_age_days, .. } =
            zonepulse_ingest::Settings::default();
        let max_wait_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        Ingest { queue_batches, queue_bytes, max_wait_ms, max_ahead_s, max_age_days }
    }
}

impl From<Ingest> for zonepulse_ingest::Settings {
    fn from(ingest: Ingest) -> Self {
        let Ingest { queue_batches, queue_bytes, max_wait_ms, max_ahead_s, max_age_days } = ingest;
        let patience = Duration::from_millis(max_wait_ms);
        let defaults = zonepulse_ingest::Settings::default();
        zonepulse_ingest::Settings { queue_batches, queue_bytes, patience, max_ahead_s, max_age_days, ..defaults }
    }
}
