//! Whom the probe trusts when it connects, over HTTPS and AMQPS alike.
//!
//! Unless it is told otherwise it verifies the other side's certificate against the
//! system's authorities. With a file of its own only the authorities in it are trusted.
//! Verification can be turned off: the connection is encrypted then, but whoever sits in
//! between can read along, so that is warned about. Cryptography is rustls with ring.

mod pinned;

pub use pinned::Fingerprint;
pub(crate) use pinned::Pinned;

use crate::Error;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The only authorities that are trusted; the system's when none.
    pub authorities: Option<Authorities>,
    /// Whether certificates are verified at all.
    pub verify: bool,
}

/// Certificates of authorities, as they were in their file when it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    file: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
}

/// Makes ring the cryptography of this process, for libraries that ask. Once, in `main`.
pub fn install_provider() {
    // It fails when there is one already, which then stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Settings {
    /// How to connect.
    ///
    /// Fails with [`Error::Config`] when there are no authorities to verify against.
    pub fn client(&self) -> Result<ClientConfig, Error> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| wrong("tls", error))?;
        if !self.verify {
            let anyone = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)));
            return Ok(anyone.with_no_client_auth());
        }
        Ok(builder.with_root_certificates(self.roots()?).with_no_client_auth())
    }

    /// How to connect where there is no TLS: nothing is read, and nobody trusted.
    pub fn unused() -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        Ok(builder.map_err(|error| wrong("tls", error))?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(Authorities { file, certificates }) => {
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(|error| wrong(file.display(), error))?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = roots.add_parsable_certificates(found.certs);
                if added == 0 {
                    let detail = "the system has no certificates of authorities; install ca-certificates, or give tls.ca_file";
                    return Err(wrong("tls.ca_file", detail));
                }
            }
        }
        Ok(roots)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings { authorities: None, verify: true }
    }
}

impl Authorities {
    /// Reads a file of certificates (PEM).
    ///
    /// Fails with [`Error::Config`], which names the file, when there is none in it.
    pub fn read(file: &Path) -> Result<Authorities, Error> {
        let certificates = read_certificates(file)?;
        Ok(Authorities { file: file.to_owned(), certificates })
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorities").field("file", &self.file).field("certificates", &self.certificates.len()).finish()
    }
}

/// How to be connected to.
#[derive(Clone)]
pub struct Certified {
    /// The certificate and its key.
    pub config: Arc<ServerConfig>,
    fingerprint: [u8; 32],
}

/// How to be connected to, with this certificate (and those that lead to its authority) and its key, PEM.
///
/// Fails with [`Error::Config`], which names the file that is at fault.
pub fn server(certificate_file: &Path, key_file: &Path) -> Result<Certified, Error> {
    let certificates = read_certificates(certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| wrong(key_file.display(), describe(&error)))?;
    let mut hasher = Sha256::new();
    certificates.iter().for_each(|certificate| hasher.update(certificate));
    hasher.update(key.secret_der());
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| wrong("tls", error))?.with_no_client_auth();
    let config = builder.with_single_cert(certificates, key).map_err(|error| {
        wrong(
            certificate_file.display(),
            format!("this certificate and the key in {} do not work together: {error}", key_file.display()),
        )
    })?;
    Ok(Certified { config: Arc::new(config), fingerprint: hasher.finalize().into() })
}

impl PartialEq for Certified {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Certified {}

impl std::fmt::Debug for Certified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certified")
    }
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = fs::read(file).map_err(|error| wrong(file.display(), format!("cannot be read: {error}")))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| wrong(file.display(), describe(&error)))?;
    if certificates.is_empty() {
        return Err(wrong(file.display(), "holds no certificate (PEM: -----BEGIN CERTIFICATE-----)"));
    }
    Ok(certificates)
}

fn describe(error: &rustls::pki_types::pem::Error) -> String {
    format!("cannot be read as PEM: {error}")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn wrong(place: impl ToString, detail: impl ToString) -> Error {
    Error::Config { place: place.to_string(), detail: detail.to_string() }
}

/// Believes any certificate, but only of someone who has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
