//! Servers, settings, users and heartbeats as those meet them who call the API.

use super::*;
use crate::http::door::listen::Peer;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tower::ServiceExt;
use zonepulse_central::accounts::{self, NewUser};
use zonepulse_model::ServerId;
use zonepulse_store::Rights;

pub(super) struct Setup {
    pub(super) app: App,
    /// The administrator's.
    pub(super) basic: String,
    _dir: tempfile::TempDir,
}

pub(super) fn setup() -> Setup {
    setup_with_authority(None)
}

fn setup_with_authority(ca_file: Option<PathBuf>) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &zonepulse_store::Options::default()).unwrap();
    let boss = NewUser { name: "boss", password: None, administrator: true, rights: Rights::NONE };
    let password = accounts::make_user(&store.registry(), boss, 1).unwrap();
    let engine = Engine::new(store.clone(), zonepulse_query::Options::default()).unwrap();
    let ingest = Ingest::start(store.clone(), zonepulse_ingest::Settings::default()).unwrap();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8053));
    let addresses = Addresses { listen, public_urls: vec!["https://central.example".to_owned()], scheme: "http", ca_file };
    let basic = format!("Basic {}", STANDARD.encode(format!("boss:{}", password.reveal())));
    Setup { app: app(store, engine, ingest, config::Limits::default(), addresses), basic, _dir: dir }
}

impl Setup {
    pub(super) async fn call(&self, authorization: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let mut request = axum::http::Request::builder().method(method).uri(path).header("authorization", authorization);
        if !body.is_null() {
            request = request.header("content-type", "application/json");
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))));
        let response = router(self.app.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// As the administrator.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.call(&self.basic, method, path, body).await
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Makes a server; gives what is handed over.
    pub(super) async fn make(&self, body: Value) -> Value {
        let (status, answer) = self.ask("POST", "/api/v2/pvservers", body).await;
        assert_eq!(status, 201, "{answer}");
        answer
    }
}

pub(super) fn bearer(token: &Value) -> String {
    format!("Bearer {}", token.as_str().unwrap())
}

pub(super) fn heartbeat() -> Value {
    let mut heartbeat = example::heartbeat(now_ms());
    heartbeat.settings_version = Some(1);
    serde_json::to_value(heartbeat).unwrap()
}

pub(super) const HEARTBEAT: &str = "/api/v2/monitoring/heartbeat";

#[tokio::test]
async fn a_server_is_handed_over_with_the_private_authority_to_trust() {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.crt");
    let pem = rcgen::generate_simple_self_signed(["central.example".to_owned()]).unwrap().cert.pem();
    std::fs::write(&ca_file, &pem).unwrap();
    let fingerprint = zonepulse_net::tls::Authority::read(&ca_file).unwrap().fingerprint();
    let setup = setup_with_authority(Some(ca_file));
    let made = setup.make(json!({"server": "ns1"})).await;
    assert_eq!(made["enroll_command"], format!("zonepulse-probe enroll https://central.example --ca-sha256 {fingerprint} -"));
    assert_eq!(made["ca"], pem);
    let made = setup.make(json!({"server": "copied", "credential": "token"})).await;
    assert_eq!(made["ca"], pem);
    let config = made["probe_config"].as_str().unwrap();
    assert!(config.contains("\n[tls]\nca_file = \"/etc/zonepulse-probe/ca.pem\"\n"), "{config}");
    // Where there is no TLS there is nothing to vouch for.
    let plain = json!({"server": "ns2", "settings": {"api_url": "http://192.0.2.1:8053"}});
    let made = setup.make(plain).await;
    assert_eq!((&made["enroll_command"], &made["ca"]), (&json!("zonepulse-probe enroll http://192.0.2.1:8053 -"), &Value::Null));
}

