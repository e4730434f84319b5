//! What requests leave behind: numbers and lines.

use super::*;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_what_callers_make_up() {
    let setup = setup();
    setup.get("/api/v2/servers").await;
    setup.get("/api/v2/monitoring/dns/raw?limit=-1").await;
    setup.send("BREW", "/no/such/path", &[], "").await;
    let text = setup.get("/metrics").await.body;
    for line in [
        r#"zonepulse_http_requests_total{method="GET",route="/api/v2/servers",status="200"} 1"#,
        r#"zonepulse_http_requests_total{method="GET",route="/api/v2/monitoring/dns/raw",status="400"} 1"#,
        r#"zonepulse_http_requests_total{method="other",route="none",status="404"} 1"#,
        r#"zonepulse_http_request_duration_seconds_count{route="/api/v2/servers"} 1"#,
        "zonepulse_http_requests_running 1",
        r#"zonepulse_queries_limit{kind="sql"} 4"#,
        "zonepulse_committer_running 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    assert!(!text.contains("BREW") && !text.contains("/no/such"), "{text}");
}

#[tokio::test]
async fn what_each_server_has_of_what_all_share_is_told_and_what_it_was_refused() {
    let setup = setup_on(zonepulse_store::Options { max_records: 100, ..Default::default() }, config::Limits::default());
    let store = setup.app.central().store();
    let names: Vec<String> = (0..90).map(|number| format!("x{number}.example.")).collect();
    let mut write = store.begin();
    let ids = write
        .record_ids(zonepulse_model::ServerId::new(1), names.iter().map(|name| (name.as_str(), zonepulse_dns::RecordType::A)));
    let row = |record_id| zonepulse_store::IntakeRow {
        record_id,
        kind: zonepulse_dns::MessageKind::REQUEST,
        hits: 1,
        first_ms: 0,
        last_ms: 0,
    };
    write
        .add(zonepulse_store::Intake {
            identity: zonepulse_model::Identity { server_id: zonepulse_model::ServerId::new(1), epoch: 1, seq: 0 },
            start_s: 0,
            interval_s: 60,
            covered_from_ms: 0,
            covered_until_ms: 60_000,
            counters: Vec::new(),
            loss: Default::default(),
            evicted: None,
            rows: ids.into_iter().map(row).collect(),
        })
        .unwrap();
    write.commit().unwrap();
    let (share, idle) = (store.names_of(zonepulse_model::ServerId::new(1)), store.names_of(zonepulse_model::ServerId::new(2)));
    assert!(share.refused > 0 && share.owned + share.refused == 90, "{share:?}");
    let text = setup.get("/metrics").await.body;
    for line in [
        format!(r#"zonepulse_server_names{{server="1"}} {}"#, share.owned),
        format!(r#"zonepulse_server_names_limit{{server="2"}} {}"#, idle.limit),
        format!(r#"zonepulse_server_names_folded_total{{server="1"}} {}"#, share.refused),
        r#"zonepulse_server_names_folded_total{server="2"} 0"#.to_owned(),
        format!(r#"zonepulse_server_totals{{server="1"}} {}"#, share.owned + 1),
        r#"zonepulse_server_points_folded_total{server="1"} 0"#.to_owned(),
        r#"zonepulse_server_series_points_refused_total{server="1"} 0"#.to_owned(),
        r#"zonepulse_server_waiting_batches{server="1"} 0"#.to_owned(),
        r#"zonepulse_server_batches_postponed_total{server="2"} 0"#.to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    assert!(!text.contains(r#"server="3""#), "{text}");
}

#[tokio::test]
async fn a_request_leaves_a_line_without_parameters_and_credentials() {
    let setup = setup();
    let log = Log::default();
    let written = log.clone();
    // With one subscriber alone, tracing remembers of a line that another test comes to first that nobody wants it.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || written.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    setup.get("/api/v2/monitoring/dns/raw?host=private.example").await;
    setup.send("GET", "/api/v2/servers", &[("authorization", "Bearer wrong")], "").await;
    setup.get("/healthz").await;
    setup.app.log_requests(false);
    setup.get("/api/v2/servers").await;
    let text = log.text();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Beside warnings, which are not of requests.
    let requests: Vec<_> = lines.iter().filter(|line| line["target"] == "zonepulse_api::http::door::access").collect();
    let [first, second] = &requests[..] else { panic!("{text}") };
    let fields = &first["fields"];
    for (field, expected) in [
        ("method", json!("GET")),
        ("route", json!("/api/v2/monitoring/dns/raw")),
        ("status", json!(200)),
        ("bytes", json!(2)),
        ("whole", json!(true)),
        ("user", json!("ann")),
        ("peer", json!("127.0.0.1:1")),
    ] {
        assert_eq!(fields[field], expected, "{field} of {first}");
    }
    assert_eq!((&second["fields"]["status"], &second["fields"]["user"]), (&json!(401), &json!("-")));
    let secret = setup.basic.strip_prefix("Basic ").unwrap();
    assert!(!text.contains("private") && !text.contains(secret) && !text.contains("wrong"), "{text}");
}

/// What is logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
