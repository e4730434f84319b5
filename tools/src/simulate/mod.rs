//! A simulated fleet: batches of simulated servers, sent to a real central.
//!
//! It shows how a central performs before there are probes. The batches are encoded by the probes' codec and travel
//! over HTTP or through RabbitMQ until they are confirmed, so a central cannot distinguish them from those of probes.
//! Packets and spools are not simulated.
//!
//! `traffic` generates DNS batches and `machine` generates batches of metrics; the same seed produces the same
//! batches. A [`Fleet`] sends them over a [`Link`], in real time or faster. By default, the last interval ends when
//! it is sent.

mod link;
mod machine;
mod random;
mod servers;
mod traffic;

pub use link::Link;
pub use machine::MAX_METRICS;
pub use servers::{Known, read_servers, write_servers};
pub use traffic::MAX_RECORDS;

use crate::Error;
use crate::popularity::Popularity;
use futures::future::try_join_all;
use machine::Machine;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use traffic::Traffic;
use zonepulse_model::{Identity, ServerId};
use zonepulse_wire::Message;

/// The fleet to simulate.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Its servers.
    pub servers: Vec<Known>,
    /// Records per server.
    pub records: u32,
    /// Approximate number of them active in an interval.
    pub active: u32,
    /// Series of metrics per server.
    pub metrics: u32,
    /// Length of an interval, in seconds.
    pub interval_s: u32,
    /// Number of intervals.
    pub intervals: u64,
    /// Speed relative to real time; `None` is as fast as the central accepts batches.
    pub speed: Option<f64>,
    /// Start of the first interval, in Unix seconds; `None` lets the last interval end when it is sent.
    pub from_s: Option<u64>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Maximum batches in flight.
    pub connections: usize,
}

/// What was sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Sent {
    /// Confirmed DNS batches.
    pub batches: u64,
    /// Points in them.
    pub points: u64,
    /// Hits in them.
    pub hits: u64,
    /// Confirmed batches of metrics.
    pub value_batches: u64,
    /// Values in them.
    pub values: u64,
    /// Size of all batches, without the overhead of HTTP or AMQP.
    pub bytes: u64,
    /// Number of retries.
    pub retries: u64,
    /// Start of the first interval, in Unix seconds.
    pub from_s: u64,
    /// End of the last interval, in Unix seconds.
    pub until_s: u64,
    /// Duration of sending, in seconds.
    pub seconds: f64,
}

impl Fleet {
    /// Sends all batches.
    pub async fn run(&self, link: Arc<Link>, now_ms: u64) -> Result<Sent, Error> {
        let began = Instant::now();
        let from_s = self.from_s.unwrap_or_else(|| self.begin_s(now_ms / 1000));
        // Each run has its own epoch, and so its own sequence.
        let epoch = now_ms;
        let expected: Arc<[f64]> = Popularity::new(self.records, self.active).expected().collect();
        let lanes = self.connections.clamp(1, self.servers.len().max(1));
        let running = (0..lanes).map(|lane| {
            let servers: Vec<Known> = self.servers.iter().skip(lane).step_by(lanes).cloned().collect();
            let expected = expected.clone();
            let lane = Lane { fleet: self.clone(), servers, expected, link: link.clone(), from_s, epoch, began };
            tokio::spawn(lane.run())
        });
        let mut sum = Sent { from_s, until_s: from_s + self.intervals * u64::from(self.interval_s), ..Sent::default() };
        for sent in try_join_all(running).await? {
            sum.add(&sent?);
        }
        sum.seconds = began.elapsed().as_secs_f64();
        Ok(sum)
    }

    /// Start of the first interval, such that the last one ends when it is due.
    fn begin_s(&self, now_s: u64) -> u64 {
        let length_s = self.intervals * u64::from(self.interval_s);
        let takes_s = self.speed.map_or(0.0, |speed| length_s as f64 / speed);
        let begin_s = (now_s + takes_s as u64).saturating_sub(length_s);
        begin_s - begin_s % u64::from(self.interval_s)
    }
}

