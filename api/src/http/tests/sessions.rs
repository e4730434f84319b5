//! Sessions as a browser meets them: logging in, changing something, and all the ways in which a session ends.

use super::*;
use crate::http::door::listen::Peer;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tower::ServiceExt;
use zonepulse_central::accounts::{self, NewUser};
use zonepulse_central::sessions::LONGEST_MS;
use zonepulse_store::Rights;

const SESSION: &str = "/api/v2/session";
const PASSWORD: &str = "correct horse";
const START_MS: u64 = 1_700_000_000_000;
/// The default.
const IDLE_MS: u64 = 8 * 60 * 60 * 1000;

struct Setup {
    app: App,
    now_ms: Arc<AtomicU64>,
    _dir: tempfile::TempDir,
}

/// With the administrator `boss` and the user `ann`, who have the same password.
fn setup() -> Setup {
    setup_on("http")
}

fn setup_on(scheme: &'static str) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &zonepulse_store::Options::default()).unwrap();
    for (name, administrator) in [("boss", true), ("ann", false)] {
        let user = NewUser { name, password: Some(PASSWORD.into()), administrator, rights: Rights::default() };
        accounts::make_user(&store.registry(), user, 1).unwrap();
    }
    let engine = Engine::new(store.clone(), zonepulse_query::Options::default()).unwrap();
    let ingest = Ingest::start(store.clone(), zonepulse_ingest::Settings::default()).unwrap();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8053));
    let addresses = Addresses { listen, public_urls: Vec::new(), scheme, ca_file: None };
    let now_ms = Arc::new(AtomicU64::new(START_MS));
    let read = now_ms.clone();
    let clock = Clock::new(move || read.load(Ordering::Relaxed));
    Setup { app: app_at(store, engine, ingest, config::Limits::default(), addresses, clock), now_ms, _dir: dir }
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answered {
    fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    fn detail(&self) -> &str {
        assert_eq!(self.all("content-type"), ["application/problem+json"], "{}", self.body);
        self.body["detail"].as_str().unwrap()
    }

    /// What the browser keeps, as it sends it back.
    fn cookie(&self) -> String {
        let [line] = self.all("set-cookie")[..] else { panic!("{:?}", self.headers) };
        line.split(';').next().unwrap().to_owned()
    }
}

/// A browser that is logged in.
struct Browser<'s> {
    setup: &'s Setup,
    cookie: String,
    csrf_token: String,
}

impl Setup {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answered {
        let mut request = axum::http::Request::builder().method(method).uri(path).header("host", "central.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json");
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))));
        let response = router(self.app.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answered { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn try_login(&self, user: &str, password: &str) -> Answered {
        self.send("POST", SESSION, &[], json!({"user": user, "password": password})).await
    }

    async fn login(&self, user: &str) -> Browser<'_> {
        let answered = self.try_login(user, PASSWORD).await;
        assert_eq!(answered.status, 201, "{}", answered.body);
        let csrf_token = answered.body["csrf_token"].as_str().unwrap().to_owned();
        Browser { setup: self, cookie: answered.cookie(), csrf_token }
    }

    fn at(&self, after_ms: u64) {
        self.now_ms.store(START_MS + after_ms, Ordering::Relaxed);
    }
}

