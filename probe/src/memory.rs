//! The memory limit, and each component's share of it.
//!
//! One number bounds the whole probe (`memory.max_bytes`, 64 MiB by default): its resident memory,
//! including the ring between kernel and probe, all of which is mapped. It is divided once, at
//! startup:
//!
//! | component | share | contents |
//! | --- | --- | --- |
//! | ring | `capture.buffer_bytes` | packets waiting to be read |
//! | connections | `dnstap.max_connections` and `max_tcp_connections`, where used, times 256 KiB | incomplete frames |
//! | program | 12 MiB | code, libraries, stacks, allocator overhead, the compressor |
//! | observer | 1/6 of the rest | TCP streams (two thirds of it) and fragments |
//! | delivery | 1/8 of the rest | batches on their way to the central, pushed or pulled |
//! | records | the remainder | everything that grows with the records of an interval: seven eighths for hits, an eighth for what was served |
//!
//! A record occupies a place in two tables, because the next interval begins before the last one is
//! closed; space in three batches: one closed, one waiting for the disk, one being written; and
//! space in the encoded form of the last. The records' share therefore determines their number.
//! Tables reserve address space for that number at once, use memory as they fill, and never grow by
//! copying. Their index doubles when needed, which temporarily requires a copy of half the size
//! while the table is half full. An interval whose names are longer than [`NAME_OCTETS`] on average
//! holds fewer of them.

use crate::tally;

/// The default limit, bytes.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;
/// Maximum number of records in a batch, whatever the settings: together with [`MAX_NAME_OCTETS`]
/// it keeps a batch within the limits of the format.
pub const MAX_RECORDS: usize = 200_000;
/// Maximum number of records in a batch that say how they were served.
const MAX_SERVED_RECORDS: usize = 50_000;
/// One in this many records is one that says how it was served.
const SERVED_SHARE: usize = 8;
/// Maximum total length of the names in a batch, octets in wire format.
pub const MAX_NAME_OCTETS: usize = 7 << 20;
/// Memory that the program uses before it has seen any data, and for work of bounded size, bytes.
const PROGRAM_BYTES: usize = 12 << 20;
/// Minimum left for everything else, bytes.
const MIN_REST_BYTES: usize = 8 << 20;
/// Average size of a record's name, octets.
const NAME_OCTETS: usize = 40;
/// Size of a record in a batch: its name, with length and type, and two rows plus a quarter.
const BATCH_BYTES: usize = NAME_OCTETS + 6 + size_of::<zonepulse_wire::Row>() * 9 / 4;
/// Size of an encoded record. Random names and times do not compress.
const ENCODED_BYTES: usize = 64;
/// Memory that `tally` needs to print a record: two lines, and its name.
const PRINTED_BYTES: usize = 2 * 48 + NAME_OCTETS;
/// The observer's share in a replay, equal to that of an agent with default settings.
const REPLAY_OBSERVER_BYTES: usize = (DEFAULT_MAX_BYTES - PROGRAM_BYTES - (16 << 20)) / 6;
const TABLE_BYTES: usize = tally::BYTES_PER_RECORD + NAME_OCTETS;

/// Each component's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Maximum number of records in an interval; hits of others are folded into `<other>`.
    pub max_records: usize,
    /// Total length of their names, octets.
    pub max_name_octets: usize,
    /// Maximum number of records of which an interval says how they were served; the rest is only counted.
    pub max_served_records: usize,
    /// Total length of their names, octets.
    pub max_served_name_octets: usize,
    /// TCP streams and fragments, bytes.
    pub observer_bytes: usize,
    /// Closed batches waiting for the disk, bytes.
    pub queue_bytes: usize,
    /// Batches on their way to the central, bytes.
    pub in_flight_bytes: u64,
}

impl Budget {
    /// The budget of an agent with a ring of this size, or 0 without a ring.
    pub fn of_agent(max_bytes: usize, ring_bytes: usize) -> Budget {
        let rest = max_bytes.saturating_sub(ring_bytes + PROGRAM_BYTES).max(MIN_REST_BYTES);
        Budget::divide(rest, rest / 6)
    }

    /// Divides what remains after ring and program.
    fn divide(rest: usize, observer_bytes: usize) -> Budget {
        let delivery_bytes = rest / 8;
        let records = (rest - observer_bytes - delivery_bytes) / (2 * TABLE_BYTES + 3 * BATCH_BYTES + ENCODED_BYTES);
        // Whether what was served is counted does not change how many records can have hits.
        let max_served_records = (records / SERVED_SHARE).min(MAX_SERVED_RECORDS);
        let max_records = (records - max_served_records).min(MAX_RECORDS);
        Budget {
            max_records,
            max_name_octets: (max_records * NAME_OCTETS).min(MAX_NAME_OCTETS),
            max_served_records,
            max_served_name_octets: max_served_records * NAME_OCTETS,
            observer_bytes,
            queue_bytes: (max_records + max_served_records) * BATCH_BYTES,
            // A batch is in memory once as read, and once more as sent.
            in_flight_bytes: (delivery_bytes / 2) as u64,
        }
    }

