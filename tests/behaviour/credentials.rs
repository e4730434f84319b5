//! Permissions of users and tokens.

use libtest_mimic::Trial;
use zonepulse_tests::api::{ALL_TIME, Credentials};
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::needs::test;
use zonepulse_tests::{Api, Central, Response};

pub fn trials() -> Vec<Trial> {
    vec![
        test("without_credentials_or_with_wrong_ones_there_is_no_answer", wrong_ones),
        test("a_server_token_does_not_read", token_does_not_read),
        test("a_server_token_sends_for_its_own_server_only", own_server_only),
        test("a_user_does_not_send_batches", user_does_not_send),
        test("first_start_makes_an_administrator_with_a_password_of_its_own", random_password),
    ]
}

const CALLS: [&str; 4] = ["dns/raw", "dns/aggregate", "dns/rps", "dns/coverage"];

fn get(api: &Api, call: &str) -> Response {
    api.get(&format!("/api/v2/monitoring/{call}"), &[], "application/json")
}

fn user(name: &str, password: &str) -> Credentials {
    Credentials::User(name.to_owned(), password.to_owned())
}

fn wrong_ones() {
    let central = Central::start(&["door"]);
    let right = central.api();
    let wrong = [
        Credentials::None,
        user("admin", ""),
        user("admin", "admin"),
        user("nobody", "nothing"),
        Credentials::Token("no-such-token".to_owned()),
        Credentials::Token(String::new()),
    ];
    for credentials in wrong {
        let api = right.with(credentials.clone());
        for call in CALLS {
            let response = get(&api, call);
            assert_eq!(response.status, 401, "{credentials:?}: {}", response.text());
            assert!(response.header("www-authenticate").is_some(), "a 401 says what it wants");
            response.problem("detail");
        }
        let bytes = encode(&batch(central.servers[0].id, 1, 0, 60, &[point("a.example.", "A", REQUEST, 1, 0)]));
        let response = api.post_batch(bytes);
        assert_eq!(response.status, 401, "{credentials:?}: {}", response.text());
    }
    assert_eq!(right.rows("dns/raw", &[ALL_TIME]), []);
}

fn token_does_not_read() {
    let central = Central::start(&["reader"]);
    for call in CALLS {
        let response = get(&central.api_of_server(0), call);
        assert_eq!(response.status, 403, "{call}: {}", response.text());
        response.problem("detail");
    }
}

fn own_server_only() {
    let central = Central::start(&["mine", "yours"]);
    let bytes = |n: usize| encode(&batch(central.servers[n].id, 1, 0, 60, &[point("a.example.", "A", REQUEST, 1, 0)]));
    let response = central.api_of_server(0).post_batch(bytes(1));
    assert_eq!(response.status, 403, "{}", response.text());
    response.problem("detail");
    assert_eq!(central.api().rows("dns/coverage", &[ALL_TIME]), [], "nothing of it was counted");
    assert_eq!(central.api_of_server(0).post_batch(bytes(0)).status, 204);
    assert_eq!(central.api_of_server(1).post_batch(bytes(1)).status, 204);
}

fn user_does_not_send() {
    let central = Central::start(&["server"]);
    let response = central.api().post_batch(encode(&batch(central.servers[0].id, 1, 0, 60, &[])));
    assert_eq!(response.status, 403, "{}", response.text());
    assert_eq!(central.api().rows("dns/coverage", &[ALL_TIME]), []);
}

fn random_password() {
    let (one, other) = (Central::start(&[]), Central::start(&[]));
    let password = |central: &Central| match central.administrator() {
        Credentials::User(_, password) => password,
        other => panic!("{other:?}"),
    };
    assert_ne!(password(&one), password(&other));
    assert!(password(&one).len() >= 16, "too short to be safe: {}", password(&one));
    let response = get(&one.api().with(other.administrator()), "dns/raw");
    assert_eq!(response.status, 401);
    let log = one.log();
    let warning = log.lines().find(|line| line.contains("credentials were refused")).unwrap_or_else(|| panic!("{log}"));
    assert!(warning.contains("WARN") && warning.contains("peer=127.0.0.1"), "{warning}");
}
