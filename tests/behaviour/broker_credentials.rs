//! The central's report on broker credentials says what is wrong with them.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::net::TcpListener;
use zonepulse_tests::needs::test;
use zonepulse_tests::{Api, Authority, Central, RabbitMq, Response, ports};

pub fn trials() -> Vec<Trial> {
    vec![
        test("what_is_wrong_with_a_brokers_credentials_is_told_precisely", precisely),
        test("a_servers_stored_credentials_are_tried_without_entering_them", stored),
        test("only_an_administrator_may_try_credentials", only_administrators),
    ]
}

const PATH: &str = "/api/v2/monitoring/testrabbitmqcred";

fn post(api: &Api, body: &Value) -> Response {
    api.send_json(Method::POST, PATH, body)
}

/// Tries credentials with these members, and a timeout of ten seconds by default; panics unless the
/// outcome matches. Returns the detail.
fn expect(api: &Api, outcome: &str, members: Value) -> String {
    let mut body =
        json!({ "rabbitmq_address": "localhost", "rabbitmq_user": "guest", "rabbitmq_password": "guest", "timeout_ms": 10_000 });
    let Value::Object(members) = members else { panic!("members of an object") };
    body.as_object_mut().expect("an object").extend(members);
    let response = post(api, &body);
    assert_eq!(response.status, 200, "{body}: {}", response.text());
    let answer = response.json();
    assert_eq!(answer["outcome"], outcome, "{body}: {answer}");
    assert_eq!(answer["success"], outcome == "success", "{answer}");
    answer["detail"].as_str().expect("a text").to_owned()
}

fn precisely() {
    let authority = Authority::new();
    let broker = RabbitMq::start_with_tls(&authority.certify(&["localhost"]));
    broker.control(&["add_user", "stranger", "hush"]);
    let central = Central::start(&[]);
    let api = central.api();
    let (plain, tls, ca) = (broker.port(), broker.tls_port(), authority.pem());

    expect(&api, "success", json!({ "rabbitmq_port": plain }));
    expect(&api, "success", json!({ "rabbitmq_port": tls, "rabbitmq_tls": true, "ca": ca }));
    expect(&api, "success", json!({ "rabbitmq_port": tls, "rabbitmq_tls": true, "verify_ca": false }));

    let said = expect(&api, "access_refused", json!({ "rabbitmq_port": plain, "rabbitmq_password": "wrong" }));
    assert!(said.contains("ACCESS_REFUSED") && !said.contains("wrong"), "{said}");
    expect(&api, "access_refused", json!({ "rabbitmq_port": tls, "rabbitmq_tls": true, "ca": ca, "rabbitmq_user": "nobody" }));
    let said = expect(&api, "virtual_host_not_found", json!({ "rabbitmq_port": plain, "rabbitmq_virtual_host": "/nothere" }));
    assert!(said.contains("/nothere"), "{said}");
    let said = expect(
        &api,
        "virtual_host_refused",
        json!({ "rabbitmq_port": plain, "rabbitmq_user": "stranger", "rabbitmq_password": "hush" }),
    );
    assert!(said.contains("stranger") && !said.contains("hush"), "{said}");

    expect(&api, "unknown_issuer", json!({ "rabbitmq_port": tls, "rabbitmq_tls": true }));
    expect(&api, "unknown_issuer", json!({ "rabbitmq_port": tls, "rabbitmq_tls": true, "ca": Authority::new().pem() }));
    expect(&api, "wrong_name", json!({ "rabbitmq_port": tls, "rabbitmq_tls": true, "ca": ca, "rabbitmq_address": "127.0.0.1" }));
    broker.show(&authority.certify_expired(&["localhost"]));
    expect(&api, "certificate_expired", json!({ "rabbitmq_port": tls, "rabbitmq_tls": true, "ca": ca }));
    expect(&api, "not_tls", json!({ "rabbitmq_port": plain, "rabbitmq_tls": true, "ca": ca }));
    expect(&api, "not_amqp", json!({ "rabbitmq_port": tls }));

    expect(&api, "connection_refused", json!({ "rabbitmq_port": ports::free() }));
    expect(&api, "name_not_found", json!({ "rabbitmq_address": "broker.invalid" }));
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = silent.local_addr().expect("it has one").port();
    let body =
        json!({ "rabbitmq_address": "127.0.0.1", "rabbitmq_port": port, "rabbitmq_user": "guest", "rabbitmq_password": "guest" });
    let answer = post(&api, &body).json();
    assert_eq!(answer["outcome"], "timed_out", "{answer}");
    assert!(answer["detail"].as_str().expect("a text").contains("logging in was not over after 300 ms"), "{answer}");
    let took_ms = answer["duration_ms"].as_u64().expect("a number");
    assert!((300..1500).contains(&took_ms), "{answer}");
    expect(
        &api,
        "timed_out",
        json!({ "rabbitmq_port": port, "rabbitmq_address": "127.0.0.1", "rabbitmq_tls": true, "ca": ca, "timeout_ms": 50 }),
    );

    for (member, value) in
        [("timeout_ms", json!(5)), ("ca", json!("nothing")), ("rabbitmq_address", json!("")), ("rabbitmq_port", json!(70_000))]
    {
        let mut body = json!({ "rabbitmq_address": "localhost", "rabbitmq_user": "guest", "rabbitmq_password": "guest", "rabbitmq_tls": true });
        body[member] = value;
        let response = post(&api, &body);
        assert_eq!((response.status, response.problem("parameter").as_str()), (400, member), "{}", response.text());
    }
}

