//! The certificate that a listener presents.
//!
//! Certificates are renewed every few weeks, which should not require a restart. So each connection
//! uses the certificate that is current when it begins, and [`Acceptor::replace`] installs a new
//! one without affecting existing connections.

use super::{Authority, Trust, certificates, provider, read};
use crate::Error;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

/// A certificate chain and its private key. Two are equal if they were read from the same bytes.
#[derive(Clone)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    chain: Arc<[CertificateDer<'static>]>,
    fingerprint: [u8; 32],
}

impl Certificate {
    /// Reads a certificate chain and its key, both in PEM, and appends the authority, if given.
    ///
    /// Fails with [`Error::File`] if a file is unreadable, and with [`Error::Certificate`] if they
    /// are not suitable for TLS, or the authority did not issue the certificate.
    pub fn read(certificate: &Path, key: &Path, authority: Option<&Authority>) -> Result<Self, Error> {
        let mut chain = certificates(&read(certificate)?).map_err(|why| Error::certificate(certificate, why))?;
        if let Some(authority) = authority {
            chain = authority.complete(certificate, chain)?;
        }
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| {
            Error::certificate(key, format!("contains no readable private key (PKCS#8, PKCS#1 or SEC1 in PEM): {error}"))
        })?;
        let mut hasher = Sha256::new();
        chain.iter().for_each(|certificate| hasher.update(certificate));
        hasher.update(private.secret_der());
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(Error::setup)?.with_no_client_auth();
        let mut config = builder
            .with_single_cert(chain.clone(), private)
            .map_err(|error| Error::certificate(certificate, format!("does not match {}: {error}", key.display())))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Certificate { config: Arc::new(config), chain: chain.into(), fingerprint: hasher.finalize().into() })
    }
}

impl Certificate {
    /// The certificates that it presents (DER), its own first.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.chain.iter().map(|certificate| certificate.to_vec()).collect()
    }

    /// Whether a client that connects to this host, and trusts these authorities, accepts it: a handshake in memory. An error
    /// contains a [`rustls::Error`], as one of a connection does.
    pub fn present(&self, host: &str, trust: &Trust) -> io::Result<()> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let config = trust.client_config().map_err(io::Error::other)?;
        let mut client = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut server = ServerConnection::new(self.config.clone()).map_err(io::Error::other)?;
        while client.is_handshaking() {
            let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
            client.write_tls(&mut to_server)?;
            server.read_tls(&mut &*to_server)?;
            server.process_new_packets().map_err(io::Error::other)?;
            server.write_tls(&mut to_client)?;
            if to_server.is_empty() && to_client.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            client.read_tls(&mut &*to_client)?;
            client.process_new_packets().map_err(io::Error::other)?;
        }
        Ok(())
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

/// Presents a certificate to clients. Clones share it.
#[derive(Clone)]
pub struct Acceptor(Arc<RwLock<Arc<ServerConfig>>>);

impl Acceptor {
    /// Presents this certificate.
    pub fn new(certificate: Certificate) -> Self {
        Self::with(certificate.config)
    }

    pub(crate) fn with(config: Arc<ServerConfig>) -> Self {
        Acceptor(Arc::new(RwLock::new(config)))
    }

    /// Presents another certificate on new connections.
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
    fn unusable_certificates_are_reported_with_the_file() {
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
            (&certificate, &other, format!("one.crt: does not match {}", other.display())),
            (&empty, &key, "empty: contains no certificate".to_owned()),
            (&certificate, &empty, "empty: contains no readable private key".to_owned()),
            (&missing, &key, "missing: cannot be read: ".to_owned()),
        ];
        for (certificate, key, expected) in cases {
            let said = Certificate::read(certificate, key, None).unwrap_err().to_string();
            assert!(said.contains(&expected), "{said}");
        }
    }

    #[test]
    fn a_client_s_judgement_is_known_without_a_connection() {
        let dir = tempfile::tempdir().unwrap();
        let one = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let (certificate, key) = (dir.path().join("one.crt"), dir.path().join("one.key"));
        fs::write(&certificate, one.cert.pem()).unwrap();
        fs::write(&key, one.signing_key.serialize_pem()).unwrap();
        let read = Certificate::read(&certificate, &key, None).unwrap();
        let trusting = |pem: String| Trust::Own(super::super::Authorities::from_pem(pem.as_bytes()).unwrap());
        assert_eq!(read.chain(), [one.cert.der().to_vec()]);
        read.present("a.test", &trusting(one.cert.pem())).unwrap();
        read.present("b.test", &Trust::Anybody).unwrap();
        let wrong_name = read.present("b.test", &trusting(one.cert.pem())).unwrap_err();
        assert!(wrong_name.to_string().contains("not valid for name"), "{wrong_name}");
        let stranger = read.present("a.test", &trusting(other.cert.pem())).unwrap_err();
        assert!(crate::tls::is_untrusted(&stranger), "{stranger}");
    }
}