#[tokio::test]
async fn a_server_is_handed_over_with_all_that_its_probe_needs_to_enrol() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1"})).await;
    assert!(!made["enrollment_token"].as_str().unwrap().is_empty());
    // Among the arguments every user of the machine could see the token.
    assert_eq!(made["enroll_command"], "zonepulse-probe enroll https://central.example -");
    assert_eq!(made["ca"], Value::Null, "machines trust it anyway");
    assert_eq!((made.get("token"), made.get("probe_config")), (None, None));
    let shown = setup.get("/api/v2/pvservers/1").await;
    assert_eq!((&shown, &shown["enrollment_expires"]), (&made["server"], &made["enrollment_expires"]));
}

#[tokio::test]
async fn the_command_for_a_new_token_replaces_the_credentials_that_the_machine_has() {
    let setup = setup();
    setup.make(json!({"server": "ns1"})).await;
    let (_, renewed) = setup.ask("POST", "/api/v2/pvservers/1/token", Value::Null).await;
    assert_eq!(renewed["enroll_command"], "zonepulse-probe enroll https://central.example --force -");
}

#[tokio::test]
async fn a_server_is_handed_over_with_a_configuration_to_whoever_asks_for_the_token() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token", "settings": {"dns_interval_s": 30}})).await;
    let config = made["probe_config"].as_str().unwrap();
    let token = made["token"].as_str().unwrap();
    for line in ["server_id = 1", "interval_s = 30", "url = \"https://central.example\"", &format!("token = \"{token}\"")] {
        assert!(config.lines().any(|found| found == line), "{line}: {config}");
    }
    for member in ["enrollment_token", "enrollment_expires", "enroll_command"] {
        assert_eq!(made.get(member), None, "{member}");
    }
    let (status, _) = setup.call(&bearer(&made["token"]), "POST", HEARTBEAT, heartbeat()).await;
    assert_eq!(status, 200);
    let shown = setup.get("/api/v2/pvservers/1").await;
    assert_eq!((&shown, &shown["enrollment_expires"]), (&made["server"], &Value::Null));
    assert_eq!(
        (&shown["settings"], &shown["effective_settings"]["dns_interval_s"]),
        (&json!({"dns_interval_s": 30}), &json!(30))
    );
}

#[tokio::test]
async fn a_probe_enrols_once_and_its_server_has_a_new_token_then() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1"})).await;
    let request = json!({"hostname": "ns1.example", "os": "Debian GNU/Linux 13", "probe_version": "0.1.0"});
    let token = bearer(&made["enrollment_token"]);
    let enroll = || setup.call(&token, "POST", "/api/v2/enrollments", request.clone());
    let (first, second) = tokio::join!(enroll(), enroll());
    let (enrolled, refused) = if first.0 == 201 { (first, second) } else { (second, first) };
    assert_eq!((enrolled.0, refused.0), (201, 401), "{} {}", enrolled.1, refused.1);
    let enrolled = enrolled.1;
    assert_eq!((&enrolled["server_id"], &enrolled["server"]), (&json!(1), &json!("ns1")));
    assert_eq!(enrolled["pull_token"], "", "nobody pulls from it");
    assert_eq!(setup.call(&bearer(&enrolled["token"]), "POST", HEARTBEAT, heartbeat()).await.0, 200);
    let shown = setup.get("/api/v2/pvservers/1").await;
    assert_eq!((&shown["os"], &shown["enrollment_expires"]), (&json!("Debian GNU/Linux 13"), &Value::Null));
}

#[tokio::test]
async fn a_new_token_and_a_removal_take_the_old_token_back_at_once() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    let (status, renewed) = setup.ask("POST", "/api/v2/pvservers/1/token", json!({"credential": "token"})).await;
    assert_eq!(status, 200);
    let beat = async |token: &Value| setup.call(&bearer(token), "POST", HEARTBEAT, heartbeat()).await.0;
    assert_eq!((beat(&made["token"]).await, beat(&renewed["token"]).await), (401, 200));
    assert_eq!(setup.ask("DELETE", "/api/v2/pvservers/1", Value::Null).await.0, 204);
    assert_eq!(beat(&renewed["token"]).await, 401);
    assert_eq!(setup.get("/api/v2/pvservers").await, json!([]));
    assert!(setup.get("/api/v2/pvservers?removed=true").await[0]["removed"].is_string());
    // Its history can still be asked for, until it is purged.
    setup.get("/api/v2/monitoring/dns/raw?server_id=1").await;
    assert_eq!(setup.ask("DELETE", "/api/v2/pvservers/1", Value::Null).await.0, 404);
    assert_eq!(setup.ask("DELETE", "/api/v2/pvservers/1?purge=true", Value::Null).await.0, 204);
    assert_eq!(setup.ask("GET", "/api/v2/pvservers/1", Value::Null).await.0, 404);
    assert_eq!(setup.make(json!({"server": "ns1", "credential": "token"})).await["server"]["server_id"], 2);
}

