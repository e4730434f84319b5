//! A probe that does not see the DNS server's messages says so, and its time does not count as
//! observed.

use libtest_mimic::Trial;
use std::net::UdpSocket;
use std::sync::MutexGuard;
use std::time::Duration;
use zonepulse_fixtures::Message;
use zonepulse_tests::api::{Row, number, text, time_ms};
use zonepulse_tests::dnsperf::Load;
use zonepulse_tests::needs::{capture_rights, knot_dnstap, test, test_with};
use zonepulse_tests::probe::{Settings, Sources};
use zonepulse_tests::process::{Output, program_command, run};
use zonepulse_tests::{Api, Central, Knot, Probe, eventually, ports};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("a_probe_on_another_port_than_the_server_is_blind_until_the_port_is_set", capture_rights, wrong_port),
        test_with("a_server_that_tells_of_queries_only_leaves_the_probe_blind", knot_dnstap, queries_only),
        test_with("requests_that_nobody_answers_leave_the_probe_blind", capture_rights, nobody_answers),
        test("checking_a_configuration_warns_of_a_port_where_the_server_is_not", check_config),
    ]
}

/// Heartbeats are sent every 30 s.
const HEARTBEAT: Duration = Duration::from_secs(75);
/// How long the log may take to report the end of a reason.
const LOG: Duration = Duration::from_secs(90);

fn wrong_port(_alone: MutexGuard<'static, ()>) {
    let (central, knot, wrong) = (Central::start(&["blind"]), Knot::start(), ports::free());
    let mut probe = Probe::new(&Settings { port: wrong, interval_s: 5, ..Settings::http(&central, 0) });
    let api = central.api();
    probe.start();
    ask(&knot, 10);
    let line = eventually("the log says that the server is elsewhere", HEARTBEAT, || warning(&probe.log(), "other_sockets"));
    let server = line.contains("knotd listens on") && line.contains(&knot.port.to_string());
    assert!(server && line.contains(&format!("capture.ports has {wrong}")), "{line}");
    eventually("the log says that there is no message", HEARTBEAT, || warning(&probe.log(), "no_message"));
    eventually("a heartbeat has both reasons", HEARTBEAT, || {
        let said = heartbeat(&api);
        (said.contains("other_sockets") && said.contains("no_message")).then_some(())
    });
    probe.stop();
    let blind = reports(&api);
    assert!(blind.len() >= 3, "{blind:?}");
    for row in &blind {
        assert_eq!((blind_ms(row), number(row, "hits")), (covered_ms(row), 0), "{row:?}");
    }

    probe.configure(&format!("ports = [{wrong}]"), |key| format!("{key} = [{}]", knot.port));
    let said_before = probe.log().len();
    let log = |probe: &Probe| probe.log().split_off(said_before);
    probe.start();
    eventually("nobody has asked yet", HEARTBEAT, || warning(&log(&probe), "no_message"));
    assert_eq!(warning(&log(&probe), "other_sockets"), None, "{}", log(&probe));
    // For more than four intervals.
    ask(&knot, 600);
    eventually("the log says that the reason is gone", LOG, || {
        log(&probe).lines().find(|line| line.contains(" INFO ") && line.contains("reason=\"no_message\"")).map(drop)
    });
    eventually("a heartbeat has no reason", HEARTBEAT, || {
        let said = heartbeat(&api);
        (!said.contains("other_sockets") && !said.contains("no_message")).then_some(())
    });
    probe.stop();
    let rows = reports(&api);
    let seeing: Vec<&Row> = rows.iter().skip(blind.len()).filter(|row| number(row, "hits") > 0).collect();
    // The first interval was blind until the first message; the second was blind briefly if that
    // came at the very end.
    assert!(seeing.len() >= 4 && seeing.iter().skip(2).all(|row| blind_ms(row) == 0), "{rows:?}");
}

