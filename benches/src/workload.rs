//! Batches as ten busy servers send them, the same every time.

use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_wire::{Batch, Counter, Counters, Coverage, Identity, Records, Row};

/// Records of a server's zones.
const RECORDS: u64 = 2_500;
/// Requests a server gets in a minute: so many that about 1,950 of the records are asked for.
const REQUESTS: u64 = 40_000;

/// A generator of batches.
pub struct Workload {
    random: SplitMix,
    weights: Vec<f64>,
}

impl Workload {
    /// The same batches for the same seed.
    pub fn new(seed: u64) -> Self {
        // Zipf: the n-th record is asked for in proportion to 1/n.
        let mut sum = 0.0;
        let weights = (1..=RECORDS).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Workload { random: SplitMix::new(seed), weights: weights.collect() }
    }

    /// What a server sends of a minute: requests, and the same number of responses.
    pub fn batch(&mut self, server_id: u32, seq: u64, start_s: u64) -> Batch {
        let kinds = [MessageKind::REQUEST, MessageKind::response(ResponseCode::NOERROR)];
        let mut hits = vec![[(0u64, u32::MAX, 0u32); 2]; RECORDS as usize];
        for _ in 0..REQUESTS {
            let asked_ms = (self.random.next() % 59_990) as u32;
            let record = self.record();
            // Within ten milliseconds: were the two equal, compression would find out.
            let answered_ms = asked_ms + (self.random.next() % 10) as u32;
            for ((count, first, last), at_ms) in hits[record].iter_mut().zip([asked_ms, answered_ms]) {
                *count += 1;
                *first = at_ms.min(*first);
                *last = at_ms.max(*last);
            }
        }
        let mut records = Records::new();
        let mut rows = Vec::new();
        for (number, hits) in hits.into_iter().enumerate().filter(|(_, [(requests, ..), _])| *requests > 0) {
            let record_type = if number % 3 == 0 { RecordType::new(28) } else { RecordType::A };
            let record = records.push(&format!("host-{number:05}.zone-{server_id}.example."), record_type);
            let row = |(kind, (hits, first_ms, last_ms))| Row { record, kind, hits, first_ms, last_ms };
            rows.extend(kinds.into_iter().zip(hits).map(row));
        }
        let mut counters = Counters::new();
        counters.add(Counter::PacketsSeen, 2 * REQUESTS);
        counters.add(Counter::MessagesSeen, 2 * REQUESTS);
        Batch {
            identity: Identity { server_id, epoch: 1, seq },
            start_s,
            interval_s: 60,
            coverage: Coverage { from_ms: start_s * 1000, until_ms: (start_s + 60) * 1000 },
            counters,
            evicted: None,
            records,
            rows,
        }
    }

    fn record(&mut self) -> usize {
        let total = self.weights.last().copied().unwrap_or(1.0);
        let at = (self.random.next() >> 11) as f64 / (1u64 << 53) as f64 * total;
        self.weights.partition_point(|weight| *weight < at).min(RECORDS as usize - 1)
    }
}

/// SplitMix64: the same numbers for the same seed.
pub struct SplitMix(u64);

impl SplitMix {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        SplitMix(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
