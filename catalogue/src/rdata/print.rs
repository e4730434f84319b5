//! The text of fields.

use super::layout::Field;
use super::writing::{push, push_base32, push_base64, push_hex, push_joined, push_name, push_quoted};
use super::{mnemonic, special, svcb};
use std::net::{Ipv4Addr, Ipv6Addr};
use zonepulse_dns::RecordType;

/// Appends the text of a field whose octets are `octets`. `None`: it has none.
pub(super) fn print(field: Field, octets: &[u8], out: &mut String) -> Option<()> {
    let number = || octets.iter().fold(0u64, |value, octet| value << 8 | u64::from(*octet));
    match field {
        Field::Name | Field::NameAsIs => push_name(octets, out),
        Field::U8 | Field::U16 | Field::U32 | Field::U64 | Field::Period => push(out, number()),
        Field::Algorithm | Field::Digest | Field::HashAlgorithm | Field::CertType | Field::KeyFlags | Field::KeyProtocol => {
            push(out, number())
        }
        Field::Scheme => push_named(out, mnemonic::SCHEMES, number()),
        Field::Type => push(out, RecordType::new(number() as u16)),
        Field::Time => push_time(number(), out),
        Field::V4 => push(out, Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)),
        Field::V6 => push(out, Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
        Field::Text | Field::TextOrNone | Field::Texts | Field::Digits => push_strings(octets, out)?,
        Field::LongText => push_quoted(octets, out),
        Field::Tag => out.push_str(std::str::from_utf8(octets.get(1..)?).ok()?),
        Field::Base64 | Field::AnyBase64 | Field::KeyData => push_base64(octets, out),
        Field::DashBase64 => {
            if octets.is_empty() {
                out.push('-')
            } else {
                push_base64(octets, out)
            }
        }
        Field::Hex | Field::DsDigest | Field::ZonemdDigest | Field::SshFingerprint => push_hex(octets, out),
        Field::Salt => {
            if octets.len() == 1 {
                out.push('-')
            } else {
                push_hex(octets.get(1..)?, out)
            }
        }
        Field::Hash => push_base32(octets.get(1..)?, out),
        Field::Types | Field::AnyTypes => push_windows(octets, out),
        Field::NxtTypes => push_bits(octets, 0, out),
        Field::Eui48 | Field::Eui64 => push_joined(octets, "-", |octet, out| push(out, format_args!("{octet:02x}")), out),
        Field::Locator64 => special::print_locator(octets, out),
        Field::Loc => special::print_loc(octets, out)?,
        Field::Apl => special::print_apl(octets, out)?,
        Field::Nsap => {
            out.push_str("0x");
            push_hex(octets, out);
        }
        Field::Atma => special::print_atma(octets, out)?,
        Field::Services => special::print_services(octets, out)?,
        Field::Gateway => special::print_gateway(octets, out)?,
        Field::Relay => special::print_relay(octets, out)?,
        Field::A6 => special::print_a6(octets, out)?,
        Field::Hip => special::print_hip(octets, out)?,
        Field::Params => svcb::print(octets, out)?,
    }
    Some(())
}

fn push_named(out: &mut String, table: &'static [(u16, &'static str)], number: u64) {
    match u16::try_from(number).ok().and_then(|number| mnemonic::name_of(table, number)) {
        Some(name) => out.push_str(name),
        None => push(out, number),
    }
}

fn push_strings(octets: &[u8], out: &mut String) -> Option<()> {
    let mut rest = octets;
    while let Some((&length, after)) = rest.split_first() {
        let (string, after) = after.split_at_checked(usize::from(length))?;
        if rest.len() < octets.len() {
            out.push(' ');
        }
        push_quoted(string, out);
        rest = after;
    }
    Some(())
}

fn push_windows(octets: &[u8], out: &mut String) {
    let mut rest = octets;
    while let [window, length, after @ ..] = rest {
        let (bits, next) = after.split_at_checked(usize::from(*length)).unwrap_or_default();
        push_bits(bits, u16::from(*window) << 8, out);
        rest = next;
    }
}

fn push_bits(bits: &[u8], first: u16, out: &mut String) {
    for (index, octet) in (0u16..).zip(bits) {
        for bit in (0..8).filter(|bit| octet & (0x80 >> bit) != 0) {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            push(out, RecordType::new(first + index * 8 + bit));
        }
    }
}

/// Days since 1970 to a date of the Gregorian calendar (the algorithm of Howard Hinnant's `civil_from_days`).
fn push_time(seconds: u64, out: &mut String) {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let time = seconds % 86_400;
    push(out, format_args!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", time / 3_600, time / 60 % 60, time % 60));
}
