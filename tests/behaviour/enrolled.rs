//! A probe that was enrolled, then run from another directory, and given another token.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_tests::api::number;
use zonepulse_tests::needs::{capture_rights, rabbitmq, test, test_with};
use zonepulse_tests::process::{Process, program_command, run_with_input, write_private};
use zonepulse_tests::{Authority, Central, Knot, RabbitMq, Release, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("batches_that_wait_are_found_by_a_probe_that_is_started_from_another_directory", capture_rights, elsewhere),
        test("the_configuration_for_a_central_with_a_private_authority_names_its_file_and_works", by_hand),
        test_with("a_tokens_rotation_as_the_readme_has_it_loses_nothing_and_needs_no_restart", capture_rights, rotation),
        test_with(
            "a_probe_that_publishes_keeps_its_batches_once_it_hears_that_its_token_is_refused",
            || rabbitmq(Release::Installed).and_then(|()| capture_rights()),
            rotation_through_rabbitmq,
        ),
    ]
}

const WITHIN: Duration = Duration::from_secs(30);
/// The type A.
const A: u16 = 1;

/// Gets an enrolment from a central.
fn hand_over(central: &Central, path: &str, body: &Value) -> Value {
    let response = central.api().send_json(Method::POST, path, body);
    assert!([200, 201].contains(&response.status), "{}", response.text());
    response.json()
}

/// A probe and a Knot in a separate directory.
struct Node {
    // Declared before the directory, which contains its log: fields are dropped in order.
    process: Option<Process>,
    folder: TempDir,
}

impl Node {
    /// Runs the enrolment command with relative paths.
    fn new(handover: &Value, knot: &Knot) -> Node {
        let node = Node { process: None, folder: tempfile::tempdir().expect("a temporary folder can be made") };
        node.enroll(handover, &["--spool", "p1/spool"]);
        let text = fs::read_to_string(node.config()).expect("it was written");
        let changed = text
            .replacen("device = \"any\"", "device = \"lo\"", 1)
            .replacen("ports = [53]", &format!("ports = [{}]", knot.port), 1)
            .replacen("127.0.0.1:53\"", &format!("127.0.0.1:{}\"", knot.port), 1);
        assert!(changed.contains(&format!("ports = [{}]", knot.port)), "{text}");
        fs::write(node.config(), changed).expect("a test's folder is writable");
        node
    }

    fn enroll(&self, handover: &Value, more: &[&str]) {
        let text = |member: &str| handover[member].as_str().expect("a text").to_owned();
        let typed = text("enroll_command");
        let mut command = program_command("zonepulse-probe");
        command.args(typed.split(' ').skip(1)).args(["--config", "p1/probe.toml"]).args(more).current_dir(self.folder.path());
        let output = run_with_input(&mut command, &text("enrollment_token"), WITHIN);
        assert_eq!(output.code, Some(0), "{typed}: {}", output.err);
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("p1/probe.toml")
    }

    /// Starts it from a directory, and waits until it listens.
    fn start_from(&mut self, directory: &Path) {
        let mut command = program_command("zonepulse-probe");
        command.args(["run", "--config"]).arg(self.config()).current_dir(directory);
        let begun = self.log().len();
        self.process = Some(Process::start("probe", command, self.folder.path()));
        eventually("the probe listens", WITHIN, || self.log()[begun..].contains("listening").then_some(()));
    }

    fn stop(&mut self) {
        let status = self.process.take().expect("it runs").terminate(WITHIN);
        assert!(status.success(), "the probe ends with {status} after SIGTERM");
    }

    /// Makes it reload its configuration.
    fn hang_up(&self) {
        let process = self.process.as_ref().expect("it runs").pid();
        // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its
        // own.
        unsafe { libc::kill(process as i32, libc::SIGHUP) };
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("probe.log")).unwrap_or_default()
    }

    /// Number of batches in the spool with which it was enrolled.
    fn waiting(&self) -> usize {
        let entries = self.folder.path().join("p1/spool").read_dir().expect("the spool is there").flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "batch")).count()
    }
}

/// Waits until this many requests for `www.example` are counted.
fn expect_hits(central: &Central, expected: u64) {
    let api = central.api();
    let mut hits = 0;
    let counted = || {
        let rows = api.rows("dns/aggregate", &[("host", "www.example")]);
        hits = rows.iter().map(|row| number(row, "hits")).sum();
        (hits >= expected).then_some(())
    };
    eventually(&format!("{expected} requests are counted"), WITHIN, counted);
    assert_eq!(hits, expected);
}

