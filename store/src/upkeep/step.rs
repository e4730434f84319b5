//! Results of upkeep steps.

use zonepulse_model::ServerId;

/// What a step of upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Sealed open blocks.
    Sealed {
        /// Start of their hour, Unix seconds.
        hour_s: u64,
        /// Their server.
        server_id: ServerId,
        /// Number of blocks.
        blocks: u64,
        /// Number of points in them.
        points: u64,
    },
    /// Reclaimed space.
    Expired {
        /// Number of servers affected.
        servers: usize,
    },
    /// Purged removed servers whose points retention had already taken.
    Purged {
        /// Number of servers.
        servers: usize,
    },
    /// Removed records that have vanished from the dictionary.
    Swept {
        /// Number of records.
        records: usize,
    },
    /// Searched for records that have vanished, or for unused series of metrics; the search continues.
    Looked,
    /// Removed unused series of metrics from the dictionary.
    SweptSeries {
        /// Number of series.
        series: usize,
    },
    /// Nothing to do at present.
    Idle,
}
