//! The health of a server, derived from its probe, its batches and its silence: in answers, metrics
//! and the log.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use zonepulse_fixtures::Message;
use zonepulse_tests::api::{Row, text};
use zonepulse_tests::batches::{batch, send};
use zonepulse_tests::browser::Page;
use zonepulse_tests::false_clock::FalseClock;
use zonepulse_tests::needs::{browser, capture_rights, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::wait::within;
use zonepulse_tests::{Api, Central, Knot, Probe, eventually, ports, unix_ms};

const PATIENCE: Duration = Duration::from_secs(60);
/// How far the central's clock is set forward, seconds: everything is then older than two minutes.
const LATER_S: i64 = 300;

pub fn trials() -> Vec<Trial> {
    let silent = "a_probe_is_starting_and_good_at_once_silent_when_it_is_killed_and_starting_again";
    vec![
        test_with(silent, capture_rights, starting_and_silent),
        test_with("a_server_whose_token_was_replaced_is_refused_and_says_so", capture_rights, old_token),
        test_with(
            "a_probe_with_another_server_s_token_is_refused_with_the_cause_until_batches_are_taken",
            capture_rights,
            refused,
        ),
        test_with("a_probe_that_cannot_capture_is_blind", capture_rights, cannot_capture),
        test_with("the_page_says_how_servers_are_in_words_and_with_reasons", browser, |()| page()),
        test_with("a_probe_whose_broker_is_gone_is_behind_until_it_delivers_again", capture_rights, behind),
    ]
}

/// The row of the n-th server, once it has this health.
fn row_when(api: &Api, n: usize, health: &str) -> Row {
    let mut last = Row::new();
    let found = within(PATIENCE, || {
        last = api.rows("heartbeat", &[]).swap_remove(n);
        (last["health"] == health).then(|| last.clone())
    });
    found.unwrap_or_else(|| panic!("it is not {health}: {last:?}"))
}

/// The reason for a health in a row.
fn reason<'a>(row: &'a Row, health: &str) -> &'a str {
    let reasons = row["reasons"].as_array().expect("a list of reasons");
    let found = reasons.iter().find(|reason| reason["health"] == health);
    found.and_then(|reason| reason["reason"].as_str()).unwrap_or_else(|| panic!("no reason for {health}: {row:?}"))
}

fn logged(central: &Central, parts: &[&str]) {
    eventually(&format!("the log has a line with {parts:?}"), Duration::from_secs(20), || {
        central.log().lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
    });
}

/// Queries a DNS server regularly until dropped: a server without traffic is a separate case.
struct Asking(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Asking {
    fn of(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        Self::again_and_again(move || {
            let _ = socket.send_to(&Message::query("www.example", 1).bytes(), ("127.0.0.1", port));
        })
    }

    /// Keeps changing settings, so that probes confirm with a heartbeat a second later and nobody
    /// has to wait half a minute.
    fn for_heartbeats(api: Api) -> Self {
        let mut timeout_ms = 300;
        Self::again_and_again(move || {
            timeout_ms = if timeout_ms == 300 { 301 } else { 300 };
            api.send_json(Method::PATCH, "/api/v2/settings", &json!({ "api_timeout_ms": timeout_ms }));
        })
    }

    fn again_and_again(mut ask: impl FnMut() + Send + 'static) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let goes_on = running.clone();
        let asking = thread::spawn(move || {
            while goes_on.load(Ordering::Relaxed) {
                ask();
                thread::sleep(Duration::from_millis(200));
            }
        });
        Asking(running, Some(asking))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        let _ = self.1.take().map(JoinHandle::join);
    }
}

fn starting_and_silent(_alone: MutexGuard<'static, ()>) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let clock = FalseClock::new(folder.path());
    let central = Central::start_on(folder.path(), &["ns1", "neverheard"], &clock.environment());
    let (api, knot) = (central.api(), Knot::start());
    let _asking = Asking::of(knot.port);
    let mut probe = Probe::new(&Settings { interval_s: 1, port: knot.port, ..Settings::http(&central, 0) });
    probe.start();
    let row = row_when(&api, 0, "starting");
    assert_eq!((&row["good"], text(&row, "state")), (&json!(true), "running"), "{row:?}");
    let unused = row_when(&api, 1, "new");
    assert_eq!((&unused["good"], &unused["components"]["dns"]), (&json!(false), &Value::Null), "{unused:?}");
    assert_eq!(central.metric("zonepulse_server_health{server=\"1\",health=\"starting\"}"), 1);

    probe.kill();
    clock.set(LATER_S);
    let row = row_when(&api, 0, "silent");
    assert_eq!((&row["good"], text(&row, "state")), (&json!(false), "stopped"), "{row:?}");
    let said = reason(&row, "silent");
    assert!(said.starts_with("no heartbeat for 3") && said.contains(text(&row, "last_heartbeat")), "{said}");
    logged(&central, &["WARN", "health=\"silent\"", "ns1"]);
    assert_eq!(central.metric("zonepulse_server_health{server=\"1\",health=\"silent\"}"), 1);

    probe.start();
    row_when(&api, 0, "starting");
    logged(&central, &["INFO", "ended=\"silent\"", "ns1"]);
    assert!(!central.log().contains("neverheard"), "a server that never had a probe is no trouble: {}", central.log());
    probe.stop();
}

fn old_token(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["ns1"]);
    let (api, port) = (central.api(), ports::free());
    let _asking = Asking::of(port);
    let mut probe = Probe::new(&Settings { interval_s: 1, port, ..Settings::http(&central, 0) });
    probe.start();
    eventually("the probe is heard", PATIENCE, || api.rows("heartbeat", &[])[0]["last_heartbeat"].is_string().then_some(()));
    let path = format!("/api/v2/pvservers/{}/token", central.servers[0].id);
    assert_eq!(api.send_json(Method::POST, &path, &json!({})).status, 200);
    let row = row_when(&api, 0, "refused");
    let said = reason(&row, "refused");
    assert!(said.contains("a probe at its address 127.0.0.1 are refused") && said.contains("current token"), "{said}");
    assert_eq!(row["good"], false, "{row:?}");
    logged(&central, &["WARN", "credentials were refused", "peer=127.0.0.1"]);
    probe.stop();
}

