//! Hits of partly observed time are divided by the observed time, and a sum that lacks a server
//! says so.

use libtest_mimic::Trial;
use std::sync::MutexGuard;
use std::thread::sleep;
use std::time::Duration;
use zonepulse_tests::api::{Row, number, text, time_ms};
use zonepulse_tests::batches::{REQUEST, batch, point, send};
use zonepulse_tests::dnsperf::Load;
use zonepulse_tests::needs::{capture_rights, test, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::{Api, Central, Knot, Probe, eventually, unix_ms};
use zonepulse_wire::{Batch, Counter, Coverage};

const INTERVAL_S: u32 = 2;
const PER_SECOND: u32 = 50;

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_rate_is_divided_by_what_was_observed_and_a_sum_without_a_server_says_so", told),
        test_with("while_a_probe_is_stopped_totals_are_partial_and_other_servers_rates_the_same", capture_rights, stopped),
    ]
}

/// A minute with this many requests in its first seconds, during which the probe listened.
fn minute(server_id: u32, start_s: u64, seconds: u64, hits: u64) -> Batch {
    let points: &[_] = if hits > 0 { &[point("www.example.", "A", REQUEST, hits, 1_000)] } else { &[] };
    let mut batch = batch(server_id, 1, start_s / 60, start_s, points);
    batch.coverage = Coverage { from_ms: start_s * 1000, until_ms: (start_s + seconds) * 1000 };
    batch
}

fn told() {
    let central = Central::start(&["alpha", "beta"]);
    let (api, alpha, beta) = (central.api(), central.servers[0].id, central.servers[1].id);
    // Both servers exist only from now on; clocks may be ahead by ten minutes.
    let begin_s = (unix_ms() / 300_000 + 1) * 300;
    for at in 0..5 {
        send(&central.api_of_server(0), &minute(alpha, begin_s + 60 * at, 60, 900));
    }
    let send_beta = |batch: &Batch| send(&central.api_of_server(1), batch);
    send_beta(&minute(beta, begin_s, 60, 2400));
    // It listened for a quarter of the second minute, and not at all in the third.
    send_beta(&minute(beta, begin_s + 60, 15, 600));
    send_beta(&minute(beta, begin_s + 180, 60, 2400));
    let mut blind = minute(beta, begin_s + 240, 60, 0);
    blind.counters.add(Counter::BlindMs, 60_000);
    send_beta(&blind);

    let (from, to) = (begin_s.to_string(), (begin_s + 300).to_string());
    let range = [("date_from", &*from), ("date_to", &*to), ("step", "60")];
    let rows = api.rows("dns/rps", &range);
    let found: Vec<_> = rows.iter().map(|row| (row["rps"].as_f64(), marks(row))).collect();
    let expected = [(55.0, (2, 2)), (55.0, (1, 2)), (15.0, (1, 2)), (55.0, (2, 2)), (15.0, (1, 2))];
    assert_eq!(found, expected.map(|(rps, marks)| (Some(rps), marks)), "{rows:?}");
    assert!(rows.iter().all(|row| row["open"] == false), "both have reported of all: {rows:?}");

    let rows = api.rows("dns/rps", &[&range[..], &[("by", "server"), ("server_id", &beta.to_string())]].concat());
    let found: Vec<_> = rows.iter().map(|row| (row["rps"].as_f64(), marks(row))).collect();
    let expected = [(Some(40.0), (1, 1)), (Some(40.0), (0, 1)), (None, (0, 1)), (Some(40.0), (1, 1)), (None, (0, 1))];
    assert_eq!(found, expected, "{rows:?}");

    let range = [("date_from", &*from), ("date_to", &*to), ("interval", "5m")];
    for by in [None, Some("record"), Some("action")] {
        let by = by.map(|by| ("by", by));
        let rows = api.rows("dns/aggregate", &[&range[..], by.as_slice()].concat());
        assert!(rows.iter().all(|row| marks(row) == (1, 2) && row["open"] == false), "{rows:?}");
        assert_eq!(rows.iter().map(|row| number(row, "hits")).sum::<u64>(), 5 * 900 + 600 + 2 * 2400);
    }
    let rows = api.rows("dns/aggregate", &[&range[..], &[("by", "server"), ("sort", "server_id")]].concat());
    assert_eq!(rows.iter().map(marks).collect::<Vec<_>>(), [(1, 1), (0, 1)], "{rows:?}");

    let csv = api.get("/api/v2/monitoring/dns/rps", &[("date_from", &*from), ("date_to", &*to)], "text/csv").text();
    assert!(csv.starts_with("time,rps,hits,observed_servers,servers,open\n"), "{csv}");
    let rows = api.rows("dns/coverage", &[("date_from", &from), ("date_to", &to), ("sort", "-time,-server_id")]);
    assert_eq!([0, 1].map(|row| number(&rows[row], "blind_ms")), [60_000, 0], "{rows:?}");
    let sql = api.sql("SELECT sum(blind_ms) AS ms FROM coverage", "text/csv").text();
    assert!(sql.contains("60000"), "{sql}");
}

