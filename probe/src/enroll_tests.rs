//! Enrolment at a small test central.

use super::*;
use crate::config::Config;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use zonepulse_net::tls::Certificate;
use zonepulse_wire::ProbeSettings;

/// A central whose enrolment token can be used once; ends with the test's process.
fn central(communication: Communication) -> String {
    central_with(communication, None)
}

/// The same with a certificate.
fn central_with(communication: Communication, certified: Option<Certificate>) -> String {
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
                // As the central does: nobody pulls with a token that nobody needs.
                let pull_token = (communication == Communication::Pull).then(|| "pull-token".into());
                let token = "server-token".into();
                let enrollment = Enrollment {
                    server_id: zonepulse_model::ServerId::new(7),
                    server: "ns\n1".into(),
                    token,
                    settings_version: 1,
                    settings,
                    pull_token,
                };
                Ok((StatusCode::CREATED, Json(enrollment)))
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let router = Router::new().route(PATH, post(respond));
            let Some(certified) = certified else {
                tell.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
                return axum::serve(listener, router).await.unwrap();
            };
            let server = crate::serve::Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            tell.send(format!("https://{}", server.address().unwrap())).unwrap();
            let status = std::sync::Arc::new(crate::status::Status::new(1));
            let _server = server.start(router, Some(certified), 8, status).unwrap();
            std::future::pending().await
        });
    });
    told.recv().unwrap()
}

fn order(dir: &TempDir, url: &str, token: &str) -> Order {
    let config = dir.path().join("etc/probe.toml");
    let spool = Some(dir.path().join("spool"));
    Order { url: url.into(), token: Secret::new(token), config, ca_file: None, ca_sha256: None, spool, force: false }
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
    assert_eq!((outcome.server_id, outcome.server.as_str(), outcome.is_renewed), (7, "ns\n1", false));
    assert_eq!(files(&dir), ["probe.toml", "token"]);
    for file in &outcome.files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let config = Config::load(&order.config, &[]).unwrap();
    assert_eq!((config.server_id, config.spool.dir.clone()), (7, order.spool.clone().unwrap()));
    let central = config.central().unwrap().unwrap();
    assert_eq!((central.url, central.token.reveal()), (order.url.clone(), "server-token"));
    assert_eq!(config.pull.token_file, None, "a pull token was written");
    // The central may switch to pull later, and then issues the token.
    assert_eq!(config.pull(Some(&Secret::new("later"))).unwrap().listen.to_string(), PULL_LISTEN);
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
    assert_eq!(files(&dir), ["probe.toml", "pull-token", "token"]);
    let pull = config.pull(None).unwrap();
    assert_eq!((pull.listen.to_string().as_str(), pull.token.reveal()), (PULL_LISTEN, "pull-token"));
}

#[test]
fn another_enrolment_is_not_overwritten_unless_asked_for() {
    let dir = TempDir::new().unwrap();
    let url = central(Communication::Http);
    let mut order = order(&dir, &url, "once");
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(&order.config, "server_id = 3").unwrap();
    assert!(enroll(&order).unwrap_err().to_string().contains("--force"));
    assert_eq!(fs::read_to_string(&order.config).unwrap(), "server_id = 3");
    order.force = true;
    assert!(enroll(&order).unwrap().is_renewed);
    assert_eq!(Config::load(&order.config, &[]).unwrap().server_id, 7);
}

#[test]
fn force_works_on_a_machine_that_is_not_enrolled() {
    let dir = TempDir::new().unwrap();
    let order = Order { force: true, ..order(&dir, &central(Communication::Http), "once") };
    enroll(&order).unwrap();
    assert_eq!(Config::load(&order.config, &[]).unwrap().server_id, 7);
}

#[test]
fn failures_are_named_and_leave_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let url = central(Communication::Http);
    let said = |url: &str, token: &str| enroll(&order(&dir, url, token)).unwrap_err().to_string();
    let text = said(&url, "wrong");
    assert!(text.contains("rejects the enrolment token") && text.contains("unknown token"), "{text}");
    let text = said("http://127.0.0.1:1", "once");
    assert!(text.contains("http://127.0.0.1:1 does not answer") && text.contains("Connection refused"), "{text}");
    let text = said(&format!("{url}/elsewhere"), "once");
    assert!(text.contains("does not enrol probes") && text.contains("404"), "{text}");
    assert!(said("pigeon", "once").contains("is not a valid URL"));
    assert_eq!(files(&dir), [""; 0]);
    enroll(&order(&dir, &url, "once")).unwrap();
    fs::remove_file(dir.path().join("etc/probe.toml")).unwrap();
    let text = said(&url, "once");
    assert!(text.contains("etc/token exists already") && text.contains("--force"), "{text}");
    let again = Order { force: true, ..order(&dir, &url, "once") };
    assert!(enroll(&again).unwrap_err().to_string().contains("spent"));
}

