//! The routes as a caller meets them, over a store with a user, two servers and no points.

use super::*;
use crate::http::door::listen::Peer;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use expect_test::{Expect, expect};
use std::net::{Ipv4Addr, SocketAddr};
use tower::ServiceExt;
use zonepulse_central::accounts;
use zonepulse_query::Options;

#[path = "account.rs"]
mod account;
#[path = "described.rs"]
mod described;
#[path = "page.rs"]
mod page;

const READING: &[&str] = &[
    "/metrics",
    "/api/v2/session",
    "/api/v2/servers",
    "/api/v2/monitoring/dns/raw",
    "/api/v2/monitoring/dns/aggregate",
    "/api/v2/monitoring/dns/rps",
    "/api/v2/monitoring/dns/coverage",
    "/api/v2/monitoring/system/raw",
    "/api/v2/monitoring/system/aggregate",
    "/api/v2/monitoring/system/metrics",
];
const OPEN: &[&str] = &["/", "/healthz", "/readyz", DOCUMENT_PATH, "/api/docs/"];

struct Setup {
    app: App,
    basic: String,
    bearer: String,
    _dir: tempfile::TempDir,
}

fn setup() -> Setup {
    setup_with(config::Limits::default())
}

fn setup_with(limits: config::Limits) -> Setup {
    setup_on(zonepulse_store::Options::default(), limits)
}

