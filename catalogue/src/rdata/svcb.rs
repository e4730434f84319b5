//! SvcParams of SVCB and HTTPS (RFC 9460 section 2.1 and appendix A).

use super::Error;
use super::text::{Base64, decimal, push_unescaped};
use super::words::{Word, Words};
use super::writing::{push, push_base64, push_joined};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a value consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Keys in increasing order.
    Keys,
    /// Strings with their lengths.
    Strings,
    /// Nothing.
    Empty,
    /// A port.
    Port,
    /// Numbers of 16 bits.
    Numbers,
    V4,
    V6,
    /// Octets, written in Base64.
    Base64,
    /// A text with a variable `dns`.
    Template,
    /// Octets, written as they are.
    Opaque,
}

/// Keys from the IANA registry "Service Parameter Keys (SvcParamKeys)".
const KEYS: &[(u16, &str, Kind)] = &[
    (0, "mandatory", Kind::Keys),
    (1, "alpn", Kind::Strings),
    (2, "no-default-alpn", Kind::Empty),
    (3, "port", Kind::Port),
    (4, "ipv4hint", Kind::V4),
    (5, "ech", Kind::Base64),
    (6, "ipv6hint", Kind::V6),
    // RFC 9461
    (7, "dohpath", Kind::Template),
    // RFC 9540
    (8, "ohttp", Kind::Empty),
    (9, "tls-supported-groups", Kind::Numbers),
];

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;

fn kind_of(key: u16) -> Kind {
    KEYS.iter().find(|(known, ..)| *known == key).map_or(Kind::Opaque, |(_, _, kind)| *kind)
}

fn key_of(name: &[u8]) -> Option<u16> {
    if let Some((key, ..)) = KEYS.iter().find(|(_, known, _)| known.as_bytes() == name) {
        return Some(*key);
    }
    let digits = name.strip_prefix(b"key")?;
    // Without leading zeros.
    let plain = digits == b"0" || digits.first() != Some(&b'0');
    decimal(digits).filter(|_| plain).and_then(|key| u16::try_from(key).ok())
}

fn push_key(key: u16, out: &mut String) {
    match KEYS.iter().find(|(known, ..)| *known == key) {
        Some((_, name, _)) => out.push_str(name),
        None => push(out, format_args!("key{key}")),
    }
}

/// Appends the parameters in the order of their keys.
pub(super) fn parse(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut params = BTreeMap::new();
    while let Some(word) = words.next() {
        let wrong = |expected| Error::unexpected(expected, word.shown());
        let equals = word.text.iter().position(|octet| *octet == b'=');
        let (name, value) = word.text.split_at(equals.unwrap_or(word.text.len()));
        let mut value = value.get(1..);
        if word.quoted {
            return Err(wrong("a parameter such as alpn=\"h2,h3\""));
        }
        if value == Some(&[])
            && let Some(quoted) = words.peek().filter(|next| next.quoted && next.joined)
        {
            value = Some(quoted.text);
            words.next();
        }
        let key = key_of(name).ok_or_else(|| wrong("a known parameter, or key and a number up to 65535"))?;
        let mut wire = Vec::new();
        // A number says nothing of the format, so its value is octets (RFC 9460 section 2.1).
        let kind = if name.starts_with(b"key") { Kind::Opaque } else { kind_of(key) };
        push_value((key, kind), value, &word, &mut wire)?;
        if wire.len() > usize::from(u16::MAX) {
            return Err(wrong("a value of at most 65535 octets"));
        }
        if params.insert(key, wire).is_some() {
            return Err(wrong("every parameter at most once"));
        }
    }
    for (key, value) in params {
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(&value);
    }
    Ok(())
}