fn refused(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["ns1", "ns2"]);
    let (api, knot) = (central.api(), Knot::start());
    let _asking = Asking::of(knot.port);
    let [own, other] = [0, 1].map(|n| central.servers[n].id);
    // Its configuration names one server, but its token belongs to another.
    let mut probe = Probe::new(&Settings { server_id: other, interval_s: 1, port: knot.port, ..Settings::http(&central, 0) });
    probe.start();
    let row = row_when(&api, 0, "refused");
    assert_eq!((text(&row, "state"), &row["good"]), ("running", &json!(false)), "it runs, and all is not well: {row:?}");
    let said = reason(&row, "refused");
    assert!(said.contains("wrong_server") && said.contains(&format!("server {own} may not send for server {other}")), "{said}");
    logged(&central, &["WARN", "health=\"refused\"", "may not send for server"]);
    assert_eq!(central.metric("zonepulse_server_health{server=\"1\",health=\"refused\"}"), 1);
    probe.stop();
    send(&central.api_of_server(0), &batch(own, 3, 7, unix_ms() / 60_000 * 60 - 600, &[]));
    row_when(&api, 0, "starting");
    logged(&central, &["INFO", "ended=\"refused\""]);
}

fn cannot_capture(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["ns1"]);
    let api = central.api();
    let _heartbeats = Asking::for_heartbeats(central.api());
    let mut probe = Probe::new(&Settings { device: "nosuchdevice0", ..Settings::http(&central, 0) });
    probe.configure("central.settings = \"ignore\"", |key| format!("{key} = \"apply\""));
    probe.start();
    let row = row_when(&api, 0, "blind");
    assert_eq!((text(&row, "state"), &row["capture"]["state"]), ("running", &json!("stopped")), "{row:?}");
    let said = reason(&row, "blind");
    assert!(said.starts_with("DNS messages are not being counted: ") && said.contains("nosuchdevice0"), "{said}");
    logged(&central, &["WARN", "health=\"blind\"", "nosuchdevice0"]);
    probe.stop();
}

fn behind(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["ns1"]);
    let (api, knot) = (central.api(), Knot::start());
    let _asking = Asking::of(knot.port);
    let set = |settings: Value| {
        let answer = api.send_json(Method::PATCH, "/api/v2/settings", &settings);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    set(json!({ "dns_interval_s": 1, "system_monitoring": false }));
    let _heartbeats = Asking::for_heartbeats(central.api());
    let mut probe = Probe::new(&Settings { interval_s: 1, port: knot.port, ..Settings::http(&central, 0) });
    probe.configure("central.settings = \"ignore\"", |key| format!("{key} = \"apply\""));
    probe.start();
    row_when(&api, 0, "starting");
    // Batches are to be sent where nobody listens; heartbeats still go to the central.
    set(json!({ "communication": "rabbitmq", "rabbitmq_address": "127.0.0.1", "rabbitmq_port": ports::free(),
        "rabbitmq_user": "probe", "rabbitmq_password": "hush" }));
    let row = row_when(&api, 0, "behind");
    assert_eq!(text(&row, "state"), "running", "{row:?}");
    let said = reason(&row, "behind");
    assert!(said.contains("batches (") && said.contains("wait at its probe") && said.contains("broker"), "{said}");
    logged(&central, &["WARN", "health=\"behind\"", "wait at its probe"]);
    set(json!({ "communication": "http" }));
    row_when(&api, 0, "starting");
    logged(&central, &["INFO", "ended=\"behind\""]);
    probe.stop();
}

fn page() {
    let central = Central::start(&["ns1", "ns2"]);
    // It has nothing to capture from, and sends heartbeats with its first settings.
    let mut probe = Probe::new(&Settings { device: "nosuchdevice0", ..Settings::http(&central, 0) });
    probe.configure("central.settings = \"ignore\"", |key| format!("{key} = \"apply\""));
    let heartbeats = Asking::for_heartbeats(central.api());
    probe.start();
    let row = row_when(&central.api(), 0, "blind");
    let why = reason(&row, "blind");
    let servers = Page::open(&central, "servers");
    let rows = servers.rows("Servers");
    assert!(rows[0].contains("ns1") && rows[0].contains("Running") && rows[0].contains("Blind"), "{rows:?}");
    assert!(rows[1].contains("ns2") && rows[1].contains("Stopped") && rows[1].contains("New"), "{rows:?}");
    let health = Page::open(&central, "health");
    assert!(health.text().contains("a server needs attention now:"), "{}", health.text());
    assert!(health.text().contains(&format!("ns1 {why}")), "{}", health.text());
    drop(heartbeats);
    probe.stop();
}
