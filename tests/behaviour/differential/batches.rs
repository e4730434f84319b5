//! Random batches, as sent by probes with all kinds of trouble.

use super::model::{Point, Told};
use super::random::Random;
use std::collections::BTreeSet;
use std::sync::Arc;
use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_tests::batches::{self, REQUEST, batch, encode};
use zonepulse_wire::{Counter, Coverage, MAX_HITS, MAX_SEQ};

const HOUR_S: u64 = 3600;

/// Names in a zone, in canonical text; those at the end use every possible kind of character.
const HOSTS: &[&str] = &[
    "www.example.",
    "old.example.",
    "shop.example.",
    "www.shop.example.",
    "api.shop.example.",
    "mail.example.",
    "www.example.net.",
    "xn--bcher-kva.example.",
    "_sip._tcp.example.",
    ".",
    "example.",
    "a\\.b.example.",
    "*.example.",
    "*.shop.example.",
    "\\032space\\032.example.",
    "comma,name.example.",
    "quote\\\"d.example.",
    "o'hare.example.",
    "100%.example.",
    "\\000\\255.example.",
    "back\\\\slash.example.",
    "\\@at\\;\\(\\)\\$.example.",
];

/// What overflowed a probe's table.
const FOLDED: &[&str] = &["<other>", "<other> example."];

const TYPES: &[u16] = &[1, 1, 1, 28, 28, 15, 16, 2, 6, 65, 255, 0, 65_280, 65_535];

/// Names of random subdomains.
const FLOOD: u64 = 4000;

/// The time range of a run of batches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Within the last nine hours.
    Recent,
    /// From the day before.
    Late,
    /// Its raw points have expired.
    Expired,
    /// Only its totals are left.
    Ancient,
}

impl Age {
    fn begin_s(self, random: &mut Random, hour_s: u64) -> u64 {
        let hours = match self {
            Age::Recent => 0..9,
            Age::Late => 26..40,
            Age::Expired => 120..125,
            Age::Ancient => 1440..1444,
        };
        hour_s - random.within(hours.start * HOUR_S..hours.end * HOUR_S)
    }
}

/// A batch in delivery. It may be delivered again.
#[derive(Clone)]
pub struct Delivery {
    /// Index in the list of servers.
    pub server: usize,
    pub bytes: Arc<Vec<u8>>,
    pub told: Arc<Told>,
}

struct Probe {
    server_id: u32,
    name: &'static str,
    epoch: u64,
    seq: u64,
    interval_s: u64,
    /// The time on its clock, Unix seconds.
    clock_s: u64,
}

/// The probes of a fleet.
pub struct Fleet {
    random: Random,
    probes: Vec<Probe>,
    /// The full hour before the test began, Unix seconds.
    hour_s: u64,
    /// No batch contains anything later, Unix seconds.
    until_s: u64,
    epochs: u64,
    /// Batches that wait in a spool for a later round.
    withheld: Vec<Delivery>,
    sent: Vec<Delivery>,
}