#[tokio::test]
async fn a_change_changes_what_it_names() {
    let setup = setup();
    setup.make(json!({"server": "ns1", "os": "Debian", "services": ["dns"], "notes": "left"})).await;
    let change = json!({"server": "ns2", "notes": null, "address": "ns2.example", "settings": {"system_monitoring": false}});
    let (status, changed) = setup.ask("PATCH", "/api/v2/pvservers/1", change).await;
    assert_eq!(status, 200, "{changed}");
    let of = |name: &str| changed[name].clone();
    assert_eq!((of("server"), of("os"), of("services"), of("notes")), (json!("ns2"), json!("Debian"), json!(["dns"]), json!("")));
    assert_eq!(changed["settings"], json!({"system_monitoring": false}));
    let (_, changed) = setup.ask("PATCH", "/api/v2/pvservers/1", json!({"settings": {"system_monitoring": null}})).await;
    assert_eq!((&changed["settings"], &changed["effective_settings"]["system_monitoring"]), (&json!({}), &json!(true)));
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_named() {
    let setup = setup();
    setup.make(json!({"server": "ns1"})).await;
    for (body, status, parameter) in [
        (json!({}), 400, json!("server")),
        (json!({"server": ""}), 400, json!("server")),
        (json!({"server": "a\u{0}b"}), 400, json!("server")),
        (json!({"server": "ns1"}), 409, Value::Null),
        (json!({"server": "ns2", "colour": "green"}), 400, json!("colour")),
        (json!({"server": "ns2", "address": "a b"}), 400, json!("address")),
        (json!({"server": "ns2", "pull_url": "ns2"}), 400, json!("pull_url")),
        (json!({"server": "ns2", "settings": {"dns_interval_s": 7}}), 400, json!("dns_interval_s")),
        (json!({"server": "ns2", "settings": {"communication": "pull"}}), 400, json!("pull_url")),
        (json!({"server": "ns2", "settings": {"communication": "rabbitmq"}}), 400, json!("rabbitmq_address")),
        (json!({"server": "ns2", "settings": []}), 400, json!("settings")),
        (json!([]), 400, json!("body")),
    ] {
        let (found, problem) = setup.ask("POST", "/api/v2/pvservers", body.clone()).await;
        assert_eq!((found, &problem["parameter"]), (status, &parameter), "{body}: {problem}");
    }
    for path in ["/api/v2/pvservers/0", "/api/v2/pvservers/99"] {
        assert_eq!(setup.ask("GET", path, Value::Null).await.0, 404, "{path}");
    }
    for path in ["/api/v2/pvservers/-1", "/api/v2/pvservers/4294967296", "/api/v2/pvservers/%ff", "/api/v2/pvservers/a"] {
        assert_eq!(setup.ask("GET", path, Value::Null).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn a_change_of_settings_reaches_the_probe_with_its_next_heartbeat() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token", "settings": {"system_interval_s": 10}})).await;
    let beat = async || setup.call(&bearer(&made["token"]), "POST", HEARTBEAT, heartbeat()).await.1;
    let before = beat().await;
    assert_eq!((&before["settings"]["dns_interval_s"], &before["settings"]["system_interval_s"]), (&json!(60), &json!(10)));
    let change = json!({"dns_interval_s": 15, "system_interval_s": 20, "rabbitmq_address": "broker", "rabbitmq_user": "u",
        "rabbitmq_password": "hush", "communication": "rabbitmq"});
    let (status, global) = setup.ask("PATCH", "/api/v2/settings", change).await;
    assert_eq!(status, 200, "{global}");
    let after = beat().await;
    assert_eq!((&after["settings"]["dns_interval_s"], &after["settings"]["system_interval_s"]), (&json!(15), &json!(10)));
    assert_eq!(after["settings"]["rabbitmq"]["password"], "hush", "the probe needs it");
    assert!(after["settings_version"].as_u64() > before["settings_version"].as_u64());
    assert_eq!(after["settings_version"], global["settings_version"]);
}

#[tokio::test]
async fn a_retention_counts_from_the_next_question_on() {
    let setup = setup();
    setup.make(json!({"server": "ns1"})).await;
    setup.ask("PATCH", "/api/v2/settings", json!({"raw_retention_minutes": 5, "aggregated_retention_days": 2})).await;
    setup.ask("PATCH", "/api/v2/pvservers/1", json!({"settings": {"raw_retention_minutes": 7}})).await;
    let retention = |id| {
        let zonepulse_store::Retention { raw_minutes, aggregated_days } = setup.app.central().store().retention(id);
        (raw_minutes, aggregated_days)
    };
    assert_eq!((retention(ServerId::new(1)), retention(ServerId::new(2))), ((7, 2), (5, 2)));
}

#[tokio::test]
async fn heartbeats_say_who_is_alive() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    setup.make(json!({"server": "silent"})).await;
    let beat = bearer(&made["token"]);
    for n in 1..=4 {
        assert_eq!(setup.call(&beat, "POST", HEARTBEAT, heartbeat()).await.0, 200);
        let row = &setup.get(HEARTBEAT).await[0];
        assert_eq!((&row["requests"], &row["good"]), (&json!(n), &json!(true)), "all that can have come since the start");
    }
    let rows = setup.get(HEARTBEAT).await;
    let row = &rows[0];
    assert_eq!((&row["server"], &row["state"]), (&json!("ns1"), &json!("running")));
    let dns = json!({"state": "running", "version": "3.4.6", "name": "knotd", "identity": "ns1"});
    assert_eq!(row["components"]["dns"], dns);
    assert_eq!((&row["components"]["backup"], &row["settings_version"]), (&Value::Null, &json!(1)));
    assert_eq!((&row["capture"]["state"], &row["spool"]["batches"]), (&json!("running"), &json!(1)));
    assert!(row["clock_skew_ms"].as_i64().unwrap().abs() < 5000, "{row}");
    assert_eq!((&row["health"], &row["capture"]["blind"]), (&json!("starting"), &json!([])));
    let silent = &rows[1];
    assert_eq!((&silent["health"], &silent["good"]), (&json!("new"), &json!(false)));
    assert_eq!((&silent["requests"], &silent["state"], &silent["last_heartbeat"]), (&json!(0), &json!("stopped"), &Value::Null));
    assert_eq!(setup.get(&format!("{HEARTBEAT}?server_id=2")).await.as_array().unwrap().len(), 1);
    let (status, problem) = setup.ask("GET", &format!("{HEARTBEAT}?server_id=9"), Value::Null).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("server_id")));
}