impl Sent {
    fn add(&mut self, more: &Sent) {
        self.batches += more.batches;
        self.points += more.points;
        self.hits += more.hits;
        self.value_batches += more.value_batches;
        self.values += more.values;
        self.bytes += more.bytes;
        self.retries += more.retries;
    }
}

/// A share of the fleet's servers, with one batch in flight at a time.
struct Lane {
    fleet: Fleet,
    servers: Vec<Known>,
    /// Mean requests per interval, by record.
    expected: Arc<[f64]>,
    link: Arc<Link>,
    from_s: u64,
    epoch: u64,
    began: Instant,
}

/// The state of a simulated server.
struct Simulated {
    known: Known,
    traffic: Traffic,
    machine: Machine,
    identity: Identity,
    /// End of the last batch of metrics, in Unix seconds.
    measured_s: u64,
}

impl Lane {
    async fn run(self) -> Result<Sent, Error> {
        let Fleet { interval_s, intervals, speed, .. } = self.fleet;
        let mut servers: Vec<Simulated> = self.servers.iter().map(|known| self.simulated(known)).collect();
        let mut sent = Sent::default();
        for number in 0..intervals {
            if let Some(speed) = speed {
                let due_s = (number + 1) as f64 * f64::from(interval_s) / speed;
                sleep_until(self.began + Duration::try_from_secs_f64(due_s).unwrap_or_default()).await;
            }
            let start_s = self.from_s + number * u64::from(interval_s);
            for server in &mut servers {
                let batch = server.traffic.batch(server.identity, start_s, interval_s);
                sent.batches += 1;
                sent.points += batch.rows.len() as u64;
                sent.hits += batch.hits();
                self.send(server, batch.into(), &mut sent).await?;
                while self.fleet.metrics > 0 && server.measured_s + machine::BATCH_S <= start_s + u64::from(interval_s) {
                    let batch = server.machine.batch(server.identity, server.measured_s);
                    sent.value_batches += 1;
                    sent.values += batch.points();
                    server.measured_s += machine::BATCH_S;
                    self.send(server, batch.into(), &mut sent).await?;
                }
            }
        }
        Ok(sent)
    }

    fn simulated(&self, known: &Known) -> Simulated {
        let seed = self.fleet.seed ^ u64::from(known.id).rotate_left(32);
        Simulated {
            known: known.clone(),
            traffic: Traffic::new(self.expected.clone(), seed),
            machine: Machine::new(self.fleet.metrics, seed),
            identity: Identity { server_id: ServerId::new(known.id), epoch: self.epoch, seq: 0 },
            measured_s: self.from_s.next_multiple_of(machine::BATCH_S),
        }
    }

    /// Sends a batch of either kind. Both share one sequence.
    async fn send(&self, server: &mut Simulated, message: Message, sent: &mut Sent) -> Result<(), Error> {
        let bytes = message.encode().map_err(Error::Batch)?;
        server.identity.seq += 1;
        sent.bytes += bytes.len() as u64;
        sent.retries += self.link.send(&server.known, bytes).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(speed: Option<f64>) -> Fleet {
        Fleet {
            servers: Vec::new(),
            records: 10,
            active: 5,
            metrics: 0,
            interval_s: 60,
            intervals: 60,
            speed,
            from_s: None,
            seed: 1,
            connections: 4,
        }
    }

    #[test]
    fn the_last_interval_ends_when_it_is_sent() {
        let now_s = 1_000_000 * 60;
        assert_eq!(fleet(Some(1.0)).begin_s(now_s), now_s);
        assert_eq!(fleet(None).begin_s(now_s), now_s - 3600);
        assert_eq!(fleet(Some(60.0)).begin_s(now_s), now_s - 59 * 60);
    }
}