#[test]
fn if_nothing_can_be_written_the_token_is_not_used_up() {
    let dir = TempDir::new().unwrap();
    let url = central(Communication::Http);
    fs::write(dir.path().join("file"), "").unwrap();
    let nowhere = Order { config: dir.path().join("file/probe.toml"), ..order(&dir, &url, "once") };
    assert!(matches!(enroll(&nowhere), Err(Refusal::Here(Error::Disk { .. }))));
    assert!(enroll(&order(&dir, &url, "once")).is_ok());
}

#[test]
fn an_untrusted_central_gets_no_token() {
    let dir = TempDir::new().unwrap();
    let certified = crate::deliver::tls_tests::certify(dir.path(), "central");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = format!("https://{}", runtime.block_on(crate::deliver::tls_tests::serve(&certified)));
    let order = order(&dir, &url, "once");
    let refusal = enroll(&order).unwrap_err();
    assert!(matches!(refusal, Refusal::Untrusted { .. }) && refusal.to_string().contains("--ca-file"), "{refusal}");
    // Once trusted it is asked, but its answer is not a central's.
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

/// The configuration after a forced enrolment.
fn renewed(dir: &TempDir, communication: Communication, text: &str) -> String {
    let order = Order { force: true, spool: None, ..order(dir, &central(communication), "once") };
    fs::create_dir_all(dir.path().join("etc")).unwrap();
    fs::write(&order.config, text).unwrap();
    enroll(&order).unwrap();
    let config = Config::load(&order.config, &[]).unwrap();
    assert_eq!((config.server_id, config.deliver.http.url.clone()), (7, order.url.clone()));
    assert_eq!(config.central().unwrap().unwrap().token.reveal(), "server-token");
    fs::read_to_string(&order.config).unwrap().replace(&order.url, "URL").replace(dir.path().to_str().unwrap(), "DIR")
}

#[test]
fn a_forced_enrolment_replaces_the_credentials_and_keeps_everything_else() {
    let dir = TempDir::new().unwrap();
    let text = "# Ours.\nserver_id = 3 # the old one\ninterval_s = 10\n\n[capture]\n# Ours are two.\nports = [53, 5353]\n\n\
                [spool]\ndir = \"/srv/spool\"\n\n[deliver.http]\nurl = \"http://192.0.2.1:1\" # where\n# From the file.\n\
                token = \"old\"\n\n[log]\nlevel = \"debug\"\n";
    let expected = "# Ours.\nserver_id = 7 # the old one\ninterval_s = 10\n\n[capture]\n# Ours are two.\nports = [53, 5353]\n\n\
                    [spool]\ndir = \"/srv/spool\"\n\n[deliver.http]\nurl = \"URL\" # where\n# From the file.\n\
                    token_file = \"DIR/etc/token\"\n\n[log]\nlevel = \"debug\"\n";
    assert_eq!(renewed(&dir, Communication::Http, text), expected);
}

#[test]
fn a_second_enrolment_changes_only_its_own_comment() {
    let dir = TempDir::new().unwrap();
    let first = order(&dir, &central(Communication::Http), "once");
    enroll(&first).unwrap();
    let text = fs::read_to_string(&first.config).unwrap();
    let own = text.replace("ports = [53]", "ports = [5353]").replace(&first.url, "http://192.0.2.1:1");
    assert_ne!(text, own);
    let expected = own.replace("http://192.0.2.1:1", "URL").replace(dir.path().to_str().unwrap(), "DIR");
    assert_eq!(renewed(&dir, Communication::Http, &own), expected);
}

#[test]
fn an_enrolled_pulled_probe_keeps_its_listen_address() {
    let dir = TempDir::new().unwrap();
    let text = renewed(&dir, Communication::Pull, "server_id = 3\npull.listen = \"127.0.0.1:9\"\n");
    assert!(text.contains("pull.listen = \"127.0.0.1:9\"") && !text.contains(PULL_LISTEN), "{text}");
    let text = renewed(&dir, Communication::Pull, "server_id = 3\n");
    assert!(text.contains(&format!("listen = \"{PULL_LISTEN}\"")), "{text}");
}

#[test]
fn a_configuration_that_cannot_be_kept_costs_no_token() {
    let dir = TempDir::new().unwrap();
    let url = central(Communication::Http);
    let order = Order { force: true, spool: None, ..order(&dir, &url, "once") };
    fs::create_dir(dir.path().join("etc")).unwrap();
    for (text, expected) in [
        ("mine", "is not valid TOML"),
        ("server_id = 3\ncolour = 3", "unknown key `colour`"),
        ("server_id = 3\nspool.dir = \"spool\"", "spool.dir: must be an absolute path"),
        ("server_id = 3\ndeliver = 3", "deliver.http: is not a section"),
    ] {
        fs::write(&order.config, text).unwrap();
        let said = enroll(&order).unwrap_err().to_string();
        assert!(said.contains("etc/probe.toml: ") && said.contains(expected), "{said}");
        assert_eq!((fs::read_to_string(&order.config).unwrap().as_str(), files(&dir)), (text, vec!["probe.toml".to_owned()]));
    }
    fs::write(&order.config, "server_id = 3").unwrap();
    enroll(&order).unwrap();
}

fn fingerprint(pem: &Path) -> Fingerprint {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use sha2::{Digest, Sha256};
    let der = CertificateDer::from_pem_file(pem).unwrap();
    let hex: String = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().unwrap()
}

/// A central that sends its authority with its certificate.
fn private_central(dir: &TempDir) -> (String, crate::deliver::tls_tests::Certified) {
    let certified = crate::deliver::tls_tests::certify(dir.path(), "central");
    let chain = fs::read_to_string(&certified.certificate).unwrap() + &fs::read_to_string(&certified.ca).unwrap();
    fs::write(&certified.certificate, chain).unwrap();
    let server = Certificate::read(&certified.certificate, &certified.key, None).unwrap();
    (central_with(Communication::Http, Some(server)), certified)
}

#[test]
fn an_authority_is_trusted_by_its_fingerprint_and_kept() {
    let dir = TempDir::new().unwrap();
    let (url, certified) = private_central(&dir);
    let order = Order { ca_sha256: Some(fingerprint(&certified.ca)), ..order(&dir, &url, "once") };
    let outcome = enroll(&order).unwrap();
    assert_eq!(files(&dir), ["ca.pem", "probe.toml", "token"]);
    let kept = dir.path().join("etc/ca.pem");
    assert!(outcome.files.contains(&kept));
    let config = Config::load(&order.config, &[]).unwrap();
    assert_eq!(config.tls.ca_file.as_ref(), Some(&kept));
    assert_eq!(fingerprint(&kept), fingerprint(&certified.ca));
    assert_eq!(config.trust(true).unwrap(), Trust::Own(Authorities::read(&kept).unwrap()));
}

#[test]
fn a_central_with_another_fingerprint_is_told_no_token() {
    let dir = TempDir::new().unwrap();
    let (url, certified) = private_central(&dir);
    let other = crate::deliver::tls_tests::certify(dir.path(), "other");
    let with = |pem: &Path| Order { ca_sha256: Some(fingerprint(pem)), ..order(&dir, &url, "once") };
    let refusal = enroll(&with(&other.ca)).unwrap_err();
    assert!(matches!(refusal, Refusal::Untrusted { .. }) && refusal.to_string().contains("fingerprint"), "{refusal}");
    assert_eq!(files(&dir), [""; 0]);
    enroll(&with(&certified.ca)).unwrap();
}

#[test]
fn a_fingerprint_is_for_a_central_with_a_certificate() {
    let dir = TempDir::new().unwrap();
    let certified = crate::deliver::tls_tests::certify(dir.path(), "central");
    let order = Order { ca_sha256: Some(fingerprint(&certified.ca)), ..order(&dir, &central(Communication::Http), "once") };
    let said = enroll(&order).unwrap_err().to_string();
    assert!(said.contains("--ca-sha256: http://") && said.contains("has no certificate"), "{said}");
}
