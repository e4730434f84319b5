//! What a listener shows.
//!
//! Certificates are renewed every few weeks, and nobody wants to restart a program for that. So a connection takes the
//! certificate that is there when it begins, and [`Acceptor::replace`] puts another in its place: whoever is connected stays so.

use super::{Authority, certificates, provider, read};
use crate::Error;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

/// A certificate, those between it and its authority, and its key. Two are equal when they were read from the same bytes.
#[derive(Clone)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    fingerprint: [u8; 32],
}

impl Certificate {
    /// Reads a certificate and its key, both in PEM. An authority is sent along with it.
    ///
    /// Fails with [`Error::File`] when one cannot be read, and with [`Error::Certificate`] when they are not what TLS
    /// needs, or the authority does not vouch for the certificate.
    pub fn read(certificate: &Path, key: &Path, authority: Option<&Authority>) -> Result<Self, Error> {
        let mut chain = certificates(&read(certificate)?).map_err(|why| Error::certificate(certificate, why))?;
        if let Some(authority) = authority {
            chain = authority.complete(certificate, chain)?;
        }
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| {
            Error::certificate(key, format!("has no private key that can be read (PKCS#8, PKCS#1 or SEC1 in PEM): {error}"))
        })?;
        let mut hasher = Sha256::new();
        chain.iter().for_each(|certificate| hasher.update(certificate));
        hasher.update(private.secret_der());
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(Error::setup)?.with_no_client_auth();
        let mut config = builder
            .with_single_cert(chain, private)
            .map_err(|error| Error::certificate(certificate, format!("does not go with {}: {error}", key.display())))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Certificate { config: Arc::new(config), fingerprint: hasher.finalize().into() })
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Certificate {}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate")
    }
}

/// Shows a certificate to whoever connects. Clones share it.
#[derive(Clone)]
pub struct Acceptor(Arc<RwLock<Arc<ServerConfig>>>);

impl Acceptor {
    /// With a certificate.
    pub fn new(certificate: Certificate) -> Self {
        Self::with(certificate.config)
    }

    pub(crate) fn with(config: Arc<ServerConfig>) -> Self {
        Acceptor(Arc::new(RwLock::new(config)))
    }

    /// Shows another certificate on connections that begin from now on.
    pub fn replace(&self, certificate: Certificate) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificate.config;
    }

    /// For the next connection.
    pub(crate) fn current(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn what_cannot_be_used_is_told_with_the_file_at_fault() {
        let dir = tempfile::tempdir().unwrap();
        let written = |name: &str, text: &str| -> PathBuf {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let one = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b.test".to_owned()]).unwrap();
        let certificate = written("one.crt", &one.cert.pem());
        let key = written("one.key", &one.signing_key.serialize_pem());
        let other = written("other.key", &other.signing_key.serialize_pem());
        let empty = written("empty", "");
        let missing = dir.path().join("missing");
        let read = Certificate::read(&certificate, &key, None).unwrap();
        assert_eq!(read, Certificate::read(&certificate, &key, None).unwrap());
        let cases = [
            (&certificate, &other, format!("one.crt: does not go with {}", other.display())),
            (&empty, &key, "empty: has no certificate".to_owned()),
            (&certificate, &empty, "empty: has no private key".to_owned()),
            (&missing, &key, "missing: cannot be read: ".to_owned()),
        ];
        for (certificate, key, expected) in cases {
            let said = Certificate::read(certificate, key, None).unwrap_err().to_string();
            assert!(said.contains(&expected), "{said}");
        }
    }
}
