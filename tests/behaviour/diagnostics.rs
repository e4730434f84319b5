//! Diagnostics of a server, ordered at the central: over heartbeats and by pull, with real programs.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flate2::read::GzDecoder;
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::time::Duration;
use zonepulse_tests::api::{Credentials, Response};
use zonepulse_tests::needs::test;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::{program_command, run};
use zonepulse_tests::{Api, Central, Probe, eventually, ports};

pub fn trials() -> Vec<Trial> {
    vec![
        test("diagnostics_are_ordered_with_heartbeats_and_contain_no_secret", by_heartbeat),
        test("diagnostics_are_fetched_from_a_probe_that_is_pulled_from", by_pull),
        test("diagnostics_of_an_old_or_silent_probe_say_so", old_or_silent),
        test("diagnostics_that_are_too_large_or_unexpected_are_refused", refused),
    ]
}

const WITHIN: Duration = Duration::from_secs(90);
const MEDIA_TYPE: &str = "application/vnd.zonepulse.diagnostics";
/// What every bundle of a probe contains.
const FILES: [&str; 10] = [
    "configuration.toml",
    "heartbeat.json",
    "log.txt",
    "machine.txt",
    "metrics.txt",
    "report.json",
    "report.txt",
    "settings.json",
    "spool.txt",
    "versions.json",
];

/// The files of an archive, without their directory.
pub fn unpacked(archive: &[u8]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(archive)).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").file_name().expect("a name").to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("a text");
        files.insert(name, text);
    }
    files
}

fn path(call: &str, central: &Central) -> String {
    format!("/api/v2/pvservers/{call}/{}", central.servers[0].id)
}

fn order(central: &Central) -> Response {
    central.api().send_json(Method::POST, &path("runDiagnostics", central), &json!({}))
}

fn state(central: &Central) -> Value {
    let response = central.api().get(&path("diagnostics", central), &[], "application/json");
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// Waits for the end of a run.
fn done(central: &Central) -> Value {
    eventually("the run is over", WITHIN, || {
        let state = state(central);
        (!["requested", "running"].contains(&state["state"].as_str().expect("a text"))).then_some(state)
    })
}

fn downloaded(central: &Central) -> BTreeMap<String, String> {
    let response = central.api().get(&path("downloaddebug", central), &[], "*/*");
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/gzip")), "{}", response.text());
    let disposition = format!("attachment; filename=\"zonepulse-debug-{}.tar.gz\"", central.servers[0].id);
    assert_eq!(response.header("content-disposition"), Some(disposition.as_str()));
    unpacked(&response.body)
}

/// Asserts that no file contains a secret, be it as text or in base64.
fn assert_secret(files: &BTreeMap<String, String>, secrets: &[&str]) {
    for secret in secrets {
        assert!(secret.len() >= 8, "{secret} would be found in ordinary text");
        for form in [(*secret).to_owned(), BASE64_STANDARD.encode(secret), BASE64_URL_SAFE_NO_PAD.encode(secret)] {
            let found = files.iter().find(|(_, text)| text.contains(&form));
            assert!(found.is_none(), "{secret} is in {found:?}");
        }
    }
}

fn password(central: &Central) -> String {
    let Credentials::User(_, password) = central.administrator() else { panic!("the administrator has a password") };
    password
}

fn by_heartbeat() {
    let central = Central::start(&["one"]);
    let settings = Settings::http(&central, 0);
    // A password that is not used, but is in the configuration.
    let more = "[deliver.rabbitmq]\nurl = \"amqps://probe:hush%2Fhush-broker@broker.invalid\"\n";
    let mut probe = Probe::new(&Settings { deliver: settings.deliver.clone() + more, ..settings });
    probe.start();
    let nothing = central.api().get(&path("diagnostics", &central), &[], "application/json");
    assert_eq!(nothing.status, 404);
    eventually("the central has heard the probe", WITHIN, || {
        central.api().rows("heartbeat", &[])[0]["requests"].as_u64().filter(|requests| *requests > 0)
    });
    let ordered = order(&central);
    assert_eq!((ordered.status, &ordered.json()["state"]), (202, &json!("requested")), "{}", ordered.text());
    assert_eq!(order(&central).status, 409, "one run at a time");
    let state = done(&central);
    assert_eq!(state["state"], "done", "{state:#}\n{}", probe.log());
    for time in ["requested", "running", "ended"] {
        assert!(state[time].is_string(), "{state:#}");
    }
    let findings = state["findings"].as_array().expect("a list");
    let finding = |id: &str| findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("{id}: {state:#}"));
    assert_eq!(finding("token")["status"], "ok", "{state:#}");
    assert_eq!(finding("process")["values"]["pid"], probe.id());
    let files = downloaded(&central);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, FILES);
    assert_eq!(serde_json::from_str::<Value>(&files["report.json"]).expect("JSON")["checks"], state["findings"]);
    assert!(files["report.txt"].contains("zonepulse-probe") && files["log.txt"].contains("starting"), "{files:#?}");
    assert!(files["metrics.txt"].contains("zonepulse_probe_kernel_dropped_packets_total"), "{files:#?}");
    assert!(files["configuration.toml"].contains("token = \"(secret)\""), "{}", files["configuration.toml"]);
    assert!(files["spool.txt"].contains("lock"), "{}", files["spool.txt"]);
    let token = central.servers[0].token.clone();
    assert_secret(&files, &[&token, "hush%2Fhush-broker", "hush/hush-broker", &password(&central)]);
    assert!(!central.log().contains(&token) && !probe.log().contains(&token));

    let entries = central.api().get("/api/v2/audit", &[], "application/json").json();
    let actions: Vec<&str> = entries.as_array().expect("a list").iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(&actions[..2], ["server.download_debug", "server.diagnose"]);

    cli(&central, &probe);
    probe.stop();
}

