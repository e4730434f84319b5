//! Judgements on made-up answers.

use super::*;
use crate::doctor::configuration::load;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zonepulse_doctor::Status;

fn known(url: &str) -> Known {
    let dir = tempfile::TempDir::new().unwrap();
    let (path, spool) = (dir.path().join("probe.toml"), dir.path().join("spool"));
    let text = format!("server_id = 7\n[deliver.http]\nurl = \"{url}\"\ntoken = \"hush-hush\"\n[spool]\ndir = {spool:?}\n");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    load(&path, &[]).1.unwrap()
}

#[test]
fn only_a_server_s_token_is_accepted() {
    let known = known("https://central.example");
    let judged = |status: u16, kind: &str, owner| judge_token(StatusCode::from_u16(status).unwrap(), kind, "said", owner, &known);
    let bad = "urn:zonepulse:problem:bad-parameter";
    for (status, kind, header, expected, owner) in [
        (400, bad, None, Status::Ok, Owner::Unsaid),
        (400, bad, Some(7), Status::Ok, Owner::Server(7)),
        (415, bad, None, Status::Ok, Owner::Unsaid),
        (400, "", None, Status::Skipped, Owner::Unknown),
        (401, "urn:zonepulse:problem:unauthorized", None, Status::Error, Owner::Unknown),
        (403, "urn:zonepulse:problem:not-allowed", None, Status::Error, Owner::Unknown),
        (403, "", None, Status::Skipped, Owner::Unknown),
        (429, bad, None, Status::Skipped, Owner::Unknown),
        (200, "", None, Status::Skipped, Owner::Unknown),
        (502, "", None, Status::Skipped, Owner::Unknown),
    ] {
        let (check, found) = judged(status, kind, header);
        assert_eq!((check.status, found), (expected, owner), "{status} {kind}");
    }
    let (check, _) = judged(401, "", None);
    assert!(check.advice.unwrap().contains("zonepulse-probe enroll https://central.example --force"));
}

#[test]
fn versions_are_compared_by_number() {
    let judged = |ours, theirs| judge_version(ours, theirs);
    assert_eq!(judged("0.1.0", "0.1.0").status, Status::Ok);
    assert_eq!(judged("0.9.0", "0.10.0").advice.unwrap(), "update the probe");
    assert!(judged("1.0.0", "0.10.0").advice.unwrap().starts_with("update the central first"));
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning() {
    let shaken = |until_s| Shaken { until_s, last: None };
    let judged = |until_s, trust: &Trust| judge_certificate(&shaken(until_s), trust, 1000).status;
    assert_eq!(judged(Some(1000 + RENEW_S), &Trust::System), Status::Ok);
    assert_eq!(judged(Some(999 + RENEW_S), &Trust::System), Status::Warning);
    assert_eq!(judged(None, &Trust::System), Status::Ok);
    assert_eq!(judged(None, &Trust::Anybody), Status::Warning);
}

/// Answers every request alike, and closes the connection.
async fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn status_of(findings: &Findings, subject: Subject) -> Status {
    findings.checks.iter().find(|check| check.is(subject)).unwrap().status
}

#[tokio::test]
async fn what_is_not_a_central_is_told_apart() {
    zonepulse_net::tls::install_provider();
    let address = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
    let findings = check(&known(&format!("http://{address}"))).await;
    assert_eq!(status_of(&findings, Subject::Connection), Status::Ok);
    assert_eq!(status_of(&findings, Subject::Central), Status::Error);
    assert_eq!(status_of(&findings, Subject::Token), Status::Skipped);
}

#[tokio::test]
async fn plain_http_at_a_secure_url_is_named() {
    zonepulse_net::tls::install_provider();
    let address = answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let findings = check(&known(&format!("https://{address}"))).await;
    let check = findings.checks.iter().find(|check| check.is(Subject::Tls)).unwrap();
    assert!(check.status == Status::Error && check.found.contains("answers HTTP without TLS"), "{check:?}");
    assert_eq!(status_of(&findings, Subject::Token), Status::Skipped);
}

#[tokio::test]
async fn nothing_is_sent_where_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let findings = check(&known(&format!("http://{address}"))).await;
    assert_eq!(status_of(&findings, Subject::Connection), Status::Error);
    let skipped = findings.checks.iter().filter(|check| check.status == Status::Skipped).count();
    let all = Subject::needing(Needs::Central).count();
    assert_eq!((skipped, findings.checks.len()), (all - 2, all));
}
