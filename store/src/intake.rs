//! What a batch brings, in the store's words.

use zonepulse_dns::MessageKind;

/// What makes a batch the same batch when it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The server that it is about.
    pub server_id: u32,
    /// A run of the server's probe.
    pub epoch: u64,
    /// Its number in that run.
    pub seq: u64,
}

/// The points of one server and interval, on their way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// Which batch brought them.
    pub identity: Identity,
    /// Start of the interval, Unix seconds, a multiple of its length.
    pub start_s: u64,
    /// Length of the interval, seconds. It divides 300, so that no interval
    /// lies across two buckets of any roll-up.
    pub interval_s: u32,
    /// When the probe began to listen, Unix milliseconds, within the interval.
    pub covered_from_ms: u64,
    /// When it ceased, Unix milliseconds, within the interval.
    pub covered_until_ms: u64,
    /// What the probe counted besides hits, by the wire format's numbers, rising.
    pub counters: Vec<(u16, u64)>,
    /// What the probe had to give up before this batch.
    pub evicted: Option<Evicted>,
    /// The points, in any order; points of one record and kind are added up.
    pub rows: Vec<IntakeRow>,
}

/// One point on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeRow {
    /// The record, from [`Write::record_ids`](crate::Write::record_ids).
    pub record_id: u32,
    /// Request, or response with its code.
    pub kind: MessageKind,
    /// How many messages, not 0.
    pub hits: u64,
    /// The first one's time, Unix milliseconds, within the interval.
    pub first_ms: u64,
    /// The last one's time, Unix milliseconds, within the interval.
    pub last_ms: u64,
}

/// Batches that a probe gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted {
    /// How many.
    pub batches: u64,
    /// Start of the earliest one's interval, Unix seconds.
    pub from_s: u64,
    /// End of the latest one's interval, Unix seconds.
    pub until_s: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is part of the write.
    Committed,
    /// It had been committed before, and changes nothing.
    Duplicate,
}

impl Intake {
    /// Puts rows in the order of a block, (kind, record), each pair once.
    pub(crate) fn arrange(&mut self) {
        let place = |row: &IntakeRow| (u64::from(row.kind.number()) << 32) | u64::from(row.record_id);
        if !self.rows.is_sorted_by(|a, b| place(a) < place(b)) {
            if self.rows.len() <= 1 << 16 {
                // Numbers are sorted in half the time of rows: a place and where its row is fit into one.
                let mut order: Vec<u64> = self.rows.iter().zip(0..).map(|(row, at)| place(row) << 16 | at).collect();
                order.sort_unstable();
                self.rows = order.iter().filter_map(|at| self.rows.get((at & 0xffff) as usize)).copied().collect();
            } else {
                self.rows.sort_unstable_by_key(place);
            }
            self.rows.dedup_by(|later, kept| {
                let same = place(later) == place(kept);
                if same {
                    kept.hits = kept.hits.saturating_add(later.hits);
                    kept.first_ms = kept.first_ms.min(later.first_ms);
                    kept.last_ms = kept.last_ms.max(later.last_ms);
                }
                same
            });
        }
    }

    /// The first promise that the fields break, if any.
    pub(crate) fn broken_promise(&self) -> Option<&'static str> {
        if self.interval_s == 0 || !300u32.is_multiple_of(self.interval_s) {
            return Some("interval_s");
        }
        if self.start_s >= 1 << 40 || !self.start_s.is_multiple_of(u64::from(self.interval_s)) {
            return Some("start_s");
        }
        let start_ms = self.start_s * 1000;
        let end_ms = start_ms + u64::from(self.interval_s) * 1000;
        if self.covered_from_ms < start_ms || self.covered_until_ms < self.covered_from_ms || self.covered_until_ms > end_ms {
            return Some("coverage");
        }
        let within =
            |row: &IntakeRow| row.hits > 0 && start_ms <= row.first_ms && row.first_ms <= row.last_ms && row.last_ms < end_ms;
        if self.rows.iter().all(within) { None } else { Some("rows") }
    }
}
