//! Fields that single types have: addresses of other networks, gateways, service maps.

use super::Error;
use super::basic::{address, push_algorithm, push_number, set_length};
use super::mnemonic::{self, number_of};
use super::text::{self, decimal, hex_digit, name_length};
use super::words::Words;
use super::writing::{push, push_base64, push_hex, push_joined, push_name};
use crate::Name;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) use super::loc::{parse_loc, print_loc};

// APL (RFC 3123): address family, prefix length, negation and length, address without trailing zeros.

pub(super) fn apl_is_valid(rdata: &[u8]) -> bool {
    let mut rest = rdata;
    while let [family_high, family_low, prefix, length, after @ ..] = rest {
        let Some((octets, next)) = after.split_at_checked(usize::from(length & 0x7f)) else { return false };
        let (prefix_max, octets_max) = match (family_high, family_low) {
            (0, 1) => (32, 4),
            (0, 2) => (128, 16),
            _ => (255, 127),
        };
        if *prefix > prefix_max || octets.len() > octets_max || octets.last() == Some(&0) {
            return false;
        }
        rest = next;
    }
    rest.is_empty()
}

pub(super) fn parse_apl(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    for word in words.by_ref() {
        let wrong = || Error::unexpected("an address prefix such as 1:192.0.2.0/24 or !2:2001:db8::/32", word.shown());
        let whole = std::str::from_utf8(word.text).ok().ok_or_else(wrong)?;
        let (negated, item) = whole.strip_prefix('!').map_or((0, whole), |item| (0x80, item));
        let (family, rest) = item.split_once(':').ok_or_else(wrong)?;
        let (address, prefix) = rest.split_once('/').ok_or_else(wrong)?;
        let (octets, prefix_max) = match family {
            "1" => (address.parse::<Ipv4Addr>().map_err(|_| wrong())?.octets().to_vec(), 32),
            "2" => (address.parse::<Ipv6Addr>().map_err(|_| wrong())?.octets().to_vec(), 128),
            _ => return Err(wrong()),
        };
        let prefix = decimal(prefix.as_bytes()).filter(|prefix| *prefix <= prefix_max).ok_or_else(wrong)?;
        let length = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        out.extend_from_slice(&[0, family.as_bytes().first().map_or(0, |digit| digit - b'0'), prefix as u8]);
        out.push(negated | length as u8);
        out.extend_from_slice(octets.get(..length).unwrap_or_default());
    }
    Ok(())
}

pub(super) fn print_apl(octets: &[u8], out: &mut String) -> Option<()> {
    let mut rest = octets;
    while let [0, family, prefix, length, after @ ..] = rest {
        if rest.len() < octets.len() {
            out.push(' ');
        }
        let (part, next) = after.split_at_checked(usize::from(length & 0x7f))?;
        if length & 0x80 != 0 {
            out.push('!');
        }
        let mut address = [0u8; 16];
        address.get_mut(..part.len())?.copy_from_slice(part);
        match family {
            1 => push(out, format_args!("1:{}/{prefix}", Ipv4Addr::from(*address.first_chunk::<4>()?))),
            2 => push(out, format_args!("2:{}/{prefix}", Ipv6Addr::from(address))),
            _ => return None,
        }
        rest = next;
    }
    rest.is_empty().then_some(())
}

// NSAP (RFC 1706): hexadecimal after 0x, with dots anywhere.

pub(super) fn parse_nsap(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    const EXPECTED: &str = "an NSAP address: 0x and hexadecimal octets, dots where they help";
    let word = words.plain(EXPECTED)?;
    let wrong = || Error::unexpected(EXPECTED, word.shown());
    let [b'0', b'x' | b'X', digits @ ..] = word.text else { return Err(wrong()) };
    push_dotted_hex(digits, out).ok_or_else(wrong)
}

fn push_dotted_hex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut high = None;
    for octet in text.iter().filter(|octet| **octet != b'.') {
        let digit = hex_digit(*octet)?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => out.push(high << 4 | digit),
        }
    }
    high.is_none().then_some(())
}

// ATMA (ATM Name System Specification 1.0): format 0 is hexadecimal (AESA), format 1 digits after + (E.164).

pub(super) fn parse_atma(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    const EXPECTED: &str = "an ATM address: + and digits, or hexadecimal octets";
    let word = words.plain(EXPECTED)?;
    let wrong = || Error::unexpected(EXPECTED, word.shown());
    if let [b'+', digits @ ..] = word.text {
        let digits = || digits.iter().filter(|octet| **octet != b'.');
        if digits().next().is_none() || !digits().all(u8::is_ascii_digit) {
            return Err(wrong());
        }
        out.push(1);
        out.extend(digits());
        return Ok(());
    }
    if word.text.split(|octet| *octet == b'.').any(<[u8]>::is_empty) {
        return Err(wrong());
    }
    out.push(0);
    push_dotted_hex(word.text, out).ok_or_else(wrong)
}

