//! Domain names: conversion from wire format to canonical text, and from user input.
//!
//! On the wire, a name is a sequence of labels, each a length octet (1 to 63) and that many
//! arbitrary octets, terminated by the empty label of the root; 255 octets at most (RFC 1035
//! section 3.1). The **canonical text** of a name is its presentation format (RFC 1035 section 5.1)
//! in lower-case ASCII (RFC 4343), with a final dot and unique escapes: `\` before `.`, `\`, `"`,
//! `(`, `)`, `;`, `@` and `$`, and `\DDD` for every octet outside `!` to `~`. Two names are equal
//! exactly if their canonical texts are.

use crate::Error;

/// Maximum length of a name in wire format including the root, octets.
pub const MAX_WIRE: usize = 255;
/// Maximum length of a canonical text, bytes: 250 octets escaped as `\DDD`, and four dots.
pub const MAX_TEXT: usize = 1004;
/// Maximum length of a label, octets.
pub const MAX_LABEL: usize = 63;
/// The canonical text of the root.
pub const ROOT: &str = ".";

/// Appends the canonical text of a name in uncompressed wire format.
///
/// Returns `false`, and leaves `text` unchanged, if `wire` is not exactly one well-formed name.
pub fn push_text(wire: &[u8], text: &mut String) -> bool {
    let before = text.len();
    let whole = push_labels(wire, text);
    if !whole {
        text.truncate(before);
    }
    whole
}

fn push_labels(wire: &[u8], text: &mut String) -> bool {
    if wire.len() > MAX_WIRE {
        return false;
    }
    if wire == [0] {
        text.push('.');
        return true;
    }
    let mut rest = wire;
    while let Some((&length, after)) = rest.split_first() {
        let length = usize::from(length);
        if length == 0 {
            return after.is_empty() && wire.len() > 1;
        }
        if length > MAX_LABEL {
            return false;
        }
        let Some((label, after)) = after.split_at_checked(length) else { return false };
        match plain(label) {
            Some(plain) => text.push_str(plain),
            None => label.iter().for_each(|octet| push_octet(*octet, text)),
        }
        text.push('.');
        rest = after;
    }
    false
}

/// The text of a label, if it is lower-case and needs no escapes, as nearly all do.
fn plain(label: &[u8]) -> Option<&str> {
    let is_plain = |octet: &u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    label.iter().all(is_plain).then(|| std::str::from_utf8(label).ok())?
}

fn push_octet(octet: u8, text: &mut String) {
    match octet {
        b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
            text.push('\\');
            text.push(char::from(octet));
        }
        b'!'..=b'~' => text.push(char::from(octet.to_ascii_lowercase())),
        _ => {
            text.push('\\');
            for divisor in [100, 10, 1] {
                text.push(char::from(b'0' + octet / divisor % 10));
            }
        }
    }
}

/// The canonical text of a name as entered by users: in any case, with or without the final dot,
/// with any RFC 1035 escapes. `""` is rejected; the root is `.`.
pub fn canonical(text: &str) -> Result<String, Error> {
    let wire = to_wire(text)?;
    let mut canonical = String::with_capacity(text.len() + 1);
    // `to_wire` returned a well-formed name, so this cannot fail.
    push_text(&wire, &mut canonical);
    Ok(canonical)
}

/// Whether a text is the canonical text of some name.
pub fn is_canonical(text: &str) -> bool {
    // This runs for every record of a batch, so check plain names without building anything.
    plain_canonical(text.as_bytes()) || canonical(text).is_ok_and(|canonical| canonical == text)
}

/// Whether all of these names, which are concatenated in `text`, are canonical and plain enough to
/// tell from one pass over the text. If not, the names must be checked individually.
pub fn are_plainly_canonical(text: &str, ends: &[u32]) -> bool {
    let text = text.as_bytes();
    // Branch-free, so that the compiler can vectorise it.
    let plain = text.iter().fold(true, |all, octet| all & is_plain(*octet));
    let no_empty_label = text.iter().zip(text.iter().skip(1)).fold(true, |all, (a, b)| all & ((*a != b'.') | (*b != b'.')));
    let mut begin = 0;
    // No name begins with a dot, so consecutive dots can only be inside a name.
    let well_cut = |end: &u32| {
        let name = text.get(begin..*end as usize).unwrap_or_default();
        begin = *end as usize;
        // Too short for a label to be too long.
        matches!(name, [first, .., b'.'] if *first != b'.') && name.len() <= MAX_LABEL + 1
    };
    plain && no_empty_label && ends.iter().all(well_cut) && begin == text.len()
}

/// Whether an octet needs no escape in a canonical name, or is a dot.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_lowercase() | octet.is_ascii_digit() | matches!(octet, b'-' | b'.' | b'_')
}

fn plain_canonical(text: &[u8]) -> bool {
    // Too short for a label to be too long. Branch-free, so that the compiler can vectorise it.
    if let [first, .., b'.'] = text
        && text.len() <= MAX_LABEL + 1
    {
        let all_plain = text.iter().fold(true, |all, octet| all & is_plain(*octet));
        let no_empty = text.iter().zip(text.iter().skip(1)).fold(true, |all, (a, b)| all & ((*a != b'.') | (*b != b'.')));
        return all_plain & no_empty & (*first != b'.');
    }
    let mut label = 0;
    for &octet in text {
        match octet {
            b'.' if (1..=MAX_LABEL).contains(&label) => label = 0,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            _ => return false,
        }
    }
    label == 0 && !text.is_empty() && text.len() < MAX_WIRE
}

