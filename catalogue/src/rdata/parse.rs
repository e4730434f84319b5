//! From words to octets.

use super::basic::{address, named, push_algorithm, push_number, set_length};
use super::layout::Field;
use super::mnemonic;
use super::text::{self, decimal, push_unescaped};
use super::words::Words;
use super::{Error, special, svcb};
use crate::Name;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Appends what the next words say of a field.
pub(super) fn parse(field: Field, words: &mut Words<'_>, origin: Option<&Name>, out: &mut Vec<u8>) -> Result<(), Error> {
    match field {
        Field::Name => text::push_name(words.plain("a domain name")?.text, origin, true, out)?,
        Field::NameAsIs => text::push_name(words.plain("a domain name")?.text, origin, false, out)?,
        Field::U8 => push_number(words, 1, "a number up to 255", out)?,
        Field::U16 => push_number(words, 2, "a number up to 65535", out)?,
        Field::U32 => push_number(words, 4, "a number up to 4294967295", out)?,
        Field::U64 => push_number(words, 8, "a number up to 18446744073709551615", out)?,
        Field::Period => {
            const EXPECTED: &str = "a period: seconds, or numbers with the units w, d, h, m or s";
            let word = words.plain(EXPECTED)?;
            let period = text::period(word.text).ok_or_else(|| Error::unexpected(EXPECTED, word.shown()))?;
            out.extend_from_slice(&period.to_be_bytes());
        }
        Field::V4 => out.extend_from_slice(&address::<Ipv4Addr>(words, "an IPv4 address")?.octets()),
        Field::V6 => out.extend_from_slice(&address::<Ipv6Addr>(words, "an IPv6 address")?.octets()),
        Field::Text | Field::Digits => push_string(words, out)?,
        Field::TextOrNone => {
            if !words.is_done() {
                push_string(words, out)?
            }
        }
        Field::Texts => {
            push_string(words, out)?;
            while !words.is_done() {
                push_string(words, out)?;
            }
        }
        Field::LongText => push_unescaped(words.expect("a string")?.text, out)?,
        Field::Tag => {
            let word = words.plain("a tag of letters and digits")?;
            out.push(u8::try_from(word.text.len()).map_err(|_| Error::unexpected("a tag of at most 255 octets", word.shown()))?);
            out.extend_from_slice(word.text);
        }
        Field::Base64 | Field::AnyBase64 | Field::KeyData => text::push_base64_rest(words, out)?,
        Field::DashBase64 => match words.peek() {
            Some(word) if word.text == b"-" => _ = words.next(),
            None => return Err(Error::unexpected("Base64, or - for none", "the end of the record".to_owned())),
            _ => text::push_base64_rest(words, out)?,
        },
        Field::Hex | Field::DsDigest | Field::ZonemdDigest | Field::SshFingerprint => text::push_hex_rest(words, out)?,
        Field::Salt => push_salt(words, out)?,
        Field::Hash => {
            let word = words.plain("a hash in Base32")?;
            let length_at = out.len();
            out.push(0);
            text::push_base32(&word, out)?;
            set_length(&word, length_at, out)?;
        }
        Field::Types | Field::AnyTypes => push_types(words, out)?,
        Field::NxtTypes => push_nxt_types(words, out)?,
        Field::Time => out.extend_from_slice(&time(words)?.to_be_bytes()),
        Field::Type
        | Field::Algorithm
        | Field::Digest
        | Field::HashAlgorithm
        | Field::KeyProtocol
        | Field::Scheme
        | Field::CertType
        | Field::KeyFlags => parse_mnemonic(field, words, out)?,
        _ => parse_single(field, words, origin, out)?,
    }
    Ok(())
}

/// Numbers that have mnemonics.
fn parse_mnemonic(field: Field, words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    match field {
        Field::Type => out.extend_from_slice(&type_or_number(words)?.to_be_bytes()),
        Field::Algorithm => push_algorithm(words, out)?,
        Field::Digest => out.push(named(words, mnemonic::DIGESTS, "a digest type: a number up to 255 or a mnemonic")?),
        Field::HashAlgorithm => out.push(named(words, mnemonic::HASHES, "a hash algorithm: a number up to 255 or SHA-1")?),
        Field::KeyProtocol => out.push(named(words, mnemonic::KEY_PROTOCOLS, "a protocol: a number up to 255 or a mnemonic")?),
        Field::Scheme => out.push(named(words, mnemonic::SCHEMES, "a scheme: a number up to 255 or NOTIFY")?),
        Field::CertType => {
            const EXPECTED: &str = "a certificate type: a number up to 65535 or a mnemonic";
            let value: u16 = named(words, mnemonic::CERT_TYPES, EXPECTED)?;
            out.extend_from_slice(&value.to_be_bytes());
        }
        Field::KeyFlags => {
            const EXPECTED: &str = "flags: a number up to 65535 or mnemonics";
            let word = words.plain(EXPECTED)?;
            let flags =
                decimal(word.text).or_else(|| hexadecimal(word.text)).or_else(|| mnemonic::key_flags(word.text).map(u64::from));
            let flags =
                flags.and_then(|value| u16::try_from(value).ok()).ok_or_else(|| Error::unexpected(EXPECTED, word.shown()))?;
            out.extend_from_slice(&flags.to_be_bytes());
        }
        _ => {}
    }
    Ok(())
}