pub(super) fn print_atma(octets: &[u8], out: &mut String) -> Option<()> {
    match octets.split_first()? {
        (0, address) => push_hex(address, out),
        (1, digits) if digits.iter().all(u8::is_ascii_digit) => {
            out.push('+');
            out.push_str(std::str::from_utf8(digits).ok()?);
        }
        _ => return None,
    }
    Some(())
}

// EUI48 and EUI64 (RFC 7043).

pub(super) fn parse_eui(words: &mut Words<'_>, octets: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let expected =
        if octets == 6 { "six octets such as 00-00-5e-00-53-2a" } else { "eight octets such as 00-00-5e-ef-10-00-00-2a" };
    let word = words.plain(expected)?;
    let start = out.len();
    for pair in word.text.split(|octet| *octet == b'-') {
        let value = match pair {
            [high, low] => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        let (high, low) = value.ok_or_else(|| Error::unexpected(expected, word.shown()))?;
        out.push(high << 4 | low);
    }
    if out.len() - start == octets { Ok(()) } else { Err(Error::unexpected(expected, word.shown())) }
}

// NID and L64 (RFC 6742): four groups of hexadecimal digits.

pub(super) fn parse_locator(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    const EXPECTED: &str = "64 bits such as 2001:0db8:1140:1000";
    let word = words.plain(EXPECTED)?;
    let start = out.len();
    for group in word.text.split(|octet| *octet == b':') {
        let value = group.iter().try_fold(0u16, |value, octet| Some(value << 4 | u16::from(hex_digit(*octet)?)));
        let value = value.filter(|_| (1..=4).contains(&group.len())).ok_or_else(|| Error::unexpected(EXPECTED, word.shown()))?;
        out.extend_from_slice(&value.to_be_bytes());
    }
    if out.len() - start == 8 { Ok(()) } else { Err(Error::unexpected(EXPECTED, word.shown())) }
}

pub(super) fn print_locator(octets: &[u8], out: &mut String) {
    let (groups, _) = octets.as_chunks::<2>();
    push_joined(groups, ":", |group, out| push(out, format_args!("{:04x}", u16::from_be_bytes(*group))), out);
}

// WKS (RFC 1035 section 3.4.2): a protocol, and a bit for each port.

pub(super) fn parse_services(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    const PROTOCOL: &str = "a protocol: a number up to 255, or a name such as tcp";
    const SERVICE: &str = "a port: a number up to 65535, or a name such as smtp";
    let word = words.plain(PROTOCOL)?;
    let protocol = decimal(word.text).or_else(|| number_of(mnemonic::PROTOCOLS, word.text).map(u64::from));
    out.push(protocol.and_then(|value| u8::try_from(value).ok()).ok_or_else(|| Error::unexpected(PROTOCOL, word.shown()))?);
    let start = out.len();
    for word in words.by_ref() {
        let port = decimal(word.text).or_else(|| number_of(mnemonic::SERVICES, word.text).map(u64::from));
        let port = port.and_then(|value| u16::try_from(value).ok()).ok_or_else(|| Error::unexpected(SERVICE, word.shown()))?;
        let at = start + usize::from(port / 8);
        if out.len() <= at {
            out.resize(at + 1, 0);
        }
        if let Some(octet) = out.get_mut(at) {
            *octet |= 0x80 >> (port % 8);
        }
    }
    Ok(())
}

pub(super) fn print_services(octets: &[u8], out: &mut String) -> Option<()> {
    let (protocol, bits) = octets.split_first()?;
    push(out, protocol);
    for (index, octet) in bits.iter().enumerate() {
        for bit in (0..8).filter(|bit| octet & (0x80 >> bit) != 0) {
            push(out, format_args!(" {}", index * 8 + bit));
        }
    }
    Some(())
}

// IPSECKEY (RFC 4025) and AMTRELAY (RFC 8777): a type, and a gateway of that type.

/// Length of a gateway of this type.
fn target_length(kind: u8, rest: &[u8]) -> Result<usize, &'static str> {
    let length = match kind {
        0 => 0,
        1 => 4,
        2 => 16,
        3 => name_length(rest)?,
        _ => return Err("a gateway type from 0 to 3"),
    };
    if length <= rest.len() { Ok(length) } else { Err("a whole gateway") }
}

