//! The memory ceiling, and what each part of the probe may take of it.
//!
//! One number bounds the whole probe (`memory.max_bytes`, 64 MiB by default):
//! what the system says is resident, the ring between kernel and probe included,
//! because all of it is mapped. It is divided once, at the start:
//!
//! | part | share | what is in it |
//! | --- | --- | --- |
//! | ring | `capture.buffer_bytes` | packets that wait to be read |
//! | connections | `dnstap.max_connections` and `max_tcp_connections`, where they are used, times 256 KiB | frames that are not complete |
//! | program | 12 MiB | code, libraries, stacks, what allocators keep, the compressor |
//! | observer | 1/6 of the rest | TCP streams (two thirds of it) and fragments |
//! | delivery | 1/8 of the rest | batches on their way to the central, sent or fetched |
//! | records | what is left | everything that grows with the records of an interval |
//!
//! A record takes places in two tables, because the next interval begins before
//! the last one is closed; a part of three batches: one that is closed, one that
//! waits for the disk, one that is being written; and a part of the bytes that
//! the last is encoded to. So the share of the records gives their number. Tables
//! take address space for it at once and memory as they fill, and never grow by
//! copying; their index doubles, but a copy of half the size is made when the table
//! is half full. An interval whose names are longer than [`NAME_OCTETS`] on
//! average holds fewer of them.

use crate::meter::{MAX_NAME_OCTETS, MAX_RECORDS};
use crate::tally;

/// The ceiling unless it is configured, bytes.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;
/// What the program takes before it has seen anything, and for work of bounded size, bytes.
const PROGRAM_BYTES: usize = 12 << 20;
/// The least that is left for everything else, bytes.
const MIN_REST_BYTES: usize = 8 << 20;
/// What a record's name takes on average, octets.
const NAME_OCTETS: usize = 40;
/// What a record takes in a batch: its name, its length and type, two rows and the share of a third.
const BATCH_BYTES: usize = NAME_OCTETS + 6 + size_of::<zonepulse_wire::Row>() * 9 / 4;
/// What a record takes encoded. Random names and times cannot be compressed.
const ENCODED_BYTES: usize = 64;
/// What a record takes to be printed by `tally`: two lines, and its name.
const PRINTED_BYTES: usize = 2 * 48 + NAME_OCTETS;
/// What the observer of a replay has: as much as that of an agent has by default.
const REPLAY_OBSERVER_BYTES: usize = (DEFAULT_MAX_BYTES - PROGRAM_BYTES - (16 << 20)) / 6;
const TABLE_BYTES: usize = tally::BYTES_PER_RECORD + NAME_OCTETS;

/// What each part may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The most records of an interval; hits of others fold into `<other>`.
    pub max_records: usize,
    /// Their names all in all, octets.
    pub max_name_octets: usize,
    /// TCP streams and fragments, bytes.
    pub observer_bytes: usize,
    /// Closed batches that wait for the disk, bytes.
    pub queue_bytes: usize,
    /// Batches on their way to the central, bytes.
    pub in_flight_bytes: u64,
}

impl Budget {
    /// The budget of an agent whose ring has so many bytes; one without a ring has 0.
    pub fn of_agent(max_bytes: usize, ring_bytes: usize) -> Budget {
        let rest = max_bytes.saturating_sub(ring_bytes + PROGRAM_BYTES).max(MIN_REST_BYTES);
        Budget::divide(rest, rest / 6)
    }

    /// Divides what is left besides ring and program.
    fn divide(rest: usize, observer_bytes: usize) -> Budget {
        let delivery_bytes = rest / 8;
        let records = (rest - observer_bytes - delivery_bytes) / (2 * TABLE_BYTES + 3 * BATCH_BYTES + ENCODED_BYTES);
        let max_records = records.min(MAX_RECORDS);
        Budget {
            max_records,
            max_name_octets: (max_records * NAME_OCTETS).min(MAX_NAME_OCTETS),
            observer_bytes,
            queue_bytes: max_records * BATCH_BYTES,
            // A batch is in memory as it was read, and once more as it is sent.
            in_flight_bytes: (delivery_bytes / 2) as u64,
        }
    }

    /// The budget of a replay, which has no ring. What it counts must not depend on how much memory there is, or the
    /// same capture would not be known again: so TCP streams and fragments have always as much.
    pub fn of_replay(max_bytes: usize) -> Budget {
        let rest = max_bytes.saturating_sub(PROGRAM_BYTES).max(MIN_REST_BYTES);
        Budget::divide(rest, REPLAY_OBSERVER_BYTES)
    }

    /// The shares of two sources: a half of the records for the one that is counted, a
    /// quarter for the one that is compared with it. The rest is for comparing.
    pub fn shared(self) -> (Budget, Budget) {
        let part = |by: usize| Budget {
            max_records: self.max_records / by,
            max_name_octets: self.max_name_octets / by,
            queue_bytes: self.queue_bytes / by,
            ..self
        };
        (part(2), part(4))
    }

    /// The budget of `tally`, which has one table, and prints it.
    pub fn of_tally(max_bytes: usize) -> Budget {
        let rest = max_bytes.saturating_sub(PROGRAM_BYTES).max(MIN_REST_BYTES);
        let observer_bytes = rest / 6;
        let max_records = (rest - observer_bytes) / (TABLE_BYTES + PRINTED_BYTES);
        let max_name_octets = max_records * NAME_OCTETS;
        Budget { max_records, max_name_octets, observer_bytes, queue_bytes: 0, in_flight_bytes: 0 }
    }

    /// The smallest ceiling of an agent whose ring has so many bytes.
    pub fn min_bytes(ring_bytes: usize) -> usize {
        ring_bytes + PROGRAM_BYTES + MIN_REST_BYTES
    }
}

/// Has the allocator give back what is freed, and keep no memory apart for each
/// thread: large pieces come from the system one by one and go back at once.
pub fn restrain_allocator() {
    #[cfg(target_env = "gnu")]
    // SAFETY: parameters of the allocator, set before there is a second thread.
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
                let Budget { max_records, observer_bytes, in_flight_bytes, .. } = Budget::of_agent(max_bytes, ring_bytes);
                let records = max_records * (2 * TABLE_BYTES + 3 * BATCH_BYTES + ENCODED_BYTES);
                let sum = ring_bytes + PROGRAM_BYTES + observer_bytes + 2 * in_flight_bytes as usize + records;
                assert!(sum <= max_bytes, "{max_bytes} {ring_bytes}: {sum}");
            }
        }
    }

    #[test]
    fn a_replay_counts_the_same_with_any_memory_and_stays_within_it() {
        for max_bytes in (20..512).map(|mib| mib << 20) {
            let Budget { max_records, observer_bytes, in_flight_bytes, .. } = Budget::of_replay(max_bytes);
            assert_eq!(observer_bytes, 6 << 20);
            let records = max_records * (2 * TABLE_BYTES + 3 * BATCH_BYTES + ENCODED_BYTES);
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