/// The reasons of the first server that are of this health.
fn reasons(row: &Value, health: &str) -> Vec<String> {
    let all = row["reasons"].as_array().unwrap().iter().filter(|reason| reason["health"] == health);
    all.map(|reason| reason["reason"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_blind_probe_is_told_in_heartbeats_and_metrics() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    let mut blind = heartbeat();
    let detail = "knotd listens on port 5353 (UDP, TCP); the probe counts port 53: set capture.ports";
    blind["capture"]["blind"] = json!([{"reason": "other_sockets", "detail": detail}]);
    assert_eq!(setup.call(&bearer(&made["token"]), "POST", HEARTBEAT, blind.clone()).await.0, 200);
    let row = &setup.get(HEARTBEAT).await[0];
    assert_eq!((&row["state"], &row["good"], &row["health"]), (&json!("running"), &json!(false), &json!("blind")));
    assert_eq!(row["capture"]["blind"], blind["capture"]["blind"]);
    assert_eq!(reasons(row, "blind"), [detail]);
    let metrics = setup.app.metrics().text().unwrap();
    for (health, value) in [("blind", 1), ("ok", 0), ("silent", 0)] {
        let line = format!("zonepulse_server_health{{server=\"1\",health=\"{health}\"}} {value}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_server_whose_batches_are_refused_says_why_until_one_is_taken() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    assert_eq!(setup.call(&bearer(&made["token"]), "POST", HEARTBEAT, heartbeat()).await.0, 200);
    let send = async |bytes: Vec<u8>| {
        let request = axum::http::Request::builder().method("POST").uri("/api/v2/batches");
        let request = request.header("authorization", bearer(&made["token"])).header("content-type", zonepulse_wire::MEDIA_TYPE);
        let mut request = request.body(Body::from(bytes)).unwrap();
        request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))));
        router(setup.app.clone()).oneshot(request).await.unwrap().status().as_u16()
    };
    let batch = |server_id| {
        use zonepulse_model::Identity;
        use zonepulse_wire::{Batch, Counters, Coverage, Records};
        let start_s = now_ms() / 60_000 * 60 - 60;
        let identity = Identity { server_id, epoch: 1, seq: 0 };
        let coverage = Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 };
        let (counters, records) = (Counters::new(), Records::new());
        Batch { identity, start_s, interval_s: 60, coverage, counters, evicted: None, records, rows: Vec::new() }
            .encode()
            .unwrap()
    };
    assert_eq!(send(batch(ServerId::new(9))).await, 403);
    let row = &setup.get(HEARTBEAT).await[0];
    assert_eq!((&row["state"], &row["health"]), (&json!("running"), &json!("refused")));
    assert_eq!(
        reasons(row, "refused"),
        ["its batches are refused (wrong_server, 1 until now): server 1 may not send for server 9"]
    );
    assert_eq!(send(batch(ServerId::new(1))).await, 204);
    let row = &setup.get(HEARTBEAT).await[0];
    assert_eq!(row["health"], "starting", "its probe keeps what was refused: {row}");
    // What is too large never comes to be a batch.
    let most = setup.app.limits().max_request_bytes as usize;
    assert_eq!(send(vec![0; most + 1]).await, 413);
    let row = &setup.get(HEARTBEAT).await[0];
    assert!(reasons(row, "refused")[0].contains("(too_large, 1 until now)"), "{row}");
    assert_eq!(send(batch(ServerId::new(1))).await, 204);
    assert_eq!(setup.get(HEARTBEAT).await[0]["health"], "lost", "it is over, and something is to be seen to");
}