fn push_value((key, kind): (u16, Kind), value: Option<&[u8]>, word: &Word<'_>, wire: &mut Vec<u8>) -> Result<(), Error> {
    let wrong = |expected| Error::unexpected(expected, word.shown());
    if matches!(kind, Kind::Empty | Kind::Opaque) && value.is_none() {
        return value_is_valid(key, wire).map_err(wrong);
    }
    let value = value.ok_or_else(|| wrong("a value after ="))?;
    let mut octets = Vec::new();
    push_unescaped(value, &mut octets)?;
    let text = || std::str::from_utf8(&octets).ok();
    let items = || octets.split(|octet| *octet == b',');
    match kind {
        Kind::Empty if !octets.is_empty() => return Err(wrong("no value")),
        Kind::Empty => {}
        Kind::Template if !is_template(&octets) => {
            return Err(wrong("a relative path in UTF-8 with a variable dns, such as /dns-query{?dns}"));
        }
        Kind::Opaque | Kind::Template => wire.extend_from_slice(&octets),
        Kind::Keys => {
            let keys: Option<Vec<u16>> = items().map(key_of).collect();
            let mut keys = keys.ok_or_else(|| wrong("known parameters, separated by commas"))?;
            keys.sort_unstable();
            keys.iter().for_each(|key| wire.extend_from_slice(&key.to_be_bytes()));
        }
        Kind::Strings => {
            for item in list(value)? {
                let length = u8::try_from(item.len()).ok().filter(|length| *length > 0);
                wire.push(length.ok_or_else(|| wrong("identifiers of 1 to 255 octets, separated by commas"))?);
                wire.extend_from_slice(&item);
            }
        }
        Kind::Port | Kind::Numbers => {
            for item in items() {
                let number = decimal(item).and_then(|number| u16::try_from(number).ok());
                wire.extend_from_slice(&number.ok_or_else(|| wrong("a number up to 65535"))?.to_be_bytes());
            }
        }
        Kind::V4 => {
            for item in text().unwrap_or_default().split(',') {
                wire.extend_from_slice(
                    &item.parse::<Ipv4Addr>().map_err(|_| wrong("IPv4 addresses, separated by commas"))?.octets(),
                );
            }
        }
        Kind::V6 => {
            for item in text().unwrap_or_default().split(',') {
                wire.extend_from_slice(
                    &item.parse::<Ipv6Addr>().map_err(|_| wrong("IPv6 addresses, separated by commas"))?.octets(),
                );
            }
        }
        Kind::Base64 => {
            let mut base64 = Base64::default();
            base64.push(&octets, wire)?;
            base64.finish()?;
        }
    }
    value_is_valid(key, wire).map_err(wrong)
}

/// The items of a value with commas (RFC 9460 appendix A.1). First the escapes of the file are decoded, then those of the
/// list, where a backslash stands before a comma or a backslash.
fn list(value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let mut octets = Vec::new();
    push_unescaped(value, &mut octets)?;
    let (mut items, mut item) = (Vec::new(), Vec::new());
    let mut rest = octets.iter();
    while let Some(octet) = rest.next() {
        match octet {
            b',' => items.push(std::mem::take(&mut item)),
            b'\\' => match rest.next() {
                Some(next @ (b',' | b'\\')) => item.push(*next),
                _ => {
                    return Err(Error::unexpected(
                        "a comma or a backslash after a backslash in a list",
                        super::text::shown(value),
                    ));
                }
            },
            octet => item.push(*octet),
        }
    }
    items.push(item);
    Ok(items)
}

/// Whether the octets of a value are valid. An error says what is expected.
fn value_is_valid(key: u16, value: &[u8]) -> Result<(), &'static str> {
    let valid = |valid, expected| if valid { Ok(()) } else { Err(expected) };
    match kind_of(key) {
        Kind::Keys => {
            let (keys, rest) = value.as_chunks::<2>();
            let sorted = keys.is_sorted_by(|a, b| a < b) && rest.is_empty() && !keys.is_empty() && keys.first() != Some(&[0, 0]);
            valid(sorted, "other parameters, each once")
        }
        Kind::Strings => {
            let mut rest = value;
            while let Some((length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
                rest = after.get(usize::from(*length)..).ok_or("whole identifiers")?;
            }
            valid(rest.is_empty() && !value.is_empty(), "identifiers of at least one octet")
        }
        Kind::Empty => valid(value.is_empty(), "no value"),
        Kind::Port => valid(value.len() == 2, "one port"),
        Kind::Numbers => valid(value.len().is_multiple_of(2) && !value.is_empty(), "numbers up to 65535"),
        Kind::V4 => valid(value.len().is_multiple_of(4) && !value.is_empty(), "IPv4 addresses"),
        Kind::V6 => valid(value.len().is_multiple_of(16) && !value.is_empty(), "IPv6 addresses"),
        Kind::Base64 => valid(!value.is_empty(), "at least one octet"),
        Kind::Template | Kind::Opaque => Ok(()),
    }
}

