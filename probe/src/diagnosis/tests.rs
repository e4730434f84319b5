//! Runs against a small test central.

use super::*;
use crate::config::{Components, Monitoring};
use crate::spool;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, Uri};
use axum::routing::post;
use std::sync::Mutex;
use tempfile::TempDir;
use zonepulse_net::Trust;
use zonepulse_private::Secret;

/// A diagnostician for a probe whose configuration is missing, which therefore is done at once.
pub(crate) fn diagnostician(
    dir: &TempDir,
    spool: &Arc<Spool>,
    status: &Arc<Status>,
    reporter: &Arc<Reporter>,
) -> Arc<Diagnostician> {
    let central =
        deliver::http::Settings { url: "http://127.0.0.1:9".into(), token: Secret::new("hush-hush-1"), trust: Trust::System };
    let in_force = InForce {
        version: None,
        monitoring: Monitoring { dns: true, dns_interval_s: 60, dns_served: true, system: true, system_interval_s: 5 },
        delivery: deliver::Settings::Http(central.clone()),
        heartbeat: vec![central],
        pull: None,
        refused: None,
        moved_to: None,
        overridden: Vec::new(),
    };
    let sources = Sources {
        status: status.clone(),
        spool: spool.clone(),
        counts: Arc::default(),
        reporter: reporter.clone(),
        in_force: watch::Sender::new(in_force).subscribe(),
    };
    Diagnostician::new(Origin { config: dir.path().join("probe.toml"), arguments: Vec::new() }, sources)
}

fn made() -> (TempDir, Arc<Diagnostician>) {
    let dir = TempDir::new().unwrap();
    let settings = spool::Settings {
        dir: dir.path().into(),
        max_bytes: spool::MIN_BYTES,
        min_free_bytes: 0,
        max_refused_bytes: 0,
        max_delivered_bytes: 0,
    };
    let spool = Arc::new(Spool::open(settings).unwrap());
    let status = Arc::new(Status::new(9));
    let components = Components { ask_dns_version: false, ..Default::default() };
    let reporter = Arc::new(Reporter::new(components, spool.clone(), status.clone()));
    let diagnostician = diagnostician(&dir, &spool, &status, &reporter);
    (dir, diagnostician)
}

type Posted = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A central that answers with these statuses, the last one from then on; returns its URL and what was posted.
async fn central(statuses: &'static [u16]) -> (String, Posted) {
    let posted = Posted::default();
    let receive = move |Shared(posted): Shared<Posted>, uri: Uri, body: Bytes| async move {
        let mut posted = posted.lock().unwrap();
        posted.push((uri.query().unwrap_or_default().to_owned(), body.to_vec()));
        StatusCode::from_u16(*statuses.get(posted.len() - 1).or(statuses.last()).unwrap()).unwrap()
    };
    let app = Router::new().route(DIAGNOSTICS_PATH, post(receive)).with_state(posted.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, posted)
}

async fn followed(statuses: &'static [u16], runs: &[u64]) -> Vec<(String, Vec<u8>)> {
    let (_dir, diagnostician) = made();
    let (url, posted) = central(statuses).await;
    let (order, orders) = mpsc::channel(8);
    for run in runs {
        let central = deliver::http::Settings { url: url.clone(), token: Secret::new("t"), trust: Trust::System };
        order.send(Order { run: *run, central }).await.unwrap();
    }
    drop(order);
    run(diagnostician, orders).await;
    posted.lock().unwrap().clone()
}

#[tokio::test]
async fn the_result_of_an_order_is_posted_once() {
    let posted = followed(&[204], &[5, 5, 6]).await;
    let queries: Vec<&str> = posted.iter().map(|(query, _)| query.as_str()).collect();
    assert_eq!(queries, ["run=5", "run=6"]);
    let bundle = Bundle::decode(&posted[0].1).unwrap();
    assert!(
        bundle.report.checks.iter().any(|check| check.is(doctor::Subject::Configuration) && check.found.contains("No such file"))
    );
    let names: Vec<&str> = bundle.files.iter().map(|file| file.name.as_str()).collect();
    let expected = [
        "configuration.toml",
        "settings.json",
        "heartbeat.json",
        "versions.json",
        "metrics.txt",
        "spool.txt",
        "machine.txt",
        "log.txt",
    ];
    assert_eq!(names, expected);
    assert!(bundle.files.iter().all(|file| !file.text.contains("hush-hush")));
}

#[tokio::test]
async fn a_result_that_nobody_waits_for_is_dropped() {
    assert_eq!(followed(&[409], &[5, 5]).await.len(), 1);
}

#[tokio::test]
async fn a_result_that_is_not_received_is_posted_again() {
    assert_eq!(followed(&[503, 204], &[5]).await.len(), 2);
}

#[tokio::test]
async fn one_run_is_under_way_at_a_time() {
    let (_dir, diagnostician) = made();
    diagnostician.state.send_replace(State::Running);
    assert_eq!(diagnostician.result(5, Duration::from_millis(50)).await, None);
    diagnostician.state.send_replace(State::Done(4, Bytes::from_static(b"four")));
    assert_eq!(diagnostician.result(4, Duration::ZERO).await, Some(Bytes::from_static(b"four")));
    let five = diagnostician.result(5, LONGEST_RUN).await.unwrap();
    assert_eq!(diagnostician.result(5, Duration::ZERO).await, Some(five));
}
