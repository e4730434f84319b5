//! Behind a trusted proxy, a client is who the proxy says it is, in the log and in the audit log.

use libtest_mimic::Trial;
use reqwest::Method;
use zonepulse_tests::needs::test;
use zonepulse_tests::{Central, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test("the_client_behind_a_trusted_proxy_is_in_both_logs", forwarded),
        test("a_strangers_word_is_in_neither_log", claimed),
    ]
}

/// Creates a server with a claimed origin; returns its entry in the audit log, and the line in the
/// log.
fn make_server(configuration: &str, claim: &str) -> (String, String) {
    let central = Central::start_configured(&[], configuration);
    let api = central.api();
    let headers = [("content-type", "application/json"), ("x-forwarded-for", claim)];
    let url = api.url("/api/v2/pvservers", &[]);
    let made = api.send(Method::POST, url, &headers, br#"{"server": "ns1"}"#.to_vec()).expect("an answer");
    assert_eq!(made.status, 201, "{}", made.text());
    let audit = api.get("/api/v2/audit", &[], "application/json").json();
    let entry = audit.as_array().into_iter().flatten().find(|entry| entry["action"] == "server.create");
    let from = entry.and_then(|entry| entry["from"].as_str()).unwrap_or_else(|| panic!("no entry: {audit}")).to_owned();
    let line = eventually("the request is in the log", std::time::Duration::from_secs(10), || {
        let log = central.log();
        log.lines().find(|line| line.contains("POST") && line.contains("/api/v2/pvservers")).map(str::to_owned)
    });
    (from, line)
}

fn forwarded() {
    let (from, line) = make_server("[proxy]\ntrusted = [\"127.0.0.1\"]\n", "10.9.9.9, 198.51.100.7");
    assert_eq!(from, "198.51.100.7");
    assert!(line.contains("198.51.100.7") && !line.contains("10.9.9.9"), "{line}");
}

fn claimed() {
    let (from, line) = make_server("", "198.51.100.7");
    assert_eq!(from, "127.0.0.1");
    assert!(line.contains("127.0.0.1") && !line.contains("198.51.100.7"), "{line}");
}
