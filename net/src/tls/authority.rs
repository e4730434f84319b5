//! The private certificate authority of a listener.
//!
//! Machines trust it only if told to: by its fingerprint, for which it is sent with the certificate
//! ([`Pinned`](super::Pinned)), or by a file ([`Authorities`](super::Authorities)).

use super::{Fingerprint, certificates, provider, read};
use crate::Error;
use rustls::CertificateError::{
    Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A name that matches no certificate: whether the authority issued the certificate does not depend
/// on its name.
const NOBODY: &str = "nobody.invalid";

/// A certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    file: PathBuf,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// Reads an authority's certificate.
    ///
    /// Fails with [`Error::File`] if the file is unreadable, and with [`Error::Certificate`] unless
    /// it contains exactly one certificate.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let unusable = |why: String| Error::certificate(file, why);
        let pem = read(file)?;
        let [certificate] = <[_; 1]>::try_from(certificates(&pem).map_err(unusable)?)
            .map_err(|found| unusable(format!("contains {} certificates: it must contain only the authority's", found.len())))?;
        Ok(Authority { file: file.to_owned(), certificate, pem: String::from_utf8_lossy(&pem).into_owned() })
    }

    /// The certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The SHA-256 fingerprint of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Appends this authority to a certificate chain read from `file`.
    ///
    /// Fails with [`Error::Certificate`] if the authority did not issue the chain, since clients
    /// that trust it could not connect.
    pub(super) fn complete(
        &self,
        file: &Path,
        mut chain: Vec<CertificateDer<'static>>,
    ) -> Result<Vec<CertificateDer<'static>>, Error> {
        let refuse = |why: String| Error::certificate(&self.file, why);
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|error| refuse(format!("is not an authority's certificate: {error}")))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let verifier = verifier.map_err(|error| refuse(error.to_string()))?;
        if let (Some((first, others)), Ok(name)) = (chain.split_first(), ServerName::try_from(NOBODY)) {
            match verifier.verify_server_cert(first, others, &name, &[], UnixTime::now()) {
                // Clients check names and validity.
                Ok(_)
                | Err(rustls::Error::InvalidCertificate(
                    NotValidForName
                    | NotValidForNameContext { .. }
                    | Expired
                    | ExpiredContext { .. }
                    | NotValidYet
                    | NotValidYetContext { .. },
                )) => {}
                Err(error) => return Err(refuse(format!("is not the issuer of {}: {error}", file.display()))),
            }
        }
        if !chain.contains(&self.certificate) {
            chain.push(self.certificate.clone());
        }
        Ok(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Certificate;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use sha2::{Digest, Sha256};
    use std::fs;

    struct Made {
        dir: tempfile::TempDir,
        issuer: CertifiedIssuer<'static, KeyPair>,
    }

    fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn made() -> Made {
        let dir = tempfile::tempdir().unwrap();
        let issuer = issuer("one");
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["a.test".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let made = Made { dir, issuer };
        fs::write(made.path("central.crt"), certificate.pem()).unwrap();
        fs::write(made.path("central.key"), key.serialize_pem()).unwrap();
        fs::write(made.path("ca.crt"), made.issuer.pem()).unwrap();
        made
    }

    impl Made {
        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn authority(&self) -> Result<Authority, Error> {
            Authority::read(&self.path("ca.crt"))
        }

        /// The certificate for a listener, with the authority.
        fn certificate(&self) -> Result<Certificate, Error> {
            Certificate::read(&self.path("central.crt"), &self.path("central.key"), Some(&self.authority()?))
        }
    }

    #[test]
    fn the_authority_is_sent_along_once() {
        let made = made();
        let (authority, file) = (made.authority().unwrap(), made.path("central.crt"));
        let chain = certificates(&fs::read(&file).unwrap()).unwrap();
        let complete = authority.complete(&file, chain).unwrap();
        assert_eq!(complete.len(), 2);
        assert_eq!(complete[1], *made.issuer.der());
        assert_eq!(authority.complete(&file, complete).unwrap().len(), 2);
        assert!(made.certificate().is_ok());
    }

    #[test]
    fn its_fingerprint_is_the_sha_256_of_its_certificate() {
        let made = made();
        let expected: String = Sha256::digest(made.issuer.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(made.authority().unwrap().fingerprint().to_string(), expected);
    }

    #[test]
    fn an_authority_that_does_not_vouch_for_the_certificate_is_refused() {
        let made = made();
        fs::write(made.path("ca.crt"), issuer("two").pem()).unwrap();
        let said = made.certificate().unwrap_err().to_string();
        assert!(said.contains(&format!("ca.crt: is not the issuer of {}", made.path("central.crt").display())), "{said}");
    }

    #[test]
    fn more_than_one_authority_is_refused() {
        let made = made();
        fs::write(made.path("ca.crt"), made.issuer.pem() + &issuer("two").pem()).unwrap();
        let said = made.certificate().unwrap_err().to_string();
        assert!(said.contains("ca.crt: contains 2 certificates"), "{said}");
    }
}
