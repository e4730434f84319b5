//! TLS, of whoever connects and of whoever listens.
//!
//! * [`Trust`] says whose certificates are believed by a client. By default a certificate must come from an authority that
//!   this machine trusts. With authorities of one's own, only those count: whoever runs an authority for a broker does not
//!   mean that any other may speak for it. Without verification the connection is encrypted, and whoever answers is believed.
//! * [`Pinned`] trusts an authority that is known by its fingerprint only.
//! * [`Certificate`] is what a listener shows, and [`Acceptor`] shows it, and can take another one while it listens.
//!
//! The provider of cryptography is ring, in all of it.

mod authority;
mod certificate;
mod pinned;
mod trust;
mod verifier;

pub use authority::Authority;
pub use certificate::{Acceptor, Certificate};
pub use pinned::{Fingerprint, Pinned};
pub use trust::{Authorities, Trust};

use crate::Error;
use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Makes ring the cryptography of this process, for libraries that ask. Once, in `main`.
pub fn install_provider() {
    // It fails when there is one already, which then stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How to connect where TLS is not spoken: nothing is read, and nobody trusted.
pub(crate) fn nobody() -> Result<ClientConfig, Error> {
    client(|builder| builder.with_root_certificates(RootCertStore::empty()))
}

type Builder<S> = ConfigBuilder<ClientConfig, S>;

/// The configuration of a client that verifies in some way.
fn client(verify: impl FnOnce(Builder<WantsVerifier>) -> Builder<WantsClientCert>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    Ok(verify(builder.map_err(Error::setup)?).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|source| Error::File { path: file.to_owned(), source })
}

/// The certificates of a text in PEM; says what is wrong with it. There is at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| format!("is not PEM: {error}"))?;
    if found.is_empty() {
        return Err("has no certificate (PEM: -----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(found)
}
