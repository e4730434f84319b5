//! Batches as sent by busy servers, identical for the same seed.

use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_model::{Identity, ServerId};
use zonepulse_wire::{Batch, Counter, Counters, Coverage, Records, Row};

/// The size of the workload.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Servers, numbered from 1.
    pub servers: u32,
    /// Records in a server's zones.
    pub records: u32,
    /// Requests to a server per minute.
    pub requests: u32,
    /// Whether records are queried with a Zipf distribution, or uniformly.
    pub zipf: bool,
}

impl Shape {
    /// Ten servers with 2,500 records, of which about 970 are queried in a minute: including
    /// responses, 1,939 points.
    pub const STANDARD: Shape = Shape { servers: 10, records: 2_500, requests: 3_900, zipf: true };
}

/// Generates batches.
pub struct Workload {
    shape: Shape,
    random: SplitMix,
    /// Cumulative weights of the records.
    weights: Vec<f64>,
    /// By server and record: the minute from which nobody queries it.
    deaths: Vec<u64>,
    /// For the current batch: by record, for request and response, hits, first and last.
    hits: Vec<[(u64, u32, u32); 2]>,
}

/// No hits.
const NONE: [(u64, u32, u32); 2] = [(0, u32::MAX, 0); 2];

impl Workload {
    /// Generates the same batches for the same seed.
    pub fn new(seed: u64, shape: Shape) -> Self {
        let mut sum = 0.0;
        let weights = (1..=shape.records).map(|rank| {
            // Zipf: the n-th record is queried in proportion to 1/n.
            sum += if shape.zipf { 1.0 / f64::from(rank) } else { 1.0 };
            sum
        });
        let weights = weights.collect();
        let hits = vec![NONE; shape.records as usize];
        Workload { shape, random: SplitMix::new(seed), weights, deaths: Vec::new(), hits }
    }

    /// The same, but a tenth of the records of each server die at some minute.
    pub fn dying(seed: u64, shape: Shape, minutes: u64) -> Self {
        let mut workload = Workload::new(seed, shape);
        let all = u64::from(shape.servers) * u64::from(shape.records);
        let deaths = (0..all).map(|_| match workload.random.next() % 10 {
            0 => workload.random.next() % minutes,
            _ => u64::MAX,
        });
        workload.deaths = deaths.collect();
        workload
    }

    fn is_dead(&self, server_id: u32, record: usize, minute: u64) -> bool {
        let at = u64::from(server_id.saturating_sub(1)) * u64::from(self.shape.records) + record as u64;
        self.deaths.get(at as usize).is_some_and(|death| *death <= minute)
    }

    /// The batch of a server for a minute: requests, and the same number of responses.
    pub fn batch(&mut self, server_id: u32, minute: u64, start_s: u64) -> Batch {
        let kinds = [MessageKind::REQUEST, MessageKind::response(ResponseCode::NOERROR)];
        self.hits.fill(NONE);
        let mut seen = 0;
        for _ in 0..self.shape.requests {
            let asked_ms = (self.random.next() % 59_990) as u32;
            let record = self.record();
            if self.is_dead(server_id, record, minute) {
                continue;
            }
            seen += 2;
            // Within ten milliseconds: if the two were equal, compression would exploit it.
            let answered_ms = asked_ms + (self.random.next() % 10) as u32;
            for ((count, first, last), at_ms) in self.hits[record].iter_mut().zip([asked_ms, answered_ms]) {
                *count += 1;
                *first = at_ms.min(*first);
                *last = at_ms.max(*last);
            }
        }
        let mut records = Records::new();
        let mut rows = Vec::new();
        for (number, hits) in self.hits.iter().enumerate().filter(|(_, [(requests, ..), _])| *requests > 0) {
            let (name, record_type) = record(number as u32, server_id);
            let record = records.push(&name, record_type);
            let row = |(kind, (hits, first_ms, last_ms))| Row { record, kind, hits, first_ms, last_ms };
            rows.extend(kinds.into_iter().zip(*hits).map(row));
        }
        let mut counters = Counters::new();
        counters.add(Counter::PacketsSeen, seen);
        counters.add(Counter::MessagesSeen, seen);
        Batch {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq: minute },
            start_s,
            interval_s: 60,
            coverage: Coverage { from_ms: start_s * 1000, until_ms: (start_s + 60) * 1000 },
            counters,
            evicted: None,
            records,
            rows,
        }
    }

    /// An encoded batch with `count` records that are new in this minute, each with one hit of each
    /// kind.
    pub fn all(&mut self, server_id: u32, minute: u64, start_s: u64, count: u32, kinds: &[MessageKind]) -> Vec<u8> {
        let mut batch = self.batch(server_id, minute, start_s);
        (batch.records, batch.rows) = (Records::new(), Vec::new());
        for number in (0..count).map(|number| minute * u64::from(count) + u64::from(number)) {
            let record = batch.records.push(&format!("host-{number:07}.zone-{server_id}.example."), RecordType::A);
            let at_ms = (self.random.next() % 60_000) as u32;
            batch.rows.extend(kinds.iter().map(|kind| Row { record, kind: *kind, hits: 1, first_ms: at_ms, last_ms: at_ms }));
        }
        batch.encode().expect("within the bounds of the format")
    }

    fn record(&mut self) -> usize {
        let total = self.weights.last().copied().unwrap_or(1.0);
        let at = (self.random.next() >> 11) as f64 / (1u64 << 53) as f64 * total;
        self.weights.partition_point(|weight| *weight < at).min(self.weights.len() - 1)
    }
}

/// Name and type of a server's n-th record.
pub fn record(number: u32, server_id: u32) -> (String, RecordType) {
    let record_type = if number.is_multiple_of(3) { RecordType::new(28) } else { RecordType::A };
    (format!("host-{number:05}.zone-{server_id}.example."), record_type)
}

/// SplitMix64: the same numbers for the same seed.
pub struct SplitMix(u64);

impl SplitMix {
    /// Starts at a seed.
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
