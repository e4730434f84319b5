//! Every call × everybody who may come: who gets in, and who does not.
//!
//! The calls are those of the OpenAPI document: one that is not in the table below
//! fails the test, and so does a row without a call. The table says in its own
//! words who may, so that a slip where routes are put together is seen here.

use super::*;
use crate::config::Settings;
use crate::http::door::listen::Peer;
use crate::serve::serve;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request as HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tower::ServiceExt;
use zonepulse_central::accounts::{self, NewUser};
use zonepulse_central::credentials::token;
use zonepulse_store::{EnrollmentToken, Rights, UserToken};

/// Somebody who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    WrongPassword,
    UnknownToken,
    Server,
    RemovedServer,
    Enrollee,
    Powerless,
    Reader,
    ReaderByToken,
    Editor,
    Administrator,
}

use Who::*;

const EVERYBODY: [Who; 11] = [
    Nobody,
    WrongPassword,
    UnknownToken,
    RemovedServer,
    Server,
    Powerless,
    Reader,
    ReaderByToken,
    Editor,
    Enrollee,
    Administrator,
];
/// Whose credentials are worth nothing: 401. All others who may not get 403.
const UNKNOWN: [Who; 4] = [Nobody, WrongPassword, UnknownToken, RemovedServer];

const USERS: &[Who] = &[Powerless, Reader, ReaderByToken, Editor, Administrator];
const READERS: &[Who] = &[Reader, ReaderByToken, Editor, Administrator];
const EDITORS: &[Who] = &[Editor, Administrator];
const ADMINISTRATORS: &[Who] = &[Administrator];
const SERVERS: &[Who] = &[Server];