/// RFC 9461 section 5: a URI template that is relative, with the variable `dns`.
fn is_template(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let variables = text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(expression, _)| expression);
    let names = variables.flat_map(|list| list.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']).split(','));
    text.starts_with('/') && names.into_iter().any(|name| name.trim_end_matches('*') == "dns")
}

/// The parameters in wire format, or what is expected instead.
fn params(octets: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), &'static str>> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let [a, b, c, d, after @ ..] = rest else {
            rest = &[];
            return Some(Err("a parameter with its length"));
        };
        let Some((value, next)) = after.split_at_checked(usize::from(u16::from_be_bytes([*c, *d]))) else {
            rest = &[];
            return Some(Err("a whole parameter"));
        };
        rest = next;
        Some(Ok((u16::from_be_bytes([*a, *b]), value)))
    })
}

/// Checks keys, values, and that they fit each other (RFC 9460 sections 2.2, 7 and 8).
pub(super) fn check(octets: &[u8]) -> Result<(), &'static str> {
    let mut keys: Vec<u16> = Vec::new();
    let mut mandatory: &[u8] = &[];
    for param in params(octets) {
        let (key, value) = param?;
        if keys.last().is_some_and(|last| *last >= key) {
            return Err("parameters in increasing order of their keys");
        }
        value_is_valid(key, value)?;
        if key == MANDATORY {
            mandatory = value;
        }
        keys.push(key);
    }
    let (needed, _) = mandatory.as_chunks::<2>();
    if !needed.iter().all(|key| keys.contains(&u16::from_be_bytes(*key))) {
        return Err("every mandatory parameter to be present");
    }
    if keys.contains(&NO_DEFAULT_ALPN) && !keys.contains(&ALPN) {
        return Err("alpn next to no-default-alpn");
    }
    Ok(())
}

pub(super) fn print(octets: &[u8], out: &mut String) -> Option<()> {
    for (index, param) in params(octets).enumerate() {
        let (key, value) = param.ok()?;
        if index > 0 {
            out.push(' ');
        }
        if kind_of(key) == Kind::Template && !is_template(value) {
            // As octets, because its own format does not permit it.
            push(out, format_args!("key{key}"));
        } else {
            push_key(key, out);
        }
        if value.is_empty() {
            continue;
        }
        out.push('=');
        print_value(key, value, out)?;
    }
    Some(())
}

fn print_value(key: u16, value: &[u8], out: &mut String) -> Option<()> {
    let numbers = || value.as_chunks::<2>().0.iter().map(|number| u16::from_be_bytes(*number));
    match kind_of(key) {
        Kind::Keys => push_joined(numbers(), ",", push_key, out),
        Kind::Port | Kind::Numbers => push_joined(numbers(), ",", |number, out| push(out, number), out),
        Kind::V4 => push_joined(value.as_chunks::<4>().0, ",", |address, out| push(out, Ipv4Addr::from(*address)), out),
        Kind::V6 => push_joined(value.as_chunks::<16>().0, ",", |address, out| push(out, Ipv6Addr::from(*address)), out),
        Kind::Base64 => push_base64(value, out),
        Kind::Empty | Kind::Opaque | Kind::Template => super::writing::push_quoted(value, out),
        Kind::Strings => {
            let mut escaped = Vec::new();
            let mut rest = value;
            while let Some((length, after)) = rest.split_first() {
                let (item, after) = after.split_at_checked(usize::from(*length))?;
                if rest.len() < value.len() {
                    escaped.push(b',');
                }
                for octet in item {
                    if matches!(octet, b',' | b'\\') {
                        escaped.push(b'\\');
                    }
                    escaped.push(*octet);
                }
                rest = after;
            }
            super::writing::push_quoted(&escaped, out);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_is_decoded_before_the_list_is_split() {
        // The vectors of RFC 9460 appendix D.2, figure 8.
        let vectors: [&[u8]; 2] = [br"f\\\\oo\\,bar,h2", br"f\\\092oo\092,bar,h2"];
        for vector in vectors {
            assert_eq!(list(vector).unwrap(), [b"f\\oo,bar".to_vec(), b"h2".to_vec()]);
        }
    }
}