#[tokio::test]
async fn a_server_whose_heartbeats_are_refused_says_why_until_one_is_taken() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    let beat = bearer(&made["token"]);
    assert_eq!(setup.call(&beat, "POST", HEARTBEAT, json!({"hostname": "ns1"})).await.0, 400);
    let row = &setup.get(HEARTBEAT).await[0];
    assert_eq!((&row["health"], &row["good"]), (&json!("refused"), &json!(false)));
    assert!(reasons(row, "refused")[0].starts_with("its heartbeats are refused (1 until now): "), "{row}");
    assert_eq!(setup.call(&beat, "POST", HEARTBEAT, heartbeat()).await.0, 200);
    assert_eq!(setup.get(HEARTBEAT).await[0]["health"], "starting");
}

#[tokio::test]
async fn a_server_s_old_token_is_told_by_its_address() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "address": "127.0.0.1", "credential": "token"})).await;
    setup.make(json!({"server": "ns2", "address": "192.0.2.7"})).await;
    assert_eq!(setup.ask("POST", "/api/v2/pvservers/1/token", Value::Null).await.0, 200);
    assert_eq!(setup.call(&bearer(&made["token"]), "POST", HEARTBEAT, heartbeat()).await.0, 401);
    let rows = setup.get(HEARTBEAT).await;
    assert_eq!((&rows[0]["health"], &rows[1]["health"]), (&json!("refused"), &json!("new")));
    let said = &reasons(&rows[0], "refused")[0];
    assert!(said.contains("requests of a probe at its address 127.0.0.1 are refused (the last one at "), "{said}");
}

