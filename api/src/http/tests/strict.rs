//! What could be meant in two ways, or looks like something else, is refused by name.

use super::fleet::{HEARTBEAT, Setup, bearer, heartbeat, setup};
use super::*;
use crate::http::door::listen::Peer;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use tower::ServiceExt;

const JSON: &str = "application/json";

async fn send(setup: &Setup, authorization: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = axum::http::Request::builder().method(method).uri(path);
    let request = request.header("authorization", authorization).header("content-type", JSON);
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))));
    let response = router(setup.app.clone()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test]
async fn no_body_has_a_member_twice() {
    let setup = setup();
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    for (method, path, body, member) in [
        ("PATCH", "/api/v2/settings", r#"{"dns_interval_s": 30, "dns_interval_s": 60}"#, "dns_interval_s"),
        ("POST", "/api/v2/pvservers", r#"{"server": "ns2", "server": "ns3"}"#, "server"),
        ("POST", "/api/v2/pvservers", r#"{"server": "ns2", "settings": {"verify_ca": true, "verify_ca": false}}"#, "verify_ca"),
        ("PATCH", "/api/v2/pvservers/1", r#"{"notes": "a", "os": "b", "notes": "c"}"#, "notes"),
        ("PATCH", "/api/v2/pvservers/1", r#"{"trusted": true, "trusted": true}"#, "trusted"),
        ("POST", "/api/v2/pvservers/1/token", r#"{"credential": "token", "credential": "token"}"#, "credential"),
        ("POST", "/api/v2/users", r#"{"user": "ann", "user": "bob"}"#, "user"),
        ("POST", "/api/v2/users", r#"{"user": "ann", "rights": {"monitoring": true, "monitoring": false}}"#, "monitoring"),
        ("PATCH", "/api/v2/users/boss", r#"{"administrator": true, "administrator": false}"#, "administrator"),
        ("POST", "/api/v2/users/boss/tokens", r#"{"name": "a", "name": "b"}"#, "name"),
        ("POST", "/api/v2/session", r#"{"user": "boss", "user": "eve", "password": "a"}"#, "user"),
        ("POST", "/api/v2/monitoring/testrabbitmqcred", r#"{"rabbitmq_tls": true, "rabbitmq_tls": false}"#, "rabbitmq_tls"),
        ("POST", "/api/v2/sql", r#"{"sql": "SELECT 1", "sql": "SELECT 2"}"#, "sql"),
    ] {
        let (status, problem) = send(&setup, &setup.basic, method, path, body).await;
        assert_eq!((status, problem["parameter"].as_str()), (400, Some(member)), "{body}: {problem}");
    }
    let twice = heartbeat().to_string().replacen('{', r#"{"settings_version": 7, "#, 1);
    let (status, problem) = send(&setup, &bearer(&made["token"]), "POST", HEARTBEAT, &twice).await;
    assert_eq!((status, problem["parameter"].as_str()), (400, Some("settings_version")), "{problem}");
    let twice = r#"{"hostname": "a", "hostname": "b", "os": "", "probe_version": ""}"#;
    let (_, made) = setup.ask("POST", "/api/v2/pvservers/1/token", Value::Null).await;
    let (status, problem) = send(&setup, &bearer(&made["enrollment_token"]), "POST", "/api/v2/enrollments", twice).await;
    assert_eq!((status, problem["parameter"].as_str()), (400, Some("hostname")), "{problem}");
    assert_eq!(setup.get("/api/v2/pvservers").await.as_array().map(Vec::len), Some(1), "nothing was made");
}

#[tokio::test]
async fn a_part_of_a_path_that_is_no_text_is_named() {
    let setup = setup();
    for (method, path, name) in [
        ("GET", "/api/v2/users/%ff", "user"),
        ("PATCH", "/api/v2/users/a%C3", "user"),
        ("DELETE", "/api/v2/users/%ff/tokens/1", "user"),
        ("DELETE", "/api/v2/users/boss/tokens/%ff", "token_id"),
        ("GET", "/api/v2/pvservers/%ff", "server_id"),
        ("POST", "/api/v2/pvservers/%80/token", "server_id"),
    ] {
        let (status, problem) = send(&setup, &setup.basic, method, path, "").await;
        assert_eq!((status, problem["parameter"].as_str()), (400, Some(name)), "{method} {path}: {problem}");
    }
}

#[tokio::test]
async fn an_address_has_no_port() {
    let setup = setup();
    setup.make(json!({"server": "ns1"})).await;
    for address in ["192.0.2.1:53", "[2001:db8::1]:53", "ns1.example:53", "https://ns1.example"] {
        for (method, path) in [("POST", "/api/v2/pvservers"), ("PATCH", "/api/v2/pvservers/1")] {
            let (status, problem) = setup.ask(method, path, json!({"server": "ns2", "address": address})).await;
            assert_eq!((status, problem["parameter"].as_str()), (400, Some("address")), "{address}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains("write "), "{problem}");
        }
    }
}

#[tokio::test]
async fn names_that_people_cannot_tell_apart_are_refused() {
    let setup = setup();
    setup.make(json!({"server": "ns1"})).await;
    setup.make(json!({"server": "ns2"})).await;
    for (name, expected) in
        [("NS1", 409), ("Ns1", 409), ("ns\u{200b}1", 400), ("ns1\u{202e}", 400), ("ns1\u{a0}", 400), (" ns1", 400)]
    {
        for (method, path) in [("POST", "/api/v2/pvservers"), ("PATCH", "/api/v2/pvservers/2")] {
            let (status, problem) = setup.ask(method, path, json!({"server": name})).await;
            assert_eq!(status, expected, "{name:?}: {problem}");
        }
    }
    for (name, expected) in [("Boss", 409), ("boss\u{200d}", 400), ("bo\u{2003}ss", 400)] {
        let (status, problem) = setup.ask("POST", "/api/v2/users", json!({"user": name})).await;
        assert_eq!(status, expected, "{name:?}: {problem}");
    }
    let (status, problem) = setup.ask("POST", "/api/v2/pvservers", json!({"server": "NS1"})).await;
    assert_eq!((status, problem["detail"].as_str()), (409, Some(r#"the name "NS1" looks like "ns1", which is taken"#)));
}

#[test]
fn what_is_refused_before_a_call_is_documented_with_it() {
    let document = serde_json::to_value(document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let has = |status: &str| call["responses"][status]["content"]["application/problem+json"].is_object();
            assert!(has("414"), "{method} {path}");
            assert_eq!(has("415"), method != "get", "{method} {path}");
            assert!(has("403") || path.ends_with('z'), "{method} {path}");
        }
    }
}
