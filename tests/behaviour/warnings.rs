//! Problems with clients are logged once, with origin and cause, and counted in `/metrics`.

use libtest_mimic::Trial;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use zonepulse_tests::api::{Credentials, rfc3339_ms};
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::needs::test;
use zonepulse_tests::probe::{Settings, Sources};
use zonepulse_tests::process::{program_command, run_with_input};
use zonepulse_tests::queue::Queue;
use zonepulse_tests::{Authority, Central, Probe, RabbitMq, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_token_that_is_refused_is_warned_of_with_peer_and_cause_and_counted", unknown_token),
        test("a_password_that_is_refused_is_warned_of_once_and_counted_each_time", wrong_password),
        test("a_failed_tls_handshake_is_warned_of_with_peer_and_cause_and_counted", untrusted),
        test("plain_http_at_an_https_port_is_answered_with_the_right_address", plain_http),
        test("a_probe_that_speaks_plain_http_to_an_https_port_keeps_its_batches", plain_probe),
        test("a_refused_batch_is_warned_of_with_peer_server_and_cause_and_counted", refused_over_http),
        test("a_batch_refused_through_rabbitmq_is_warned_of_with_server_and_cause_and_counted", refused_through_rabbitmq),
    ]
}

const WITHIN: Duration = Duration::from_secs(20);

/// The warnings in a log that contain these words.
fn warnings(log: &str, words: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains("WARN") && line.contains(words)).map(str::to_owned).collect()
}

/// Waits for the first of them, and checks that it contains all of these parts.
fn warning(log: impl Fn() -> String, words: &str, parts: &[&str]) -> String {
    let line = eventually(words, WITHIN, || warnings(&log(), words).into_iter().next());
    for part in parts {
        assert!(line.contains(part), "{part}: {line}");
    }
    line
}

/// Ten minutes ago.
fn start_s() -> u64 {
    unix_ms() / 60_000 * 60 - 600
}

/// A probe whose only source is a server that never connects, with a batch in its spool.
fn probe_with(settings: Settings, bytes: &[u8]) -> (Probe, String) {
    let probe = Probe::new(&Settings { sources: Sources::Dnstap, ..settings });
    let name = format!("{:012}-{:020}-{:010}.batch", start_s(), 3, 7);
    fs::create_dir_all(probe.spool()).expect("a test's folder is writable");
    fs::write(probe.spool().join(&name), bytes).expect("a test's folder is writable");
    (probe, name)
}

fn good_batch(server_id: u32) -> Vec<u8> {
    encode(&batch(server_id, 3, 7, start_s(), &[point("www.example.", "A", REQUEST, 1, 0)]))
}

fn unknown_token() {
    let central = Central::start(&["ns1"]);
    let deliver = format!("via = \"http\"\n[deliver.http]\nurl = \"{}\"\ntoken = \"of-yesterday\"\n", central.url());
    let settings = Settings { server_id: central.servers[0].id, deliver, ..Settings::spooled() };
    let (mut probe, name) = probe_with(settings, &good_batch(central.servers[0].id));
    probe.start();
    let parts = ["peer=127.0.0.1", "/api/v2/", "this token is unknown, revoked or expired", "count=1"];
    warning(|| central.log(), "credentials were refused", &parts);
    warning(|| probe.log(), "the central does not know the token", &[]);
    assert!(central.metric("zonepulse_http_requests_unauthenticated_total") > 0);
    assert!(probe.spool().join(name).exists(), "the batch waits for a good token");
    assert!(!central.log().contains("of-yesterday") && !probe.log().contains("of-yesterday"));
}

fn wrong_password() {
    let central = Central::start(&[]);
    let stranger = central.client(Credentials::User("admin".to_owned(), "guess".to_owned()));
    let before = central.metric("zonepulse_http_requests_unauthenticated_total");
    (0..5).for_each(|_| assert_eq!(stranger.get("/api/v2/servers", &[], "application/json").status, 401));
    assert_eq!(central.metric("zonepulse_http_requests_unauthenticated_total"), before + 5);
    let lines = warnings(&central.log(), "credentials were refused");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("peer=127.0.0.1") && lines[0].contains("path=\"/api/v2/servers\""), "{}", lines[0]);
}

