//! Whom the central believes when it is the client of a TLS connection.
//!
//! By default a certificate must come from an authority that this machine
//! trusts. With authorities of one's own, only those count: whoever runs an
//! authority for a broker does not mean that any other may speak for it. Not
//! to verify at all keeps out listeners, and nobody who answers in the
//! broker's place.

use crate::Error;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Whose certificates are believed.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that this machine trusts.
    #[default]
    System,
    /// Those of these authorities and no others: certificates in PEM.
    Own(Vec<u8>),
    /// Anybody's: the connection is encrypted, and whoever answers is believed.
    Anybody,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Trust::System => "System",
            Trust::Own(_) => "Own",
            Trust::Anybody => "Anybody",
        })
    }
}

impl Trust {
    /// What TLS needs to know. Reads the machine's certificates where those count.
    ///
    /// Fails with [`Error::Trust`] when there is no certificate to believe.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Trust(error.to_string()))?;
        let roots = match self {
            Trust::System => system()?,
            Trust::Own(pem) => own(pem)?,
            Trust::Anybody => {
                let verifier = Arc::new(Believe { provider });
                return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
            }
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::Trust(error.to_string()))?;
        Ok(builder.with_webpki_verifier(verifier).with_no_client_auth())
    }
}

fn system() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(Error::Trust(format!("this machine trusts no authority{why}; name one with its own file")));
    }
    Ok(roots)
}

fn own(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| Error::Trust(format!("the authority's file is not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| Error::Trust(format!("the authority's certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(Error::Trust("the authority's file has no certificate (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(roots)
}

/// Believes any certificate whose owner has its key.
#[derive(Debug)]
struct Believe {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Believe {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_with_what_it_lacks() {
        let error = Trust::Own(b"not a certificate".to_vec()).client_config().unwrap_err();
        assert!(error.to_string().contains("BEGIN CERTIFICATE"), "{error}");
    }

    #[test]
    fn an_authority_of_ones_own_is_taken() {
        let authority = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap();
        Trust::Own(authority.cert.pem().into_bytes()).client_config().unwrap();
    }

    #[test]
    fn what_is_shown_of_it_holds_no_certificate() {
        assert_eq!(format!("{:?}", Trust::Own(b"secret".to_vec())), "Own");
    }
}
