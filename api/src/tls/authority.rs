//! The private authority that vouches for the central's certificate.
//!
//! No machine trusts it that was not told to. So probes are told: by its fingerprint in the command that enrols
//! them, for which it is sent along with the certificate, and by the file that their configuration names.

use super::{certificates, unusable};
use crate::Error;
use rustls::CertificateError::{
    Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A name that no certificate is for: whose the central is has nothing to do with who vouches for it.
const NOBODY: &str = "nobody.invalid";

/// An authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    file: PathBuf,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// Reads its certificate.
    ///
    /// Fails with [`Error::File`] when the file cannot be read, and with [`Error::Certificate`] when there is not exactly
    /// one certificate in it.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let pem = super::read(file)?;
        let [certificate] = <[_; 1]>::try_from(certificates(file, &pem)?)
            .map_err(|found| unusable(file, format!("has {} certificates: give the authority's alone", found.len())))?;
        Ok(Authority { file: file.to_owned(), certificate, pem: String::from_utf8_lossy(&pem).into_owned() })
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The SHA-256 of its certificate, in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        Sha256::digest(&self.certificate).iter().fold(String::new(), |mut text, byte| {
            // Writing into memory cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The chain with this authority at its end.
    ///
    /// Fails with [`Error::Certificate`] when it does not vouch for the chain: no probe could be enrolled.
    pub(super) fn complete(self, mut chain: Vec<CertificateDer<'static>>) -> Result<Vec<CertificateDer<'static>>, Error> {
        let refuse = |why: String| unusable(&self.file, why);
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|error| refuse(format!("is not an authority's: {error}")))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build();
        let verifier = verifier.map_err(|error| refuse(error.to_string()))?;
        if let (Some((first, others)), Ok(name)) = (chain.split_first(), ServerName::try_from(NOBODY)) {
            match verifier.verify_server_cert(first, others, &name, &[], UnixTime::now()) {
                // Names and times are told to whoever connects.
                Ok(_)
                | Err(rustls::Error::InvalidCertificate(
                    NotValidForName
                    | NotValidForNameContext { .. }
                    | Expired
                    | ExpiredContext { .. }
                    | NotValidYet
                    | NotValidYetContext { .. },
                )) => {}
                Err(error) => return Err(refuse(format!("does not vouch for tls.certificate_file: {error}"))),
            }
        }
        if !chain.contains(&self.certificate) {
            chain.push(self.certificate);
        }
        Ok(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;
    use crate::describe;
    use crate::tls::Certificate;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::fs;

    struct Made {
        dir: tempfile::TempDir,
        issuer: CertifiedIssuer<'static, KeyPair>,
        tls: Tls,
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
        let write = |name: &str, text: String| {
            fs::write(dir.path().join(name), text).unwrap();
            Some(dir.path().join(name))
        };
        let tls = Tls {
            certificate_file: write("central.crt", certificate.pem()),
            key_file: write("central.key", key.serialize_pem()),
            ca_file: write("ca.crt", issuer.pem()),
        };
        Made { dir, issuer, tls }
    }

    #[test]
    fn the_authority_is_sent_along_once() {
        let made = made();
        let authority = Authority::read(made.tls.ca_file.as_deref().unwrap()).unwrap();
        let file = made.tls.certificate_file.as_deref().unwrap();
        let chain = certificates(file, &fs::read(file).unwrap()).unwrap();
        let complete = authority.clone().complete(chain).unwrap();
        assert_eq!(complete.len(), 2);
        assert_eq!(complete[1], *made.issuer.der());
        assert_eq!(authority.complete(complete).unwrap().len(), 2);
        assert!(Certificate::read(&made.tls).unwrap().is_some());
    }

    #[test]
    fn its_fingerprint_is_the_sha_256_of_its_certificate() {
        let made = made();
        let expected: String = Sha256::digest(made.issuer.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Authority::read(made.tls.ca_file.as_deref().unwrap()).unwrap().fingerprint(), expected);
    }

    #[test]
    fn an_authority_that_does_not_vouch_for_the_certificate_is_refused() {
        let made = made();
        fs::write(made.dir.path().join("ca.crt"), issuer("two").pem()).unwrap();
        let said = describe(&Certificate::read(&made.tls).err().unwrap());
        assert!(said.contains("ca.crt does not vouch for tls.certificate_file"), "{said}");
    }

    #[test]
    fn more_than_one_authority_is_refused() {
        let made = made();
        fs::write(made.dir.path().join("ca.crt"), made.issuer.pem() + &issuer("two").pem()).unwrap();
        let said = describe(&Certificate::read(&made.tls).err().unwrap());
        assert!(said.contains("ca.crt has 2 certificates"), "{said}");
    }
}