fn secure() -> (Authority, Central) {
    let authority = Authority::new();
    let certificate = authority.certify(&["localhost"]);
    let central = Central::start_secure(&["ns1"], &authority, &certificate, "");
    (authority, central)
}

fn untrusted() {
    let (_authority, central) = secure();
    // Without trusting its authority.
    let (mut probe, name) = probe_with(Settings::http(&central, 0), &good_batch(1));
    probe.start();
    warning(|| central.log(), "TLS handshakes failed", &["peer=127.0.0.1:", "cause=", "count="]);
    warning(|| probe.log(), "cannot connect securely", &["certificate"]);
    assert!(central.metric("zonepulse_tls_handshake_failures_total") > 0);
    assert!(probe.spool().join(name).exists());
}

fn plain_http() {
    let (_authority, central) = secure();
    let mut connection = TcpStream::connect(("127.0.0.1", central.port())).expect("it listens");
    let place = format!("localhost:{}", central.port());
    connection.write_all(format!("GET / HTTP/1.1\r\nHost: {place}\r\n\r\n").as_bytes()).expect("it reads");
    connection.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains(&format!("this port speaks HTTPS: https://{place}")),
        "{answer}"
    );
    warning(|| central.log(), "plain HTTP at a port that speaks HTTPS", &["peer=127.0.0.1:"]);
    // Enrolling with the wrong scheme gives the same hint.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut enroll = program_command("zonepulse-probe");
    enroll.args(["enroll", &format!("http://{place}"), "--config", "probe.toml", "--spool", "spool"]).current_dir(folder.path());
    let output = run_with_input(&mut enroll, "a-token", WITHIN);
    assert!(output.code == Some(1) && output.err.contains("this port speaks HTTPS: https://"), "{}", output.err);
}

fn plain_probe() {
    let (_authority, central) = secure();
    let mut settings = Settings::http(&central, 0);
    settings.deliver = settings.deliver.replace("https://", "http://");
    let (mut probe, name) = probe_with(settings, &good_batch(1));
    probe.start();
    warning(|| probe.log(), "is deliver.http.url the central?", &["this port speaks HTTPS: https://"]);
    assert!(probe.spool().join(name).exists(), "not refused for good: {}", probe.log());
}

fn refused_over_http() {
    let central = Central::start(&["ns1", "ns2"]);
    let id = central.servers[1].id;
    let mut of_a_newer_probe = good_batch(id);
    of_a_newer_probe[4] = 9;
    let (mut probe, name) = probe_with(Settings::http(&central, 1), &of_a_newer_probe);
    probe.start();
    let parts = ["peer=127.0.0.1", &format!("server_id={id}"), "cause=\"unknown_version\"", "version 9", "count=1"];
    warning(|| central.log(), "batches were refused for good", &parts);
    for (server, refused) in [(&central.servers[0], 0), (&central.servers[1], 1)] {
        let metric = format!("zonepulse_server_batches_refused_total{{server=\"{}\"}}", server.id);
        assert_eq!(central.metric(&metric), refused, "{metric}");
    }
    eventually("the batch is aside", WITHIN, || probe.spool().join("refused").join(&name).exists().then_some(()));
    // The probe's message contains a human-readable time.
    let said = warning(|| probe.log(), "the central refused a batch for good", &["version 9"]);
    let start = said.split_once(" start=").and_then(|(_, rest)| rest.split_whitespace().next()).expect("its start is told");
    assert_eq!(rfc3339_ms(start) / 1000, name[..12].parse::<u64>().expect("a number"), "{said}");
}

fn refused_through_rabbitmq() {
    let broker = RabbitMq::shared();
    let central = Central::start_with_broker(&["ns1", "ns2"], &broker.url(), "warned");
    let server = &central.servers[1];
    let mut bytes = good_batch(server.id);
    bytes.truncate(bytes.len() - 1);
    Queue::open(&broker, "warned").publish(&bytes, &server.token);
    let parts = [format!("server_id={}", server.id), "reason=\"malformed\"".to_owned()];
    warning(|| central.log(), "batches were refused; they are kept in the dead-letter queue", &[&parts[0], &parts[1]]);
    let metric = format!("zonepulse_server_batches_refused_total{{server=\"{}\"}}", server.id);
    assert_eq!(central.metric(&metric), 1);
}