impl Browser<'_> {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answered {
        let headers = [&[("cookie", self.cookie.as_str())], headers].concat();
        self.setup.send(method, path, &headers, body).await
    }

    async fn get(&self, path: &str) -> Answered {
        self.send("GET", path, &[], Value::Null).await
    }

    /// As the page does.
    async fn ask(&self, method: &str, path: &str, body: Value) -> Answered {
        self.send(method, path, &[("x-csrf-token", &self.csrf_token)], body).await
    }

    /// Whether its session is open. Asking lets it last longer.
    async fn is_logged_in(&self) -> bool {
        let answered = self.get(SESSION).await;
        if answered.status == 401 {
            assert_eq!(answered.detail(), "the session has expired; log in again");
        }
        answered.status == 200
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

const NEW_TOKEN: &str = "/api/v2/users/ann/tokens";

fn new_token() -> Value {
    json!({"name": "a"})
}

#[tokio::test]
async fn a_login_tells_who_is_logged_in_and_sets_the_cookie() {
    let setup = setup();
    let answered = setup.try_login("ann", PASSWORD).await;
    let body = &answered.body;
    assert_eq!((answered.status, &body["user"], &body["administrator"]), (201, &json!("ann"), &json!(false)));
    assert_eq!(body["expires_at_ms"], START_MS + IDLE_MS);
    let shown = setup.send("GET", "/api/v2/users/ann", &[("authorization", &basic("ann", PASSWORD))], Value::Null).await;
    assert_eq!(body["rights"], shown.body["rights"]);
    let [cookie] = answered.all("set-cookie")[..] else { panic!() };
    assert!(cookie.starts_with("zonepulse_session="), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Max-Age=86400"), "{cookie}");
    assert_eq!(answered.all("cache-control"), ["no-store, no-transform"]);
    let token = answered.cookie().split_once('=').unwrap().1.to_owned();
    assert!(!body.to_string().contains(&token), "no script may read it");
}

#[tokio::test]
async fn over_tls_the_cookie_is_for_tls() {
    for (scheme, origin) in [("https", None), ("http", Some("https://central.example"))] {
        let setup = setup_on(scheme);
        let headers: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).collect();
        let answered = setup.send("POST", SESSION, &headers, json!({"user": "ann", "password": PASSWORD})).await;
        let [cookie] = answered.all("set-cookie")[..] else { panic!() };
        assert!(cookie.starts_with("__Host-zonepulse_session=") && cookie.ends_with("; Secure"), "{cookie}");
        let cookie = answered.cookie();
        assert_eq!(setup.send("GET", SESSION, &[("cookie", &cookie)], Value::Null).await.status, 200);
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_alike() {
    let setup = setup();
    let mut details = Vec::new();
    for (user, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("ann", ""), ("ann", &"x".repeat(5000))] {
        let refused = setup.try_login(user, password).await;
        assert_eq!((refused.status, refused.all("set-cookie").len()), (401, 0));
        details.push(refused.detail().to_owned());
    }
    assert!(details.iter().all(|detail| detail == "no user has this name and password"), "{details:?}");
}

#[tokio::test]
async fn a_login_has_a_name_and_a_password_and_nothing_else() {
    let setup = setup();
    for (body, parameter) in [
        (json!({"user": "ann"}), "password"),
        (json!({"password": PASSWORD}), "user"),
        (json!({"user": "ann", "password": PASSWORD, "remember": true}), "remember"),
        (json!({"user": "ann", "password": [PASSWORD]}), "password"),
    ] {
        let refused = setup.send("POST", SESSION, &[], body).await;
        assert_eq!((refused.status, &refused.body["parameter"]), (400, &json!(parameter)));
        assert!(!refused.detail().contains(PASSWORD));
    }
}

#[tokio::test]
async fn logins_have_the_limits_of_passwords_and_are_counted_with_them() {
    let setup = setup();
    for _ in 0..15 {
        assert_eq!(setup.try_login("ann", "wrong").await.status, 401);
        let authorization = basic("ann", "wrong");
        let headers = [("authorization", authorization.as_str())];
        assert_eq!(setup.send("GET", SESSION, &headers, Value::Null).await.status, 401);
    }
    let refused = setup.try_login("ann", PASSWORD).await;
    assert_eq!((refused.status, refused.all("retry-after").len()), (429, 1));
    assert_eq!(setup.app.central().refusals().unauthenticated(), 31);
    assert_eq!(setup.try_login("boss", PASSWORD).await.status, 201, "others are not affected");
}

#[tokio::test]
async fn a_session_shows_the_same_again() {
    let setup = setup();
    let opened = setup.try_login("ann", PASSWORD).await;
    let read = setup.send("GET", SESSION, &[("cookie", &opened.cookie())], Value::Null).await;
    assert_eq!((read.status, &read.body), (200, &opened.body));
    assert_eq!(read.all("cache-control"), ["no-store, no-transform"]);
}

#[tokio::test]
async fn without_a_session_there_is_nothing_of_one() {
    let setup = setup();
    let read = setup.send("GET", SESSION, &[("authorization", &basic("boss", PASSWORD))], Value::Null).await;
    assert_eq!((read.status, &read.body["user"], &read.body["administrator"]), (200, &json!("boss"), &json!(true)));
    let members: Vec<_> = read.body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["administrator", "rights", "user"]);
}

#[tokio::test]
async fn nobody_is_told_how_to_log_in() {
    let refused = setup().send("GET", SESSION, &[], Value::Null).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.all("www-authenticate"), ["Basic realm=\"zonepulse\"", "Bearer"]);
}

#[tokio::test]
async fn the_page_gets_no_dialog_of_the_browser() {
    let setup = setup();
    let page = ("x-zonepulse-page", "1");
    let refusals = [
        setup.send("GET", SESSION, &[page], Value::Null).await,
        setup.send("POST", SESSION, &[page], json!({"user": "ann", "password": "wrong"})).await,
        setup.send("GET", "/api/v2/servers", &[page, ("cookie", "zonepulse_session=x")], Value::Null).await,
        setup.send("GET", "/api/v2/servers", &[page, ("authorization", "Bearer x")], Value::Null).await,
    ];
    for refused in refusals {
        assert_eq!((refused.status, refused.all("www-authenticate")), (401, vec!["Bearer"]));
    }
}

#[tokio::test]
async fn a_session_may_what_its_user_may() {
    let setup = setup();
    let (ann, boss) = (setup.login("ann").await, setup.login("boss").await);
    assert_eq!(ann.get("/api/v2/servers").await.status, 200);
    assert_eq!((ann.get("/api/v2/users").await.status, boss.get("/api/v2/users").await.status), (403, 200));
}

#[tokio::test]
async fn reading_needs_no_proof() {
    let setup = setup();
    let ann = setup.login("ann").await;
    for method in ["GET", "HEAD"] {
        assert_eq!(ann.send(method, "/api/v2/servers", &[], Value::Null).await.status, 200, "{method}");
    }
}

#[tokio::test]
async fn a_change_with_the_proof_is_made() {
    let setup = setup();
    assert_eq!(setup.login("ann").await.ask("POST", NEW_TOKEN, new_token()).await.status, 201);
}

#[tokio::test]
async fn a_change_without_the_proof_is_refused() {
    let setup = setup();
    let (ann, boss) = (setup.login("ann").await, setup.login("boss").await);
    let proof = ann.csrf_token.as_str();
    for headers in [
        &[][..],
        &[("x-csrf-token", "")],
        &[("x-csrf-token", &proof[1..])],
        &[("x-csrf-token", &boss.csrf_token)],
        &[("x-csrf-token", proof), ("x-csrf-token", proof)],
        &[("x-zonepulse-page", "1")],
    ] {
        let refused = ann.send("POST", NEW_TOKEN, headers, new_token()).await;
        assert_eq!((refused.status, &refused.body["type"]), (403, &json!("urn:zonepulse:problem:not-proven")));
        assert!(refused.detail().contains("X-CSRF-Token"));
    }
    for (method, path) in [("DELETE", SESSION), ("PATCH", "/api/v2/users/ann")] {
        assert_eq!(ann.send(method, path, &[], Value::Null).await.status, 403, "{method}");
    }
    assert_eq!(ann.get("/api/v2/users/ann").await.body["tokens"], json!([]), "nothing was changed");
}

#[tokio::test]
async fn the_proof_helps_no_other_site() {
    let setup = setup();
    let ann = setup.login("ann").await;
    for header in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let refused = ann.send("POST", NEW_TOKEN, &[header, ("x-csrf-token", &ann.csrf_token)], new_token()).await;
        assert_eq!((refused.status, &refused.body["type"]), (403, &json!("urn:zonepulse:problem:cross-site")));
    }
}

