//! Live: the API's numbers equal what dnsperf asked and Knot answered.

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::sync::MutexGuard;
use std::time::Duration;
use zonepulse_tests::api::{number, text, time_ms};
use zonepulse_tests::dnsperf::Load;
use zonepulse_tests::needs::{capture_rights, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::{Api, Central, Knot, Probe, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![test_with("what_dnsperf_asks_and_knot_answers_is_what_the_api_says", capture_rights, live)]
}

fn live(_alone: MutexGuard<'static, ()>) {
    let knot = Knot::start();
    let central = Central::start(&["live"]);
    let mut probe = Probe::new(&Settings { port: knot.port, interval_s: 5, ..Settings::http(&central, 0) });
    probe.start();
    let api = central.api();
    let begin_ms = first_coverage_ms(&api);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let load = Load { mode: "udp", port: knot.port, per_second: 12_000 };
    let udp = load.rounds(6_000, folder.path());
    let tcp = Load { mode: "tcp", per_second: 8_000, ..load }.rounds(4_000, folder.path());
    let asked = udp.and(tcp);
    assert!(asked.sent >= 100_000, "{asked:?}");
    let end_ms = unix_ms();
    // Clean end: the unfinished interval is delivered, too.
    probe.stop();
    assert!(!probe.log().contains("panicked"), "{}", probe.log());
    // A busy machine may drop datagrams before Knot or dnsperf reads them. Those were on the wire all the same: what was
    // asked is what dnsperf sent, what was answered is what Knot counted.
    let answered = knot.responses();
    let answers: u64 = answered.values().sum();
    assert!((asked.completed..=asked.sent).contains(&answers), "knotd and dnsperf do not agree: {asked:?}, {answered:?}");
    if asked.lost == 0 {
        assert_eq!(answered, asked.codes, "knotd and dnsperf do not agree");
    } else {
        eprintln!("live: dnsperf missed {} answers", asked.lost);
    }

    let lost = losses(&api, begin_ms, end_ms);
    let requests = sum_by(&api, &[("action", "request")], "action");
    let responses = sum_by(&api, &[("action", "response")], "rcode");
    if lost == 0 {
        assert_eq!(requests, BTreeMap::from([("request".to_owned(), asked.sent)]));
        assert_eq!(responses, answered);
    } else {
        // A packet that the kernel dropped contained at most one message: no more than that many
        // are missing.
        let found = requests.values().sum::<u64>() + responses.values().sum::<u64>();
        let missing = asked.sent + answers - found;
        eprintln!("live: the probe names {lost} lost packets; {missing} messages are missing");
        assert!(missing <= lost, "{missing} messages are missing and only {lost} packets named as lost");
    }
}

/// Waits for the first batch, which shows that the probe listens. Returns the start of its
/// coverage.
fn first_coverage_ms(api: &Api) -> u64 {
    eventually("the probe's first batch is there", Duration::from_secs(30), || {
        let rows = api.rows("dns/coverage", &[]);
        rows.first().map(|row| time_ms(row, "covered_from"))
    })
}

/// Checks that the coverage has no gap from one time to another, and that every message in it is accounted for;
/// returns the number of packets that the probe reports as lost.
fn losses(api: &Api, begin_ms: u64, end_ms: u64) -> u64 {
    let rows = eventually("the last batch is there", Duration::from_secs(60), || {
        let rows = api.rows("dns/coverage", &[("sort", "time")]);
        let last = rows.last().map(|row| time_ms(row, "covered_until"))?;
        (last >= end_ms).then_some(rows)
    });
    let mut until_ms = begin_ms;
    let mut lost = 0;
    for row in &rows {
        assert_eq!(time_ms(row, "covered_from"), until_ms, "a gap in the coverage: {rows:?}");
        until_ms = time_ms(row, "covered_until");
        assert_eq!(number(row, "messages_seen"), number(row, "hits") + number(row, "not_counted"), "{row:?}");
        assert_eq!(number(row, "not_counted"), 0, "{row:?}");
        lost += number(row, "kernel_dropped") + number(row, "interface_dropped");
    }
    lost
}

/// Hits of the raw points, summed by a column.
fn sum_by(api: &Api, parameters: &[(&str, &str)], column: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for row in api.all_rows("dns/raw", parameters) {
        *sums.entry(text(&row, column).to_owned()).or_default() += number(&row, "hits");
    }
    sums
}