fn marks(row: &Row) -> (u64, u64) {
    (number(row, "observed_servers"), number(row, "servers"))
}

/// Rates from a time on, of all servers or by server.
fn rates(api: &Api, from_ms: u64, by: &[(&str, &str)]) -> Vec<Row> {
    let (from, step) = ((from_ms / 1000).to_string(), INTERVAL_S.to_string());
    api.rows("dns/rps", &[&[("date_from", &*from), ("step", &*step), ("limit", "1000")], by].concat())
}

/// The start of a step that both servers observed.
fn both(api: &Api, from_ms: u64) -> u64 {
    eventually("both servers observe a step", Duration::from_secs(60), || {
        let rows = rates(api, from_ms, &[]);
        rows.iter().find(|row| row["open"] == false && marks(row) == (2, 2)).map(|row| time_ms(row, "time"))
    })
}

fn of<'a>(rows: &'a [Row], server: &'a str) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| text(row, "server") == server)
}

fn stopped(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["alpha", "beta"]);
    let api = central.api();
    let knots = [Knot::start(), Knot::start()];
    let settings = |n: usize| Settings { interval_s: INTERVAL_S, port: knots[n].port, ..Settings::http(&central, n) };
    let [mut alpha, mut beta] = [0, 1].map(|n| Probe::new(&settings(n)));
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
    let load = |n: usize| Load { mode: "udp", port: knots[n].port, per_second: PER_SECOND }.start(300, folders[n].path());
    let _loads = [load(0), load(1)];
    alpha.start();
    beta.start();

    let begin_ms = both(&api, unix_ms());
    let interval_ms = u64::from(INTERVAL_S) * 1000;
    // The rate is no longer affected by the start of the load.
    let begin_ms = begin_ms + 2 * interval_ms;
    sleep(Duration::from_millis(4 * interval_ms));
    beta.stop();
    let stopped_ms = unix_ms();
    sleep(Duration::from_millis(6 * interval_ms));
    let again_ms = unix_ms();
    beta.start();
    let end_ms = both(&api, again_ms);

    let within = |row: &Row| (begin_ms..=end_ms).contains(&time_ms(row, "time"));
    let totals: Vec<Row> = rates(&api, begin_ms, &[]).into_iter().filter(within).collect();
    let split: Vec<Row> = rates(&api, begin_ms, &[("by", "server")]).into_iter().filter(within).collect();
    for row in of(&split, "alpha") {
        let rps = row["rps"].as_f64().unwrap_or_default();
        assert!((rps - f64::from(PER_SECOND)).abs() < 20.0, "its rate does not change: {row:?}");
        assert_eq!(marks(row), (1, 1), "{row:?}");
    }
    let mut without = 0;
    for (total, (alpha, beta)) in totals.iter().zip(of(&split, "alpha").zip(of(&split, "beta"))) {
        let time_ms = time_ms(total, "time");
        assert_eq!(number(total, "servers"), 2, "{total:?}");
        assert_eq!(number(total, "observed_servers"), 1 + number(beta, "observed_servers"), "{total:?} {beta:?}");
        let rate = |row: &Row| row["rps"].as_f64();
        let sum = rate(alpha).unwrap_or_default() + rate(beta).unwrap_or_default();
        assert!((rate(total).unwrap_or_default() - sum).abs() < 1e-9, "{total:?} {alpha:?} {beta:?}");
        if time_ms >= stopped_ms && time_ms + interval_ms <= again_ms {
            assert!(rate(beta).is_none() && marks(total) == (1, 2), "{total:?} {beta:?}");
            without += 1;
        }
    }
    assert!(without >= 4, "{totals:?}");
    assert_eq!(totals.first().map(marks), Some((2, 2)));
    assert_eq!(totals.last().map(marks), Some((2, 2)));
    alpha.stop();
    beta.stop();
}
