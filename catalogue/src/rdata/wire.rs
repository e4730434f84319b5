//! How many octets a field takes, and whether they are valid.

use super::layout::Field;
use super::text::name_length;
use super::{special, svcb};

/// The length of a field at the start of `rest`, which `before` precedes in the RDATA. An error says what is expected.
pub(super) fn length(field: Field, before: &[u8], rest: &[u8]) -> Result<usize, &'static str> {
    let fixed = |length: usize, expected| if rest.len() >= length { Ok(length) } else { Err(expected) };
    let any = |valid: bool, expected| if valid { Ok(rest.len()) } else { Err(expected) };
    match field {
        Field::Name | Field::NameAsIs => name_length(rest),
        Field::U8 | Field::Algorithm | Field::Digest | Field::HashAlgorithm | Field::KeyProtocol | Field::Scheme => {
            fixed(1, "one octet")
        }
        Field::U16 | Field::Type | Field::CertType | Field::KeyFlags => fixed(2, "two octets"),
        Field::U32 | Field::Period | Field::Time => fixed(4, "four octets"),
        Field::U64 | Field::Locator64 => fixed(8, "eight octets"),
        Field::V4 => fixed(4, "an IPv4 address"),
        Field::V6 => fixed(16, "an IPv6 address"),
        Field::Eui48 => fixed(6, "six octets"),
        Field::Eui64 => fixed(8, "eight octets"),
        Field::Text => string_length(rest),
        Field::TextOrNone => {
            if rest.is_empty() {
                Ok(0)
            } else {
                string_length(rest)
            }
        }
        Field::Texts => texts(rest),
        Field::Digits => digits(rest),
        Field::Base64 | Field::Hex => any(!rest.is_empty(), "at least one octet"),
        Field::LongText | Field::AnyBase64 | Field::DashBase64 => Ok(rest.len()),
        Field::Tag => tag(rest),
        Field::KeyData => any(has_key(before) != rest.is_empty(), "a key, or none if the flags say NOKEY"),
        Field::DsDigest => any(is_ds_digest(before, rest), "a digest of the length of its type"),
        Field::ZonemdDigest => any(is_zonemd_digest(before, rest), "a digest of the length of its algorithm"),
        Field::SshFingerprint => any(is_fingerprint(before, rest), "a fingerprint of the length of its type"),
        Field::Salt => string_length(rest),
        Field::Hash => {
            string_length(rest).and_then(|length| if length > 1 { Ok(length) } else { Err("a hash of at least one octet") })
        }
        Field::Types => any(!rest.is_empty() && are_windows(rest), "type bitmaps of at least one type"),
        Field::AnyTypes => any(are_windows(rest), "type bitmaps"),
        Field::NxtTypes => any(is_nxt(rest), "a bitmap of types up to 127"),
        Field::Nsap => any(!rest.is_empty(), "an address"),
        Field::Atma => any(rest.len() > 1, "a format octet and an address"),
        Field::Services => any(is_service_map(rest), "a protocol and at most 65536 bits"),
        Field::Loc => any(rest.len() == 16 || (!rest.is_empty() && rest.first() != Some(&0)), "16 octets"),
        Field::Apl => special::apl_is_valid(rest).then_some(rest.len()).ok_or("address prefixes"),
        Field::Params => svcb::check(rest).map(|()| rest.len()),
        Field::Gateway => special::gateway_length(rest),
        Field::Relay => special::relay_length(rest),
        Field::A6 => special::a6_length(rest),
        Field::Hip => special::hip_is_valid(rest).map(|()| rest.len()),
    }
}

fn string_length(rest: &[u8]) -> Result<usize, &'static str> {
    let length = rest.first().map_or(usize::MAX, |length| usize::from(*length) + 1);
    if length <= rest.len() { Ok(length) } else { Err("a whole character-string") }
}

fn texts(rest: &[u8]) -> Result<usize, &'static str> {
    let mut at = 0;
    loop {
        at += string_length(rest.get(at..).unwrap_or_default())?;
        if at == rest.len() {
            return Ok(at);
        }
    }
}

fn digits(rest: &[u8]) -> Result<usize, &'static str> {
    let length = string_length(rest)?;
    let digits = rest.get(1..length).unwrap_or_default();
    if digits.len() >= 4 && digits.iter().all(u8::is_ascii_digit) { Ok(length) } else { Err("at least four digits") }
}

fn tag(rest: &[u8]) -> Result<usize, &'static str> {
    let length = string_length(rest)?;
    let tag = rest.get(1..length).unwrap_or_default();
    if !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric) { Ok(length) } else { Err("a tag of letters and digits") }
}

/// Whether the flags at the start of KEY say that a key follows.
pub(super) fn has_key(before: &[u8]) -> bool {
    before.first().is_some_and(|flags| flags & 0xc0 != 0xc0)
}

/// Digests have the length of their type (RFC 4034, 4509, 5933, 6605), if the type is known.
fn is_ds_digest(before: &[u8], rest: &[u8]) -> bool {
    match before.get(3) {
        Some(1) => rest.len() == 20,
        Some(2 | 3) => rest.len() == 32,
        Some(4) => rest.len() == 48,
        _ => !rest.is_empty(),
    }
}

/// RFC 8976 section 2.2.
fn is_zonemd_digest(before: &[u8], rest: &[u8]) -> bool {
    match before.get(5) {
        Some(1) => rest.len() == 48,
        Some(2) => rest.len() == 64,
        _ => rest.len() >= 12,
    }
}

/// RFC 4255 section 3.1.2 and RFC 6594.
fn is_fingerprint(before: &[u8], rest: &[u8]) -> bool {
    match before.get(1) {
        Some(1) => rest.len() == 20,
        Some(2) => rest.len() == 32,
        _ => !rest.is_empty(),
    }
}

/// Windows in increasing order, each of 1 to 32 octets whose last is not zero.
fn are_windows(rest: &[u8]) -> bool {
    let mut rest = rest;
    let mut last = -1i32;
    while let [window, length, after @ ..] = rest {
        let length = usize::from(*length);
        let Some((bits, next)) = after.split_at_checked(length) else { return false };
        if i32::from(*window) <= last || !(1..=32).contains(&length) || bits.last() == Some(&0) {
            return false;
        }
        last = i32::from(*window);
        rest = next;
    }
    rest.is_empty()
}

/// A protocol, and bits of ports without zeros at the end.
fn is_service_map(rest: &[u8]) -> bool {
    (1..=8193).contains(&rest.len()) && (rest.len() == 1 || rest.last() != Some(&0))
}

fn is_nxt(rest: &[u8]) -> bool {
    rest.len() <= 16 && rest.first().is_none_or(|first| first & 0x80 == 0) && rest.last() != Some(&0)
}