fn elsewhere(_alone: MutexGuard<'static, ()>) {
    let knot = Knot::start();
    let mut central = Central::start(&[]);
    let mut node = Node::new(&hand_over(&central, "/api/v2/pvservers", &json!({ "server": "ns1" })), &knot);
    central.stop();
    let here = node.folder.path().to_owned();
    node.start_from(&here);
    (0..5).for_each(|_| assert_eq!(knot.ask("www.example", A), 0));
    node.stop();
    assert!(node.waiting() > 0, "{}", node.log());
    central.start_again();
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    node.start_from(elsewhere.path());
    expect_hits(&central, 5);
    node.stop();
    assert_eq!(node.waiting(), 0, "{}", node.log());
    assert_eq!(elsewhere.path().read_dir().expect("it is there").count(), 0, "no other spool was made");
}

/// The configuration and the authority are copied by hand instead.
fn by_hand() {
    let authority = Authority::new();
    let certificate = authority.certify(&["localhost"]);
    // Continues the [tls] section.
    let central = Central::start_secure(&[], &authority, &certificate, &format!("ca_file = {:?}\n", authority.file()));
    let handover = hand_over(&central, "/api/v2/pvservers", &json!({ "server": "ns1", "credential": "token" }));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (config, ca, spool) = (folder.path().join("probe.toml"), folder.path().join("ca.pem"), folder.path().join("spool"));
    fs::write(&ca, handover["ca"].as_str().expect("a certificate")).expect("a test's folder is writable");
    let text = handover["probe_config"].as_str().expect("a text");
    assert!(text.contains("\n[tls]\nca_file = "), "{text}");
    let ours = |line: &str| match line.split_once(" = ") {
        Some((key @ "ca_file", _)) => format!("{key} = {ca:?}"),
        Some((key @ "dir", _)) => format!("{key} = {spool:?}"),
        _ => line.to_owned(),
    };
    write_private(&config, &text.lines().map(ours).collect::<Vec<_>>().join("\n"));
    let mut command = program_command("zonepulse-probe");
    command.args(["run", "--config"]).arg(&config);
    let _probe = Process::start("probe", command, folder.path());
    eventually("the central hears of it", WITHIN, || {
        let rows = central.api().rows("heartbeat", &[]);
        rows.first().filter(|row| !row["last_heartbeat"].is_null()).map(drop)
    });
}

fn rotation(_alone: MutexGuard<'static, ()>) {
    let knot = Knot::start();
    let central = Central::start(&[]);
    let server = json!({ "server": "ns1", "settings": { "dns_interval_s": 1 } });
    let mut node = Node::new(&hand_over(&central, "/api/v2/pvservers", &server), &knot);
    let here = node.folder.path().to_owned();
    node.start_from(&here);
    (0..3).for_each(|_| assert_eq!(knot.ask("www.example", A), 0));
    expect_hits(&central, 3);

    let handover = hand_over(&central, "/api/v2/pvservers/1/token", &json!({}));
    (0..4).for_each(|_| assert_eq!(knot.ask("www.example", A), 0));
    eventually("the old token is refused", WITHIN, || central.log().contains("credentials were refused").then_some(()));
    node.enroll(&handover, &[]);
    node.hang_up();
    expect_hits(&central, 7);
    node.stop();
    let batches = central.api().sql("SELECT sum(batches_evicted) AS n FROM coverage", "application/json").json();
    assert_eq!(batches[0]["n"], 0);
}

fn rotation_through_rabbitmq(_alone: MutexGuard<'static, ()>) {
    let (knot, broker) = (Knot::start(), RabbitMq::start());
    let central = Central::start_with_broker(&[], &broker.url(), "zonepulse.batches");
    let server = json!({ "server": "ns1", "settings": {
        "dns_interval_s": 1, "communication": "rabbitmq", "rabbitmq_address": "127.0.0.1", "rabbitmq_port": broker.port(),
        "rabbitmq_tls": false, "rabbitmq_user": "guest", "rabbitmq_password": "guest",
    } });
    let mut node = Node::new(&hand_over(&central, "/api/v2/pvservers", &server), &knot);
    let here = node.folder.path().to_owned();
    node.start_from(&here);
    let publishes = |line: &str| line.contains("delivery works") && line.contains("amqp://");
    eventually("it publishes", WITHIN, || node.log().lines().any(publishes).then_some(()));
    (0..3).for_each(|_| assert_eq!(knot.ask("www.example", A), 0));
    expect_hits(&central, 3);

    let handover = hand_over(&central, "/api/v2/pvservers/1/token", &json!({}));
    // With the next heartbeat.
    eventually("it hears of that", 2 * WITHIN, || node.log().contains("the central rejects this probe's token").then_some(()));
    (0..4).for_each(|_| assert_eq!(knot.ask("www.example", A), 0));
    eventually("batches wait", WITHIN, || (node.waiting() >= 3).then_some(()));
    node.enroll(&handover, &[]);
    node.hang_up();
    expect_hits(&central, 7);
    node.stop();
    assert_eq!(node.waiting(), 0, "{}", node.log());
}
