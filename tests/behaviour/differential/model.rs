//! The expected contents of a central: a list of all batches sent to it, and loops over them.

use super::answer::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use zonepulse_dns::{MessageKind, RecordType};

/// How long raw points are kept, minutes. No time in a test comes close to this limit or the next.
pub const RAW_RETENTION_MINUTES: u64 = 3 * 1440;
/// How long roll-ups and reports are kept, days.
pub const AGGREGATED_RETENTION_DAYS: u64 = 30;

/// Hits of a record and kind in an interval, from one batch or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub server_id: u32,
    pub server: &'static str,
    /// Start of the interval or bucket, Unix seconds.
    pub start_s: u64,
    pub interval_s: u64,
    /// As in answers.
    pub host: Arc<str>,
    pub record_type: RecordType,
    pub kind: MessageKind,
    pub hits: u128,
    /// Unix milliseconds.
    pub first_ms: u64,
    pub last_ms: u64,
}

impl Point {
    /// The value of a column in a row about this point.
    pub fn cell(&self, column: &str) -> Cell {
        match column {
            "time" => Cell::from(self.start_s * 1000),
            "hour" => Cell::from(self.start_s / 3600 * 3_600_000),
            "interval_s" => Cell::from(self.interval_s),
            "server_id" => Cell::from(u64::from(self.server_id)),
            "server" => Cell::from(self.server),
            "resource_id" => Cell::from(0u64),
            "host" => Cell::Text(self.host.clone()),
            "type" => Cell::Text(self.record_type.to_string().into()),
            "action" => self.kind.action().map_or(Cell::Null, |action| Cell::from(action.as_str())),
            "rcode" => self.kind.response_code().map_or(Cell::Null, |code| Cell::Text(code.to_string().into())),
            "hits" => Cell::Number(self.hits as i128),
            "first_seen" => Cell::from(self.first_ms),
            "last_access" => Cell::from(self.last_ms),
            other => panic!("points have no column {other}"),
        }
    }

    /// Adds another batch's hits of the same record and kind.
    fn add(&mut self, other: &Point) {
        self.hits += other.hits;
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
    }
}

/// A batch that was acknowledged.
#[derive(Debug, Clone)]
pub struct Told {
    pub server_id: u32,
    pub server: &'static str,
    pub epoch: u64,
    pub seq: u64,
    pub start_s: u64,
    pub interval_s: u64,
    pub covered_ms: (u64, u64),
    /// How much of that time was blind, as far as the probe knew.
    pub blind_ms: u64,
    pub messages_seen: u64,
    pub points: Vec<Point>,
}

impl Told {
    pub fn end_s(&self) -> u64 {
        self.start_s + self.interval_s
    }
}

/// Everything that was sent, and the answers it implies.
#[derive(Debug, Clone)]
pub struct Model {
    /// Number and name of each server.
    pub servers: Vec<(u32, &'static str)>,
    pub told: Vec<Told>,
    /// The approximate time of the questions, Unix seconds.
    pub now_s: u64,
    /// Points keep last accesses rounded to multiples of this many milliseconds.
    pub unit_ms: u64,
    /// Derived from `told` by [`Model::settle`], by SQL table.
    tables: BTreeMap<&'static str, Vec<Point>>,
    hosts: Vec<Arc<str>>,
}

/// The tables of points with the length of their buckets, seconds; raw points use their interval's.
pub const POINT_TABLES: [(&str, Option<u64>); 5] =
    [("dns_raw", None), ("dns_5m", Some(300)), ("dns_15m", Some(900)), ("dns_30m", Some(1800)), ("dns_1h", Some(3600))];

impl Model {
    pub fn new(servers: Vec<(u32, &'static str)>, now_s: u64, unit_ms: u64) -> Self {
        Model { servers, told: Vec::new(), now_s, unit_ms, tables: BTreeMap::new(), hosts: Vec::new() }
    }

    /// Raw points that began earlier have expired.
    pub fn raw_from_s(&self) -> u64 {
        self.now_s - RAW_RETENTION_MINUTES * 60
    }

    /// Buckets and reports that began earlier have expired.
    pub fn rolled_up_from_s(&self) -> u64 {
        self.now_s - AGGREGATED_RETENTION_DAYS * 86_400
    }

    /// Aggregates what was sent so far, for the following questions.
    pub fn settle(&mut self) {
        self.tables = POINT_TABLES.into_iter().map(|(name, bucket_s)| (name, self.points(bucket_s))).collect();
        self.tables.insert("records", self.records());
        let mut hosts: Vec<Arc<str>> = self.told_points().map(|point| point.host.clone()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        self.hosts = hosts;
    }

    /// The rows of an SQL table.
    pub fn table(&self, name: &str) -> &[Point] {
        &self.tables[name]
    }

    /// Every name, without duplicates.
    pub fn hosts(&self) -> &[Arc<str>] {
        &self.hosts
    }

    /// All points of all batches.
    pub fn told_points(&self) -> impl Iterator<Item = &Point> {
        self.told.iter().flat_map(|told| &told.points)
    }

    /// The last access as kept in points, Unix milliseconds.
    pub fn kept_ms(&self, last_ms: u64) -> u64 {
        last_ms / self.unit_ms * self.unit_ms
    }

    fn points(&self, bucket_s: Option<u64>) -> Vec<Point> {
        let from_s = if bucket_s.is_none() { self.raw_from_s() } else { self.rolled_up_from_s() };
        let placed = self.told_points().filter(|point| point.start_s >= from_s).map(|point| {
            let interval_s = bucket_s.unwrap_or(point.interval_s);
            let start_s = point.start_s / interval_s * interval_s;
            Point { start_s, interval_s, last_ms: self.kept_ms(point.last_ms), ..point.clone() }
        });
        merged(placed)
    }

    fn records(&self) -> Vec<Point> {
        merged(self.told_points().map(|point| Point { start_s: 0, interval_s: 0, ..point.clone() }))
    }
}

/// Merges points with the same server, time, record and kind.
fn merged(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut merged: BTreeMap<_, Point> = BTreeMap::new();
    for point in points {
        let record = (point.host.clone(), point.record_type.value(), point.kind);
        let place = (point.server_id, point.start_s, point.interval_s, record);
        merged.entry(place).and_modify(|sum| sum.add(&point)).or_insert(point);
    }
    merged.into_values().collect()
}
