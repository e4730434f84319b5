//! What a certificate says: who it is for, who issued it, and until when it is valid (RFC 5280).

use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whom it is for.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// The names and addresses that it is valid for.
    pub names: Vec<String>,
    /// From when it is valid, Unix seconds.
    pub not_before_s: u64,
    /// Until when it is valid, Unix seconds.
    pub not_after_s: u64,
    /// Whether it may issue others.
    pub is_authority: bool,
}

impl Facts {
    /// Reads a certificate (DER); none if it is not one.
    pub fn read(der: &[u8]) -> Option<Facts> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(name);
        Some(Facts {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names: names.collect(),
            not_before_s: u64::try_from(validity.not_before.timestamp()).unwrap_or(0),
            not_after_s: u64::try_from(validity.not_after.timestamp()).unwrap_or(0),
            is_authority: certificate.is_ca(),
        })
    }

    /// Whether it is valid for a name or an address. A wildcard stands for one label (RFC 9525 section 6.3).
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let matches = |name: &String| {
            let name = name.to_ascii_lowercase();
            let below = name.strip_prefix("*.").zip(host.split_once('.'));
            name == host || below.is_some_and(|(name, (_, rest))| name == rest && host.parse::<IpAddr>().is_err())
        };
        self.names.iter().any(matches)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            let v4 = || <[u8; 4]>::try_from(*octets).ok().map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*octets).ok().map(IpAddr::from);
            v4().or_else(v6).map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(year: i32, names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 3, 4));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_the_validity_is_found_in_both_forms() {
        let end_s = |year| Facts::read(&certificate(year, &["a.test"])).unwrap().not_after_s;
        // 2030-03-04 and 2060-03-04; from 2050 on, years have four digits.
        assert_eq!((end_s(2030), end_s(2060)), (1_898_812_800, 2_845_584_000));
    }

    #[test]
    fn names_are_those_that_clients_compare() {
        let facts = Facts::read(&certificate(2030, &["a.test", "*.b.test", "192.0.2.1", "2001:db8::1"])).unwrap();
        assert_eq!(facts.names, ["a.test", "*.b.test", "192.0.2.1", "2001:db8::1"]);
        for good in ["a.test", "A.test.", "x.b.test", "192.0.2.1", "2001:db8::1"] {
            assert!(facts.is_for(good), "{good}");
        }
        for bad in ["b.test", "x.y.b.test", "c.test", "192.0.2.2", "test", ""] {
            assert!(!facts.is_for(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_read() {
        let good = certificate(2030, &["a.test"]);
        assert!((0..good.len()).all(|length| Facts::read(&good[..length]).is_none()));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            // Any result will do, as long as there is one.
            let _ = Facts::read(&bad);
        }
        assert_eq!(Facts::read(b"rubbish"), None);
    }
}