/// Formats of single types.
fn parse_single(field: Field, words: &mut Words<'_>, origin: Option<&Name>, out: &mut Vec<u8>) -> Result<(), Error> {
    match field {
        Field::Loc => special::parse_loc(words, out)?,
        Field::Apl => special::parse_apl(words, out)?,
        Field::Nsap => special::parse_nsap(words, out)?,
        Field::Atma => special::parse_atma(words, out)?,
        Field::Eui48 => special::parse_eui(words, 6, out)?,
        Field::Eui64 => special::parse_eui(words, 8, out)?,
        Field::Locator64 => special::parse_locator(words, out)?,
        Field::Services => special::parse_services(words, out)?,
        Field::Gateway => special::parse_gateway(words, origin, out)?,
        Field::Relay => special::parse_relay(words, origin, out)?,
        Field::A6 => special::parse_a6(words, origin, out)?,
        Field::Hip => special::parse_hip(words, origin, out)?,
        Field::Params => svcb::parse(words, out)?,
        _ => {}
    }
    Ok(())
}

/// A number after 0x.
fn hexadecimal(text: &[u8]) -> Option<u64> {
    let digits =
        text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).filter(|digits| (1..=8).contains(&digits.len()))?;
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | u64::from(text::hex_digit(*digit)?)))
}

/// Appends a character-string with its length.
fn push_string(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let word = words.expect("a character-string")?;
    let length_at = out.len();
    out.push(0);
    push_unescaped(word.text, out)?;
    set_length(&word, length_at, out)
}

fn push_salt(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let word = words.plain("a salt in hexadecimal, or - for none")?;
    let length_at = out.len();
    out.push(0);
    if word.text == b"-" {
        return Ok(());
    }
    text::push_hex(&word, out)?;
    set_length(&word, length_at, out)
}

fn push_types(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut types = Vec::new();
    for word in words.by_ref() {
        let rtype = mnemonic::type_of(word.text).ok_or_else(|| Error::unexpected("a record type", word.shown()))?;
        types.push(rtype.value());
    }
    types.sort_unstable();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0u8; 32];
        let mut length = 0;
        for rtype in window {
            let at = usize::from(rtype & 0xff);
            if let Some(octet) = bits.get_mut(at / 8) {
                *octet |= 0x80 >> (at % 8);
            }
            length = at / 8 + 1;
        }
        out.extend(window.first().map(|rtype| (rtype >> 8) as u8));
        out.push(length as u8);
        out.extend_from_slice(bits.get(..length).unwrap_or_default());
    }
    Ok(())
}

/// The bitmap of NXT, which has types up to 127 only.
fn push_nxt_types(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut bits = [0u8; 16];
    let mut length = 0;
    while !words.is_done() {
        let rtype = usize::from(type_or_number(words)?);
        let slot = bits.get_mut(rtype / 8).filter(|_| rtype > 0);
        *slot.ok_or_else(|| Error::unexpected("types from 1 to 127", rtype.to_string()))? |= 0x80 >> (rtype % 8);
        length = length.max(rtype / 8 + 1);
    }
    out.extend_from_slice(bits.get(..length).unwrap_or_default());
    Ok(())
}

fn type_or_number(words: &mut Words<'_>) -> Result<u16, Error> {
    const EXPECTED: &str = "a record type";
    let word = words.plain(EXPECTED)?;
    let number = || decimal(word.text).and_then(|value| u16::try_from(value).ok());
    let rtype = mnemonic::type_of(word.text).map(|rtype| rtype.value()).or_else(number);
    rtype.ok_or_else(|| Error::unexpected(EXPECTED, word.shown()))
}

/// A time as YYYYMMDDHHmmSS, or in seconds since 1970.
fn time(words: &mut Words<'_>) -> Result<u32, Error> {
    const EXPECTED: &str = "a time: YYYYMMDDHHmmSS, or seconds since 1970";
    let word = words.plain(EXPECTED)?;
    let wrong = || Error::unexpected(EXPECTED, word.shown());
    let value = decimal(word.text).ok_or_else(wrong)?;
    if word.text.len() != 14 {
        return u32::try_from(value).map_err(|_| wrong());
    }
    let (year, month, day) = (value / 10_000_000_000, value / 100_000_000 % 100, value / 1_000_000 % 100);
    let (hour, minute, second) = (value / 10_000 % 100, value / 100 % 100, value % 100);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        _ => 31,
    };
    let valid = year >= 1970 && (1..=12).contains(&month) && (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !valid {
        return Err(wrong());
    }
    // `days_from_civil` of Howard Hinnant.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let seconds = (era * 146_097 + day_of_era - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second;
    // Serial number arithmetic (RFC 4034 section 3.1.5): only the lower 32 bits are stored.
    Ok(seconds as u32)
}