pub(super) fn gateway_length(rest: &[u8]) -> Result<usize, &'static str> {
    let [kind, _algorithm, target @ ..] = rest else { return Err("a gateway type and an algorithm") };
    target_length(*kind, target).map(|length| length + 2)
}

pub(super) fn relay_length(rest: &[u8]) -> Result<usize, &'static str> {
    let [kind, target @ ..] = rest else { return Err("a relay type") };
    // RFC 8777 section 4.2.4 leaves the format of other types to their definition.
    let length = if kind & 0x7f > 3 { Ok(target.len()) } else { target_length(kind & 0x7f, target) };
    length.map(|length| length + 1)
}

fn parse_target(kind: u8, words: &mut Words<'_>, origin: Option<&Name>, out: &mut Vec<u8>) -> Result<(), Error> {
    match kind {
        0 => {
            let word = words.plain("a dot for no gateway")?;
            if word.text != b"." {
                return Err(Error::unexpected("a dot for no gateway", word.shown()));
            }
        }
        1 => out.extend_from_slice(&address::<Ipv4Addr>(words, "an IPv4 address")?.octets()),
        2 => out.extend_from_slice(&address::<Ipv6Addr>(words, "an IPv6 address")?.octets()),
        3 => text::push_name(words.plain("a domain name")?.text, origin, false, out)?,
        _ => return Err(Error::unexpected("a gateway type from 0 to 3", kind.to_string())),
    }
    Ok(())
}

fn print_target(kind: u8, target: &[u8], out: &mut String) -> Option<()> {
    match kind {
        0 => out.push('.'),
        1 => push(out, Ipv4Addr::from(<[u8; 4]>::try_from(target).ok()?)),
        2 => push(out, Ipv6Addr::from(<[u8; 16]>::try_from(target).ok()?)),
        3 => push_name(target, out),
        _ => return None,
    }
    Some(())
}

pub(super) fn parse_gateway(words: &mut Words<'_>, origin: Option<&Name>, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    push_number(words, 1, "a gateway type from 0 to 3", out)?;
    let kind = out.get(start).copied().unwrap_or_default();
    push_algorithm(words, out)?;
    parse_target(kind, words, origin, out)
}

pub(super) fn print_gateway(octets: &[u8], out: &mut String) -> Option<()> {
    let [kind, algorithm, target @ ..] = octets else { return None };
    push(out, format_args!("{kind} {algorithm} "));
    print_target(*kind, target, out)
}

pub(super) fn parse_relay(words: &mut Words<'_>, origin: Option<&Name>, out: &mut Vec<u8>) -> Result<(), Error> {
    let word = words.plain("0 or 1 for discovery optional")?;
    let optional = match word.text {
        b"0" => 0,
        b"1" => 0x80,
        _ => return Err(Error::unexpected("0 or 1 for discovery optional", word.shown())),
    };
    let word = words.plain("a relay type from 0 to 3")?;
    let kind = decimal(word.text).filter(|kind| *kind <= 3);
    let kind = kind.ok_or_else(|| Error::unexpected("a relay type from 0 to 3", word.shown()))? as u8;
    out.push(optional | kind);
    parse_target(kind, words, origin, out)
}

pub(super) fn print_relay(octets: &[u8], out: &mut String) -> Option<()> {
    let (kind, target) = octets.split_first()?;
    push(out, format_args!("{} {} ", kind >> 7, kind & 0x7f));
    print_target(kind & 0x7f, target, out)
}

/// Where the name of a gateway or relay begins, if it has one.
pub(super) fn target_name(octets: &[u8], header: usize) -> Option<usize> {
    octets.first().filter(|kind| *kind & 0x7f == 3).map(|_| header)
}

// A6 (RFC 2874): prefix length, the rest of the address, and the name of the prefix.

/// Where the name begins, after the octets of the address.
pub(super) fn a6_name(rest: &[u8]) -> Result<usize, &'static str> {
    let prefix = usize::from(*rest.first().ok_or("a prefix length")?);
    if prefix > 128 { Err("a prefix length up to 128") } else { Ok(1 + 16 - prefix / 8) }
}

pub(super) fn a6_length(rest: &[u8]) -> Result<usize, &'static str> {
    let name_at = a6_name(rest)?;
    let name = rest.get(name_at..).ok_or("a whole address")?;
    let prefix = rest.first().copied().unwrap_or_default();
    let padding = 0xffu8.checked_shl(8 - u32::from(prefix % 8)).unwrap_or(0);
    if rest.get(1).is_some_and(|first| name_at > 1 && first & padding != 0) {
        return Err("zeros before the address");
    }
    if prefix == 0 { Ok(name_at) } else { name_length(name).map(|length| name_at + length) }
}

