//! A central that is repeatedly killed under full load has every acknowledged batch exactly once,
//! and a sound store; hours are sealed meanwhile.
//!
//! `ZONEPULSE_TESTS_CRASHES` sets the number of kills (3; `make test-crash` uses 100).

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use zonepulse_tests::api::{number, text};
use zonepulse_tests::batches::{Point, REQUEST, batch, encode, point, response};
use zonepulse_tests::needs::test;
use zonepulse_tests::{Api, Central, unix_ms};

const SENDERS: u64 = 4;
const HOSTS: u64 = 60;
const HOURS: u64 = 6;

pub fn trials() -> Vec<Trial> {
    vec![test("killed_under_full_load_it_has_every_acknowledged_batch_once", killed_under_load)]
}

fn killed_under_load() {
    let crashes: u64 = std::env::var("ZONEPULSE_TESTS_CRASHES").map_or(3, |text| text.parse().expect("a number"));
    let mut central = Central::start(&["one", "two"]);
    let end_s = unix_ms() / 60_000 * 60;
    let ended = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let ended = &ended;
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let n = (sender % 2) as usize;
                let (api, server_id) = (central.api_of_server(n), central.servers[n].id);
                scope.spawn(move || send_until(ended, &api, server_id, sender, end_s))
            })
            .collect();
        for crash in 0..crashes {
            thread::sleep(Duration::from_millis(200 + crash * 7919 % 1900));
            central.kill();
            central.check();
            central.start_again();
        }
        ended.store(true, Ordering::Relaxed);
        senders.into_iter().map(|sender| sender.join().expect("a sender ends well")).collect::<Vec<_>>()
    });
    let batches: u64 = sent.iter().map(|(batches, _)| batches).sum();
    let mut hits: BTreeMap<String, u64> = BTreeMap::new();
    sent.iter().flat_map(|(_, hits)| hits).for_each(|(host, count)| *hits.entry(host.clone()).or_default() += count);
    verify(&central.api(), batches, &hits, end_s);
    central.stop();
    let sound = central.check();
    assert!(sound.contains("is sound"), "{sound}");
    central.start_again();
    verify(&central.api(), batches, &hits, end_s);
}

/// Sends batches, repeating each until it is acknowledged; returns their number, and the hits of
/// each host.
fn send_until(ended: &AtomicBool, api: &Api, server_id: u32, sender: u64, end_s: u64) -> (u64, BTreeMap<String, u64>) {
    let mut hits = BTreeMap::new();
    let mut seq = 0;
    while !ended.load(Ordering::Relaxed) {
        let start_s = end_s - 60 * (1 + (seq * 37 + sender) % (HOURS * 60));
        let points: Vec<Point> = (0..HOSTS)
            .filter(|host| !(host + seq).is_multiple_of(3))
            .flat_map(|host| {
                let name = format!("host-{host}.example.");
                let count = 1 + (host * seq) % 300;
                [point(&name, "A", REQUEST, count, 10), point(&name, "A", response("NOERROR"), count, 20)]
            })
            .collect();
        points.iter().filter(|point| point.kind == REQUEST).for_each(|point| {
            *hits.entry(point.host.clone()).or_default() += point.hits;
        });
        let bytes = encode(&batch(server_id, sender, seq, start_s, &points));
        while !acknowledged(api, &bytes) {
            thread::sleep(Duration::from_millis(20));
        }
        seq += 1;
    }
    (seq, hits)
}

fn acknowledged(api: &Api, bytes: &[u8]) -> bool {
    let url = api.url("/api/v2/batches", &[]);
    let headers = [("content-type", "application/vnd.zonepulse.batch")];
    match api.send("POST".parse().expect("a method"), url, &headers, bytes.to_vec()) {
        Ok(response) if response.status == 204 => true,
        Ok(response) => panic!("{}: {}", response.status, response.text()),
        // Killed, or not started yet.
        Err(_) => false,
    }
}

/// Checks that coverage has every batch, and that totals, raw points, 5-minute and hourly roll-ups
/// have every hit.
fn verify(api: &Api, batches: u64, hits: &BTreeMap<String, u64>, end_s: u64) {
    let (from, until) = ((end_s - (HOURS + 1) * 3600).to_string(), (end_s + 60).to_string());
    let range = [("date_from", from.as_str()), ("date_to", until.as_str()), ("limit", "1")];
    let coverage = api.get("/api/v2/monitoring/dns/coverage", &range, "application/json");
    assert_eq!(coverage.header("x-total-count"), Some(batches.to_string().as_str()));
    let totals: BTreeMap<String, u64> = api
        .rows("dns/aggregate", &[("limit", "1000")])
        .iter()
        .map(|row| (format!("{}.", text(row, "host").trim_end_matches('.')), number(row, "hits")))
        .collect();
    assert_eq!(&totals, hits);
    let all: u64 = hits.values().sum();
    for interval in ["5m", "1h"] {
        let parameters = [("interval", interval), ("date_from", &from), ("date_to", &until), ("limit", "100000")];
        let sum: u64 = api.rows("dns/aggregate", &parameters).iter().map(|row| number(row, "hits")).sum();
        assert_eq!(sum, all, "{interval}");
    }
}