/// `zonepulse server diagnose` does the same.
fn cli(central: &Central, probe: &Probe) {
    let archive = probe.folder().join("debug.tar.gz");
    let mut command = program_command("zonepulse");
    command.args(["server", "diagnose", &central.servers[0].id.to_string(), "--url", &central.url()]);
    command.arg("--credentials").arg(central.data().join("admin-credentials")).arg("--output").arg(&archive);
    let output = run(&mut command, WITHIN);
    let has_error = output.out.contains("\nerror ");
    assert_eq!(output.code, Some(i32::from(has_error)), "{}{}", output.out, output.err);
    assert!(output.err.contains(": requested\n") && output.out.contains("ok       token"), "{}{}", output.out, output.err);
    let names: Vec<String> = unpacked(&fs::read(&archive).expect("it was written")).into_keys().collect();
    assert_eq!(names, FILES);
}

fn by_pull() {
    let port = ports::free();
    let central = Central::start(&["one"]);
    let body = json!({
        "pull_url": format!("http://127.0.0.1:{port}"), "pull_token": "the-token-to-pull", "settings": { "communication": "pull" },
    });
    let changed = central.api().send_json(Method::PATCH, &format!("/api/v2/pvservers/{}", central.servers[0].id), &body);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let deliver = format!("communication = \"pull\"\n[pull]\nlisten = \"127.0.0.1:{port}\"\ntoken = \"the-token-to-pull\"\n");
    let mut probe = Probe::new(&Settings { server_id: central.servers[0].id, deliver, ..Settings::spooled() });
    probe.start();
    eventually("the probe listens", WITHIN, || probe.log().contains("ready for the central to pull").then_some(()));
    assert_eq!(order(&central).status, 202);
    let state = done(&central);
    assert_eq!(state["state"], "done", "{state:#}\n{}", probe.log());
    let files = downloaded(&central);
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), FILES);
    assert_secret(&files, &["the-token-to-pull"]);
    probe.stop();
}

/// A heartbeat of a probe of an earlier version, or of one that knows the order.
fn beat(api: &Api, diagnoses: Option<bool>) -> Value {
    let mut body = json!({
        "sent_at_ms": 1, "epoch": 1, "probe_version": "0.0.1", "uptime_s": 60, "hostname": "ns1", "os": "Debian",
        "components": {}, "capture": { "state": "running" }, "spool": { "batches": 0, "size_bytes": 0 },
    });
    if let Some(diagnoses) = diagnoses {
        body["diagnoses"] = diagnoses.into();
    }
    let heard = api.send_json(Method::POST, "/api/v2/monitoring/heartbeat", &body);
    assert_eq!(heard.status, 200, "{}", heard.text());
    heard.json()
}

