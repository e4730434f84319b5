//! A batch counts once, however often and in whatever order it arrives.

use libtest_mimic::Trial;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use zonepulse_fixtures::{Format, LinkType, Message, capture, udp};
use zonepulse_tests::api::{ALL_TIME, number, text};
use zonepulse_tests::batches::{REQUEST, batch, encode, point, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::queue::Queue;
use zonepulse_tests::{Api, Central, Probe, RabbitMq, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_capture_with_one_query_delivered_twice_over_http_counts_once", over_http),
        test("a_capture_with_one_query_delivered_twice_over_amqp_counts_once", over_amqp),
        test("batches_out_of_order_count_once_each", out_of_order),
        test("a_batch_that_comes_again_after_a_restart_of_the_central_counts_once", after_a_restart),
        test("one_batch_sent_by_many_at_the_same_time_counts_once", at_the_same_time),
    ]
}

/// Writes a capture with one query to a probe's directory.
fn one_query(probe: &Probe) -> PathBuf {
    let time_us = unix_ms() * 1000;
    let query = Message::query("Once.Example", 1).bytes();
    let client = "192.0.2.10:40000".parse().expect("an address");
    let packet = udp(time_us, client, "192.0.2.53:53".parse().expect("an address"), &query);
    let path = probe.folder().join("one.pcap");
    fs::write(&path, capture(Format::Pcap, LinkType::Ethernet, &[packet])).expect("a test's folder is writable");
    path
}

/// Checks that the API has one hit, of one record, in one batch.
fn assert_one_hit(api: &Api) {
    let rows = api.rows("dns/aggregate", &[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((text(&rows[0], "host"), text(&rows[0], "type"), number(&rows[0], "hits")), ("once.example.", "A", 1));
    let rows = api.rows("dns/raw", &[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((text(&rows[0], "action"), text(&rows[0], "rcode"), number(&rows[0], "hits")), ("request", "-", 1));
}

fn over_http() {
    let central = Central::start(&["once"]);
    // Two probes with a spool each: only the central remembers the first delivery.
    let first = Probe::new(&Settings::http(&central, 0));
    let capture = one_query(&first);
    first.replay(&capture);
    assert_one_hit(&central.api());
    first.replay(&capture);
    Probe::new(&Settings::http(&central, 0)).replay(&capture);
    assert_one_hit(&central.api());
}

fn over_amqp() {
    let broker = RabbitMq::shared();
    let central = Central::start_with_broker(&["once"], &broker.url(), "once");
    let settings = Settings::amqp(&central, 0, &broker, "once");
    let first = Probe::new(&settings);
    let capture = one_query(&first);
    first.replay(&capture);
    Probe::new(&settings).replay(&capture);
    // A third message behind the two shows that both have been handled.
    let marker = batch(central.servers[0].id, 1, 0, 60, &[]);
    Queue::open(&broker, "once").publish(&encode(&marker), &central.servers[0].token);
    eventually("all three batches have arrived", Duration::from_secs(20), || {
        (central.api().rows("dns/coverage", &[ALL_TIME]).len() >= 2).then_some(())
    });
    assert_one_hit(&central.api());
}

fn out_of_order() {
    let central = Central::start(&["late"]);
    let (api, id) = (central.api_of_server(0), central.servers[0].id);
    let begin_s = unix_ms() / 1000 / 3600 * 3600 - 7200;
    let hits = [3, 5, 7, 11, 13];
    let batches: Vec<_> = (0..5)
        .map(|n| {
            let points = [point("late.example.", "A", REQUEST, hits[n], 1000 * n as u32)];
            batch(id, 9, n as u64, begin_s + 60 * n as u64, &points)
        })
        .collect();
    for n in [4, 0, 3, 3, 1, 4, 2, 0] {
        send(&api, &batches[n]);
    }
    let rows = central.api().rows("dns/aggregate", &[]);
    assert_eq!((rows.len(), number(&rows[0], "hits")), (1, hits.iter().sum()));
    let rows = central.api().rows("dns/raw", &[("sort", "time")]);
    let raw: Vec<u64> = rows.iter().map(|row| number(row, "hits")).collect();
    assert_eq!(raw, hits);
}

fn after_a_restart() {
    let mut central = Central::start(&["again"]);
    let start_s = unix_ms() / 60_000 * 60 - 600;
    let sent = batch(central.servers[0].id, 5, 0, start_s, &[point("again.example.", "MX", REQUEST, 4, 59_999)]);
    send(&central.api_of_server(0), &sent);
    central.kill();
    central.start_again();
    send(&central.api_of_server(0), &sent);
    let rows = central.api().rows("dns/aggregate", &[]);
    assert_eq!((rows.len(), number(&rows[0], "hits")), (1, 4));
    central.stop();
    central.check();
}

fn at_the_same_time() {
    let central = Central::start(&["many"]);
    let start_s = unix_ms() / 60_000 * 60 - 600;
    let sent = batch(central.servers[0].id, 6, 0, start_s, &[point("many.example.", "A", REQUEST, 2, 0)]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| send(&central.api_of_server(0), &sent));
        }
    });
    let rows = central.api().rows("dns/aggregate", &[]);
    assert_eq!((rows.len(), number(&rows[0], "hits")), (1, 2));
}
