//! Batches as made by a probe.

use super::Api;
use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_model::{Evicted, Identity, ServerId};
use zonepulse_wire::{Batch, Counter, Counters, Coverage, Records, Row};

/// A point: hits of a record and kind in an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The canonical name.
    pub host: String,
    /// As in answers.
    pub record_type: RecordType,
    /// Request, or response with its code.
    pub kind: MessageKind,
    /// The number of hits.
    pub hits: u64,
    /// The first hit, milliseconds after the interval's start.
    pub first_ms: u32,
    /// The last hit, milliseconds after the interval's start.
    pub last_ms: u32,
}

/// The kind of requests.
pub const REQUEST: MessageKind = MessageKind::REQUEST;

/// A response with this code.
pub fn response(code: &str) -> MessageKind {
    let code: ResponseCode = code.parse().expect("a test knows its response codes");
    MessageKind::response(code)
}

/// A point with all its hits at one millisecond of the interval.
pub fn point(host: &str, record_type: &str, kind: MessageKind, hits: u64, at_ms: u32) -> Point {
    let record_type = record_type.parse().expect("a test knows its types");
    Point { host: host.to_owned(), record_type, kind, hits, first_ms: at_ms, last_ms: at_ms }
}

/// A batch that covers a whole minute.
pub fn batch(server_id: u32, epoch: u64, seq: u64, start_s: u64, points: &[Point]) -> Batch {
    let mut records = Records::new();
    let mut known: Vec<(String, RecordType)> = Vec::new();
    let mut rows = Vec::new();
    for point in points {
        let record = (point.host.clone(), point.record_type);
        let number = known.iter().position(|other| *other == record).unwrap_or_else(|| {
            records.push(&point.host, point.record_type);
            known.push(record);
            known.len() - 1
        });
        let Point { kind, hits, first_ms, last_ms, .. } = *point;
        rows.push(Row { record: number as u32, kind, hits, first_ms, last_ms });
    }
    rows.sort_by_key(|row| (row.record, row.kind));
    let mut counters = Counters::new();
    let hits = rows.iter().filter(|row| row.kind.is_message()).map(|row| row.hits).sum();
    counters.add(Counter::PacketsSeen, hits);
    counters.add(Counter::MessagesSeen, hits);
    Batch {
        identity: Identity { server_id: ServerId::new(server_id), epoch, seq },
        start_s,
        interval_s: 60,
        coverage: Coverage { from_ms: start_s * 1000, until_ms: (start_s + 60) * 1000 },
        counters,
        evicted: None::<Evicted>,
        records,
        rows,
    }
}

/// Encodes a batch.
pub fn encode(batch: &Batch) -> Vec<u8> {
    batch.encode().expect("a test's batches are within the bounds of the format")
}

/// Sends a batch, which the central must accept.
pub fn send(api: &Api, batch: &Batch) {
    let response = api.post_batch(encode(batch));
    assert_eq!(response.status, 204, "{}", response.text());
}
