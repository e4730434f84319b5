//! Who gets to see the broker's password and the tokens for pulling: those probes that need them.

use super::fleet::{HEARTBEAT, Setup, bearer, heartbeat, setup};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zonepulse_model::ServerId;

const SETTINGS: &str = "/api/v2/settings";
const SERVER: &str = "/api/v2/pvservers/1";

/// With a broker for all servers, and a user who may do everything with servers and is no administrator.
async fn with_broker(communication: &str) -> (Setup, String) {
    let setup = setup();
    let broker = json!({"rabbitmq_address": "broker.example", "rabbitmq_user": "fleet", "rabbitmq_tls": true,
        "rabbitmq_password": "hush", "communication": communication});
    assert_eq!(setup.ask("PATCH", SETTINGS, broker).await.0, 200);
    let rights = json!({"server_create": true, "server_update": true, "server_delete": true});
    let editor = json!({"user": "eve", "password": "hard to guess", "rights": rights});
    assert_eq!(setup.ask("POST", "/api/v2/users", editor).await.0, 201);
    (setup, format!("Basic {}", STANDARD.encode("eve:hard to guess")))
}

/// The settings that a probe with this token is told.
async fn told(setup: &Setup, token: &Value) -> Value {
    let (status, answer) = setup.call(&bearer(token), "POST", HEARTBEAT, heartbeat()).await;
    assert_eq!(status, 200, "{answer}");
    answer["settings"].clone()
}

async fn renew(setup: &Setup, who: &str, credential: &str) -> Value {
    let body = json!({ "credential": credential });
    let (status, handover) = setup.call(who, "POST", "/api/v2/pvservers/1/token", body).await;
    assert_eq!(status, 200, "{handover}");
    handover
}

async fn enroll(setup: &Setup, token: &Value) -> Value {
    let request = json!({"hostname": "a", "os": "b", "probe_version": "c"});
    let (status, enrolled) = setup.call(&bearer(token), "POST", "/api/v2/enrollments", request).await;
    assert_eq!(status, 201, "{enrolled}");
    enrolled
}

#[tokio::test]
async fn a_user_who_may_change_servers_does_not_get_the_broker_s_password() {
    let (setup, eve) = with_broker("http").await;
    setup.make(json!({"server": "ns1"})).await;
    // Point a server at a broker of one's own, rotate its token, send a heartbeat.
    let own = json!({"settings": {"communication": "rabbitmq", "rabbitmq_address": "evil.example"}});
    let (status, problem) = setup.call(&eve, "PATCH", SERVER, own).await;
    assert_eq!(status, 403, "{problem}");
    let (status, _) = setup.call(&eve, "PATCH", SERVER, json!({"settings": {"communication": "rabbitmq"}})).await;
    assert_eq!(status, 200, "the way that batches take is no address");
    let renewed = renew(&setup, &eve, "token").await;
    assert_eq!(renewed["server"]["trusted"], false);
    let settings = told(&setup, &renewed["token"]).await;
    assert_eq!((&settings["communication"], &settings["rabbitmq"]), (&json!("http"), &Value::Null), "{settings}");
    let renewed = renew(&setup, &eve, "enrollment_token").await;
    let enrolled = enroll(&setup, &renewed["enrollment_token"]).await;
    assert!(!format!("{enrolled} {}", told(&setup, &enrolled["token"]).await).contains("hush"), "{enrolled}");
}

#[tokio::test]
async fn a_server_that_a_user_made_gets_no_password_when_all_go_to_the_broker_later() {
    let (setup, eve) = with_broker("http").await;
    let (status, made) = setup.call(&eve, "POST", "/api/v2/pvservers", json!({"server": "mine", "credential": "token"})).await;
    assert_eq!((status, &made["server"]["trusted"]), (201, &json!(false)), "{made}");
    assert_eq!(setup.ask("PATCH", SETTINGS, json!({"communication": "rabbitmq"})).await.0, 200);
    assert!(!told(&setup, &made["token"]).await.to_string().contains("hush"));
}