#[tokio::test]
async fn two_probes_with_one_token_are_a_conflict_that_names_both() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    let beat = bearer(&made["token"]);
    for (epoch, hostname) in [(1, "one"), (2, "other"), (1, "one"), (2, "other"), (1, "one")] {
        let mut heartbeat = heartbeat();
        (heartbeat["epoch"], heartbeat["hostname"]) = (json!(epoch), json!(hostname));
        assert_eq!(setup.call(&beat, "POST", HEARTBEAT, heartbeat).await.0, 200);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let row = &setup.get(HEARTBEAT).await[0];
    let said = json!("two probes use this server's token: one (127.0.0.1), other (127.0.0.1)");
    assert_eq!((&row["state"], &row["conflict"]), (&json!("conflict"), &said));
    assert_eq!((&row["requests"], &row["good"], &row["health"]), (&json!(5), &json!(false), &json!("conflict")));
    let metrics = setup.app.metrics().text().unwrap();
    assert!(metrics.contains("zonepulse_server_probes_conflicting{server=\"1\"} 2"), "{metrics}");
}

#[tokio::test]
async fn a_heartbeat_that_is_none_is_refused() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    let beat = bearer(&made["token"]);
    let mut long = heartbeat();
    long["hostname"] = "x".repeat(2000).into();
    for body in [json!({}), json!([]), json!({"sent_at_ms": -1}), long] {
        assert_eq!(setup.call(&beat, "POST", HEARTBEAT, body.clone()).await.0, 400, "{body}");
    }
    let huge = json!({"hostname": "x".repeat(70_000)});
    assert_eq!(setup.call(&beat, "POST", HEARTBEAT, huge).await.0, 413);
    assert_eq!(setup.get(HEARTBEAT).await[0]["requests"], 0);
}

