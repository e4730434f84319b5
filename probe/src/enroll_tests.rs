//! Enrolment at a small central of our own.

use super::*;
use crate::config::Config;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use zonepulse_wire::ProbeSettings;

/// A central whose token is good for once; ends with the test's process.
fn central(communication: Communication) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let spent = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let respond = move |headers: HeaderMap, Json(request): Json<EnrollmentRequest>| async move {
                let problem = |detail: &str| Err((StatusCode::UNAUTHORIZED, format!(r#"{{"title":"No","detail":"{detail}"}}"#)));
                if headers["authorization"] != "Bearer once" {
                    return problem("unknown token");
                }
                if spent.swap(true, std::sync::atomic::Ordering::Relaxed) {
                    return problem("spent");
                }
                assert!(!request.hostname.is_empty() && request.probe_version == env!("CARGO_PKG_VERSION"));
                let settings = ProbeSettings { communication, ..ProbeSettings::default() };
                let (token, pull_token) = ("server-token".into(), "pull-token".into());
                let enrollment =
                    Enrollment { server_id: 7, server: "ns\n1".into(), token, settings_version: 1, settings, pull_token };
                Ok((StatusCode::CREATED, Json(enrollment)))
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            axum::serve(listener, Router::new().route(PATH, post(respond))).await.unwrap();
        });
    });
    told.recv().unwrap()
}

fn order(dir: &TempDir, url: &str, token: &str) -> Order {
    let config = dir.path().join("etc/probe.toml");
    let spool = Some(dir.path().join("spool"));
    Order { url: url.into(), token: Secret::new(token), config, ca_file: None, spool, force: false }
}

fn files(dir: &TempDir) -> Vec<String> {
    let names = fs::read_dir(dir.path().join("etc")).into_iter().flatten().flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_enrolled_probe_has_all_that_it_needs() {
    let dir = TempDir::new().unwrap();
    let order = order(&dir, &central(Communication::Http), "once");
    let outcome = enroll(&order).unwrap();
    assert_eq!((outcome.server_id, outcome.server.as_str()), (7, "ns\n1"));
    assert_eq!(files(&dir), ["probe.toml", "pull-token", "token"]);
    for file in &outcome.files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let config = Config::load(&order.config, &[]).unwrap();
    assert_eq!((config.server_id, config.spool.dir.clone()), (7, order.spool.clone().unwrap()));
    let central = config.central().unwrap().unwrap();
    assert_eq!((central.url, central.token.expose()), (order.url.clone(), "server-token"));
    assert_eq!(config.pull(None).unwrap().token.expose(), "pull-token");
    let commented = |text: &str| text.lines().filter(|line| line.starts_with("# ")).count();
    assert!(commented(&fs::read_to_string(&order.config).unwrap()) > commented(TEMPLATE) - 5);
}

#[test]
fn a_probe_that_is_to_be_pulled_listens_at_once() {
    let dir = TempDir::new().unwrap();
    let order = order(&dir, &central(Communication::Pull), "once");
    enroll(&order).unwrap();
    let config = Config::load(&order.config, &[]).unwrap();
    assert_eq!(config.delivery().unwrap(), crate::deliver::Settings::Pull);
}

#[test]
fn another_enrolment_is_not_overwritten_unless_asked_for() {
    let dir = TempDir::new().unwrap();
    let url = central(Communication::Http);
    let mut order = order(&dir, &url, "once");
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(&order.config, "mine").unwrap();
    assert!(enroll(&order).unwrap_err().to_string().contains("--force"));
    assert_eq!(fs::read_to_string(&order.config).unwrap(), "mine");
    order.force = true;
    enroll(&order).unwrap();
    assert_ne!(fs::read_to_string(&order.config).unwrap(), "mine");
}

#[test]
fn what_goes_wrong_is_named_and_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let url = central(Communication::Http);
    let said = |url: &str, token: &str| enroll(&order(&dir, url, token)).unwrap_err().to_string();
    let text = said(&url, "wrong");
    assert!(text.contains("refuses the enrolment token") && text.contains("unknown token"), "{text}");
    let text = said("http://127.0.0.1:1", "once");
    assert!(text.contains("http://127.0.0.1:1 does not answer") && text.contains("Connection refused"), "{text}");
    let text = said(&format!("{url}/elsewhere"), "once");
    assert!(text.contains("does not enrol probes") && text.contains("404"), "{text}");
    assert!(said("pigeon", "once").contains("is no URL"));
    assert_eq!(files(&dir), [""; 0]);
    enroll(&order(&dir, &url, "once")).unwrap();
    fs::remove_file(dir.path().join("etc/probe.toml")).unwrap();
    let text = said(&url, "once");
    assert!(text.contains("etc/token exists already") && text.contains("--force"), "{text}");
    let again = Order { force: true, ..order(&dir, &url, "once") };
    assert!(enroll(&again).unwrap_err().to_string().contains("spent"));
}

#[test]
fn where_nothing_can_be_written_the_token_is_not_spent() {
    let dir = TempDir::new().unwrap();
    let url = central(Communication::Http);
    fs::write(dir.path().join("file"), "").unwrap();
    let nowhere = Order { config: dir.path().join("file/probe.toml"), ..order(&dir, &url, "once") };
    assert!(matches!(enroll(&nowhere), Err(Refusal::Here(Error::Disk { .. }))));
    assert!(enroll(&order(&dir, &url, "once")).is_ok());
}

#[test]
fn a_central_that_nobody_vouches_for_is_told_no_token() {
    let dir = TempDir::new().unwrap();
    let certified = crate::deliver::tls_tests::certify(dir.path(), "central");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = format!("https://{}", runtime.block_on(crate::deliver::tls_tests::serve(&certified)));
    let order = order(&dir, &url, "once");
    let refusal = enroll(&order).unwrap_err();
    assert!(matches!(refusal, Refusal::Untrusted { .. }) && refusal.to_string().contains("--ca-file"), "{refusal}");
    // Trusted it is asked, and answers what no central does.
    let refusal = enroll(&Order { ca_file: Some(certified.ca.clone()), ..order }).unwrap_err();
    assert!(matches!(refusal, Refusal::NotACentral { .. }) && refusal.to_string().contains("204"), "{refusal}");
}

#[test]
fn a_relative_spool_is_stored_as_an_absolute_one() {
    let dir = TempDir::new().unwrap();
    let order = Order { spool: Some("p1/spool".into()), ..order(&dir, &central(Communication::Http), "once") };
    enroll(&order).unwrap();
    let config = Config::load(&order.config, &[]).unwrap();
    assert_eq!(config.spool.dir, std::env::current_dir().unwrap().join("p1/spool"));
}
