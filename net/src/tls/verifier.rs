//! A verifier for certificates that rustls would not accept by itself.
//!
//! The decision about certificates is pluggable; that the peer has its certificate's private key is
//! always verified.

use super::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::fmt::Debug;
use std::sync::Arc;

/// Decides about certificates.
pub(super) trait Believe: Debug + Send + Sync {
    /// Whether the certificate, given the others sent with it, belongs to this name.
    fn believe(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error>;
}

/// Accepts any certificate.
#[derive(Debug)]
pub(super) struct Any;

impl Believe for Any {
    fn believe(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: UnixTime,
    ) -> Result<(), rustls::Error> {
        Ok(())
    }
}

/// A verifier with pluggable decisions.
#[derive(Debug)]
pub(super) struct Verifier<B> {
    provider: Arc<CryptoProvider>,
    pub(super) belief: B,
}

impl<B: Believe> Verifier<B> {
    pub(super) fn new(belief: B) -> Arc<Self> {
        Arc::new(Verifier { provider: provider(), belief })
    }
}

impl<B: Believe> ServerCertVerifier for Verifier<B> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.belief.believe(certificate, others, name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