/// Calls, what to send, and who may.
const TABLE: &[(&str, &str, &str, &[Who])] = &[
    ("GET", "/healthz", "", &EVERYBODY),
    ("GET", "/readyz", "", &EVERYBODY),
    ("GET", "/metrics", "", READERS),
    ("GET", "/", "", &EVERYBODY),
    ("POST", "/api/v2/session", r#"{"user": "other", "password": "correct horse"}"#, &EVERYBODY),
    ("GET", "/api/v2/session", "", USERS),
    ("DELETE", "/api/v2/session", "", USERS),
    ("GET", "/api/v2/monitoring/dns/raw", "", READERS),
    ("GET", "/api/v2/monitoring/dns/aggregate", "", READERS),
    ("GET", "/api/v2/monitoring/dns/rps", "", READERS),
    ("GET", "/api/v2/monitoring/dns/coverage", "", READERS),
    ("GET", "/api/v2/monitoring/system/raw", "", READERS),
    ("GET", "/api/v2/monitoring/system/aggregate", "", READERS),
    ("GET", "/api/v2/monitoring/system/metrics", "", READERS),
    ("GET", "/api/v2/monitoring/heartbeat", "", READERS),
    ("GET", "/api/v2/monitoring/pvips", "", READERS),
    ("GET", "/api/v2/servers", "", READERS),
    ("POST", "/api/v2/sql", r#"{"sql": "SELECT 1 AS one"}"#, READERS),
    ("GET", "/api/v2/monitoring/dns/verdicts", "", READERS),
    ("GET", "/api/v2/monitoring/dns/observation", "", READERS),
    ("GET", "/api/v2/zones", "", READERS),
    ("GET", "/api/v2/zones/{zone_id}", "", READERS),
    ("POST", "/api/v2/zones", r#"{"zone": "new.example"}"#, EDITORS),
    ("PATCH", "/api/v2/zones/{zone_id}", r#"{"others_serve_it": true}"#, EDITORS),
    ("PUT", "/api/v2/zones/{zone_id}/file", "", EDITORS),
    ("POST", "/api/v2/zones/{zone_id}/refresh", "", EDITORS),
    ("DELETE", "/api/v2/zones/{zone_id}", "", EDITORS),
    ("GET", "/api/v2/resources", "", READERS),
    ("PATCH", "/api/v2/resources/{resource_id}", r#"{"note": "a"}"#, EDITORS),
    ("POST", "/api/v2/resources/labels", "", EDITORS),
    ("GET", "/api/v2/retirements", "", READERS),
    ("GET", "/api/v2/retirements/alerts", "", READERS),
    ("GET", "/api/v2/retirements/{retirement_id}", "", READERS),
    ("GET", "/api/v2/retirements/{retirement_id}/simulation", "", READERS),
    ("GET", "/api/v2/retirements/{retirement_id}/export", "", READERS),
    ("POST", "/api/v2/retirements", r#"{"name": "a", "resource_ids": [1]}"#, EDITORS),
    ("PATCH", "/api/v2/retirements/{retirement_id}", r#"{"note": "a"}"#, EDITORS),
    ("DELETE", "/api/v2/retirements/{retirement_id}", "", EDITORS),
    ("GET", "/api/v2/pvservers", "", READERS),
    ("GET", "/api/v2/pvservers/{server_id}", "", READERS),
    ("GET", "/api/v2/settings", "", READERS),
    ("POST", "/api/v2/pvservers", r#"{"server": "new"}"#, EDITORS),
    ("PATCH", "/api/v2/pvservers/{server_id}", r#"{"notes": "a"}"#, EDITORS),
    ("POST", "/api/v2/pvservers/{server_id}/token", "", EDITORS),
    ("POST", "/api/v2/pvservers/runDiagnostics/{server_id}", "", EDITORS),
    ("GET", "/api/v2/pvservers/diagnostics/{server_id}", "", EDITORS),
    ("GET", "/api/v2/pvservers/downloaddebug/{server_id}", "", EDITORS),
    ("DELETE", "/api/v2/pvservers/{server_id}", "", EDITORS),
    ("PATCH", "/api/v2/settings", r#"{"dns_interval_s": 30}"#, ADMINISTRATORS),
    (
        "POST",
        "/api/v2/monitoring/testrabbitmqcred",
        r#"{"rabbitmq_address": "127.0.0.1", "rabbitmq_port": 9, "rabbitmq_user": "a", "rabbitmq_password": "b"}"#,
        ADMINISTRATORS,
    ),
    ("GET", "/api/v2/pvservers/imgversions", "", READERS),
    ("POST", "/api/v2/pvservers/imgversions", "no image", ADMINISTRATORS),
    ("DELETE", "/api/v2/pvservers/imgversions/{image}", "", ADMINISTRATORS),
    ("GET", "/api/v2/pvservers/config/{server_id}", "", EDITORS),
    // Nothing listens there, and nothing waits for the job.
    ("POST", "/api/v2/pvservers/pushconfig/{server_id}", r#"{"node": "a@127.0.0.1:9", "password": "b"}"#, ADMINISTRATORS),
    ("POST", "/api/v2/pvservers/pushupdate/{server_id}", r#"{"node": "a@127.0.0.1:9", "password": "b"}"#, ADMINISTRATORS),
    ("GET", "/api/v2/pvservers/jobs", "", READERS),
    ("GET", "/api/v2/pvservers/jobs/{job_id}", "", READERS),
    ("GET", "/api/v2/audit", "", ADMINISTRATORS),
    ("GET", "/api/v2/backups", "", ADMINISTRATORS),
    ("POST", "/api/v2/backups", "", ADMINISTRATORS),
    ("GET", "/api/v2/backups/{backup_id}", "", ADMINISTRATORS),
    ("GET", "/api/v2/users", "", ADMINISTRATORS),
    ("POST", "/api/v2/users", r#"{"user": "new"}"#, ADMINISTRATORS),
    // Of somebody else: everybody may do this for themselves, which is a test of its own.
    ("GET", "/api/v2/users/{user}", "", ADMINISTRATORS),
    ("PATCH", "/api/v2/users/{user}", r#"{"password": null}"#, ADMINISTRATORS),
    ("DELETE", "/api/v2/users/{user}", "", ADMINISTRATORS),
    ("POST", "/api/v2/users/{user}/tokens", r#"{"name": "a"}"#, ADMINISTRATORS),
    ("DELETE", "/api/v2/users/{user}/tokens/{token_id}", "", ADMINISTRATORS),
    ("POST", "/api/v2/batches", "no batch", SERVERS),
    ("POST", "/api/v2/monitoring/heartbeat", HEARTBEAT, SERVERS),
    ("POST", "/api/v2/monitoring/diagnostics", "", SERVERS),
    ("POST", "/api/v2/enrollments", r#"{"hostname": "a", "os": "b", "probe_version": "c"}"#, &[Enrollee]),
];

const HEARTBEAT: &str = r#"{"sent_at_ms": 1, "epoch": 2, "probe_version": "0.1.0", "uptime_s": 3, "hostname": "a", "os": "b",
    "components": {}, "capture": {"state": "running"}, "spool": {"batches": 0, "size_bytes": 0}}"#;

const PASSWORD: &str = "correct horse";

/// What everybody comes with.
struct Keys {
    server: String,
    removed: String,
    enrollee: String,
    reader: String,
}

impl Keys {
    /// Makes everybody in a store.
    fn make(store: &Store) -> Keys {
        let registry = store.registry();
        let secret = || token::random().unwrap();
        let keys = Keys { server: secret(), removed: secret(), enrollee: secret(), reader: secret() };
        registry.add_server("own", false, Some(token::hash(&keys.server)), 1).unwrap();
        registry.add_server("removed", false, Some(token::hash(&keys.removed)), 1).unwrap();
        registry.remove_server(zonepulse_model::ServerId::new(2), 2, false).unwrap();
        let enrollment = EnrollmentToken { hash: token::hash(&keys.enrollee), expires_ms: u64::MAX };
        let fill = |server: &mut zonepulse_store::Server| {
            server.enrollment = Some(enrollment);
            Ok::<_, zonepulse_store::Error>(())
        };
        registry.make_server("to be enrolled", fill).unwrap();
        let reader = Rights::default();
        for (name, administrator, rights) in [
            ("powerless", false, Rights::NONE),
            ("reader", false, reader),
            ("editor", false, Rights::ALL),
            ("boss", true, Rights::NONE),
            ("other", false, reader),
        ] {
            let user = NewUser { name, password: Some(PASSWORD.into()), administrator, rights };
            accounts::make_user(&registry, user, 1).unwrap();
        }
        for (name, secret) in [("reader", &keys.reader), ("other", &secret())] {
            let give = |user: &mut zonepulse_store::User| {
                let hash = token::hash(secret);
                user.tokens.push(UserToken { id: 1, name: "a".to_owned(), hash, created_ms: 1, expires_ms: None });
                Ok::<_, zonepulse_store::Error>(())
            };
            registry.change_user(name, "x", give).unwrap();
        }
        keys
    }

    /// The header that somebody sends.
    fn authorization(&self, who: Who) -> Option<String> {
        let basic = |name: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        let bearer = |token: &str| format!("Bearer {token}");
        Some(match who {
            Nobody => return None,
            WrongPassword => basic("boss", "wrong password"),
            UnknownToken => bearer("no-such-token"),
            RemovedServer => bearer(&self.removed),
            Server => bearer(&self.server),
            Enrollee => bearer(&self.enrollee),
            Powerless => basic("powerless", PASSWORD),
            Reader => basic("reader", PASSWORD),
            ReaderByToken => bearer(&self.reader),
            Editor => basic("editor", PASSWORD),
            Administrator => basic("boss", PASSWORD),
        })
    }
}

fn content_type(path: &str) -> &'static str {
    match path {
        "/api/v2/batches" => zonepulse_wire::MEDIA_TYPE,
        "/api/v2/pvservers/imgversions" => "application/octet-stream",
        _ => "application/json",
    }
}

fn of_path(path: &str) -> String {
    let path = path.replace("{zone_id}", "1").replace("{resource_id}", "1").replace("{retirement_id}", "1");
    let path = path.replace("{image}", "none").replace("{job_id}", "1").replace("{backup_id}", "1");
    path.replace("{server_id}", "1").replace("{user}", "other").replace("{token_id}", "1")
}

/// What is wrong with a status, given who came.
fn fault(status: u16, who: Who, may: &[Who]) -> Option<&'static str> {
    let gets_in = ![401, 403].contains(&status) && status < 500;
    match (may.contains(&who), UNKNOWN.contains(&who)) {
        (true, _) if !gets_in => Some("may, and is refused"),
        (false, true) if status != 401 => Some("is nobody, and does not get 401"),
        (false, false) if status != 403 => Some("may not, and does not get 403"),
        _ => None,
    }
}

fn app(dir: &Path) -> (App, Keys) {
    let store = Store::open(dir, &zonepulse_store::Options::default()).unwrap();
    let keys = Keys::make(&store);
    let engine = Engine::new(store.clone(), zonepulse_query::Options::default()).unwrap();
    let ingest = Ingest::start(store.clone(), zonepulse_ingest::Settings::default()).unwrap();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8053));
    let addresses = Addresses { listen, public_urls: Vec::new(), scheme: "http", ca_file: None };
    (super::app(store, engine, ingest, config::Limits::default(), addresses), keys)
}

async fn status(app: &App, method: &str, path: &str, body: &str, authorization: Option<String>) -> u16 {
    let mut request = HttpRequest::builder().method(method).uri(of_path(path)).header("content-type", content_type(path));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))));
    router(app.clone()).oneshot(request).await.unwrap().status().as_u16()
}

/// Who may comes last, and they change something: the next call finds a store that is as it was.
fn in_order(may: &[Who]) -> impl Iterator<Item = Who> {
    let (last, first): (Vec<Who>, Vec<Who>) = EVERYBODY.into_iter().partition(|who| may.contains(who));
    first.into_iter().chain(last)
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_what_they_may_and_nothing_else() {
    let mut faults = Vec::new();
    for (method, path, body, may) in TABLE {
        let dir = tempfile::tempdir().unwrap();
        let (app, keys) = app(dir.path());
        for who in in_order(may) {
            let status = status(&app, method, path, body, keys.authorization(who)).await;
            faults.extend(fault(status, who, may).map(|fault| format!("{method} {path}: {who:?} {fault}: {status}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn every_documented_call_is_in_the_table_and_every_row_is_a_call() {
    let document = serde_json::to_value(document()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        documented.extend(item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    let table = TABLE.iter().filter(|(_, path, ..)| *path != "/");
    let table: BTreeSet<_> = table.map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    let missing: Vec<_> = documented.difference(&table).collect();
    assert!(missing.is_empty(), "say in the table who may call {missing:?}");
    let gone: Vec<_> = table.difference(&documented).collect();
    assert!(gone.is_empty(), "there is no such call: {gone:?}");
}

#[tokio::test]
async fn what_the_document_says_that_a_call_needs_is_what_it_needs() {
    let document = serde_json::to_value(document()).unwrap();
    for (method, path, _, may) in TABLE {
        let call = &document["paths"][*path][method.to_lowercase()];
        let Some(call) = call.as_object() else { continue };
        let schemes: BTreeSet<&str> =
            call.get("security").and_then(|security| security.as_array()).map_or_else(BTreeSet::new, |security| {
                security.iter().flat_map(|one| one.as_object().unwrap().keys()).map(String::as_str).collect()
            });
        let expected: BTreeSet<&str> = match *may {
            [Server] => ["server_token"].into(),
            [Enrollee] => ["enrollment_token"].into(),
            may if may.contains(&Nobody) => BTreeSet::new(),
            _ => ["password", "session", "user_token"].into(),
        };
        assert_eq!(schemes, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn everybody_manages_themselves_and_their_own_rights_are_not_among_it() {
    let dir = tempfile::tempdir().unwrap();
    let (app, keys) = app(dir.path());
    let as_reader = |method: &'static str, path: &'static str, body: &'static str| {
        let (app, authorization) = (app.clone(), keys.authorization(ReaderByToken));
        async move { status(&app, method, path, body, authorization).await }
    };
    assert_eq!(as_reader("GET", "/api/v2/users/reader", "").await, 200);
    assert_eq!(as_reader("POST", "/api/v2/users/reader/tokens", r#"{"name": "b"}"#).await, 201);
    assert_eq!(as_reader("PATCH", "/api/v2/users/reader", r#"{"password": "another horse"}"#).await, 200);
    for body in [r#"{"administrator": true}"#, r#"{"rights": {"server_update": true}}"#] {
        assert_eq!(as_reader("PATCH", "/api/v2/users/reader", body).await, 403, "{body}");
    }
    assert_eq!(as_reader("DELETE", "/api/v2/users/reader", "").await, 403);
    assert_eq!(as_reader("DELETE", "/api/v2/users/reader/tokens/1", "").await, 204, "its own, and its last request");
    assert_eq!(as_reader("GET", "/api/v2/users/reader", "").await, 401);
}

/// Members of a server, and settings, that decide where a secret is sent, and the others.
#[tokio::test]
async fn what_decides_where_secrets_go_is_for_administrators() {
    let dir = tempfile::tempdir().unwrap();
    let (app, keys) = app(dir.path());
    let settings = |text: &str| format!(r#"{{"settings": {{{text}}}}}"#);
    let guarded = [
        r#"{"pull_url": "https://a.example"}"#.to_owned(),
        r#"{"pull_url": null}"#.to_owned(),
        r#"{"pull_token": "a"}"#.to_owned(),
        r#"{"trusted": true}"#.to_owned(),
        settings(r#""api_url": "https://a.example""#),
        settings(r#""api_url": null"#),
        settings(r#""verify_ca": false"#),
        settings(r#""verify_ca": true"#),
        settings(r#""rabbitmq_address": "a.example""#),
        settings(r#""rabbitmq_port": 1"#),
        settings(r#""rabbitmq_tls": false"#),
        settings(r#""rabbitmq_virtual_host": "a""#),
        settings(r#""rabbitmq_user": "a""#),
        settings(r#""rabbitmq_password": "a""#),
        settings(r#""dns_interval_s": 30, "rabbitmq_password": null"#),
    ];
    let open = [
        settings(r#""communication": "http""#),
        settings(r#""api_timeout_ms": 500"#),
        settings(r#""dns_interval_s": 30, "dns_monitoring": false"#),
        settings(r#""system_interval_s": 10, "system_monitoring": null"#),
        settings(r#""raw_retention_minutes": 5, "aggregated_retention_days": 5"#),
        r#"{"server": "renamed", "address": "192.0.2.1", "notes": "a", "os": "b", "services": ["dns"], "sample": true}"#
            .to_owned(),
    ];
    let (server, servers) = ("/api/v2/pvservers/{server_id}", "/api/v2/pvservers");
    for (number, body) in guarded.iter().enumerate() {
        let new = body.replacen('{', &format!(r#"{{"server": "new {number}", "#), 1);
        for (method, path, body) in [("PATCH", server, body), ("POST", servers, &new)] {
            assert_eq!(status(&app, method, path, body, keys.authorization(Editor)).await, 403, "{method} {body}");
        }
    }
    for body in open {
        assert_eq!(status(&app, "PATCH", server, &body, keys.authorization(Editor)).await, 200, "{body}");
    }
    for (number, body) in guarded.iter().enumerate() {
        assert_eq!(status(&app, "PATCH", server, body, keys.authorization(Administrator)).await, 200, "{body}");
        let new = body.replacen('{', &format!(r#"{{"server": "new {number}", "#), 1);
        assert_eq!(status(&app, "POST", servers, &new, keys.authorization(Administrator)).await, 201, "{new}");
    }
}

/// Over a connection: what stands between a socket and the routes lets nobody through either.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_connection_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        Settings { data: dir.path().join("data"), listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Settings::default() };
    let store = crate::data::open(&settings.data, &settings.store.into()).unwrap();
    let keys = Keys::make(&store);
    drop(store);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = serve(&settings, zonepulse_query::SqlWorkers::Threads, async {
        let _ = ended.await;
    });
    let serving = serving.await.unwrap();
    // Without what removes: the next call finds a store that is as it was.
    let calls = TABLE.iter().filter(|(method, path, ..)| {
        *method != "DELETE" && !path.ends_with("/token") && !(*method == "PATCH" && path.contains("/users/"))
    });
    let mut faults = Vec::new();
    for (number, (method, path, body, may)) in calls.enumerate() {
        // Not a wrong password for each: thirty in a minute lock the user out.
        let asking = in_order(may).filter(|who| !matches!(who, WrongPassword) || number % 3 == 0);
        for who in asking {
            let status = over_connection(serving.address(), method, path, body, keys.authorization(who)).await;
            faults.extend(fault(status, who, may).map(|fault| format!("{method} {path}: {who:?} {fault}: {status}")));
        }
    }
    end.send(()).unwrap();
    serving.finished().await.unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn over_connection(address: SocketAddr, method: &str, path: &str, body: &str, authorization: Option<String>) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let authorization = authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: {}\r\ncontent-length: {}\r\n{authorization}\r\n{body}",
        of_path(path),
        content_type(path),
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{method} {path}: {line}"))
}