pub(super) fn parse_a6(words: &mut Words<'_>, origin: Option<&Name>, out: &mut Vec<u8>) -> Result<(), Error> {
    let word = words.plain("a prefix length up to 128")?;
    let prefix = decimal(word.text).filter(|prefix| *prefix <= 128);
    let prefix = prefix.ok_or_else(|| Error::unexpected("a prefix length up to 128", word.shown()))? as u8;
    out.push(prefix);
    if prefix < 128 {
        let mut octets = address::<Ipv6Addr>(words, "an IPv6 address")?.octets();
        let skipped = usize::from(prefix / 8);
        if let Some(first) = octets.get_mut(skipped) {
            *first &= 0xff >> (prefix % 8);
        }
        out.extend_from_slice(octets.get(skipped..).unwrap_or_default());
    }
    if prefix > 0 { text::push_name(words.plain("a domain name")?.text, origin, true, out) } else { Ok(()) }
}

pub(super) fn print_a6(octets: &[u8], out: &mut String) -> Option<()> {
    let name_at = a6_name(octets).ok()?;
    let prefix = octets.first()?;
    push(out, prefix);
    if *prefix < 128 {
        let mut address = [0u8; 16];
        address.get_mut(17 - name_at..)?.copy_from_slice(octets.get(1..name_at)?);
        push(out, format_args!(" {}", Ipv6Addr::from(address)));
    }
    if *prefix > 0 {
        out.push(' ');
        push_name(octets.get(name_at..)?, out);
    }
    Some(())
}

// HIP (RFC 8005): lengths, algorithm, identity tag, key, rendezvous servers.

/// Identity tag, key and servers.
fn hip_parts(rdata: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let [tag_length, _algorithm, high, low, rest @ ..] = rdata else { return None };
    let (tag, rest) = rest.split_at_checked(usize::from(*tag_length))?;
    let (key, servers) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((tag, key, servers))
}

pub(super) fn hip_is_valid(rdata: &[u8]) -> Result<(), &'static str> {
    let (tag, key, mut servers) = hip_parts(rdata).ok_or("a whole identity tag and key")?;
    if tag.is_empty() || key.is_empty() {
        return Err("an identity tag and a key");
    }
    while !servers.is_empty() {
        servers = servers.get(name_length(servers)?..).unwrap_or_default();
    }
    Ok(())
}

/// Where the rendezvous servers begin.
pub(super) fn hip_servers(rdata: &[u8]) -> Option<usize> {
    hip_parts(rdata).map(|(_, _, servers)| rdata.len() - servers.len())
}

pub(super) fn parse_hip(words: &mut Words<'_>, origin: Option<&Name>, out: &mut Vec<u8>) -> Result<(), Error> {
    let length_at = out.len();
    out.push(0);
    push_number(words, 1, "a public key algorithm: a number up to 255", out)?;
    let mut tag = vec![0];
    let word = words.plain("an identity tag in hexadecimal")?;
    text::push_hex(&word, &mut tag)?;
    set_length(&word, 0, &mut tag)?;
    let (tag_length, tag) = tag.split_first().map_or((0, &[][..]), |(length, tag)| (*length, tag));
    if let Some(slot) = out.get_mut(length_at) {
        *slot = tag_length;
    }
    let mut key = Vec::new();
    let word = words.plain("a public key in Base64")?;
    let mut base64 = text::Base64::default();
    base64.push(word.text, &mut key)?;
    base64.finish()?;
    let key_length = u16::try_from(key.len()).map_err(|_| Error::unexpected("a key of at most 65535 octets", word.shown()))?;
    out.extend_from_slice(&key_length.to_be_bytes());
    out.extend_from_slice(tag);
    out.extend_from_slice(&key);
    while !words.is_done() {
        text::push_name(words.plain("a domain name")?.text, origin, false, out)?;
    }
    Ok(())
}

pub(super) fn print_hip(octets: &[u8], out: &mut String) -> Option<()> {
    let (tag, key, mut servers) = hip_parts(octets)?;
    push(out, format_args!("{} ", octets.get(1)?));
    push_hex(tag, out);
    out.push(' ');
    push_base64(key, out);
    while !servers.is_empty() {
        let (server, rest) = servers.split_at_checked(name_length(servers).ok()?)?;
        out.push(' ');
        push_name(server, out);
        servers = rest;
    }
    Some(())
}
