//! The metrics of a simulated machine.
//!
//! The series' names begin with `simulated_`, so that they are not mistaken for real ones. Out of ten series, four
//! move like the utilization of a core, two like memory or disk space, one like a rate, one like a load average, one
//! like a count, and one is constant. This is roughly the mix of the fifty series of a real machine.

use super::random::Random;
use zonepulse_model::Identity;
use zonepulse_wire::{Series, SystemBatch};

/// Seconds between two measurements, the default for probes.
pub const INTERVAL_S: u32 = 5;
/// Seconds between two batches.
pub const BATCH_S: u64 = 60;
/// Maximum number of series of a machine.
pub const MAX_METRICS: u32 = 1024;
/// Size of a memory page, in bytes.
const PAGE: f64 = 4096.0;
/// Clock ticks of a core between two measurements.
const TICKS: f64 = 100.0 * INTERVAL_S as f64;

/// The series of one server, batch by batch.
#[derive(Debug)]
pub struct Machine {
    /// Sorted by metric and label, as in a batch.
    series: Vec<Moving>,
    random: Random,
}

#[derive(Debug)]
struct Moving {
    kind: Kind,
    label: String,
    value: f64,
}

/// How a series moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Constant,
    Count,
    Load,
    Pages,
    Percent,
    Rate,
}

impl Kind {
    fn of(number: u32) -> Self {
        match number % 10 {
            0..=3 => Kind::Percent,
            4 | 5 => Kind::Pages,
            6 => Kind::Rate,
            7 => Kind::Load,
            8 => Kind::Count,
            _ => Kind::Constant,
        }
    }

    fn metric(self) -> &'static str {
        match self {
            Kind::Constant => "simulated_constant",
            Kind::Count => "simulated_count",
            Kind::Load => "simulated_load",
            Kind::Pages => "simulated_pages_bytes",
            Kind::Percent => "simulated_percent",
            Kind::Rate => "simulated_bytes_per_s",
        }
    }

    fn begin(self, random: &mut Random) -> f64 {
        match self {
            Kind::Constant => (random.unit() * 1e9).round() * PAGE,
            Kind::Count => (100.0 * random.unit()).round(),
            Kind::Load => 0.3,
            Kind::Pages => (1e6 * random.unit()).round() * PAGE,
            Kind::Percent => 5.0 + 25.0 * random.unit(),
            Kind::Rate => 1e5 + 1e6 * random.unit(),
        }
    }
}

impl Moving {
    /// The next value. For rates and percentages, `self.value` is the mean around which they move.
    fn next(&mut self, random: &mut Random) -> f64 {
        match self.kind {
            Kind::Constant => {}
            Kind::Count if random.unit() < 0.3 => {
                self.value = (self.value + (4.0 * random.unit()).floor() - 1.5).round().max(0.0)
            }
            Kind::Count => {}
            Kind::Load => self.value = (self.value * 0.95 + 0.05 * (1.0 + random.normal()).max(0.0).round()).max(0.0),
            Kind::Pages => self.value = (self.value + (150.0 * random.normal()).round() * PAGE).max(0.0),
            Kind::Percent => {
                let mean = self.value / 100.0 * TICKS;
                let ticks = (mean + mean.sqrt() * random.normal()).round().clamp(0.0, TICKS);
                return (ticks / TICKS * 1000.0).round() / 10.0;
            }
            Kind::Rate => return (self.value * (1.0 + 0.05 * random.normal())).max(0.0).round(),
        }
        if self.kind == Kind::Load { (self.value * 100.0).round() / 100.0 } else { self.value }
    }
}

impl Machine {
    /// A machine with this number of series. The same seed produces the same values.
    pub fn new(metrics: u32, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut series: Vec<Moving> = (0..metrics.min(MAX_METRICS))
            .map(|number| {
                let kind = Kind::of(number);
                Moving { kind, label: format!("{number:04}"), value: kind.begin(&mut random) }
            })
            .collect();
        series.sort_by(|a, b| (a.kind.metric(), &a.label).cmp(&(b.kind.metric(), &b.label)));
        Machine { series, random }
    }

    /// The measurements of the next [`BATCH_S`] seconds.
    pub fn batch(&mut self, identity: Identity, start_s: u64) -> SystemBatch {
        let slots = (BATCH_S / u64::from(INTERVAL_S)) as u32;
        let random = &mut self.random;
        let series = self.series.iter_mut().map(|moving| Series {
            metric: moving.kind.metric().to_owned(),
            label: moving.label.clone(),
            values: (0..slots).map(|_| Some(moving.next(random))).collect(),
        });
        SystemBatch { identity, start_s, interval_s: INTERVAL_S, slots, evicted: None, series: series.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_wire::Message;

    const IDENTITY: Identity = Identity { server_id: zonepulse_model::ServerId::new(7), epoch: 1, seq: 0 };

    #[test]
    fn every_batch_is_one_that_a_central_takes() {
        for metrics in [1, 50, MAX_METRICS] {
            let batch = Machine::new(metrics, 1).batch(IDENTITY, 3600);
            assert_eq!(batch.points(), u64::from(metrics) * 12);
            let decoded = Message::decode(&Message::from(batch.clone()).encode().unwrap()).unwrap();
            assert_eq!(decoded, Message::System(batch));
        }
    }

    #[test]
    fn a_seed_is_always_the_same_machine() {
        let batch = |seed| Machine::new(50, seed).batch(IDENTITY, 0);
        assert_eq!(batch(5), batch(5));
        assert_ne!(batch(5), batch(6));
    }

    #[test]
    fn values_take_what_those_of_a_machine_take() {
        let mut machine = Machine::new(50, 3);
        let bytes: usize =
            (0..60).map(|minute| Message::from(machine.batch(IDENTITY, minute * 60)).encode().unwrap().len()).sum();
        let each = bytes as f64 / (60.0 * 50.0 * 12.0);
        assert!((1.34..2.0).contains(&each), "{each} bytes, and 1.67 were measured");
    }
}
