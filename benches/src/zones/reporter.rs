//! A server that is observed without a gap, and asked for some names.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;
use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_model::{Identity, ServerId};
use zonepulse_tests::{Api, Central};
use zonepulse_wire::{Batch, Counter, Counters, Coverage, Records, Row};

/// The longest interval of a probe, seconds: the fewest batches.
const INTERVAL_S: u64 = 300;
/// Batches that ask for names.
const ASKING: u64 = 144;
/// Batches on their way at a time, which share an fsync.
const SENDERS: usize = 8;

/// The first server of a central.
pub struct Reporter {
    api: Api,
    server_id: u32,
    /// Of the next batch.
    seq: u64,
    /// Up to when it has reported, Unix seconds.
    until_s: u64,
}

impl Reporter {
    /// Reports the last days up to now. Each name is asked for once; neighbours are not asked for
    /// together.
    pub fn begin(central: &Central, days: u64, asked: &[(String, RecordType)]) -> Self {
        let intervals = days * 86_400 / INTERVAL_S;
        let until_s = now_s() / INTERVAL_S * INTERVAL_S;
        let (from_s, every) = (until_s - intervals * INTERVAL_S, intervals / ASKING);
        let reporter = Reporter { api: central.api_of_server(0), server_id: central.servers[0].id, seq: intervals, until_s };
        let next = AtomicU64::new(0);
        let send = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= intervals {
                    return;
                }
                let first = if at.is_multiple_of(every) { (at / every) as usize } else { asked.len() };
                let asked = asked.iter().skip(first).step_by(ASKING as usize);
                reporter.send(at, from_s + at * INTERVAL_S, INTERVAL_S, asked);
            }
        };
        thread::scope(|scope| {
            for _ in 0..SENDERS {
                scope.spawn(send);
            }
        });
        reporter
    }

    /// Reports the minutes since then: verdicts do not wait for long for a report.
    pub fn keep_up(&mut self) {
        while self.until_s + 60 <= now_s() {
            self.send(self.seq, self.until_s, 60, std::iter::empty());
            (self.seq, self.until_s) = (self.seq + 1, self.until_s + 60);
        }
    }

    fn send<'a>(&self, seq: u64, start_s: u64, interval_s: u64, asked: impl Iterator<Item = &'a (String, RecordType)>) {
        let (mut records, mut rows) = (Records::new(), Vec::new());
        let kinds = [MessageKind::REQUEST, MessageKind::response(ResponseCode::NOERROR)];
        for (name, record_type) in asked {
            let record = records.push(name, *record_type);
            let at_ms = record.wrapping_mul(7919) % (interval_s as u32 * 1000);
            rows.extend(kinds.map(|kind| Row { record, kind, hits: 1, first_ms: at_ms, last_ms: at_ms }));
        }
        let mut counters = Counters::new();
        counters.add(Counter::PacketsSeen, rows.len() as u64);
        counters.add(Counter::MessagesSeen, rows.len() as u64);
        let batch = Batch {
            identity: Identity { server_id: ServerId::new(self.server_id), epoch: 1, seq },
            start_s,
            interval_s: interval_s as u32,
            coverage: Coverage { from_ms: start_s * 1000, until_ms: (start_s + interval_s) * 1000 },
            counters,
            evicted: None,
            records,
            rows,
        };
        let response = self.api.post_batch(batch.encode().expect("within the bounds of the format"));
        assert_eq!(response.status, 204, "{}", response.text());
    }
}

fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs()
}