fn stored() {
    let authority = Authority::new();
    let broker = RabbitMq::start_with_tls(&authority.certify(&["localhost"]));
    broker.control(&["add_user", "stranger", "hush"]);
    let central = Central::start(&[]);
    let api = central.api();
    let server = |name: &str, more: Value| {
        let mut settings = json!({ "communication": "rabbitmq", "rabbitmq_address": "localhost", "rabbitmq_port": broker.port(),
            "rabbitmq_user": "guest", "rabbitmq_password": "guest" });
        let Value::Object(more) = more else { panic!("members of an object") };
        settings.as_object_mut().expect("an object").extend(more);
        let made = api.send_json(Method::POST, "/api/v2/pvservers", &json!({ "server": name, "settings": settings }));
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["server"]["server_id"].clone()
    };
    let (good, wrong) = (server("good", json!({})), server("wrong", json!({ "rabbitmq_password": "hush-hush" })));
    let stranger = server("stranger", json!({ "rabbitmq_user": "stranger", "rabbitmq_password": "hush" }));
    let secure = server("secure", json!({ "rabbitmq_port": broker.tls_port(), "rabbitmq_tls": true }));
    let outcome = |body: Value| post(&api, &body).json();
    assert_eq!(outcome(json!({ "server_id": good, "timeout_ms": 10_000 }))["outcome"], "success");
    let answer = outcome(json!({ "server_id": wrong, "timeout_ms": 10_000 }));
    assert_eq!(answer["outcome"], "access_refused", "{answer}");
    assert!(!answer.to_string().contains("hush-hush"), "{answer}");
    assert_eq!(outcome(json!({ "server_id": stranger, "timeout_ms": 10_000 }))["outcome"], "virtual_host_refused");
    assert_eq!(outcome(json!({ "server_id": secure, "timeout_ms": 10_000 }))["outcome"], "unknown_issuer");
    let trusting = json!({ "server_id": secure, "ca": authority.pem(), "rabbitmq_password": "guest", "timeout_ms": 10_000 });
    assert_eq!(outcome(trusting)["outcome"], "success");
}

fn only_administrators() {
    let central = Central::start(&["one"]);
    let body = json!({ "rabbitmq_address": "localhost", "rabbitmq_user": "guest", "rabbitmq_password": "guest" });
    assert_eq!(post(&central.api_of_server(0), &body).status, 403);
    assert_eq!(post(&central.api(), &body).status, 200);
}