    /// The budget of a replay, which has no ring. What it counts must not depend on the available
    /// memory, or the same capture would not be recognised, so the share of TCP streams and
    /// fragments is fixed.
    pub fn of_replay(max_bytes: usize) -> Budget {
        let rest = max_bytes.saturating_sub(PROGRAM_BYTES).max(MIN_REST_BYTES);
        Budget::divide(rest, REPLAY_OBSERVER_BYTES)
    }

    /// The shares of two sources: half of the records for the one that is counted, a quarter for
    /// the one that it is compared with. The rest is for the comparison.
    pub fn shared(self) -> (Budget, Budget) {
        let part = |by: usize| Budget {
            max_records: self.max_records / by,
            max_name_octets: self.max_name_octets / by,
            max_served_records: self.max_served_records / by,
            max_served_name_octets: self.max_served_name_octets / by,
            queue_bytes: self.queue_bytes / by,
            ..self
        };
        (part(2), part(4))
    }

    /// The budget of `tally`, which has one table of messages and prints it.
    ///
    /// What was served has an eighth of the rest, whether it is wanted or not: the hits of a tally do
    /// not depend on it.
    pub fn of_tally(max_bytes: usize) -> Budget {
        let rest = max_bytes.saturating_sub(PROGRAM_BYTES).max(MIN_REST_BYTES);
        let observer_bytes = rest / 6;
        let max_records = (rest - observer_bytes - rest / 8) / (TABLE_BYTES + PRINTED_BYTES);
        let max_name_octets = max_records * NAME_OCTETS;
        Budget {
            max_records,
            max_name_octets,
            max_served_records: 0,
            max_served_name_octets: 0,
            observer_bytes,
            queue_bytes: 0,
            in_flight_bytes: 0,
        }
    }

    /// Maximum number of RRsets that `tally` knows as served, and total length of their names,
    /// octets. They are printed after the table of messages, in the memory that it took.
    pub fn of_served(max_bytes: usize) -> (usize, usize) {
        let rest = max_bytes.saturating_sub(PROGRAM_BYTES).max(MIN_REST_BYTES);
        let max_records = rest / 8 / TABLE_BYTES;
        (max_records, max_records * NAME_OCTETS)
    }

    /// The smallest limit for an agent with a ring of this size.
    pub fn min_bytes(ring_bytes: usize) -> usize {
        ring_bytes + PROGRAM_BYTES + MIN_REST_BYTES
    }
}

/// Makes the allocator return freed memory, and keep no arena per thread: large blocks come
/// directly from the system and are returned at once.
pub fn restrain_allocator() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets allocator parameters before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_are_no_more_than_the_ceiling() {
        for max_bytes in (24..512).map(|mib| mib << 20) {
            for ring_bytes in [0, 4 << 20, 16 << 20] {
                if max_bytes < Budget::min_bytes(ring_bytes) {
                    continue;
                }
                let budget = Budget::of_agent(max_bytes, ring_bytes);
                let Budget { max_records, max_served_records, observer_bytes, in_flight_bytes, .. } = budget;
                let records = (max_records + max_served_records) * (2 * TABLE_BYTES + 3 * BATCH_BYTES + ENCODED_BYTES);
                let sum = ring_bytes + PROGRAM_BYTES + observer_bytes + 2 * in_flight_bytes as usize + records;
                assert!(sum <= max_bytes, "{max_bytes} {ring_bytes}: {sum}");
            }
        }
    }

    #[test]
    fn a_replay_counts_the_same_with_any_memory_and_stays_within_it() {
        for max_bytes in (20..512).map(|mib| mib << 20) {
            let Budget { max_records, max_served_records, observer_bytes, in_flight_bytes, .. } = Budget::of_replay(max_bytes);
            assert_eq!(observer_bytes, 6 << 20);
            let records = (max_records + max_served_records) * (2 * TABLE_BYTES + 3 * BATCH_BYTES + ENCODED_BYTES);
            let sum = PROGRAM_BYTES + observer_bytes + 2 * in_flight_bytes as usize + records;
            assert!(max_records > 0 && sum <= max_bytes, "{max_bytes}: {sum}");
        }
    }

    #[test]
    fn the_default_has_room_for_tens_of_thousands_of_records() {
        let agent = Budget::of_agent(DEFAULT_MAX_BYTES, 16 << 20);
        assert!((35_000..60_000).contains(&agent.max_records), "{agent:?}");
        let tally = Budget::of_tally(DEFAULT_MAX_BYTES);
        assert!((100_000..300_000).contains(&tally.max_records), "{tally:?}");
    }
}
