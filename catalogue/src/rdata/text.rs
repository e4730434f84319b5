//! Octets as text: escapes, names, character-strings, and the encodings of binary data.

use super::Error;
use super::words::{Word, Words};
use crate::Name;
use zonepulse_dns::name::{MAX_LABEL, MAX_WIRE};

/// Decodes the escape whose backslash is before `rest`: three digits, or one octet that stands for itself. Returns the
/// octet and how many octets of `rest` it took.
pub(super) fn escape(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [a, b, c, ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
            let value = [a, b, c].iter().fold(0u16, |value, digit| value * 10 + u16::from(**digit - b'0'));
            Some((u8::try_from(value).ok()?, 3))
        }
        [a, ..] if !a.is_ascii_digit() => Some((*a, 1)),
        _ => None,
    }
}

const ESCAPE: &str = "an escape: a backslash and a character, or three digits up to 255";

/// Appends the octets that a word stands for, with its escapes decoded.
pub(crate) fn push_unescaped(word: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = word;
    while let Some(at) = rest.iter().position(|octet| *octet == b'\\') {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        let after = after.get(1..).unwrap_or_default();
        let (octet, used) = escape(after).ok_or_else(|| Error::unexpected(ESCAPE, shown(word)))?;
        out.push(octet);
        rest = after.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// A word of a message, in quotes.
pub(super) fn shown(text: &[u8]) -> String {
    Word { text, quoted: false, joined: false, line: 0 }.shown()
}

/// Appends a name in wire format. A name without final dot is relative to the origin, which `@` stands for.
pub(crate) fn push_name(text: &[u8], origin: Option<&Name>, lower: bool, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    let result = push_labels(text, origin, out);
    let Some(name) = out.get_mut(start..).filter(|_| result.is_ok()) else {
        out.truncate(start);
        return result;
    };
    if lower {
        name.make_ascii_lowercase();
    }
    if name.len() > MAX_WIRE {
        out.truncate(start);
        return Err(Error::unexpected("a name of at most 255 octets", shown(text)));
    }
    Ok(())
}

fn push_labels(text: &[u8], origin: Option<&Name>, out: &mut Vec<u8>) -> Result<(), Error> {
    let relative = |out: &mut Vec<u8>| {
        let no_origin = || Error::unexpected("an absolute name, because no origin is known ($ORIGIN)", shown(text));
        out.extend_from_slice(origin.ok_or_else(no_origin)?.wire());
        Ok(())
    };
    match text {
        b"@" => return relative(out),
        b"." => {
            out.push(0);
            return Ok(());
        }
        b"" => return Err(Error::unexpected("a domain name", "an empty word".to_owned())),
        _ => {}
    }
    let mut rest = text;
    loop {
        let length_at = out.len();
        out.push(0);
        rest = push_label(text, rest, out)?;
        let length = out.len() - length_at - 1;
        if length == 0 {
            return Err(Error::unexpected("a domain name without empty labels", shown(text)));
        }
        if length > MAX_LABEL || out.len() > usize::from(u16::MAX) {
            return Err(Error::unexpected("labels of at most 63 octets", shown(text)));
        }
        if let Some(slot) = out.get_mut(length_at) {
            *slot = length as u8;
        }
        match rest {
            [] => return relative(out),
            [_dot] => {
                out.push(0);
                return Ok(());
            }
            [_dot, after @ ..] => rest = after,
        }
    }
}

/// Appends the octets of one label, and returns what follows it: nothing, or a dot and more.
fn push_label<'a>(text: &[u8], mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Error> {
    loop {
        let end = rest.iter().position(|octet| matches!(octet, b'.' | b'\\')).unwrap_or(rest.len());
        let (plain, after) = rest.split_at(end);
        out.extend_from_slice(plain);
        let [b'\\', after @ ..] = after else { return Ok(after) };
        let (octet, used) = escape(after).ok_or_else(|| Error::unexpected(ESCAPE, shown(text)))?;
        out.push(octet);
        rest = after.get(used..).unwrap_or_default();
    }
}

/// The length of the uncompressed name at the start of `wire`, with the root's label.
pub(super) fn name_length(wire: &[u8]) -> Result<usize, &'static str> {
    let mut length = 0;
    loop {
        let label = usize::from(*wire.get(length).ok_or("a whole domain name")?);
        if label > MAX_LABEL {
            return Err("a domain name without compression");
        }
        length += label + 1;
        if length > MAX_WIRE || length > wire.len() {
            return Err("a whole domain name of at most 255 octets");
        }
        if label == 0 {
            return Ok(length);
        }
    }
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).map(|digit| digit as u8)
}