fn queries_only((): ()) {
    let central = Central::start(&["told"]);
    let mut probe = Probe::new(&Settings { interval_s: 5, sources: Sources::Dnstap, ..Settings::http(&central, 0) });
    let api = central.api();
    probe.start();
    eventually("the probe listens", Duration::from_secs(10), || probe.dnstap_socket().exists().then_some(()));
    let knot = Knot::start_telling_of_queries(&probe.dnstap_socket());
    ask(&knot, 300);
    let line = eventually("the log says that responses are missing", HEARTBEAT, || warning(&probe.log(), "no_responses"));
    assert!(line.contains("log-responses: on"), "{line}");
    eventually("a heartbeat has the reason", HEARTBEAT, || heartbeat(&api).contains("no_responses").then_some(()));
    knot.stop();
    probe.stop();
    let rows = reports(&api);
    // A first interval shorter than a second is not judged: its responses could still be on their way.
    let is_judged = |row: &&Row| number(row, "hits") >= 100 && covered_ms(row) > 1000;
    let asked: Vec<&Row> = rows.iter().filter(is_judged).collect();
    assert!(!asked.is_empty() && asked.iter().all(|row| blind_ms(row) == covered_ms(row)), "{rows:?}");
}

fn nobody_answers(_alone: MutexGuard<'static, ()>) {
    let (central, port) = (Central::start(&["mute"]), ports::free());
    let mut probe = Probe::new(&Settings { port, interval_s: 5, ..Settings::http(&central, 0) });
    probe.start();
    eventually("the probe listens", Duration::from_secs(20), || probe.log().contains(" listening").then_some(()));
    let _mute = UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
    let client = UdpSocket::bind("127.0.0.1:0").expect("an address of this machine");
    for _ in 0..30 {
        client.send_to(&Message::query("www.example", 1).bytes(), ("127.0.0.1", port)).expect("a query goes");
    }
    let line = eventually("the log says that responses are missing", HEARTBEAT, || warning(&probe.log(), "no_responses"));
    assert!(line.contains("30 requests in the last minute and no response"), "{line}");
    eventually("a heartbeat has the reason", HEARTBEAT, || heartbeat(&central.api()).contains("no_responses").then_some(()));
    probe.stop();
}

fn check_config() {
    let (knot, wrong) = (Knot::start(), ports::free());
    let probe = Probe::new(&Settings { port: wrong, ..Settings::spooled() });
    let output = checked(&probe);
    let warned = |output: &Output| output.err.lines().any(|line| line.starts_with("warning: ") && line.contains("capture.ports"));
    assert!(output.code == Some(0) && warned(&output), "{}", output.err);
    probe.configure(&format!("ports = [{wrong}]"), |key| format!("{key} = [{}]", knot.port));
    let output = checked(&probe);
    assert!(output.code == Some(0) && !warned(&output), "{}", output.err);
}

fn checked(probe: &Probe) -> Output {
    let mut command = program_command("zonepulse-probe");
    run(command.args(["run", "--check-config", "--config"]).arg(probe.config()), Duration::from_secs(20))
}

/// Asks this many rounds of eleven questions, at three hundred questions a second.
fn ask(knot: &Knot, rounds: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let asked = Load { mode: "udp", port: knot.port, per_second: 300 }.rounds(rounds, folder.path());
    assert_eq!(asked.completed, asked.sent, "{asked:?}");
}

/// The log line that warns of a reason.
fn warning(log: &str, reason: &str) -> Option<String> {
    let wanted = format!("reason=\"{reason}\"");
    log.lines().find(|line| line.contains(" WARN ") && line.contains(&wanted)).map(str::to_owned)
}

/// The central's row for the only server's heartbeat.
fn heartbeat(api: &Api) -> String {
    api.rows("heartbeat", &[]).first().map(|row| serde_json::to_string(row).expect("it was JSON")).unwrap_or_default()
}

/// The reports in chronological order.
fn reports(api: &Api) -> Vec<Row> {
    api.rows("dns/coverage", &[("sort", "time")])
}

fn covered_ms(row: &Row) -> u64 {
    time_ms(row, "covered_until") - time_ms(row, "covered_from")
}

/// From its own column, or from the column with all other counters.
fn blind_ms(row: &Row) -> u64 {
    if row.contains_key("blind_ms") {
        return number(row, "blind_ms");
    }
    let value = text(row, "losses").split(' ').find_map(|loss| loss.strip_prefix("blind_ms="));
    value.map_or(0, |value| value.parse().expect("a counter is a number"))
}
