//! Heartbeats against a small test central.

use super::*;
use crate::settings::Kept;
use crate::spool;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use tempfile::TempDir;
use zonepulse_model::Communication;
use zonepulse_net::Trust;
use zonepulse_private::Secret;
use zonepulse_wire::{ProbeSettings, State};

type Heard = Arc<Mutex<Vec<Heartbeat>>>;

/// A central that answers with these settings; returns its URL and the heartbeats it receives.
async fn central(answer: ProbeSettings) -> (String, Heard) {
    let heard = Heard::default();
    let respond = |Shared((heard, answer)): Shared<(Heard, ProbeSettings)>,
                   headers: HeaderMap,
                   Json(heartbeat): Json<Heartbeat>| async move {
        if headers.get("authorization").is_none_or(|token| token != "Bearer t") {
            return Err((StatusCode::UNAUTHORIZED, "who are you?"));
        }
        let received_at_ms = heartbeat.sent_at_ms + 5000;
        lock(&heard).push(heartbeat);
        Ok(Json(HeartbeatAnswer { received_at_ms, settings_version: 4, settings: answer, diagnose: None, resend: None }))
    };
    let app = Router::new().route(PATH, post(respond)).with_state((heard.clone(), answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, heard)
}

fn in_force(urls: &[&str], token: &str) -> InForce {
    let way = |url: &&str| deliver::http::Settings { url: (*url).into(), token: Secret::new(token), trust: Trust::System };
    let heartbeat: Vec<_> = urls.iter().map(way).collect();
    let monitoring = config::Monitoring { dns: true, dns_interval_s: 60, dns_served: false, system: true, system_interval_s: 5 };
    let delivery = deliver::Settings::Http(heartbeat[0].clone());
    InForce { version: None, monitoring, delivery, heartbeat, pull: None, refused: None, moved_to: None, overridden: Vec::new() }
}

fn reporter(dir: &TempDir) -> Arc<Reporter> {
    let settings = spool::Settings {
        dir: dir.path().to_owned(),
        max_bytes: spool::MIN_BYTES,
        min_free_bytes: 0,
        max_refused_bytes: 1 << 20,
        max_delivered_bytes: 0,
    };
    let status = Arc::new(Status::new(77));
    status.capture_stopped("no such device");
    let components = config::Components { ask_dns_version: false, ..Default::default() };
    Arc::new(Reporter::new(components, Arc::new(Spool::open(settings).unwrap()), status))
}

/// Sends heartbeats to these addresses until settings arrive, or for a while.
async fn first_told(reporter: &Arc<Reporter>, in_force: InForce) -> Option<Told> {
    let (tell, mut told) = mpsc::channel(4);
    let (_keep, in_force) = watch::channel(in_force);
    tokio::select! {
        () = run(reporter.clone(), in_force, tell, mpsc::channel(1).0) => None,
        told = told.recv() => told,
        () = tokio::time::sleep(Duration::from_secs(8)) => None,
    }
}

#[tokio::test]
async fn a_heartbeat_reports_problems_and_brings_settings() {
    let dir = TempDir::new().unwrap();
    let reporter = reporter(&dir);
    let settings = ProbeSettings { communication: Communication::Pull, ..ProbeSettings::default() };
    let (url, heard) = central(settings.clone()).await;
    let told = first_told(&reporter, in_force(&[&url], "t")).await.unwrap();
    assert_eq!(Kept::of(7, told.answer), Kept { server_id: 7, version: 4, settings });
    let heard = lock(&heard).clone();
    let heartbeat = &heard[0];
    assert_eq!((heartbeat.epoch, heartbeat.settings_version, heartbeat.spool.batches), (77, None, 0));
    assert_eq!(heartbeat.capture.state, State::Stopped);
    assert_eq!(heartbeat.capture.detail.as_deref(), Some("no such device"));
    assert_eq!(heartbeat.components.monitor.as_ref().unwrap().version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert!(!heartbeat.hostname.is_empty() && !heartbeat.os.is_empty());
    assert!(heartbeat.sent_at_ms.abs_diff(now_ms()) < 10_000);
    let ahead_ms = reporter.status.clock_ahead_ms().unwrap();
    assert!((4000..=5000).contains(&ahead_ms), "{ahead_ms}");
}

#[tokio::test]
async fn a_heartbeat_reports_which_settings_are_not_applied() {
    let dir = TempDir::new().unwrap();
    let reporter = reporter(&dir);
    assert_eq!(reporter.heartbeat().await.settings_refused, None);
    reporter.status.set_settings_refused(Some("api_url: no".into()));
    assert_eq!(reporter.heartbeat().await.settings_refused.as_deref(), Some("api_url: no"));
    reporter.status.set_settings_refused(Some("é".repeat(2000)));
    assert!(reporter.heartbeat().await.settings_refused.unwrap().len() <= 1024, "longer than the central accepts");
}

#[tokio::test]
async fn if_one_address_fails_the_other_is_used() {
    let dir = TempDir::new().unwrap();
    let reporter = reporter(&dir);
    let (url, heard) = central(ProbeSettings::default()).await;
    assert!(first_told(&reporter, in_force(&["http://127.0.0.1:1", &url], "t")).await.is_some());
    assert_eq!(lock(&heard).len(), 1);
}

#[tokio::test]
async fn a_refused_heartbeat_is_counted_and_brings_nothing() {
    let dir = TempDir::new().unwrap();
    let reporter = reporter(&dir);
    let (url, heard) = central(ProbeSettings::default()).await;
    let wrong = in_force(&[&url], "wrong");
    let told = tokio::time::timeout(Duration::from_secs(2), first_told(&reporter, wrong)).await;
    assert!(told.is_err() && lock(&heard).is_empty());
    assert_eq!(reporter.status.counts.heartbeats_failed.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_token_is_refused_from_a_401_until_a_heartbeat_is_accepted() {
    let dir = TempDir::new().unwrap();
    let reporter = reporter(&dir);
    let (url, _) = central(ProbeSettings::default()).await;
    let refused_after = async |url: &str, token: &str| {
        let _ = tokio::time::timeout(Duration::from_secs(2), first_told(&reporter, in_force(&[url], token))).await;
        reporter.status.refused_token().borrow().clone().map(|token| token.reveal().to_owned())
    };
    let nobody = "http://127.0.0.1:1";
    assert_eq!(refused_after(nobody, "old").await, None, "no central has rejected it");
    assert_eq!(refused_after(&url, "old").await.as_deref(), Some("old"));
    assert_eq!(refused_after(nobody, "old").await.as_deref(), Some("old"), "no central has accepted it since");
    assert_eq!(refused_after(&url, "t").await, None);
}
