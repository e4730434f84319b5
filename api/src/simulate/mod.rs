//! A fleet of servers that do not exist, sent through the transport that probes use.
//!
//! For whoever wants to see how a central does before there are probes: the
//! batches are made by the codec of the probes and come in over HTTP or through
//! RabbitMQ, each until it is confirmed, so nothing behind the socket knows the
//! difference. What is not there is the probe: no packets, no spool.
//!
//! `traffic` makes batches of DNS and `machine` such of metrics, the same ones for
//! the same seed. [`Fleet`] sends them: in real time, or as many times faster as is asked for, with times that
//! end now.

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
use zonepulse_central::time::now_ms;
use zonepulse_wire::{Identity, Message};

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The servers that it consists of.
    pub servers: Vec<Known>,
    /// Records of each server.
    pub records: u32,
    /// About how many of them are asked for in an interval.
    pub active: u32,
    /// Series of metrics of each server.
    pub metrics: u32,
    /// The length of an interval, seconds.
    pub interval_s: u32,
    /// How many intervals.
    pub intervals: u64,
    /// How many times faster than real time; `None` as fast as the central takes it.
    pub speed: Option<f64>,
    /// When the first interval begins, Unix seconds; without it, so that the last one ends when it is sent.
    pub from_s: Option<u64>,
    /// What the traffic depends on.
    pub seed: u64,
    /// Batches under way at once.
    pub connections: usize,
}

/// What was sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Sent {
    /// Batches of DNS that were confirmed.
    pub batches: u64,
    /// Points in them.
    pub points: u64,
    /// Hits in them.
    pub hits: u64,
    /// Batches of metrics that were confirmed.
    pub value_batches: u64,
    /// Values in them.
    pub values: u64,
    /// The bytes of all, without what HTTP or AMQP adds.
    pub bytes: u64,
    /// How often a batch had to be sent again.
    pub retries: u64,
    /// Start of the first interval, Unix seconds.
    pub from_s: u64,
    /// End of the last one.
    pub until_s: u64,
    /// How long it took, seconds.
    pub seconds: f64,
}

impl Fleet {
    /// Sends all of it.
    pub async fn run(&self, link: Arc<Link>) -> Result<Sent, Error> {
        let began = Instant::now();
        let from_s = self.from_s.unwrap_or_else(|| self.begin_s(now_ms() / 1000));
        // A run of its own: its sequence has nothing to do with that of an earlier one.
        let epoch = now_ms();
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

    /// Where the first interval begins so that the last one ends when it is due.
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

/// Some servers of a fleet, one batch after the other.
struct Lane {
    fleet: Fleet,
    servers: Vec<Known>,
    /// Requests expected in an interval, by record.
    expected: Arc<[f64]>,
    link: Arc<Link>,
    from_s: u64,
    epoch: u64,
    began: Instant,
}

/// A server on its way through time.
struct Simulated {
    known: Known,
    traffic: Traffic,
    machine: Machine,
    identity: Identity,
    /// Until when metrics were sent, Unix seconds.
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
            identity: Identity { server_id: known.id, epoch: self.epoch, seq: 0 },
            measured_s: self.from_s.next_multiple_of(machine::BATCH_S),
        }
    }

    /// Both kinds are numbered in one sequence.
    async fn send(&self, server: &mut Simulated, message: Message, sent: &mut Sent) -> Result<(), Error> {
        let bytes = message.encode().map_err(|error| Error::Argument(format!("a batch cannot be made: {error}")))?;
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
