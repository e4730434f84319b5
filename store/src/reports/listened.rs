//! When a probe listened.

use zonepulse_model::ServerId;

/// When a probe listened: a report reduced to what queries need, or several consecutive ones merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listened {
    /// The server.
    pub server_id: ServerId,
    /// Start of the interval, or of the first of several, Unix seconds.
    pub start_s: u64,
    /// End of the interval, or of the last of several, Unix seconds.
    pub end_s: u64,
    /// Length of each interval, seconds.
    pub interval_s: u32,
    /// When the probe started listening, Unix milliseconds.
    pub covered_from_ms: u64,
    /// When it stopped listening, Unix milliseconds.
    pub covered_until_ms: u64,
    /// Hits of all rows of the batch or batches.
    pub hits: u64,
    /// The counter that was requested.
    pub counted: u64,
}

impl Listened {
    fn is_whole(&self) -> bool {
        (self.covered_from_ms, self.covered_until_ms, self.counted) == (self.start_s * 1000, self.end_s * 1000, 0)
    }

    /// Merges the next report into this one if it is adjacent, and both cover their whole intervals and have no
    /// counted events.
    pub(super) fn takes(&mut self, next: &Listened) -> bool {
        let continues = (next.server_id, next.start_s, next.interval_s) == (self.server_id, self.end_s, self.interval_s);
        if !continues || !self.is_whole() || !next.is_whole() {
            return false;
        }
        (self.end_s, self.covered_until_ms) = (next.end_s, next.covered_until_ms);
        self.hits = self.hits.saturating_add(next.hits);
        true
    }
}