#[tokio::test]
async fn an_administrator_makes_a_server_trusted_and_nobody_else_does() {
    let (setup, eve) = with_broker("rabbitmq").await;
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    assert_eq!(told(&setup, &made["token"]).await["rabbitmq"]["password"], "hush", "the administrator made it");
    let renewed = renew(&setup, &eve, "token").await;
    assert_eq!(setup.call(&eve, "PATCH", SERVER, json!({"trusted": true})).await.0, 403);
    assert_eq!(told(&setup, &renewed["token"]).await["rabbitmq"], Value::Null);
    let version = setup.get(SETTINGS).await["settings_version"].as_u64().unwrap();
    let (status, changed) = setup.ask("PATCH", SERVER, json!({"trusted": true})).await;
    assert_eq!((status, &changed["trusted"]), (200, &json!(true)));
    assert_eq!(told(&setup, &renewed["token"]).await["rabbitmq"]["password"], "hush");
    assert!(setup.get(SETTINGS).await["settings_version"].as_u64().unwrap() > version, "the probe learns of it");
    renew(&setup, &eve, "token").await;
    let renewed = renew(&setup, &setup.basic, "token").await;
    assert_eq!(told(&setup, &renewed["token"]).await["rabbitmq"]["password"], "hush");
}

#[tokio::test]
async fn an_address_of_the_broker_changes_with_its_password_only() {
    let (setup, _) = with_broker("rabbitmq").await;
    let made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    let moves = [
        json!({"rabbitmq_address": "evil.example"}),
        json!({"rabbitmq_port": 5999}),
        json!({"rabbitmq_user": "evil"}),
        json!({"rabbitmq_tls": null}),
        json!({"verify_ca": false}),
        json!({"rabbitmq_address": "evil.example", "rabbitmq_password": null, "rabbitmq_user": "x"}),
    ];
    for change in &moves[..5] {
        let (status, problem) = setup.ask("PATCH", SETTINGS, change.clone()).await;
        assert_eq!((status, &problem["parameter"]), (400, &json!("rabbitmq_password")), "{change}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("enter it again"), "{problem}");
    }
    for change in &moves {
        if change["rabbitmq_tls"].is_null() && change.get("rabbitmq_tls").is_some() {
            continue;
        }
        let (status, problem) = setup.ask("PATCH", SERVER, json!({ "settings": change })).await;
        assert_eq!((status, &problem["parameter"]), (400, &json!("rabbitmq_password")), "{change}: {problem}");
        let made = json!({"server": "ns2", "settings": change});
        assert_eq!(setup.ask("POST", "/api/v2/pvservers", made).await.0, 400, "{change}");
    }
    assert_eq!(told(&setup, &made["token"]).await["rabbitmq"]["address"], "broker.example");
    let again = json!({"rabbitmq_address": "second.example", "rabbitmq_password": "hush"});
    assert_eq!(setup.ask("PATCH", SETTINGS, again).await.0, 200);
    let own = json!({"settings": {"rabbitmq_address": "third.example", "rabbitmq_password": "own"}});
    assert_eq!(setup.ask("PATCH", SERVER, own).await.0, 200);
    let rabbitmq = &told(&setup, &made["token"]).await["rabbitmq"];
    assert_eq!((&rabbitmq["address"], &rabbitmq["password"]), (&json!("third.example"), &json!("own")));
    // Its own password is for its own broker, and that of all for that of all.
    let (status, changed) = setup.ask("PATCH", SERVER, json!({"settings": {"rabbitmq_password": null}})).await;
    assert_eq!((status, &changed["effective_settings"]["rabbitmq_password_set"]), (200, &json!(false)), "{changed}");
    assert_eq!(told(&setup, &made["token"]).await["rabbitmq"]["password"], "");
}

#[tokio::test]
async fn a_probe_is_told_the_secret_of_its_way_with_the_change_of_the_way() {
    let (setup, _) = with_broker("http").await;
    let ns1 =
        json!({"server": "ns1", "pull_url": "https://ns1.example:8054", "pull_token": "open-sesame", "credential": "token"});
    let made = setup.make(ns1).await;
    for (way, broker, pull) in [("http", false, false), ("rabbitmq", true, false), ("pull", false, true), ("http", false, false)]
    {
        setup.ask("PATCH", SERVER, json!({"settings": {"communication": way}})).await;
        let settings = told(&setup, &made["token"]).await;
        let text = settings.to_string();
        assert_eq!((text.contains("hush"), text.contains("open-sesame")), (broker, pull), "{way}: {text}");
        assert_eq!(settings["communication"], way);
    }
}

#[tokio::test]
async fn a_pull_token_is_shown_at_another_address_when_it_is_entered_again() {
    let (setup, eve) = with_broker("http").await;
    setup.make(json!({"server": "ns1", "pull_url": "https://ns1.example:8054", "pull_token": "open-sesame"})).await;
    let token = || setup.app.central().store().registry().server(ServerId::new(1)).unwrap().unwrap().pull.token.unwrap();
    for who in [&eve, &setup.basic] {
        let expected = if *who == eve { 403 } else { 400 };
        for change in [json!({"pull_url": "https://evil.example"}), json!({"pull_url": "http://ns1.example:8054"})] {
            let (status, problem) = setup.call(who, "PATCH", SERVER, change).await;
            assert_eq!(status, expected, "{problem}");
        }
    }
    let (_, problem) = setup.ask("PATCH", SERVER, json!({"settings": {"verify_ca": false}})).await;
    assert_eq!(problem["parameter"], "rabbitmq_password", "of both secrets one is named");
    let moved = json!({"pull_url": "https://moved.example:8054", "pull_token": "open-sesame"});
    assert_eq!(setup.ask("PATCH", SERVER, moved).await.0, 200);
    assert_eq!(token(), "open-sesame");
    let another = json!({"pull_url": "https://third.example:8054", "pull_token": null});
    assert_eq!(setup.ask("PATCH", SERVER, another).await.0, 200);
    assert_eq!((token().len(), token() == "open-sesame"), (43, false), "one was made");
    setup.make(json!({"server": "ns2", "pull_url": "https://ns2.example:8054"})).await;
    assert_eq!(setup.app.central().store().registry().server(ServerId::new(2)).unwrap().unwrap().pull.token.unwrap().len(), 43);
}

#[tokio::test]
async fn whoever_enrols_with_a_user_s_token_does_not_learn_the_pull_token_that_was_there() {
    let (setup, eve) = with_broker("http").await;
    let ns1 = json!({"server": "ns1", "pull_url": "https://ns1.example:8054", "pull_token": "open-sesame",
        "settings": {"communication": "pull"}});
    let made = setup.make(ns1).await;
    assert_eq!(enroll(&setup, &made["enrollment_token"]).await["pull_token"], "open-sesame", "the administrator's may");
    let renewed = renew(&setup, &eve, "token").await;
    assert!(!told(&setup, &renewed["token"]).await.to_string().contains("open-sesame"));
    let renewed = renew(&setup, &eve, "enrollment_token").await;
    let enrolled = enroll(&setup, &renewed["enrollment_token"]).await;
    assert_eq!(enrolled["pull_token"].as_str().unwrap().len(), 43, "a new one");
    assert_eq!(
        setup.app.central().store().registry().server(ServerId::new(1)).unwrap().unwrap().pull.token.as_deref(),
        enrolled["pull_token"].as_str()
    );
}

#[tokio::test]
async fn no_answer_to_a_user_has_a_secret() {
    let (setup, eve) = with_broker("rabbitmq").await;
    let ns1 = json!({"server": "ns1", "pull_url": "https://ns1.example:8054", "pull_token": "hush-pull",
        "settings": {"rabbitmq_password": "hush-own"}});
    setup.make(ns1).await;
    for (method, path, body) in [
        ("GET", "/api/v2/settings", Value::Null),
        ("GET", "/api/v2/pvservers", Value::Null),
        ("GET", SERVER, Value::Null),
        ("GET", "/api/v2/audit", Value::Null),
        ("GET", HEARTBEAT, Value::Null),
        ("POST", "/api/v2/pvservers/1/token", Value::Null),
        ("PATCH", SERVER, json!({"settings": {"rabbitmq_address": "evil.example"}})),
        ("PATCH", SERVER, json!({"settings": {"rabbitmq_port": "evil"}})),
        ("PATCH", SERVER, json!({"pull_url": "https://evil.example"})),
        ("PATCH", SETTINGS, json!({"rabbitmq_address": "evil.example"})),
    ] {
        for who in [&setup.basic, &eve] {
            let (_, answer) = setup.call(who, method, path, body.clone()).await;
            assert!(!answer.to_string().contains("hush"), "{method} {path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_stored_password_is_tried_at_the_stored_address_only() {
    const PATH: &str = "/api/v2/monitoring/testrabbitmqcred";
    let setup = setup();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let broker =
        json!({"rabbitmq_address": "127.0.0.1", "rabbitmq_port": port, "rabbitmq_user": "probe", "rabbitmq_password": "hush"});
    setup.make(json!({"server": "ns1", "settings": broker})).await;
    let (status, answer) = setup.ask("POST", PATH, json!({"server_id": 1})).await;
    assert_eq!((status, &answer["outcome"]), (200, &json!("connection_refused")), "{answer}");
    for (name, value) in [
        ("rabbitmq_address", json!("192.0.2.1")),
        ("rabbitmq_port", json!(5672)),
        ("rabbitmq_user", json!("guest")),
        ("rabbitmq_virtual_host", json!("/")),
        ("rabbitmq_tls", json!(false)),
        ("verify_ca", json!(false)),
        ("ca", json!("-----BEGIN CERTIFICATE-----")),
    ] {
        let (status, answer) = setup.ask("POST", PATH, json!({"server_id": 1, name: value})).await;
        assert_eq!((status, &answer["parameter"]), (400, &json!(name)), "{answer}");
    }
}

#[tokio::test]
async fn a_server_without_a_broker_is_not_tried() {
    const PATH: &str = "/api/v2/monitoring/testrabbitmqcred";
    let setup = setup();
    setup.make(json!({"server": "ns1"})).await;
    for server_id in [1, 2] {
        let (status, answer) = setup.ask("POST", PATH, json!({"server_id": server_id})).await;
        assert_eq!((status, &answer["parameter"]), (400, &json!("server_id")), "{answer}");
    }
}

#[tokio::test]
async fn a_trial_takes_every_old_name_with_a_warning_and_not_both() {
    const PATH: &str = "/api/v2/monitoring/testrabbitmqcred";
    let setup = setup();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let body = json!({"rabbitmq_address": "127.0.0.1", "rabbitmq_port": port, "rabbitmq_user": "a", "rabbitmq_password": "b",
        "rabbitmq_virtual_host": "/", "rabbitmq_tls": false});
    let (status, answer) = setup.ask("POST", PATH, body.clone()).await;
    assert_eq!((status, &answer["outcome"], &answer["warnings"]), (200, &json!("connection_refused"), &Value::Null), "{answer}");
    for renamed in crate::http::calls::broker_trial::RENAMED {
        let mut with_old = body.clone();
        let members = with_old.as_object_mut().unwrap();
        let value = members.remove(renamed.new).unwrap();
        members.insert(renamed.old.to_owned(), value.clone());
        let (status, answer) = setup.ask("POST", PATH, with_old.clone()).await;
        assert_eq!((status, &answer["outcome"]), (200, &json!("connection_refused")), "{renamed}: {answer}");
        assert_eq!(answer["warnings"], json!([renamed.to_string()]));
        with_old[renamed.new] = value;
        let (status, problem) = setup.ask("POST", PATH, with_old).await;
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(status, 400, "{problem}");
        assert!(detail.contains(renamed.old) && detail.contains(renamed.new), "{detail}");
    }
}

/// Every secret in an answer, once for each text: what has 43 characters of base64url, alone or in a longer text.
fn secrets_in(answer: &Value) -> std::collections::BTreeSet<String> {
    fn walk(value: &Value, found: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::String(text) => {
                let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
                found.extend(words.filter(|word| word.len() == 43).map(str::to_owned));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            Value::Object(members) => members.values().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = Default::default();
    walk(answer, &mut found);
    found
}

#[tokio::test]
async fn every_answer_that_makes_credentials_has_one_secret() {
    let setup = setup();
    setup.make(json!({"server": "ns1", "pull_url": "https://ns1.example:8054"})).await;
    let mut before = std::collections::BTreeSet::new();
    for (path, body, member) in [
        ("/api/v2/pvservers", json!({"server": "a"}), "enrollment_token"),
        ("/api/v2/pvservers", json!({"server": "b", "credential": null}), "enrollment_token"),
        ("/api/v2/pvservers", json!({"server": "c", "credential": "enrollment_token"}), "enrollment_token"),
        ("/api/v2/pvservers", json!({"server": "d", "credential": "token", "pull_url": "https://d.example"}), "token"),
        ("/api/v2/pvservers/1/token", Value::Null, "enrollment_token"),
        ("/api/v2/pvservers/1/token", json!({}), "enrollment_token"),
        ("/api/v2/pvservers/1/token", json!({"credential": "enrollment_token"}), "enrollment_token"),
        ("/api/v2/pvservers/1/token", json!({"credential": "token"}), "token"),
        ("/api/v2/users", json!({"user": "ann"}), "password"),
        ("/api/v2/users/ann/tokens", json!({"name": "a"}), "secret"),
    ] {
        let (status, answer) = setup.ask("POST", path, body.clone()).await;
        assert!([200, 201].contains(&status), "{path} {body}: {answer}");
        let shown = answer[member].as_str().unwrap_or_else(|| panic!("{path} {body}: no {member} in {answer}"));
        let secrets = secrets_in(&answer);
        let others: Vec<&String> = secrets.iter().filter(|secret| *secret != shown).collect();
        assert!(others.is_empty(), "{path} {body}: {others:?} besides {member}");
        for (one, other) in [("enrollment_token", "token"), ("token", "enrollment_token")] {
            assert!(answer.get(one).is_none() || answer.get(other).is_none(), "{path} {body}: both");
        }
        assert!(before.insert(shown.to_owned()), "it is new");
        let elsewhere = ["/api/v2/pvservers", "/api/v2/audit", "/api/v2/users"];
        for path in elsewhere {
            assert!(!setup.get(path).await.to_string().contains(shown), "{path}");
        }
    }
    let (status, problem) = setup.ask("POST", "/api/v2/pvservers", json!({"server": "e", "credential": "both"})).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("credential")), "{problem}");
}

#[tokio::test]
async fn each_credential_works_and_every_earlier_one_is_refused_at_once() {
    let setup = setup();
    let request = json!({"hostname": "a", "os": "b", "probe_version": "c"});
    let mut old: Vec<(Value, Value)> = Vec::new();
    let mut made = setup.make(json!({"server": "ns1", "credential": "token"})).await;
    for credential in ["enrollment_token", "enrollment_token", "token", "token", "enrollment_token"] {
        // Used or not.
        if made["token"].is_string() {
            assert_eq!(setup.call(&bearer(&made["token"]), "POST", HEARTBEAT, heartbeat()).await.0, 200);
        }
        old.push((made["token"].clone(), made["enrollment_token"].clone()));
        made = renew(&setup, &setup.basic, credential).await;
        for (token, enrollment) in &old {
            if token.is_string() {
                assert_eq!(setup.call(&bearer(token), "POST", HEARTBEAT, heartbeat()).await.0, 401, "{credential}");
            } else {
                let enrolled = setup.call(&bearer(enrollment), "POST", "/api/v2/enrollments", request.clone()).await;
                assert_eq!(enrolled.0, 401, "{credential}");
            }
        }
    }
    let enrolled = enroll(&setup, &made["enrollment_token"]).await;
    assert_eq!(setup.call(&bearer(&enrolled["token"]), "POST", HEARTBEAT, heartbeat()).await.0, 200);
}

#[test]
fn nothing_prints_the_secret_that_it_holds() {
    use serde_json::Map;
    use std::time::Duration;
    use zonepulse_central::credentials::Shown;
    use zonepulse_central::servers::change::ServerChange;
    use zonepulse_ingest::amqp::{self, trial::Attempt};
    use zonepulse_ingest::pull::Target;
    use zonepulse_net::Trust;
    use zonepulse_wire::{Enrollment, HeartbeatAnswer, ProbeSettings, RabbitmqSettings};

    let text = || "hush".to_owned();
    let secret = || Some(text().into());
    let rabbitmq = RabbitmqSettings {
        address: "broker.example".to_owned(),
        port: 5671,
        tls: true,
        virtual_host: "/".to_owned(),
        user: "fleet".to_owned(),
        password: text().into(),
    };
    let settings = ProbeSettings { rabbitmq: Some(rabbitmq), pull_token: secret(), ..ProbeSettings::default() };
    let enrollment = Enrollment {
        server_id: ServerId::new(1),
        server: "ns1".to_owned(),
        token: text().into(),
        settings_version: 1,
        settings: settings.clone(),
        pull_token: secret(),
    };
    let answer = HeartbeatAnswer { received_at_ms: 1, settings_version: 1, settings, diagnose: None, resend: None };
    let mut config = crate::config::Settings::default();
    config.rabbitmq.url = Some("amqp://me:hush@broker.example".into());
    let consumer =
        amqp::Settings { url: "amqp://me:hush@broker.example".into(), trust: Trust::System, queue: "q".to_owned(), prefetch: 1 };
    let timeout = Duration::from_secs(1);
    let attempt = Attempt {
        address: "broker.example".to_owned(),
        port: 5671,
        user: "fleet".to_owned(),
        password: text().into(),
        virtual_host: "/".to_owned(),
        trust: None,
        timeout,
    };
    let url = "https://ns1.example:8054".to_owned();
    let target =
        Target { server_id: ServerId::new(1), url, token: text().into(), trust: Trust::System, connect_timeout: timeout };
    let made =
        zonepulse_central::accounts::Administrator::Made { password: text().into(), file: "/data/admin-credentials".into() };
    let user = zonepulse_central::accounts::NewUser {
        name: "ann",
        password: secret(),
        administrator: true,
        rights: zonepulse_store::Rights::ALL,
    };
    let known = zonepulse_tools::simulate::Known { id: 1, token: text().into() };
    let server: zonepulse_store::Server = serde_json::from_value(json!({"id": 1, "name": "ns1", "sample": false,
        "token_hash": "hush", "created_ms": 0, "pull": {"url": "https://ns1.example", "token": "hush"},
        "enrollment": {"hash": "hush", "expires_ms": 1}, "overrides": {"rabbitmq_password": "hush"}}))
    .unwrap();
    let account: zonepulse_store::User = serde_json::from_value(json!({"name": "ann", "password_hash": "hush",
        "administrator": true, "created_ms": 0, "rights": {"monitoring": true, "server_create": true, "server_read": true,
        "server_update": true, "server_delete": true},
        "tokens": [{"id": 1, "name": "a", "hash": "hush", "created_ms": 1, "expires_ms": null}]}))
    .unwrap();
    let patch: Map<String, Value> = serde_json::from_value(json!({"rabbitmq_password": "hush"})).unwrap();
    let change = ServerChange { pull_token: secret(), settings: Some(patch.into()), ..ServerChange::default() };
    let shown = [Shown::Password { name: "ann".to_owned(), password: text().into() }, Shown::Token(text().into())];
    let effective = zonepulse_model::Settings { rabbitmq_password: text(), ..Default::default() };
    let arguments = ["zonepulse", "settings", "set", "rabbitmq_password", "hush"];
    let arguments: crate::command::Command = clap::Parser::try_parse_from(arguments).unwrap();
    for printed in [
        format!("{enrollment:#?}"),
        format!("{answer:?}"),
        format!("{config:?}"),
        format!("{consumer:?}"),
        format!("{attempt:?}"),
        format!("{target:?}"),
        format!("{made:?}"),
        format!("{user:?}"),
        format!("{known:?}"),
        format!("{server:?}"),
        format!("{account:?}"),
        format!("{effective:?}"),
        format!("{arguments:?}"),
        format!("{change:?}"),
        format!("{shown:?}"),
    ] {
        assert!(printed.len() > 20 && !printed.contains("hush"), "{printed}");
    }
}