#[tokio::test]
async fn no_other_site_logs_a_browser_in() {
    let setup = setup();
    let login = json!({"user": "ann", "password": PASSWORD});
    let refused = setup.send("POST", SESSION, &[("sec-fetch-site", "cross-site")], login).await;
    assert_eq!((refused.status, refused.all("set-cookie").len()), (403, 0));
    assert_eq!(setup.app.central().sessions().counts().open, 0);
}

#[tokio::test]
async fn credentials_in_authorization_come_first() {
    let setup = setup();
    let ann = setup.login("ann").await;
    let authorization = basic("boss", PASSWORD);
    let read = ann.send("GET", SESSION, &[("authorization", &authorization)], Value::Null).await;
    assert_eq!((&read.body["user"], read.body.get("csrf_token")), (&json!("boss"), None));
    let created = ann.send("POST", NEW_TOKEN, &[("authorization", &authorization)], new_token()).await;
    assert_eq!(created.status, 201, "without a proof: no browser sends this by itself");
}

#[tokio::test]
async fn wrong_credentials_in_authorization_are_not_made_up_for_by_a_session() {
    let setup = setup();
    let ann = setup.login("ann").await;
    for authorization in [&basic("ann", "wrong"), "Bearer x", "nonsense"] {
        assert_eq!(ann.send("GET", SESSION, &[("authorization", authorization)], Value::Null).await.status, 401);
    }
}

