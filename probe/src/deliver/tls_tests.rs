//! Delivery over HTTPS: which certificates the probe trusts.

use super::*;
use crate::serve::Server;
use crate::status::Status;
use axum::http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use zonepulse_net::Trust;
use zonepulse_net::tls::{Authorities, Certificate};
use zonepulse_private::Secret;

/// A certificate authority, and a certificate that it issued for this machine's loopback address.
pub(crate) struct Certified {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

pub(crate) fn certify(dir: &Path, name: &str) -> Certified {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &authority).unwrap();
    let write = |what: &str, pem: String| {
        let path = dir.join(format!("{name}-{what}.pem"));
        std::fs::write(&path, pem).unwrap();
        path
    };
    Certified {
        ca: write("ca", authority.pem()),
        certificate: write("certificate", certificate.pem()),
        key: write("key", key.serialize_pem()),
    }
}

pub(crate) async fn serve(certified: &Certified) -> SocketAddr {
    let certificate = Certificate::read(&certified.certificate, &certified.key, None).unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.address().unwrap();
    let app = axum::Router::new().fallback(|| async { StatusCode::NO_CONTENT });
    // Let it serve as long as the test's runtime runs.
    std::mem::forget(server.start(app, Some(certificate), 8, Arc::new(Status::new(1))).unwrap());
    address
}

/// The answer to a batch from a server whose certificate is issued by one of two authorities.
fn answer(settings: impl FnOnce(&Certified, &Certified) -> Trust) -> Answer {
    let dir = TempDir::new().unwrap();
    let (ours, others) = (certify(dir.path(), "ours"), certify(dir.path(), "others"));
    let trust = settings(&ours, &others);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("https://{}", serve(&ours).await);
        http::Courier::new(http::Settings { url, token: Secret::new("t"), trust }).unwrap().send(Vec::new()).await
    })
}

fn trusting(ca: &Path) -> Trust {
    Trust::Own(Authorities::read(ca).unwrap())
}

#[track_caller]
fn refused(answer: &Answer) {
    let Answer::Unavailable { reason, .. } = answer else { panic!("{answer:?}") };
    assert!(reason.starts_with("cannot connect securely: invalid peer certificate: "), "{reason}");
}

#[test]
fn a_central_certified_by_our_authority_is_trusted() {
    assert_eq!(answer(|ours, _| trusting(&ours.ca)), Answer::Confirmed);
}

#[test]
fn a_central_certified_only_by_others_is_not_trusted() {
    refused(&answer(|_, others| trusting(&others.ca)));
    refused(&answer(|_, _| Trust::System));
}

#[test]
fn verification_can_be_turned_off() {
    assert_eq!(answer(|_, _| Trust::Anybody), Answer::Confirmed);
}

#[test]
fn a_file_without_a_certificate_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("ca.pem");
    let refused = |error: zonepulse_net::Error| crate::Error::from(error).to_string();
    let error = refused(Authorities::read(&file).unwrap_err());
    assert!(error.contains("ca.pem: cannot be read: No such file"), "{error}");
    std::fs::write(&file, "rubbish").unwrap();
    let error = refused(Authorities::read(&file).unwrap_err());
    assert!(error.contains("ca.pem: contains no certificate"), "{error}");
    let certified = certify(dir.path(), "ours");
    let other = certify(dir.path(), "others");
    let error = refused(Certificate::read(&certified.certificate, &other.key, None).unwrap_err());
    assert!(error.contains("ours-certificate.pem") && error.contains("others-key.pem"), "{error}");
}