impl Fleet {
    pub fn new(seed: u64, servers: &[(u32, &'static str)], now_s: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let hour_s = now_s / HOUR_S * HOUR_S;
        let probe = |&(server_id, name): &(u32, &'static str)| {
            let clock_s = Age::Recent.begin_s(&mut random, hour_s);
            Probe { server_id, name, epoch: u64::from(server_id), seq: 0, interval_s: 60, clock_s }
        };
        let probes = servers.iter().map(probe).collect();
        // Whole minutes that have certainly passed.
        let until_s = now_s - 30;
        Fleet { random, probes, hour_s, until_s, epochs: 0, withheld: Vec::new(), sent: Vec::new() }
    }

    /// The deliveries of one round, in order of arrival.
    pub fn round(&mut self) -> Vec<Delivery> {
        let mut coming: Vec<Delivery> = Vec::new();
        for _ in 0..6 {
            let server = self.random.below(self.probes.len() as u64) as usize;
            self.run(server, &mut coming);
        }
        // Earlier batches arrive late, and some of this round's are withheld.
        let waited = self.withheld.len() / 2;
        coming.extend(self.withheld.drain(..waited));
        let (random, withheld) = (&mut self.random, &mut self.withheld);
        coming.retain(|delivery| {
            let now = !random.one_in(10);
            if !now {
                withheld.push(delivery.clone());
            }
            now
        });
        if self.random.one_in(2) {
            self.random.shuffle(&mut coming);
        }
        self.sent.extend(coming.iter().cloned());
        for _ in 0..self.random.below(8) {
            let copy = self.random.of(&self.sent).clone();
            coming.insert(self.random.below(coming.len() as u64 + 1) as usize, copy);
        }
        coming
    }

    /// Some consecutive intervals of one server.
    fn run(&mut self, server: usize, coming: &mut Vec<Delivery>) {
        let age = match self.random.below(10) {
            0..6 => Age::Recent,
            6..8 => Age::Late,
            8 => Age::Expired,
            _ => Age::Ancient,
        };
        if self.random.one_in(5) {
            self.begin_epoch(server);
        }
        let interval_s = *self.random.of(&[10, 30, 60, 60, 60, 60, 5, 20, 300]);
        let probe = &mut self.probes[server];
        if self.random.one_in(3) {
            probe.interval_s = interval_s;
        }
        // A probe continues where its clock stands, unless that was set in either direction.
        let goes_on = age == Age::Recent && probe.clock_s < self.hour_s + HOUR_S && !self.random.one_in(4);
        if !goes_on {
            probe.clock_s = age.begin_s(&mut self.random, self.hour_s);
        }
        for _ in 0..1 + self.random.below(9) {
            self.interval(server, age, coming);
        }
        if age != Age::Recent {
            self.probes[server].clock_s = Age::Recent.begin_s(&mut self.random, self.hour_s);
        }
    }

    /// Restarts a probe.
    fn begin_epoch(&mut self, server: usize) {
        self.epochs += 1;
        let largest = self.random.one_in(4);
        let probe = &mut self.probes[server];
        probe.epoch = if largest { u64::MAX - self.epochs } else { 1000 * self.epochs + u64::from(probe.server_id) };
        probe.seq = if largest { MAX_SEQ - 10_000 } else { 0 };
    }

    fn interval(&mut self, server: usize, age: Age, coming: &mut Vec<Delivery>) {
        let probe = &mut self.probes[server];
        let interval_s = probe.interval_s;
        let mut start_s = probe.clock_s / interval_s * interval_s;
        while start_s + interval_s > self.until_s {
            start_s -= HOUR_S;
        }
        probe.clock_s = start_s + interval_s;
        let (begin_ms, end_ms) = (start_s * 1000, (start_s + interval_s) * 1000);
        let random = &mut self.random;
        let middle_ms = random.within(begin_ms + 1..end_ms);
        match random.below(12) {
            // Two epochs each report part of one interval.
            0 => {
                coming.push(self.batch(server, age, start_s, (begin_ms, middle_ms)));
                self.begin_epoch(server);
                coming.push(self.batch(server, age, start_s, (middle_ms, end_ms)));
            }
            1 => coming.push(self.batch(server, age, start_s, (begin_ms, middle_ms))),
            // Nobody listened.
            2 => {}
            _ => coming.push(self.batch(server, age, start_s, (begin_ms, end_ms))),
        }
    }

    fn batch(&mut self, server: usize, age: Age, start_s: u64, covered_ms: (u64, u64)) -> Delivery {
        let gap = if self.random.one_in(10) { self.random.below(5) } else { 0 };
        let Probe { server_id, name, epoch, seq, interval_s, .. } = &mut self.probes[server];
        let (server_id, name, epoch, interval_s) = (*server_id, *name, *epoch, *interval_s);
        *seq += gap;
        let number = std::mem::replace(seq, *seq + 1);
        let mut points = points(&mut self.random, age, interval_s);
        // Some probes see nothing for a while, or only part of the messages.
        let listened_ms = covered_ms.1 - covered_ms.0;
        let blind_ms = match self.random.below(20) {
            0 => listened_ms,
            1 => self.random.below(listened_ms + 1),
            _ => 0,
        };
        if blind_ms == listened_ms && self.random.one_in(2) {
            points.clear();
        }
        let mut batch = batch(server_id, epoch, number, start_s, &points);
        batch.counters.add(Counter::BlindMs, blind_ms);
        batch.interval_s = interval_s as u32;
        batch.coverage = Coverage { from_ms: covered_ms.0, until_ms: covered_ms.1 };
        let told = Told {
            server_id,
            server: name,
            epoch,
            seq: number,
            start_s,
            interval_s,
            covered_ms,
            blind_ms,
            messages_seen: points.iter().map(|point| point.hits).sum(),
            points: points.iter().map(|point| told(point, (server_id, name), start_s, interval_s)).collect(),
        };
        Delivery { server, bytes: Arc::new(encode(&batch)), told: Arc::new(told) }
    }
}

fn told(point: &batches::Point, (server_id, server): (u32, &'static str), start_s: u64, interval_s: u64) -> Point {
    let batches::Point { host, record_type, kind, hits, first_ms, last_ms } = point;
    let at = |ms: u32| start_s * 1000 + u64::from(ms);
    Point {
        server_id,
        server,
        start_s,
        interval_s,
        host: host.as_str().into(),
        record_type: *record_type,
        kind: *kind,
        hits: (*hits).into(),
        first_ms: at(*first_ms),
        last_ms: at(*last_ms),
    }
}

/// The points of a batch: none, some, or very many.
fn points(random: &mut Random, age: Age, interval_s: u64) -> Vec<batches::Point> {
    let count = match random.below(60) {
        0..8 => 0,
        8 => 200 + random.below(600),
        9..20 => 30 + random.below(60),
        _ => 1 + random.below(16),
    };
    let many = count > 100;
    let mut places = BTreeSet::new();
    for _ in 0..count {
        let host = match random.below(20) {
            _ if many => flood(random),
            0 => flood(random),
            1 => (*random.of(FOLDED)).to_owned(),
            2..6 => (*random.of(HOSTS)).to_owned(),
            _ => (*random.of(&HOSTS[..6])).to_owned(),
        };
        let record_type = if host.starts_with('<') { 0 } else { *random.of(TYPES) };
        places.insert((host, record_type, kind(random)));
    }
    if random.one_in(60) {
        let host = *random.of(HOSTS);
        places.extend((0..30).chain([4094, 4095]).map(|code| (host.to_owned(), 1, response(code))));
    }
    if age == Age::Ancient {
        // A nonexistent name is forgotten with its last point, at an unpredictable time.
        places.retain(|(_, _, kind)| *kind != response(3));
    }
    let mut left = MAX_HITS;
    let point = |(host, record_type, kind): (String, u16, MessageKind)| {
        let hits = hits(random).min(left);
        left -= hits;
        let last_ms = match random.below(12) {
            0 => 0,
            1 => interval_s * 1000 - 1,
            _ => random.below(interval_s * 1000),
        };
        let first_ms = if random.one_in(4) { last_ms } else { random.below(last_ms + 1) };
        let record_type = RecordType::new(record_type);
        let (first_ms, last_ms) = (first_ms as u32, last_ms as u32);
        batches::Point { host, record_type, kind, hits, first_ms, last_ms }
    };
    places.into_iter().map(point).filter(|point| point.hits > 0).collect()
}

fn flood(random: &mut Random) -> String {
    format!("n{}.flood.example.", random.below(FLOOD))
}

fn response(code: u16) -> MessageKind {
    MessageKind::response(ResponseCode::from_masked(code))
}

fn kind(random: &mut Random) -> MessageKind {
    match random.below(20) {
        0..10 => REQUEST,
        10..15 => response(0),
        15..17 => response(3),
        17 => response(2),
        18 => response(16),
        _ => response(random.below(4096) as u16),
    }
}

fn hits(random: &mut Random) -> u64 {
    match random.below(40) {
        0 => MAX_HITS,
        1 => MAX_HITS - 1,
        2 => (1 << 32) - 1 + random.below(3),
        3 => random.below(MAX_HITS) + 1,
        4..10 => random.below(100_000) + 1,
        _ => random.below(50) + 1,
    }
}