#[tokio::test]
async fn a_session_that_is_not_used_expires() {
    let setup = setup();
    let ann = setup.login("ann").await;
    setup.at(IDLE_MS);
    assert!(!ann.is_logged_in().await);
}

#[tokio::test]
async fn every_request_lets_a_session_last_longer() {
    let setup = setup();
    let ann = setup.login("ann").await;
    setup.at(IDLE_MS - 1);
    assert_eq!(ann.get("/api/v2/servers").await.status, 200);
    setup.at(IDLE_MS + 1);
    assert_eq!(ann.get(SESSION).await.body["expires_at_ms"], START_MS + 2 * IDLE_MS + 1);
}

#[tokio::test]
async fn a_session_ends_a_day_after_the_login() {
    let setup = setup();
    let ann = setup.login("ann").await;
    for quarter in 1..4 {
        setup.at(quarter * LONGEST_MS / 4);
        assert!(ann.is_logged_in().await, "{quarter}");
    }
    assert_eq!(ann.get(SESSION).await.body["expires_at_ms"], START_MS + LONGEST_MS);
    setup.at(LONGEST_MS);
    assert!(!ann.is_logged_in().await);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_removes_the_cookie() {
    let setup = setup();
    let (ann, other) = (setup.login("ann").await, setup.login("ann").await);
    let ended = ann.ask("DELETE", SESSION, Value::Null).await;
    assert_eq!(ended.status, 204);
    assert_eq!(
        ended.all("set-cookie"),
        [
            "zonepulse_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0",
            "__Host-zonepulse_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0; Secure"
        ]
    );
    assert!(!ann.is_logged_in().await && other.is_logged_in().await);
}

#[tokio::test]
async fn a_logout_without_a_session_is_one() {
    let setup = setup();
    let ended = setup.send("DELETE", SESSION, &[("authorization", &basic("ann", PASSWORD))], Value::Null).await;
    assert_eq!(ended.status, 204);
}

#[tokio::test]
async fn another_login_of_a_browser_ends_the_session_before() {
    let setup = setup();
    let ann = setup.login("ann").await;
    let again = ann.send("POST", SESSION, &[], json!({"user": "boss", "password": PASSWORD})).await;
    assert_eq!((again.status, again.body["user"].as_str()), (201, Some("boss")));
    assert!(!ann.is_logged_in().await);
    let failed = setup.send("POST", SESSION, &[("cookie", &again.cookie())], json!({"user": "ann", "password": "wrong"})).await;
    assert_eq!(failed.status, 401);
    assert_eq!(setup.app.central().sessions().counts().open, 1, "a login that fails ends nothing");
}

#[tokio::test]
async fn another_password_ends_the_session_at_once() {
    let setup = setup();
    let (one, other, boss) = (setup.login("ann").await, setup.login("ann").await, setup.login("boss").await);
    assert_eq!(one.ask("PATCH", "/api/v2/users/ann", json!({"password": "another horse"})).await.status, 200);
    assert!(!one.is_logged_in().await && !other.is_logged_in().await && boss.is_logged_in().await);
}

#[tokio::test]
async fn the_removal_of_a_user_ends_the_session_at_once() {
    let setup = setup();
    let (ann, boss) = (setup.login("ann").await, setup.login("boss").await);
    assert_eq!(boss.ask("DELETE", "/api/v2/users/ann", Value::Null).await.status, 204);
    assert!(!ann.is_logged_in().await);
}

#[tokio::test]
async fn changed_rights_are_in_force_at_once() {
    let setup = setup();
    let (ann, boss) = (setup.login("ann").await, setup.login("boss").await);
    let change = json!({"rights": {"monitoring": false}, "administrator": false});
    assert_eq!(boss.ask("PATCH", "/api/v2/users/ann", change).await.status, 200);
    assert_eq!(ann.get("/api/v2/servers").await.status, 403);
    assert_eq!(ann.get(SESSION).await.body["rights"]["monitoring"], json!(false));
    assert_eq!(boss.ask("PATCH", "/api/v2/users/ann", json!({"administrator": true})).await.status, 200);
    assert_eq!(ann.get("/api/v2/users").await.status, 200);
}

#[tokio::test]
async fn a_user_with_too_many_sessions_loses_the_oldest_and_nobody_else_any() {
    let setup = setup();
    let (boss, first) = (setup.login("boss").await, setup.login("ann").await);
    for _ in 0..16 {
        setup.login("ann").await;
    }
    assert!(!first.is_logged_in().await && boss.is_logged_in().await);
}

#[tokio::test]
async fn cookies_that_are_none_of_ours_are_refused_in_words() {
    let setup = setup();
    let ann = setup.login("ann").await;
    let unknown = format!("zonepulse_session={}", "A".repeat(43));
    let oversize = format!("zonepulse_session={}", "A".repeat(20_000));
    let twice = format!("{}; {}", ann.cookie, ann.cookie);
    for (cookie, expected) in [
        (unknown.as_str(), "the session has expired"),
        (&oversize, "is malformed"),
        ("zonepulse_session=", "is malformed"),
        ("zonepulse_session=<script>", "is malformed"),
        (&twice, "more than one cookie zonepulse_session"),
        ("other=1", "send a user's name and password"),
    ] {
        let refused = setup.send("GET", "/api/v2/servers", &[("cookie", cookie)], Value::Null).await;
        assert_eq!(refused.status, 401, "{cookie}");
        assert!(refused.detail().contains(expected), "{cookie}: {}", refused.detail());
    }
}

#[tokio::test]
async fn a_session_is_no_token_and_its_token_no_password() {
    let setup = setup();
    let ann = setup.login("ann").await;
    let token = ann.cookie.split_once('=').unwrap().1;
    for authorization in [format!("Bearer {token}"), basic("ann", token)] {
        assert_eq!(setup.send("GET", SESSION, &[("authorization", &authorization)], Value::Null).await.status, 401);
    }
}

#[tokio::test]
async fn probes_have_no_sessions() {
    let setup = setup();
    let boss = setup.login("boss").await;
    let made = boss.ask("POST", "/api/v2/pvservers", json!({"server": "ns1", "credential": "token"})).await;
    let bearer = format!("Bearer {}", made.body["token"].as_str().unwrap());
    assert_eq!(setup.send("GET", SESSION, &[("authorization", &bearer)], Value::Null).await.status, 403);
    assert_eq!(boss.ask("POST", "/api/v2/monitoring/heartbeat", json!({})).await.status, 403);
}

#[tokio::test]
async fn sessions_are_in_the_metrics() {
    let setup = setup();
    let ann = setup.login("ann").await;
    let request = axum::http::Request::get("/metrics").header("cookie", &ann.cookie);
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))));
    let response = router(setup.app.clone()).oneshot(request).await.unwrap();
    let text = String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
    for line in ["zonepulse_sessions 1", "zonepulse_sessions_limit 16000", "zonepulse_sessions_displaced_total 0"] {
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    }
}

#[tokio::test]
async fn other_methods_than_get_and_head_need_the_proof_whatever_they_are() {
    let setup = setup();
    let ann = setup.login("ann").await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in document().paths.paths.keys().filter(|path| !path.contains('{')) {
            let status = ann.send(method, path, &[], json!({})).await.status;
            // A login is for everybody, and what does not exist needs nobody.
            let is_open = path == SESSION && method == "POST";
            assert!(status == 403 || status == 405 || is_open && status == 400, "{method} {path}: {status}");
        }
    }
}
