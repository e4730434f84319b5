//! Which certificates a client trusts.

use super::verifier::{Any, Verifier};
use super::{certificates, client, read};
use crate::Error;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};

/// Which certificates to trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those issued by authorities that this machine trusts.
    #[default]
    System,
    /// Only those issued by these authorities.
    Own(Authorities),
    /// Any: the connection is encrypted, but the peer may be anyone.
    Anybody,
}

/// Certificates of authorities, as they were when read.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    file: Option<PathBuf>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// The TLS configuration. Reads the machine's certificates if those are trusted.
    ///
    /// Fails with [`Error::Trust`] if there is no certificate to trust.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let roots = match self {
            Trust::System => system()?,
            Trust::Own(authorities) => authorities.roots().map_err(Error::Trust)?,
            Trust::Anybody => {
                return client(|builder| builder.dangerous().with_custom_certificate_verifier(Verifier::new(Any)));
            }
        };
        client(|builder| builder.with_root_certificates(roots))
    }

    /// Whether certificates are verified at all.
    pub fn verifies(&self) -> bool {
        *self != Trust::Anybody
    }
}

impl Authorities {
    /// Reads authorities from a PEM file.
    ///
    /// Fails with [`Error::File`] and [`Error::Certificate`], which name the file.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let unusable = |why: String| Error::certificate(file, why);
        Self::of(Some(file), &read(file)?).map_err(unusable)
    }

    /// Reads authorities from a PEM text; the error says what is wrong.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        Self::of(None, pem)
    }

    fn of(file: Option<&Path>, pem: &[u8]) -> Result<Self, String> {
        let authorities = Authorities { file: file.map(Path::to_owned), certificates: certificates(pem)? };
        authorities.roots()?;
        Ok(authorities)
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.certificates {
            roots.add(certificate.clone()).map_err(|error| format!("cannot be trusted: {error}"))?;
        }
        Ok(roots)
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorities").field("file", &self.file).field("certificates", &self.certificates.len()).finish()
    }
}

fn system() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(Error::Trust(format!(
            "this machine trusts no authority{why}: install ca-certificates, or specify a file with an authority"
        )));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> String {
        rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn a_file_without_certificates_is_refused_with_what_it_lacks() {
        let error = Authorities::from_pem(b"not a certificate").unwrap_err();
        assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let refused = || Authorities::read(&file).unwrap_err().to_string();
        assert!(refused().contains("ca.pem: cannot be read: No such file"), "{}", refused());
        std::fs::write(&file, "rubbish").unwrap();
        assert!(refused().contains("ca.pem: contains no certificate"), "{}", refused());
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(refused().contains("ca.pem: cannot be trusted"), "{}", refused());
    }

    #[test]
    fn an_authority_of_ones_own_is_taken() {
        Trust::Own(Authorities::from_pem(authority().as_bytes()).unwrap()).client_config().unwrap();
    }

    #[test]
    fn printing_trust_shows_no_certificate() {
        let own = Trust::Own(Authorities::from_pem(authority().as_bytes()).unwrap());
        assert_eq!(format!("{own:?}"), "Own(Authorities { file: None, certificates: 1 })");
    }
}