#[tokio::test]
async fn users_are_made_changed_and_removed() {
    let setup = setup();
    let (status, made) = setup.ask("POST", "/api/v2/users", json!({"user": "ann"})).await;
    assert_eq!(status, 201, "{made}");
    let basic = |password: &Value| format!("Basic {}", STANDARD.encode(format!("ann:{}", password.as_str().unwrap())));
    let ann = basic(&made["password"]);
    assert_eq!(setup.call(&ann, "GET", "/api/v2/pvservers", Value::Null).await.0, 200);
    assert_eq!(setup.call(&ann, "POST", "/api/v2/pvservers", json!({"server": "a"})).await.0, 403);
    let (status, _) =
        setup.ask("PATCH", "/api/v2/users/ann", json!({"rights": {"server_create": true, "server_read": false}})).await;
    assert_eq!(status, 200);
    assert_eq!(setup.call(&ann, "POST", "/api/v2/pvservers", json!({"server": "a"})).await.0, 201, "from the next request on");
    assert_eq!(setup.call(&ann, "GET", "/api/v2/pvservers", Value::Null).await.0, 403);
    let (_, changed) = setup.ask("PATCH", "/api/v2/users/ann", json!({"password": null})).await;
    assert_eq!(setup.call(&ann, "GET", "/api/v2/users/ann", Value::Null).await.0, 401);
    assert_eq!(setup.call(&basic(&changed["password"]), "GET", "/api/v2/users/ann", Value::Null).await.0, 200);
    let (status, given) = setup.ask("POST", "/api/v2/users/ann/tokens", json!({"name": "grafana", "expires_days": 1})).await;
    assert_eq!(status, 201);
    let token = bearer(&given["secret"]);
    assert_eq!(setup.call(&token, "GET", "/api/v2/users/ann", Value::Null).await.0, 200);
    assert_eq!(setup.ask("DELETE", "/api/v2/users/ann/tokens/1", Value::Null).await.0, 204);
    assert_eq!(setup.call(&token, "GET", "/api/v2/users/ann", Value::Null).await.0, 401);
    assert_eq!(setup.ask("DELETE", "/api/v2/users/ann", Value::Null).await.0, 204);
    assert_eq!(setup.ask("DELETE", "/api/v2/users/boss", Value::Null).await.0, 409, "the last administrator");
    for (body, parameter) in [
        (json!({"user": "a:b"}), "user"),
        (json!({"user": "ann", "password": "short"}), "password"),
        (json!({"user": "ann", "rights": {"fly": true}}), "fly"),
    ] {
        let (status, problem) = setup.ask("POST", "/api/v2/users", body).await;
        assert_eq!((status, &problem["parameter"]), (400, &json!(parameter)));
    }
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_and_no_secret_is_anywhere() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "pull_token": "hush-1"})).await;
    setup.ask("PATCH", "/api/v2/pvservers/1", json!({"notes": "left", "settings": {"rabbitmq_password": "hush-2"}})).await;
    setup.ask("PATCH", "/api/v2/settings", json!({"rabbitmq_password": "hush-3"})).await;
    let (_, user) = setup.ask("POST", "/api/v2/users", json!({"user": "ann", "password": "hush-hush-4"})).await;
    assert_eq!(user["password"], Value::Null, "only what was made up is shown");
    let (_, token) = setup.ask("POST", "/api/v2/users/ann/tokens", json!({"name": "a"})).await;
    let request = json!({"hostname": "a", "os": "b", "probe_version": "c"});
    let (_, enrolled) = setup.call(&bearer(&made["enrollment_token"]), "POST", "/api/v2/enrollments", request).await;
    setup.ask("DELETE", "/api/v2/pvservers/1", Value::Null).await;
    setup.ask("DELETE", "/api/v2/users/ann", Value::Null).await;

    let audit = setup.get("/api/v2/audit").await;
    let actions: Vec<&str> = audit.as_array().unwrap().iter().rev().map(|row| row["action"].as_str().unwrap()).collect();
    let expected = [
        "server.create",
        "server.change",
        "settings.change",
        "user.create",
        "user.token",
        "server.enroll",
        "server.remove",
        "user.remove",
    ];
    assert_eq!(actions, expected);
    assert_eq!((&audit[0]["who"], &audit[0]["from"]), (&json!("boss"), &json!("127.0.0.1")));
    assert_eq!(audit[2]["who"], "the probe of server 1");
    assert_eq!(audit[6]["after"]["notes"], "left");
    let everything = [
        audit.to_string(),
        setup.get("/api/v2/pvservers?removed=true").await.to_string(),
        setup.get("/api/v2/settings").await.to_string(),
        setup.get("/api/v2/users").await.to_string(),
    ]
    .concat();
    let given = [&made["enrollment_token"], &token["secret"], &enrolled["token"]];
    let hashes = given.map(|secret| zonepulse_central::credentials::token::hash(secret.as_str().unwrap()));
    let secrets = given.iter().map(|secret| secret.as_str().unwrap().to_owned()).chain(hashes);
    for secret in secrets.chain(["hush-".to_owned(), "$argon2".to_owned()]) {
        assert!(!everything.contains(&secret), "{secret} is shown");
    }
}

#[tokio::test]
async fn lists_come_page_by_page() {
    let setup = setup();
    for name in ["a", "b", "c"] {
        setup.make(json!({"server": name})).await;
    }
    let names = |rows: Value| -> Vec<String> {
        rows.as_array().unwrap().iter().map(|row| row["server"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(setup.get("/api/v2/pvservers?offset=1&limit=1").await), ["b"]);
    assert_eq!(names(setup.get("/api/v2/pvservers?offset=9").await), Vec::<String>::new());
    let (status, problem) = setup.ask("GET", "/api/v2/pvservers?ofset=1", Value::Null).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("ofset")));
    assert_eq!(setup.get("/api/v2/audit?limit=1").await.as_array().unwrap().len(), 1);
    assert_eq!(
        setup.get("/api/v2/monitoring/pvips").await[0],
        json!({"url": "https://central.example", "source": "configuration"})
    );
}
