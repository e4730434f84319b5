//! Trust in an authority by its fingerprint, before there is a file with it.
//!
//! The peer sends the authority with its certificate. The authority, and nothing else, is trusted
//! if it has the given fingerprint.

use super::verifier::{Believe, Verifier};
use super::{client, provider};
use crate::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

/// Line length of PEM, characters.
const PEM_LINE: usize = 64;

/// The SHA-256 fingerprint of an authority's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    /// Hexadecimal digits without colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Parses hexadecimal digits, with or without colons between bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits: Vec<u32> = text.chars().filter(|c| *c != ':').map_while(|c| c.to_digit(16)).collect();
        let colons = text.chars().filter(|c| *c == ':').count();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() || text.chars().count() != digits.len() + colons {
            return Err("is not a SHA-256 fingerprint: write 64 hexadecimal digits".into());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8);
        }
        Ok(Fingerprint(bytes))
    }
}

/// Trust in one authority, which is remembered once it has been seen.
#[derive(Debug, Clone)]
pub struct Pinned(Arc<Verifier<Belief>>);

impl Pinned {
    /// Trusts the authority with this fingerprint.
    pub fn new(fingerprint: Fingerprint) -> Pinned {
        Pinned(Verifier::new(Belief { fingerprint, seen: OnceLock::new() }))
    }

    /// The TLS configuration for connecting.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        client(|builder| builder.dangerous().with_custom_certificate_verifier(self.0.clone()))
    }

    /// The authority, in PEM, once a connection was made.
    pub fn pem(&self) -> Option<String> {
        let text = STANDARD.encode(self.0.belief.seen.get()?);
        let lines = text.as_bytes().chunks(PEM_LINE).map(|line| String::from_utf8_lossy(line) + "\n");
        Some(format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>()))
    }
}

/// Trusts the authority with this fingerprint.
#[derive(Debug)]
struct Belief {
    fingerprint: Fingerprint,
    seen: OnceLock<CertificateDer<'static>>,
}

impl Believe for Belief {
    fn believe(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let is_it = |certificate: &&CertificateDer<'_>| Fingerprint::of(certificate) == self.fingerprint;
        let unknown = || rustls::Error::General("none of the certificates presented has the given fingerprint".into());
        let authority = std::iter::once(certificate).chain(others).find(is_it).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(certificate, others, name, &[], now)?;
        self.seen.get_or_init(|| authority.clone().into_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_programs_print_it() {
        let plain = "00ff".repeat(16);
        let bytes: Vec<String> = [0u8, 255].repeat(16).iter().map(|byte| format!("{byte:02X}")).collect();
        let expected: Vec<u8> = [0, 255].repeat(16);
        for text in [plain.as_str(), &bytes.join(":")] {
            let read: Fingerprint = text.parse().unwrap();
            assert_eq!((&read.0[..], read.to_string()), (&expected[..], plain.clone()), "{text}");
        }
    }

    #[test]
    fn invalid_fingerprints_are_refused() {
        for text in ["", "00ff", &"00fg".repeat(16), &"00ff".repeat(17), &format!("{}?", "00ff".repeat(16))] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
