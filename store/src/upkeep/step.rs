//! Results of steps.

use zonepulse_model::ServerId;

/// What a step of upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Open blocks were sealed.
    Sealed {
        /// Start of their hour, Unix seconds.
        hour_s: u64,
        /// Their server.
        server_id: ServerId,
        /// How many blocks.
        blocks: u64,
        /// Points in them.
        points: u64,
    },
    /// Space was given back.
    Expired {
        /// Of how many servers.
        servers: usize,
    },
    /// What was left of servers that were removed was removed, too: retention had taken their points.
    Purged {
        /// How many.
        servers: usize,
    },
    /// Records that have vanished were taken out of the dictionary.
    Swept {
        /// How many.
        records: usize,
    },
    /// It was looked for records, or series of metrics, that nothing is left of; that goes on.
    Looked,
    /// Series of metrics that nothing is left of were taken out of the dictionary.
    SweptSeries {
        /// How many.
        series: usize,
    },
    /// There is nothing to do now.
    Idle,
}
