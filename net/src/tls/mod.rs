//! TLS for clients and listeners.
//!
//! * [`Trust`] says which certificates a client trusts. By default, a certificate must come from an
//!   authority that this machine trusts. If authorities are configured, only those count: an
//!   administrator with a private authority for the broker does not want any other to vouch for it.
//!   Without verification, the connection is encrypted, but the peer may be anyone.
//! * [`Pinned`] trusts an authority known only by its fingerprint.
//! * [`Certificate`] is what a listener presents, and [`Acceptor`] presents it and can replace it
//!   while listening.
//!
//! The cryptography provider is always ring.

mod authority;
mod certificate;
mod fault;
mod pinned;
mod trust;
mod verifier;

pub use authority::Authority;
pub use certificate::{Acceptor, Certificate};
pub use fault::is_untrusted;
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

/// Makes ring this process's default cryptography provider, for libraries that need one. Call once,
/// in `main`.
pub fn install_provider() {
    // Fails if one is already installed, which then stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A configuration for connections without TLS: reads nothing, and trusts nobody.
pub(crate) fn nobody() -> Result<ClientConfig, Error> {
    client(|builder| builder.with_root_certificates(RootCertStore::empty()))
}

type Builder<S> = ConfigBuilder<ClientConfig, S>;

/// A client configuration with this kind of verification.
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

/// The certificates in a PEM text, at least one; the error says what is wrong.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| format!("is not PEM: {error}"))?;
    if found.is_empty() {
        return Err("contains no certificate (PEM: -----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(found)
}
