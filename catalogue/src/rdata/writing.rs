//! Pieces of text that fields consist of.

use std::fmt::Write;

pub(super) fn push(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// Items with a separator between them.
pub(super) fn push_joined<T>(
    items: impl IntoIterator<Item = T>,
    separator: &str,
    mut push_item: impl FnMut(T, &mut String),
    out: &mut String,
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        push_item(item, out);
    }
}

/// Appends a name without changing its case.
pub(super) fn push_name(wire: &[u8], out: &mut String) {
    if wire == [0] {
        out.push('.');
        return;
    }
    let mut rest = wire;
    while let Some((&length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, after) = after.split_at_checked(usize::from(length)).unwrap_or_default();
        label.iter().for_each(|octet| push_escaped(*octet, b".\\\"();@$", out));
        out.push('.');
        rest = after;
    }
}

/// Appends an octet, escaped if it is not printable ASCII or one of these.
fn push_escaped(octet: u8, special: &[u8], out: &mut String) {
    match octet {
        b'!'..=b'~' if !special.contains(&octet) => out.push(char::from(octet)),
        b'!'..=b'~' => {
            out.push('\\');
            out.push(char::from(octet));
        }
        b' ' if special.len() == 2 => out.push(' '),
        _ => {
            out.push('\\');
            for divisor in [100, 10, 1] {
                out.push(char::from(b'0' + octet / divisor % 10));
            }
        }
    }
}

/// Appends a string in quotes.
pub(super) fn push_quoted(octets: &[u8], out: &mut String) {
    out.push('"');
    octets.iter().for_each(|octet| push_escaped(*octet, b"\"\\", out));
    out.push('"');
}

/// Appends a word as it is in the file, in quotes and shortened, for a message.
pub(super) fn push_quoted_word(word: &[u8], out: &mut String) {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(word.get(..SHOWN).unwrap_or(word));
    out.push('"');
    for character in text.chars() {
        if character.is_control() { push(out, character.escape_default()) } else { out.push(character) }
    }
    out.push_str(if word.len() > SHOWN { "…\"" } else { "\"" });
}

/// Appends octets in hexadecimal.
pub(super) fn push_hex(octets: &[u8], out: &mut String) {
    for octet in octets {
        for digit in [octet >> 4, octet & 15] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
        }
    }
}

/// Appends groups of `bits` bits as digits.
pub(super) fn push_digits(octets: &[u8], bits: u32, digit: impl Fn(u8) -> char, out: &mut String) {
    let (mut held, mut count) = (0u32, 0);
    let mask = (1u32 << bits) - 1;
    for octet in octets {
        held = (held << 8 | u32::from(*octet)) & 0xffff;
        count += 8;
        while count >= bits {
            count -= bits;
            out.push(digit((held >> count & mask) as u8));
        }
    }
    if count > 0 {
        out.push(digit((held << (bits - count) & mask) as u8));
    }
}

/// Appends octets in Base64.
pub(super) fn push_base64(octets: &[u8], out: &mut String) {
    let digit = |value: u8| match value {
        0..=25 => char::from(b'A' + value),
        26..=51 => char::from(b'a' + value - 26),
        52..=61 => char::from(b'0' + value - 52),
        62 => '+',
        _ => '/',
    };
    push_digits(octets, 6, digit, out);
    (0..(3 - octets.len() % 3) % 3).for_each(|_| out.push('='));
}

/// Appends octets in Base32 with extended hexadecimal digits.
pub(super) fn push_base32(octets: &[u8], out: &mut String) {
    push_digits(octets, 5, |value| char::from_digit(u32::from(value), 32).unwrap_or('0').to_ascii_uppercase(), out);
}