/// The wire format of a name as entered by users.
pub fn to_wire(text: &str) -> Result<Vec<u8>, Error> {
    let bad = |why| Error::BadName(text.to_owned(), why);
    if text.is_empty() {
        return Err(bad("it is empty; the root is \".\""));
    }
    if text == ROOT {
        return Ok(vec![0]);
    }
    let mut wire = Vec::with_capacity(text.len() + 2);
    let mut label: Vec<u8> = Vec::with_capacity(MAX_LABEL);
    let mut octets = text.bytes();
    let mut open = true;
    while let Some(octet) = octets.next() {
        open = octet != b'.';
        if !open {
            if label.is_empty() {
                return Err(bad("it has an empty label"));
            }
            close(&mut label, &mut wire);
            continue;
        }
        let octet = match octet {
            b'\\' => escaped(&mut octets)
                .ok_or_else(|| bad("a backslash must be followed by a character or by three digits up to 255"))?,
            octet => octet,
        };
        if label.len() == MAX_LABEL {
            return Err(bad("a label has at most 63 octets"));
        }
        label.push(octet);
    }
    if open {
        close(&mut label, &mut wire);
    }
    wire.push(0);
    if wire.len() > MAX_WIRE {
        return Err(bad("a name has at most 255 octets"));
    }
    Ok(wire)
}

fn close(label: &mut Vec<u8>, wire: &mut Vec<u8>) {
    // At most 63, as checked when octets are added.
    wire.push(label.len() as u8);
    wire.append(label);
}

/// Decodes an escape after its backslash: three digits, or one literal character.
fn escaped(octets: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = octets.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = octets.next().filter(u8::is_ascii_digit)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(wire: &[u8]) -> Option<String> {
        let mut text = String::new();
        push_text(wire, &mut text).then_some(text)
    }

    #[test]
    fn a_name_prints_lower_case_with_a_final_dot() {
        assert_eq!(text(b"\x03wWw\x07Example\x03com\x00").unwrap(), "www.example.com.");
        assert_eq!(text(b"\x00").unwrap(), ".");
    }

    #[test]
    fn special_octets_are_escaped_as_rfc_1035_says() {
        assert_eq!(text(b"\x05a.b\\c\x00").unwrap(), "a\\.b\\\\c.");
        assert_eq!(text(b"\x04\x00 \x7f\xff\x00").unwrap(), "\\000\\032\\127\\255.");
    }

    #[test]
    fn anything_but_a_single_name_is_refused() {
        for wire in [&b""[..], b"\x01", b"\x01a", b"\x00\x00", b"\x01a\x00\x00", b"\xc0\x0c", &[64; 66]] {
            assert_eq!(text(wire), None, "{wire:?}");
        }
    }

    #[test]
    fn people_may_leave_out_the_dot_and_use_any_case() {
        assert_eq!(canonical("WWW.Example.com").unwrap(), "www.example.com.");
        assert_eq!(canonical("www.example.com.").unwrap(), "www.example.com.");
        assert_eq!(canonical("\\065\\.b").unwrap(), "a\\.b.");
        assert_eq!(canonical(".").unwrap(), ".");
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        let long_label = "a".repeat(64);
        let long_name = "abcdefg.".repeat(32);
        for (name, why) in [
            ("", "empty"),
            ("a..b", "empty label"),
            (".a", "empty label"),
            ("..", "empty label"),
            ("a\\", "backslash"),
            ("a\\25", "backslash"),
            ("a\\256", "backslash"),
            (long_label.as_str(), "63"),
            (long_name.as_str(), "255"),
        ] {
            let error = canonical(name).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn ordinary_names_are_plainly_canonical() {
        assert!(are_plainly_canonical("a.example._dmarc.b-1.example.", &[10, 29]));
        for (text, ends) in
            [("a.", &[1, 2][..]), ("a.b", &[2, 3]), ("a..b.", &[5]), ("A.", &[2]), ("a.b.", &[2]), ("..", &[1, 2])]
        {
            assert!(!are_plainly_canonical(text, ends), "{text}");
        }
    }

    fn wire_name() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=63), 0..5).prop_filter_map("at most 255 octets", |labels| {
            let mut wire = Vec::new();
            for label in labels {
                wire.push(label.len() as u8);
                wire.extend(label);
            }
            wire.push(0);
            (wire.len() <= MAX_WIRE).then_some(wire)
        })
    }

    proptest! {
        #[test]
        fn text_and_wire_are_two_spellings_of_one_name(wire in wire_name()) {
            let text = text(&wire).unwrap();
            prop_assert!(text.len() <= MAX_TEXT);
            prop_assert!(is_canonical(&text));
            prop_assert!(to_wire(&text).unwrap().eq_ignore_ascii_case(&wire));
            prop_assert_eq!(canonical(&text).unwrap(), text);
        }

        #[test]
        fn names_that_are_plainly_canonical_are_canonical(names in prop::collection::vec("[a-cA.\\\\]{0,4}[a-z0-9.-]{0,64}\\.?", 1..5)) {
            let mut end = 0;
            let ends: Vec<u32> = names.iter().map(|name| { end += name.len() as u32; end }).collect();
            if are_plainly_canonical(&names.concat(), &ends) {
                prop_assert!(names.iter().all(|name| is_canonical(name)));
            }
        }

        #[test]
        fn the_quick_check_agrees_with_the_full_one(text in "[a-zA-Z0-9_.\\\\-]{0,80}") {
            prop_assert_eq!(is_canonical(&text), canonical(&text).is_ok_and(|c| c == text));
        }
    }
}
