//! dnstap, live: the API's numbers equal those of the server that reports.

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;
use zonepulse_fixtures::{DNSTAP, Message, Tap, control, control_frame, data_frame};
use zonepulse_tests::api::{Row, number, text, time_ms};
use zonepulse_tests::dnsperf::{Load, Report};
use zonepulse_tests::needs::{capture_rights, knot_dnstap, test_with};
use zonepulse_tests::probe::{Settings, Sources};
use zonepulse_tests::{Api, Central, Knot, Probe, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    let both = || knot_dnstap().and_then(|()| capture_rights());
    vec![
        test_with("what_knot_tells_of_itself_is_what_the_api_says", knot_dnstap, told),
        test_with("two_sources_are_compared_and_never_added_up", both, compared),
    ]
}

/// Under load, Knot silently drops messages from dnstap; it never has at this rate.
const PER_SECOND: u32 = 300;

/// There is also a capture that cannot start, and clients connect that are not servers.
fn told((): ()) {
    let central = Central::start(&["told"]);
    let settings = Settings { interval_s: 5, sources: Sources::Dnstap, ..Settings::http(&central, 0) };
    let mut probe = Probe::new(&settings);
    probe.start();
    eventually("the probe listens", Duration::from_secs(10), || probe.dnstap_socket().exists().then_some(()));
    let connect = || UnixStream::connect(probe.dnstap_socket()).expect("the probe listens");
    let (mut liar, _silent, mut stalling) = (connect(), connect(), connect());
    liar.write_all(&[0xff; 100]).expect("the socket takes it");
    stalling.write_all(&control_frame(control::READY, Some(DNSTAP))[..9]).expect("the socket takes it");

    let first = Knot::start_telling(&probe.dnstap_socket());
    let asked_first = ask(&first, 100);
    let responses = first.responses();
    first.stop();
    assert_eq!(responses, asked_first.codes, "knotd and dnsperf do not agree");
    // Nobody reports anything for a while.
    thread::sleep(Duration::from_secs(7));
    let second = Knot::start_telling(&probe.dnstap_socket());
    let asked = asked_first.and(ask(&second, 30));
    second.stop();
    probe.stop();
    assert!(!probe.dnstap_socket().exists(), "the socket goes with the probe");
    assert!(!probe.log().contains("panicked"), "{}", probe.log());
    assert!(probe.log().contains("nosuchdevice0"), "the capture that cannot begin is named: {}", probe.log());

    let rows = reports(&central.api());
    let (frames, broken) = (sum(&rows, "dnstap_frames_seen"), sum(&rows, "dnstap_connections_broken"));
    assert_eq!(frames, 2 * asked.sent, "{rows:?}");
    assert!(broken >= 1, "the liar is counted: {rows:?}");
    assert_counted(&central.api(), &asked);
    let longest_ms = rows.windows(2).map(|pair| time_ms(&pair[1], "covered_from") - time_ms(&pair[0], "covered_until")).max();
    assert!((6000..20_000).contains(&longest_ms.unwrap_or_default()), "without a server nothing is covered: {rows:?}");
    let covered_ms: u64 = rows.iter().map(|row| time_ms(row, "covered_until") - time_ms(row, "covered_from")).sum();
    let expected_ms = asked.sent * 1000 / u64::from(PER_SECOND);
    assert!(covered_ms >= expected_ms, "{covered_ms} ms are covered, of {expected_ms} ms of questions");
}

