//! Until when a certificate is valid (RFC 5280 section 4.1.2.5).
//!
//! TLS has already verified the certificate, so this only finds one field of it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The explicit tag of the version, which certificates of version 1 lack.
const VERSION: u8 = 0xa0;

/// The end of a certificate's validity, Unix seconds; none if it cannot be read.
pub(super) fn not_after_s(certificate: &[u8]) -> Option<u64> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut body, _) = element(certificate, SEQUENCE)?;
    if body.first() == Some(&VERSION) {
        body = element(body, VERSION)?.1;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        body = element(body, tag)?.1;
    }
    let (validity, _) = element(body, SEQUENCE)?;
    let (_, rest) = time(validity)?;
    time(rest).map(|(end_s, _)| end_s)
}

/// The contents of the first element, which must have this tag, and what follows it (DER).
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (length, rest) = length(rest)?;
    (*found == tag).then(|| rest.split_at_checked(length)).flatten()
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
    if digits.len() > 3 {
        return None;
    }
    Some((digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest))
}

/// A time, Unix seconds, and what follows it.
fn time(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let tag = *bytes.first()?;
    let (text, rest) = element(bytes, tag)?;
    let text = str::from_utf8(text).ok()?;
    let time = match tag {
        // Two digits mean 1950 to 2049.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", &time).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some((u64::try_from(time.timestamp().as_second()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 3, 4));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_the_validity_is_found_in_both_forms() {
        // 2030-03-04 and 2060-03-04; from 2050 on, years have four digits.
        assert_eq!(not_after_s(&certificate(2030)), Some(1_898_812_800));
        assert_eq!(not_after_s(&certificate(2060)), Some(2_845_584_000));
    }

    #[test]
    fn what_is_no_certificate_has_no_validity() {
        let good = certificate(2030);
        for length in 0..good.len() {
            assert_eq!(not_after_s(&good[..length]), None);
        }
        for at in 0..120 {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            // Any result will do, as long as there is one.
            let _ = not_after_s(&bad);
        }
        assert_eq!(not_after_s(b"rubbish"), None);
    }
}
