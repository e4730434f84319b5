//! The central's certificate, which can be replaced while it serves.
//!
//! Certificates are renewed every few weeks; nobody wants to restart a central
//! for that. So a connection takes the certificate that is there when it
//! begins, and [`Certificate::reload`] puts another in its place: whoever is
//! connected stays so.

mod authority;

pub use authority::Authority;

use crate::Error;
use crate::config::Tls;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

/// The certificate of a listener. Clones share it.
#[derive(Clone)]
pub struct Certificate {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Certificate {
    /// Reads certificate and key.
    ///
    /// Fails with [`Error::File`] when one cannot be read, and with
    /// [`Error::Certificate`] when they are not what TLS needs.
    pub fn read(tls: &Tls) -> Result<Option<Self>, Error> {
        Ok(config(tls)?.map(|config| Certificate { config: Arc::new(RwLock::new(Arc::new(config))) }))
    }

    /// Reads the files again, for connections that begin from now on. When they
    /// cannot be used, what was there stays.
    pub fn reload(&self, tls: &Tls) -> Result<(), Error> {
        if let Some(config) = config(tls)? {
            *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        }
        Ok(())
    }

    /// What begins a connection with it.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn config(tls: &Tls) -> Result<Option<ServerConfig>, Error> {
    let (certificate, key) = match (&tls.certificate_file, &tls.key_file) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => {
            // A proxy in front shows the certificate; probes are told of its authority all the same.
            tls.ca_file.as_deref().map(Authority::read).transpose()?;
            return Ok(None);
        }
        (Some(_), None) => return Err(Error::Config("tls.certificate_file is set and tls.key_file is not: set both".to_owned())),
        (None, Some(_)) => return Err(Error::Config("tls.key_file is set and tls.certificate_file is not: set both".to_owned())),
    };
    let mut chain = certificates(certificate, &read(certificate)?)?;
    if let Some(file) = &tls.ca_file {
        chain = Authority::read(file)?.complete(chain)?;
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| {
        unusable(key, format!("has no private key that can be read (PKCS#8, PKCS#1 or SEC1 in PEM): {error}"))
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| unusable(certificate, format!("does not go with {}: {error}", key.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(config))
}

fn unusable(path: &Path, why: String) -> Error {
    Error::Certificate { path: path.to_owned(), why }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unusable(path, format!("is not PEM: {error}")))?;
    if found.is_empty() {
        return Err(unusable(path, "has no certificate (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;
    use std::fs;
    use std::path::PathBuf;

    fn written(dir: &Path, name: &str, text: &str) -> Option<PathBuf> {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    }

    fn refusal(tls: &Tls) -> String {
        Certificate::read(tls).err().map(|error| describe(&error)).unwrap()
    }

    #[test]
    fn what_cannot_be_used_is_told_with_the_file_at_fault() {
        let dir = tempfile::tempdir().unwrap();
        let one = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b.test".to_owned()]).unwrap();
        let certificate = written(dir.path(), "one.crt", &one.cert.pem());
        let key = written(dir.path(), "one.key", &one.signing_key.serialize_pem());
        let other = written(dir.path(), "other.key", &other.signing_key.serialize_pem());
        let empty = written(dir.path(), "empty", "");
        let missing = Some(dir.path().join("missing"));
        assert!(
            Certificate::read(&Tls { certificate_file: certificate.clone(), key_file: key.clone(), ca_file: None })
                .unwrap()
                .is_some()
        );
        assert!(Certificate::read(&Tls::default()).unwrap().is_none());
        let cases = [
            (&certificate, &None, "tls.key_file is not"),
            (&None, &key, "tls.certificate_file is not"),
            (&certificate, &other, "does not go with"),
            (&empty, &key, "empty has no certificate"),
            (&certificate, &empty, "empty has no private key"),
            (&missing, &key, "missing: "),
        ];
        for (certificate, key, expected) in cases {
            let said = refusal(&Tls { certificate_file: certificate.clone(), key_file: key.clone(), ca_file: None });
            assert!(said.contains(expected), "{said}");
        }
    }
}
