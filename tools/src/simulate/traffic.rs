//! The DNS traffic of a simulated server.
//!
//! The number of requests for a record is drawn from a Poisson distribution in each interval, with a mean that
//! depends on the record's popularity (see `popularity`). Each request is answered a few milliseconds later.

use super::random::Random;
use std::sync::Arc;
use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_model::Identity;
use zonepulse_wire::{Batch, Counter, Counters, Coverage, Records, Row};

/// Maximum number of records of a server. A batch with all of them is far below the limits of the format.
pub const MAX_RECORDS: u32 = 200_000;
/// Maximum time from a request to its answer, in milliseconds.
const LONGEST_ANSWER_MS: u64 = 10;
/// Above this mean, the normal distribution approximates the Poisson distribution.
const MANY: f64 = 50.0;

/// The traffic of one server, interval by interval.
#[derive(Debug)]
pub struct Traffic {
    /// Mean requests per interval, by record.
    expected: Arc<[f64]>,
    random: Random,
}

impl Traffic {
    /// Traffic with these mean requests per interval, by record. The same seed produces the same traffic.
    pub fn new(expected: Arc<[f64]>, seed: u64) -> Self {
        Traffic { expected, random: Random::new(seed) }
    }

    /// Generates the next interval.
    pub fn batch(&mut self, identity: Identity, start_s: u64, interval_s: u32) -> Batch {
        let mut records = Records::new();
        let mut rows = Vec::new();
        let mut requests = 0;
        let latest_ms = f64::from(interval_s) * 1000.0 - LONGEST_ANSWER_MS as f64 - 1.0;
        for (number, expected) in self.expected.iter().enumerate() {
            let hits = poisson(&mut self.random, *expected);
            if hits == 0 {
                continue;
            }
            requests += hits;
            let record_type = if number % 3 == 0 { RecordType::new(28) } else { RecordType::A };
            let record = records.push(&format!("host-{number:06}.zone-{}.example.", identity.server_id), record_type);
            // The maximum of `hits` uniform moments, and the minimum of those before it.
            let last = self.random.unit().powf(1.0 / hits as f64);
            let first = if hits == 1 { last } else { last * (1.0 - self.random.unit().powf(1.0 / (hits - 1) as f64)) };
            let (first_ms, last_ms) = ((first * latest_ms) as u32, (last * latest_ms) as u32);
            let answered_ms = (self.random.next() % LONGEST_ANSWER_MS) as u32;
            for (kind, later_ms) in [(MessageKind::REQUEST, 0), (MessageKind::response(ResponseCode::NOERROR), answered_ms)] {
                rows.push(Row { record, kind, hits, first_ms: first_ms + later_ms, last_ms: last_ms + later_ms });
            }
        }
        let mut counters = Counters::new();
        counters.add(Counter::PacketsSeen, 2 * requests);
        counters.add(Counter::MessagesSeen, 2 * requests);
        let until_ms = (start_s + u64::from(interval_s)) * 1000;
        let coverage = Coverage { from_ms: start_s * 1000, until_ms };
        Batch { identity, start_s, interval_s, coverage, counters, evicted: None, records, rows }
    }
}

/// Draws a number from the Poisson distribution with this mean.
fn poisson(random: &mut Random, expected: f64) -> u64 {
    if expected > MANY {
        return (expected + random.normal() * expected.sqrt()).round().max(0.0) as u64;
    }
    // Knuth's algorithm: how many factors in (0, 1) it takes for their product to fall below e^-mean.
    let (lowest, mut product, mut count) = ((-expected).exp(), random.unit(), 0);
    while product > lowest {
        product *= random.unit();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::popularity::Popularity;

    fn expected(records: u32, active: u32) -> Arc<[f64]> {
        Popularity::new(records, active).expected().collect()
    }

    const IDENTITY: Identity = Identity { server_id: zonepulse_model::ServerId::new(7), epoch: 1, seq: 0 };

    #[test]
    fn about_so_many_records_are_active_as_were_asked_for() {
        for (records, active) in [(5_000, 2_000), (2_500, 1_950), (100, 100), (10, 1)] {
            let mut traffic = Traffic::new(expected(records, active), 42);
            let counts = (0..20).map(|minute| traffic.batch(IDENTITY, minute * 60, 60).records.len());
            let mean = counts.sum::<usize>() as f64 / 20.0;
            let about = f64::from(active);
            assert!((mean - about).abs() < about * 0.05 + 1.0, "{mean} of {records}, wanted {active}");
        }
    }

    #[test]
    fn every_batch_is_one_that_a_central_takes() {
        let mut traffic = Traffic::new(expected(3_000, 1_000), 1);
        for interval_s in [1, 5, 60, 300] {
            let batch = traffic.batch(IDENTITY, 3600, interval_s);
            let decoded = Batch::decode(&batch.encode().unwrap()).unwrap();
            assert_eq!(decoded, batch, "{interval_s} s");
            assert_eq!(batch.counters.get(Counter::MessagesSeen), batch.hits());
        }
    }

    #[test]
    fn a_seed_is_always_the_same_traffic() {
        let batch = |seed| Traffic::new(expected(100, 50), seed).batch(IDENTITY, 0, 60);
        assert_eq!(batch(5), batch(5));
        assert_ne!(batch(5), batch(6));
    }
}