/// Collects digits of an encoding, several bits each, into octets.
#[derive(Default)]
struct Bits {
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, digit: u8, bits: u32, out: &mut Vec<u8>) {
        self.held = (self.held << bits | u32::from(digit)) & 0xffff;
        self.count += bits;
        if self.count >= 8 {
            self.count -= 8;
            out.push((self.held >> self.count) as u8);
        }
    }

    /// Bits that are left and belong to no octet.
    fn left(&self) -> u32 {
        self.held & ((1 << self.count) - 1)
    }
}

/// Appends hexadecimal data from all words that are left.
pub(super) fn push_hex_rest(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut bits = Bits::default();
    for word in words.by_ref() {
        for octet in word.text {
            let digit = hex_digit(*octet).ok_or_else(|| Error::unexpected("hexadecimal digits", word.shown()))?;
            bits.push(digit, 4, out);
        }
    }
    if bits.count != 0 {
        return Err(Error::unexpected("an even number of hexadecimal digits", "an odd one".to_owned()));
    }
    Ok(())
}

/// Appends hexadecimal data from one word.
pub(super) fn push_hex(word: &Word<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut bits = Bits::default();
    for octet in word.text {
        let digit = hex_digit(*octet).ok_or_else(|| Error::unexpected("hexadecimal digits", word.shown()))?;
        bits.push(digit, 4, out);
    }
    if bits.count != 0 {
        return Err(Error::unexpected("an even number of hexadecimal digits", word.shown()));
    }
    Ok(())
}

fn base64_digit(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => Some(octet - b'A'),
        b'a'..=b'z' => Some(octet - b'a' + 26),
        b'0'..=b'9' => Some(octet - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Decodes Base64 (RFC 4648 section 4) with padding.
#[derive(Default)]
pub(super) struct Base64 {
    bits: Bits,
    digits: usize,
    padding: usize,
}

impl Base64 {
    pub(super) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let wrong = |expected| Err(Error::unexpected(expected, shown(text)));
        for octet in text {
            if *octet == b'=' {
                self.padding += 1;
                continue;
            }
            let Some(digit) = base64_digit(*octet) else { return wrong("Base64") };
            if self.padding > 0 {
                return wrong("nothing after the padding of Base64");
            }
            self.bits.push(digit, 6, out);
            self.digits += 1;
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<(), Error> {
        let whole = (self.digits + self.padding).is_multiple_of(4) && self.padding <= 2 && self.digits % 4 != 1;
        if whole && self.bits.left() == 0 && (self.padding == 0 || !self.digits.is_multiple_of(4)) {
            return Ok(());
        }
        Err(Error::unexpected("whole Base64 with its padding", format!("{} digits", self.digits)))
    }
}

/// Appends Base64 data from all words that are left.
pub(super) fn push_base64_rest(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut base64 = Base64::default();
    for word in words.by_ref() {
        base64.push(word.text, out)?;
    }
    base64.finish()
}

/// Appends data in Base32 with extended hexadecimal alphabet, without padding (RFC 5155 section 3.3).
pub(super) fn push_base32(word: &Word<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut bits = Bits::default();
    let wrong = || Error::unexpected("Base32 with extended hexadecimal alphabet and without padding", word.shown());
    for octet in word.text {
        let digit = char::from(*octet).to_digit(32).ok_or_else(wrong)?;
        bits.push(digit as u8, 5, out);
    }
    if bits.count >= 5 || bits.left() != 0 { Err(wrong()) } else { Ok(()) }
}

/// Parses decimal digits only.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// Parses a period: seconds, or numbers with the units `w`, `d`, `h`, `m` and `s`, as in `1h30m`.
pub(crate) fn period(text: &[u8]) -> Option<u32> {
    if let Some(value) = decimal(text) {
        return u32::try_from(value).ok();
    }
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let value = decimal(rest.get(..digits)?)?;
        let unit = match rest.get(digits)?.to_ascii_lowercase() {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(value.checked_mul(unit)?)?;
        rest = rest.get(digits + 1..)?;
    }
    (!text.is_empty()).then(|| u32::try_from(total).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_units() {
        assert_eq!(period(b"1h30m"), Some(5400));
        assert_eq!(period(b"1W2D"), Some(604_800 + 2 * 86_400));
        assert_eq!(period(b"4294967295"), Some(u32::MAX));
        for bad in ["", "h", "1x", "1h3", "4294967296", "-1", "8000w", "1 h"] {
            assert_eq!(period(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn base64_needs_its_padding() {
        let decode = |text: &str| {
            let (mut base64, mut out) = (Base64::default(), Vec::new());
            base64.push(text.as_bytes(), &mut out).and_then(|()| base64.finish()).map(|()| out)
        };
        assert_eq!(decode("Zm9v").unwrap(), b"foo");
        assert_eq!(decode("Zm8=").unwrap(), b"fo");
        assert_eq!(decode("Zg==").unwrap(), b"f");
        for bad in ["Zg", "Zg=", "Zh==", "Z===", "====", "Zm9v=", "Zg==Zg==", "Z-=="] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
