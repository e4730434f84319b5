//! Test certificates: an authority, and what it signs.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// An authority that nobody trusts by default.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate file.
    pub certificate: PathBuf,
    /// The key file.
    pub key: PathBuf,
}

static MADE: AtomicUsize = AtomicUsize::new(1);

impl Authority {
    /// Creates an authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Two authorities of the same name would be confused with one whose signature is wrong.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Authority {number} of a Zonepulse test"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority can be made");
        let folder = tempfile::Builder::new().prefix("zonepulse-certificates").tempdir().expect("a temporary folder can be made");
        write(&folder.path().join("ca.crt"), &issuer.pem());
        Authority { issuer, folder }
    }

    /// The file with its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Its own certificate in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate for these names and addresses.
    pub fn certify(&self, names: &[&str]) -> Certificate {
        self.sign(names, |_| {})
    }

    /// Issues a certificate that has expired.
    pub fn certify_expired(&self, names: &[&str]) -> Certificate {
        self.sign(names, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of certificates");
        change(&mut params);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be signed");
        let number = fs::read_dir(self.folder.path()).expect("a test's folder is readable").count();
        let place = |suffix: &str| self.folder.path().join(format!("{number}.{suffix}"));
        let made = Certificate { certificate: place("crt"), key: place("key") };
        write(&made.certificate, &certificate.pem());
        write(&made.key, &key.serialize_pem());
        made
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a test's folder is writable");
}