fn compared(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["compared"]);
    let port = zonepulse_tests::ports::free();
    let settings = Settings { interval_s: 5, port, sources: Sources::CaptureAndDnstap, ..Settings::http(&central, 0) };
    let mut probe = Probe::new(&settings);
    probe.start();
    eventually("the probe listens", Duration::from_secs(10), || probe.dnstap_socket().exists().then_some(()));
    let knot = Knot::start_telling_on(port, &probe.dnstap_socket());
    eventually("Knot has connected", Duration::from_secs(20), || probe.log().contains("servers=1").then_some(()));
    // After the current interval, both cover each interval completely.
    thread::sleep(Duration::from_secs(5));
    let socket = probe.dnstap_socket();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_secs(7));
        tell_of(&socket, "only.told", 100);
    });
    let asked = ask(&knot, 460);
    other.join().expect("the socket takes it");
    // Until the interval of the last question is over.
    thread::sleep(Duration::from_secs(6));
    probe.stop();
    assert!(!probe.log().contains("panicked"), "{}", probe.log());

    let api = central.api();
    let rows = reports(&api);
    let compared: Vec<&Row> = rows.iter().filter(|row| loss(row, "intervals_compared") == 1).collect();
    assert!(compared.len() >= 3, "{rows:?}");
    let mut only = (0, 0);
    for row in &compared {
        let (mine, theirs) = (loss(row, "only_counted_source"), loss(row, "only_other_source"));
        assert_eq!(number(row, "hits") + theirs, loss(row, "other_source_hits") + mine, "{row:?}");
        only = (only.0 + mine, only.1 + theirs);
    }
    if sum(&rows, "kernel_dropped") + sum(&rows, "interface_dropped") == 0 {
        assert_counted(&api, &asked);
    }
    // A message or two at the edge of an interval may be counted in different intervals.
    assert!((100..120).contains(&only.1) && only.0 < 20, "only one saw {only:?}: {rows:?}");
    assert!(api.rows("dns/raw", &[("host", "only.told")]).is_empty(), "the other source is never added up");
}

fn ask(knot: &Knot, rounds: u32) -> Report {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let asked = Load { mode: "udp", port: knot.port, per_second: PER_SECOND }.rounds(rounds, folder.path());
    assert_eq!((asked.sent, asked.completed), (u64::from(rounds) * 11, asked.sent), "dnsperf and knotd do not agree: {asked:?}");
    asked
}

/// Reports, as a server would, queries for a name that nobody sent.
fn tell_of(socket: &std::path::Path, name: &str, count: usize) {
    let mut stream = UnixStream::connect(socket).expect("the probe listens");
    let tap = Tap::new(5, &Message::query(name, 1).bytes(), unix_ms() * 1000);
    let frames = data_frame(&tap.bytes()).repeat(count);
    let bytes = [control_frame(control::START, Some(DNSTAP)), frames, control_frame(control::STOP, None)].concat();
    stream.write_all(&bytes).expect("the socket takes it");
}

/// The reports in chronological order; checks that every message is accounted for in each.
fn reports(api: &Api) -> Vec<Row> {
    let rows = eventually("the last batch is there", Duration::from_secs(20), || {
        let rows = api.rows("dns/coverage", &[("sort", "time")]);
        let last = rows.last().map(|row| time_ms(row, "covered_until"))?;
        (last + 30_000 > unix_ms()).then_some(rows)
    });
    for row in &rows {
        assert_eq!(number(row, "messages_seen"), number(row, "hits") + number(row, "not_counted"), "{row:?}");
        assert_eq!(number(row, "not_counted"), 0, "{row:?}");
    }
    rows
}

/// Checks that requests and responses equal those of dnsperf, by code.
fn assert_counted(api: &Api, asked: &Report) {
    let sums = |action: &str, column: &str| {
        let mut sums = BTreeMap::new();
        for row in api.all_rows("dns/raw", &[("action", action)]) {
            *sums.entry(text(&row, column).to_owned()).or_default() += number(&row, "hits");
        }
        sums
    };
    assert_eq!(sums("request", "action"), BTreeMap::from([("request".to_owned(), asked.sent)]));
    assert_eq!(sums("response", "rcode"), asked.codes);
}

/// A counter in a report: from its own column, or from the column with all other counters.
fn loss(row: &Row, counter: &str) -> u64 {
    if row.contains_key(counter) {
        return number(row, counter);
    }
    let value = text(row, "losses").split(' ').find_map(|loss| loss.strip_prefix(counter)?.strip_prefix('='));
    value.map_or(0, |value| value.parse().expect("a counter is a number"))
}

fn sum(rows: &[Row], counter: &str) -> u64 {
    rows.iter().map(|row| loss(row, counter)).sum()
}
