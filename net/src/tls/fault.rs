//! What a failed TLS connection failed of.

use std::error::Error;
use std::io;

/// Whether a connection failed because the peer's certificate is not trusted.
///
/// Looks through all causes, including those inside of I/O errors, which do not list them as their source.
pub fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return is_about_certificate(error);
        }
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

fn is_about_certificate(error: &rustls::Error) -> bool {
    use rustls::Error::{General, InvalidCertificate, NoCertificatesPresented};
    // Our own verifier says in general terms that no certificate has the fingerprint.
    matches!(error, InvalidCertificate(_) | NoCertificatesPresented | General(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError::UnknownIssuer;
    use rustls::InvalidMessage::InvalidContentType;

    #[derive(Debug, thiserror::Error)]
    #[error("the request failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_certificate_that_is_not_trusted_is_found_under_other_errors() {
        let untrusted = rustls::Error::InvalidCertificate(UnknownIssuer);
        assert!(is_untrusted(&untrusted));
        let wrapped = io::Error::other(io::Error::other(untrusted));
        assert!(is_untrusted(&wrapped));
        assert!(is_untrusted(&Outer(wrapped)));
    }

    #[test]
    fn other_failures_are_not_about_trust() {
        let corrupt = rustls::Error::InvalidMessage(InvalidContentType);
        assert!(!is_untrusted(&Outer(io::Error::other(corrupt))));
        assert!(!is_untrusted(&Outer(io::ErrorKind::ConnectionRefused.into())));
        assert!(!is_untrusted(&io::Error::other("no certificate here")));
    }
}