fn old_or_silent() {
    let central = Central::start(&["one"]);
    let api = central.api_of_server(0);
    // It was never heard from: the order waits.
    let ordered = order(&central).json();
    assert_eq!(ordered["state"], "requested");
    assert_eq!(state(&central)["state"], "requested");
    // A probe of an earlier version does not know the order, and does not get it.
    assert_eq!(beat(&api, None).get("diagnose"), None);
    let state = state(&central);
    assert_eq!(state["state"], "unsupported", "{state:#}");
    assert!(state["detail"].as_str().is_some_and(|detail| detail.contains("of version 0.0.1")), "{state:#}");
    let again = order(&central).json();
    assert_eq!(again["state"], "unsupported", "{again:#}");
    assert!(again["run"].as_u64() > ordered["run"].as_u64());
    let missing = central.api().get(&path("downloaddebug", &central), &[], "*/*");
    assert_eq!(missing.status, 404, "{}", missing.text());
    let output = {
        let mut command = program_command("zonepulse");
        command.args(["server", "diagnose", "1", "--url", &central.url()]);
        run(command.arg("--credentials").arg(central.data().join("admin-credentials")), WITHIN)
    };
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("unsupported: the probe, of version 0.0.1, does not know this order"), "{}", output.err);
}

fn post(api: &Api, run: &str, body: Vec<u8>) -> Response {
    let url = api.url("/api/v2/monitoring/diagnostics", &[("run", run)]);
    api.send(Method::POST, url, &[("content-type", MEDIA_TYPE)], body).expect("the central answers")
}

fn refused() {
    let central = Central::start(&["one", "two"]);
    let (one, two) = (central.api_of_server(0), central.api_of_server(1));
    assert_eq!(post(&one, "7", b"x".to_vec()).status, 409, "nothing was ordered");
    beat(&one, Some(true));
    assert_eq!(order(&central).status, 202);
    let run = beat(&one, Some(true))["diagnose"].as_u64().expect("an order").to_string();
    assert_eq!(state(&central)["state"], "running");
    assert_eq!(beat(&one, Some(true))["diagnose"].to_string(), run, "the order is repeated");
    assert_eq!(beat(&two, Some(true)).get("diagnose"), None);
    assert_eq!(post(&two, &run, b"x".to_vec()).status, 409, "the order is another server's");
    assert_eq!(post(&one, "x", b"x".to_vec()).status, 400);
    let unknown = one.send(Method::POST, one.url("/api/v2/monitoring/diagnostics", &[("run", &run)]), &[], b"x".to_vec());
    assert_eq!(unknown.expect("the central answers").status, 415);
    assert_eq!(post(&central.api(), &run, b"x".to_vec()).status, 403, "a user");

    assert_eq!(post(&one, &run, vec![0; (2 << 20) + 1]).status, 413);
    let failed = state(&central);
    assert_eq!(failed["state"], "failed", "{failed:#}");
    assert!(failed["detail"].as_str().is_some_and(|detail| detail.contains("2097152")), "{failed:#}");
    assert_eq!(beat(&one, Some(true)).get("diagnose"), None);

    // What is small, and becomes large.
    assert_eq!(order(&central).status, 202);
    let run = beat(&one, Some(true))["diagnose"].to_string();
    let bomb = zstd::encode_all(std::io::repeat(b' ').take(1 << 28), 3).expect("it can be compressed");
    assert_eq!(post(&one, &run, bomb).status, 413);
    assert_eq!(state(&central)["state"], "failed");
    assert_eq!(order(&central).status, 202);
    let run = beat(&one, Some(true))["diagnose"].to_string();
    assert_eq!(post(&one, &run, b"rubbish".to_vec()).status, 400);
    assert_eq!(state(&central)["state"], "failed");
}