fn setup_on(options: zonepulse_store::Options, limits: config::Limits) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &options).unwrap();
    let password = accounts::add_user(&store, "ann", false, None).unwrap();
    let (_, token) = accounts::add_server(&store, "ns1", false).unwrap();
    accounts::add_server(&store, "ns2", true).unwrap();
    let engine = Engine::new(store.clone(), Options::default()).unwrap();
    let ingest = Ingest::start(store.clone(), zonepulse_ingest::Settings::default()).unwrap();
    let basic = format!("Basic {}", STANDARD.encode(format!("ann:{}", password.reveal())));
    let addresses = Addresses {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8053)),
        public_urls: Vec::new(),
        scheme: "http",
        ca_file: None,
    };
    Setup { app: app(store, engine, ingest, limits, addresses), basic, bearer: format!("Bearer {token}"), _dir: dir }
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Setup {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answered {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))));
        let response = router(self.app.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        Answered { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// As the user.
    async fn get(&self, path: &str) -> Answered {
        self.send("GET", path, &[("authorization", &self.basic)], "").await
    }
}

impl Answered {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem document, which it must be.
    fn problem(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        problem
    }

    fn expect_problem(&self, expected: Expect) {
        expected.assert_eq(&serde_json::to_string_pretty(&self.problem()).unwrap());
    }
}

#[tokio::test]
async fn what_reads_needs_a_user() {
    let setup = setup();
    for path in READING {
        let none = setup.send("GET", path, &[], "").await;
        assert_eq!(none.status, 401, "{path}");
        let challenges: Vec<_> = none.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges, ["Basic realm=\"zonepulse\"", "Bearer"]);
        none.problem();
        let server = setup.send("GET", path, &[("authorization", &setup.bearer)], "").await;
        assert_eq!(server.status, 403, "{path}");
        server.problem();
        assert_eq!(setup.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_open_needs_no_credentials() {
    let setup = setup();
    for path in OPEN {
        assert_eq!(setup.send("GET", path, &[], "").await.status, 200, "{path}");
    }
    assert_eq!(setup.send("GET", "/healthz", &[], "").await.body, "{\"status\":\"ok\"}");
}

#[tokio::test]
async fn only_a_server_may_send() {
    let setup = setup();
    let media_type = ("content-type", zonepulse_wire::MEDIA_TYPE);
    let none = setup.send("POST", "/api/v2/batches", &[media_type], "x").await;
    assert_eq!(none.status, 401);
    let user = setup.send("POST", "/api/v2/batches", &[media_type, ("authorization", &setup.basic)], "x").await;
    assert_eq!(user.status, 403);
    let server = setup.send("POST", "/api/v2/batches", &[media_type, ("authorization", &setup.bearer)], "x").await;
    assert_eq!((server.status, server.problem()["type"].as_str().unwrap()), (400, "urn:zonepulse:problem:bad-batch"));
}

#[tokio::test]
async fn a_probe_can_ask_whose_its_token_is_without_sending_a_batch() {
    let setup = setup();
    let ask = async |authorization: &str| {
        setup.send("POST", "/api/v2/batches?doctor=token", &[("authorization", authorization)], "").await
    };
    let server = ask(&setup.bearer).await;
    assert_eq!((server.status, server.header(zonepulse_wire::SERVER_HEADER)), (400, "1"));
    assert!(server.problem()["type"].as_str().unwrap().starts_with("urn:zonepulse:problem:"));
    let delivery = setup.app.central().ingest().delivery(zonepulse_model::ServerId::new(1), now_ms());
    assert!(delivery.refused.is_none() && delivery.put_aside.is_none(), "{delivery:?}");
    let user = ask(&setup.basic).await;
    assert_eq!((user.status, user.header(zonepulse_wire::SERVER_HEADER)), (403, ""));
    assert_eq!(ask("Bearer unknown").await.status, 401);
}

#[tokio::test]
async fn what_is_not_called_a_batch_is_refused() {
    let setup = setup();
    let authorization = ("authorization", setup.bearer.as_str());
    let media_type = ("content-type", zonepulse_wire::MEDIA_TYPE);
    for headers in [
        vec![authorization],
        vec![authorization, ("content-type", "application/json")],
        vec![authorization, media_type, ("content-encoding", "gzip")],
    ] {
        let answered = setup.send("POST", "/api/v2/batches", &headers, "x").await;
        assert_eq!(answered.status, 415, "{headers:?}");
        answered.problem();
    }
}

#[tokio::test]
async fn a_request_past_the_bound_is_refused_whether_announced_or_not() {
    let setup = setup_with(config::Limits { max_request_bytes: 100, ..config::Limits::default() });
    let headers = [("authorization", setup.bearer.as_str()), ("content-type", zonepulse_wire::MEDIA_TYPE)];
    let announced = [headers[0], headers[1], ("content-length", "101")];
    let answered = setup.send("POST", "/api/v2/batches", &announced, vec![0; 101]).await;
    assert_eq!((answered.status, answered.problem()["detail"].as_str().unwrap()), (413, "a request has at most 100 bytes"));
    let answered = setup.send("POST", "/api/v2/batches", &headers, vec![0; 101]).await;
    assert_eq!(answered.status, 413);
    let answered = setup.send("POST", "/api/v2/batches", &headers, vec![0; 100]).await;
    assert_eq!(answered.status, 400);
}

#[tokio::test]
async fn requests_past_the_pending_bytes_are_asked_to_come_again() {
    let setup = setup();
    let mut all = setup.app.central().pending().of(1);
    all.take(128 << 20).unwrap();
    let headers = [("authorization", setup.bearer.as_str()), ("content-type", zonepulse_wire::MEDIA_TYPE)];
    let answered = setup.send("POST", "/api/v2/batches", &headers, "x").await;
    assert_eq!((answered.status, answered.header("retry-after")), (503, "1"));
    let metrics = setup.get("/metrics").await.body;
    assert!(metrics.contains("zonepulse_batches_without_room_total{server=\"1\"} 1\n"), "{metrics}");
    assert!(metrics.contains("zonepulse_batches_pending_bytes 134217728\n"), "{metrics}");
    drop(all);
    assert_eq!(setup.send("POST", "/api/v2/batches", &headers, "x").await.status, 400);
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems() {
    let setup = setup();
    setup.get("/api/v2/nothing").await.expect_problem(expect![[r#"
        {
          "detail": "see /api/docs/ for what there is",
          "status": 404,
          "title": "There is nothing here",
          "type": "urn:zonepulse:problem:not-found"
        }"#]]);
    let wrong = setup.send("DELETE", "/api/v2/servers", &[("authorization", &setup.basic)], "").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET,HEAD"));
    wrong.expect_problem(expect![[r#"
        {
          "detail": "DELETE is not among the methods of this path",
          "status": 405,
          "title": "This path does not have this method",
          "type": "urn:zonepulse:problem:method-not-allowed"
        }"#]]);
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let setup = setup();
    setup.get("/api/v2/monitoring/dns/aggregate?limit=-1").await.expect_problem(expect![[r#"
        {
          "detail": "limit: \"-1\" is not a whole number from 0 to 100000",
          "parameter": "limit",
          "status": 400,
          "title": "A parameter is not valid",
          "type": "urn:zonepulse:problem:bad-parameter"
        }"#]]);
    for (query, parameter) in [
        ("raw?server_id=3", "server_id"),
        ("raw?sort=rps", "sort"),
        ("coverage?server_id=1&server_id=9", "server_id"),
        ("rps?step=7&date_from=0&date_to=100000000000", "step"),
        ("aggregate?sort=time", "sort"),
    ] {
        let answered = setup.get(&format!("/api/v2/monitoring/dns/{query}")).await;
        assert_eq!((answered.status, answered.problem()["parameter"].as_str()), (400, Some(parameter)), "{query}");
    }
    assert_eq!(setup.get("/api/v2/servers?limit=1").await.problem()["parameter"], "limit");
}

#[tokio::test]
async fn an_answer_comes_in_the_format_that_is_accepted() {
    let setup = setup();
    let path = "/api/v2/monitoring/dns/aggregate";
    let csv = setup.send("GET", path, &[("authorization", &setup.basic), ("accept", "text/csv")], "").await;
    assert_eq!(
        (csv.header("content-type"), csv.header("vary")),
        ("text/csv; charset=utf-8; header=present", "accept, accept-encoding")
    );
    assert_eq!(csv.body, "resource_id,host,type,folded,hits,first_seen,last_access\n");
    let json = setup.get(path).await;
    assert_eq!((json.header("content-type"), json.header("x-total-count"), json.body.as_str()), ("application/json", "0", "[]"));
    let html = setup.send("GET", path, &[("authorization", &setup.basic), ("accept", "text/html")], "").await;
    assert_eq!((html.status, html.problem()["type"].as_str().unwrap()), (406, "urn:zonepulse:problem:not-acceptable"));
}

#[tokio::test]
async fn the_servers_are_listed_and_samples_marked() {
    let list: serde_json::Value = serde_json::from_str(&setup().get("/api/v2/servers").await.body).unwrap();
    assert_eq!((&list[0]["server_id"], &list[0]["server"], &list[0]["sample"]), (&1.into(), &"ns1".into(), &false.into()));
    assert_eq!((&list[1]["server"], &list[1]["sample"]), (&"ns2".into(), &true.into()));
}

#[tokio::test]
async fn a_panic_becomes_an_answer() {
    let setup = setup();
    let app = setup.app.clone();
    let routes = Router::new()
        .route(
            "/",
            axum::routing::get(|| async {
                if true {
                    panic!("on purpose")
                }
            }),
        )
        .layer(from_fn_with_state(app.clone(), every_request))
        .with_state(app);
    let response = routes.oneshot(Request::new(Body::empty())).await.unwrap();
    assert_eq!(response.status(), 500);
}

#[tokio::test]
async fn nothing_is_compressed_anew_for_a_stranger() {
    let setup = setup();
    let app = setup.app.clone();
    let routes = Router::new()
        .route("/", axum::routing::get(|| async { "a".repeat(5000) }))
        .layer(from_fn_with_state(app.clone(), every_request))
        .with_state(app);
    let request = Request::builder().header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    let headers = routes.oneshot(request).await.unwrap().headers().clone();
    assert_eq!((headers.get("content-encoding"), &headers["vary"]), (None, &"accept-encoding".parse().unwrap()));
}

#[tokio::test]
async fn a_user_and_whoever_reads_the_documentation_get_it_compressed() {
    let setup = setup();
    let accept = ("accept-encoding", "gzip");
    let metrics = setup.send("GET", "/metrics", &[accept, ("authorization", &setup.basic)], "").await;
    assert_eq!((metrics.status, metrics.header("content-encoding")), (200, "gzip"));
    for path in [DOCUMENT_PATH, "/api/docs/swagger-ui-bundle.js"] {
        let open = setup.send("GET", path, &[accept], "").await;
        assert_eq!(
            (open.status, open.header("content-encoding"), open.header("vary")),
            (200, "gzip", "accept-encoding"),
            "{path}"
        );
    }
    let metrics = axum::http::Request::get("/metrics").header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    let metrics = monitoring_router(setup.app.clone()).oneshot(metrics).await.unwrap();
    assert_eq!(metrics.headers()["content-encoding"], "gzip");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let setup = setup_with(config::Limits { request_timeout_s: 0, ..config::Limits::default() });
    let app = setup.app.clone();
    let routes = Router::new()
        .route("/", axum::routing::get(std::future::pending::<()>))
        .layer(from_fn_with_state(app.clone(), every_request))
        .with_state(app);
    assert_eq!(routes.oneshot(Request::new(Body::empty())).await.unwrap().status(), 408);
}

impl Setup {
    async fn sql(&self, text: &str, headers: &[(&str, &str)]) -> Answered {
        let is_typed = headers.iter().any(|(name, _)| *name == "content-type");
        let mut headers = [&[("authorization", self.basic.as_str())], headers].concat();
        if !is_typed {
            headers.push(("content-type", "application/sql"));
        }
        self.send("POST", "/api/v2/sql", &headers, text.to_owned()).await
    }
}

#[tokio::test]
async fn sql_is_answered_in_every_format() {
    let setup = setup();
    let text = "SELECT server_id, server, sample FROM servers ORDER BY server_id";
    let json = setup.sql(text, &[]).await;
    assert_eq!(
        (json.status, json.header("content-type"), json.header("vary")),
        (200, "application/json", "accept, accept-encoding")
    );
    assert_eq!(json.body, r#"[{"server_id":1,"server":"ns1","sample":false},{"server_id":2,"server":"ns2","sample":true}]"#);
    let csv = setup.sql(text, &[("accept", "text/csv")]).await;
    assert_eq!(csv.body, "server_id,server,sample\n1,ns1,false\n2,ns2,true\n");
    let none = setup.sql("SELECT server FROM servers WHERE server_id = 9", &[("accept", "text/csv")]).await;
    assert_eq!(none.body, "server\n");
    assert_eq!(setup.sql("SELECT server FROM servers WHERE server_id = 9", &[]).await.body, "[]");
    assert_eq!(setup.sql(text, &[("accept", "image/png")]).await.status, 406);
}

#[tokio::test]
async fn a_statement_may_come_by_itself_or_in_json() {
    let setup = setup();
    for media_type in ["application/sql", "Application/SQL; charset=utf-8"] {
        assert_eq!(setup.sql("SELECT 1 AS one", &[("content-type", media_type)]).await.body, r#"[{"one":1}]"#);
    }
    let json = [("content-type", "application/json")];
    assert_eq!(setup.sql(r#"{"sql": "SELECT 1 AS one"}"#, &json).await.body, r#"[{"one":1}]"#);
    for body in ["SELECT 1", r#"{"sql": 1}"#, r#"{"sql": "SELECT 1", "limit": 2}"#, "{}"] {
        let answered = setup.sql(body, &json).await;
        assert_eq!((answered.status, answered.problem()["parameter"].as_str()), (400, Some("sql")), "{body}");
    }
}

#[tokio::test]
async fn bodies_with_a_content_coding_are_refused_on_every_route() {
    let setup = setup();
    let coded =
        |coding| [("authorization", setup.basic.as_str()), ("content-type", "application/json"), ("content-encoding", coding)];
    for (path, item) in &document().paths.paths {
        let path = path.replace("{server_id}", "1").replace("{user}", "ann").replace("{token_id}", "1");
        for (method, has) in [("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch), ("DELETE", &item.delete)] {
            if has.is_some() {
                let refused = setup.send(method, &path, &coded("gzip"), "{}").await;
                assert_eq!(refused.status, 415, "{method} {path}");
                assert!(refused.problem()["detail"].as_str().unwrap().contains("Content-Encoding"), "{method} {path}");
            }
        }
    }
    let plain = setup.send("POST", "/api/v2/sql", &coded("identity"), r#"{"sql": "SELECT 1"}"#).await;
    assert_eq!(plain.status, 200);
}

/// What a page of another site can make a browser send without asking first.
#[tokio::test]
async fn types_that_a_foreign_page_can_send_are_refused_on_every_route_with_the_right_one() {
    let setup = setup();
    for media_type in ["application/x-www-form-urlencoded", "text/plain; charset=utf-8", "multipart/form-data; boundary=a", ""] {
        let refused = setup.sql("SELECT 1", &[("content-type", media_type)]).await;
        assert_eq!(refused.status, 415, "{media_type}");
        assert!(refused.problem()["detail"].as_str().unwrap().contains("application/sql"), "{media_type}");
    }
    let headers = [("authorization", setup.basic.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let paths = document().paths.paths;
    for (path, item) in &paths {
        let path = path.replace("{server_id}", "1").replace("{user}", "ann").replace("{token_id}", "1");
        for (method, has) in [("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch), ("DELETE", &item.delete)] {
            if has.is_some() {
                assert_eq!(setup.send(method, &path, &headers, "").await.status, 415, "{method} {path}");
            }
        }
    }
    let none = setup.send("POST", "/api/v2/sql", &headers[..1], "SELECT 1").await;
    assert_eq!(none.status, 415);
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_and_a_program_and_the_own_page_do() {
    let setup = setup();
    let call = async |headers: &[(&str, &str)]| {
        let own = [("authorization", setup.basic.as_str()), ("content-type", "application/sql"), ("host", "a.example:1")];
        setup.send("POST", "/api/v2/sql", &[&own[..], headers].concat(), "SELECT 1 AS one").await
    };
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        let refused = call(headers).await;
        assert_eq!((refused.status, refused.problem()["type"].as_str()), (403, Some("urn:zonepulse:problem:cross-site")));
    }
    for headers in [&[][..], &[("sec-fetch-site", "same-origin"), ("origin", "http://a.example:1")]] {
        assert_eq!(call(headers).await.status, 200, "{headers:?}");
    }
    let reads = [("authorization", setup.basic.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(setup.send("GET", "/api/v2/servers", &reads, "").await.status, 200, "a link from elsewhere");
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_may_do() {
    let setup = setup();
    for path in READING.iter().chain(OPEN).chain(&["/none", "/api/docs/swagger-ui-bundle.js"]) {
        for answered in [setup.send("GET", path, &[], "").await, setup.get(path).await] {
            let policy = answered.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
            assert!(!policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!((answered.header("x-content-type-options"), answered.header("x-frame-options")), ("nosniff", "DENY"));
        }
    }
}

/// The policy of the page that tries calls lets nothing run that stands in the document itself.
#[tokio::test]
async fn the_page_that_tries_calls_has_nothing_inline() {
    let page = setup().send("GET", "/api/docs/", &[], "").await;
    assert!(page.header("content-security-policy").contains("script-src 'self'; style-src 'self'"));
    assert!(page.body.contains("<script src=") && !page.body.contains("<style") && !page.body.contains("style="));
    assert!(page.body.split("<script").skip(1).all(|rest| rest.starts_with(" src=\"./")), "{}", page.body);
}

#[tokio::test]
async fn a_target_that_is_too_long_is_a_problem() {
    let setup = setup();
    let answered = setup.get(&format!("/api/v2/servers?a={}", "x".repeat(20_000))).await;
    assert_eq!((answered.status, answered.problem()["type"].as_str()), (414, Some("urn:zonepulse:problem:target-too-long")));
}

#[tokio::test]
async fn what_is_wrong_with_a_statement_is_a_problem_that_says_where() {
    setup().sql("SELECT hots FROM\n dns_raw", &[]).await.expect_problem(expect![[r#"
        {
          "detail": "sql: Schema error: No field named hots. Did you mean 'dns_raw.hits'? at Line: 1, Column: 8",
          "parameter": "sql",
          "status": 400,
          "title": "A parameter is not valid",
          "type": "urn:zonepulse:problem:bad-parameter"
        }"#]]);
    setup().sql("DROP TABLE dns_raw", &[]).await.expect_problem(expect![[r#"
        {
          "detail": "sql: DROP TABLE is refused: only what reads is answered: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE, SHOW TABLES, SHOW COLUMNS",
          "parameter": "sql",
          "status": 400,
          "title": "A parameter is not valid",
          "type": "urn:zonepulse:problem:bad-parameter"
        }"#]]);
    setup().sql("SELECT a.server, b.server FROM servers a, servers b", &[]).await.expect_problem(expect![[r#"
        {
          "detail": "sql: two columns are called \"server\": give one of them another name with AS, or ask for CSV",
          "parameter": "sql",
          "status": 400,
          "title": "A parameter is not valid",
          "type": "urn:zonepulse:problem:bad-parameter"
        }"#]]);
    let csv = setup().sql("SELECT make_array(1, 2) AS list", &[("accept", "text/csv")]).await;
    csv.expect_problem(expect![[r#"
        {
          "detail": "sql: Error during planning: Invalid function 'make_array'. at Line: 1, Column: 8",
          "parameter": "sql",
          "status": 400,
          "title": "A parameter is not valid",
          "type": "urn:zonepulse:problem:bad-parameter"
        }"#]]);
    let long = "x".repeat(1 << 20);
    assert_eq!(setup().sql(&long, &[]).await.status, 413);
}

#[tokio::test]
async fn times_of_sql_are_readable_whatever_their_unit() {
    let answered = setup()
        .sql("SELECT to_timestamp(1.5) AS a, arrow_cast(to_timestamp(1.5), 'Timestamp(Second, Some(\"+00:00\"))') AS b", &[])
        .await;
    assert_eq!(answered.body, r#"[{"a":"1970-01-01T00:00:01.500","b":"1970-01-01T00:00:01Z"}]"#);
}

#[tokio::test]
async fn what_is_missing_makes_it_unready_and_not_dead() {
    let full = zonepulse_store::Options { min_free_bytes: u64::MAX, ..Default::default() };
    let setup = setup_on(full, config::Limits::default());
    let answered = setup.send("GET", "/readyz", &[], "").await;
    assert_eq!((answered.status, answered.header("retry-after")), (503, "5"));
    let problem = answered.problem();
    assert_eq!(problem["type"], "urn:zonepulse:problem:not-ready");
    let detail = problem["detail"].as_str().unwrap();
    let path = setup.app.central().store().path().display().to_string();
    for part in [" bytes are free on the disk of ", &path, &format!("{} are needed ([store] min_free_bytes)", u64::MAX)] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert_eq!(problem["reasons"], serde_json::json!([detail]), "one by one, for programs");
    assert_eq!(setup.send("GET", "/healthz", &[], "").await.status, 200);
}

#[tokio::test]
async fn what_is_refused_is_in_the_metrics() {
    let setup = setup();
    assert_eq!(setup.send("GET", "/metrics", &[("authorization", "Bearer revoked")], "").await.status, 401);
    let of_batch = [("authorization", setup.bearer.as_str()), ("content-type", zonepulse_wire::MEDIA_TYPE)];
    assert_eq!(setup.send("POST", paths::BATCHES, &of_batch, "no batch").await.status, 400);
    let text = setup.get("/metrics").await.body;
    for line in [
        "zonepulse_http_requests_unauthenticated_total 1",
        "zonepulse_http_requests_wrong_credentials_total 1",
        "zonepulse_server_batches_refused_total{server=\"1\"} 1",
        "zonepulse_server_batches_refused_total{server=\"2\"} 0",
        "zonepulse_server_batches_evicted_total{server=\"1\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    }
}
