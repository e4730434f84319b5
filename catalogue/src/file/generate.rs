//! `$GENERATE`: records from a template and a range of numbers, as BIND reads them.
//!
//! In a template, `$` stands for the number, `${offset,width,base}` for the number plus an offset, filled with zeros to a
//! width, in a base: `d`, `o`, `x` or `X`, or as reversed nibbles with dots, `n` or `N`. `$$` is a dollar sign; a
//! backslash keeps the next character as it is.

use crate::rdata::text::decimal;

/// The numbers, from first to last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub start: u64,
    pub stop: u64,
    pub step: u64,
}

impl Range {
    /// Parses `start-stop` or `start-stop/step`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let number = |text: &[u8]| decimal(text).filter(|value| *value <= i32::MAX as u64);
        let mut halves = text.splitn(2, |octet| *octet == b'/');
        let mut ends = halves.next()?.splitn(2, |octet| *octet == b'-');
        let (start, stop) = (number(ends.next()?)?, number(ends.next()?)?);
        let step = halves.next().map_or(Some(1), number)?;
        (start <= stop && step > 0).then_some(Range { start, stop, step })
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        (self.stop - self.start) / self.step + 1
    }
}

/// Templates without upper limit would allow a short line to write much.
const MAX_EXPANDED: usize = 1 << 16;
const MAX_WIDTH: u64 = 127;

/// Appends the template with the number in place of `$`. An error says what is expected.
pub(super) fn expand(template: &[u8], number: u64, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut rest = template;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'\\' => {
                out.push(b'\\');
                if let Some((next, after)) = rest.split_first() {
                    out.push(*next);
                    rest = after;
                }
            }
            b'$' => match rest {
                [b'$', after @ ..] => {
                    // Escaped, because the text is split into words and fields next.
                    out.extend_from_slice(b"\\$");
                    rest = after;
                }
                [b'{', after @ ..] => {
                    let end = after.iter().position(|octet| *octet == b'}').ok_or("a closing brace after ${")?;
                    push_formatted(after.get(..end).unwrap_or_default(), number, out)?;
                    rest = after.get(end + 1..).unwrap_or_default();
                }
                _ => out.extend_from_slice(number.to_string().as_bytes()),
            },
            octet => out.push(*octet),
        }
        if out.len() > MAX_EXPANDED {
            return Err("a template that gives at most 65536 bytes");
        }
    }
    Ok(())
}

/// Appends a number as the text between braces says.
fn push_formatted(format: &[u8], number: u64, out: &mut Vec<u8>) -> Result<(), &'static str> {
    const EXPECTED: &str = "${offset,width,base} with a base of d, o, x, X, n or N";
    let mut parts = format.split(|octet| *octet == b',');
    let offset = parts.next().unwrap_or_default();
    let (negative, digits) = offset.strip_prefix(b"-").map_or((false, offset), |digits| (true, digits));
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let offset = decimal(digits).and_then(|value| i32::try_from(value).ok()).ok_or(EXPECTED)?;
    let offset = if negative { -offset } else { offset };
    let width = parts.next().map_or(Some(0), decimal).filter(|width| *width <= MAX_WIDTH).ok_or(EXPECTED)? as usize;
    let base = parts.next().unwrap_or(b"d");
    let sum = i32::try_from(number).ok().and_then(|number| number.checked_add(offset));
    let value = sum.ok_or("a number that stays below 2147483648 with its offset")?;
    let text = match (base, parts.next()) {
        (b"d", None) => format!("{value:0width$}"),
        (b"o", None) => format!("{value:0width$o}"),
        (b"x", None) => format!("{value:0width$x}"),
        (b"X", None) => format!("{value:0width$X}"),
        (b"n", None) => nibbles(value as u32, width),
        (b"N", None) => nibbles(value as u32, width).to_ascii_uppercase(),
        _ => return Err(EXPECTED),
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Hexadecimal digits from the last to the first, each followed by a dot if more follows. The width counts dots too.
fn nibbles(value: u32, width: usize) -> String {
    let (mut value, mut width) = (value, width);
    let mut text = String::new();
    loop {
        text.extend(char::from_digit(value & 15, 16));
        value >>= 4;
        width = width.saturating_sub(1);
        if width == 0 && value == 0 {
            return text;
        }
        text.push('.');
        width = width.saturating_sub(1);
        if width == 0 && value == 0 {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(template: &str, number: u64) -> Result<String, &'static str> {
        let mut out = Vec::new();
        expand(template.as_bytes(), number, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn ranges_have_a_start_a_stop_and_perhaps_a_step() {
        assert_eq!(Range::parse(b"1-5/2"), Some(Range { start: 1, stop: 5, step: 2 }));
        assert_eq!(Range::parse(b"1-5/2").unwrap().count(), 3);
        assert_eq!(Range::parse(b"7-7").unwrap().count(), 1);
        for bad in ["9--10", "1-3/", "1-3/0", "3-1", "1", "-1-3", "1-2147483648", "a-b", ""] {
            assert_eq!(Range::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_dollar_sign_is_the_number() {
        assert_eq!(expanded("host-$.a$", 7).unwrap(), "host-7.a7");
        assert_eq!(expanded("$$ \\$ \\", 7).unwrap(), "\\$ \\$ \\");
    }

    #[test]
    fn braces_hold_offset_width_and_base() {
        assert_eq!(expanded("${10}", 7).unwrap(), "17");
        assert_eq!(expanded("${-2,3}", 7).unwrap(), "005");
        assert_eq!(expanded("${-10,3,d}", 7).unwrap(), "-03");
        assert_eq!(expanded("${0,2,o} ${0,4,x} ${0,0,X}", 30).unwrap(), "36 001e 1E");
        for bad in ["${", "${}", "${1000", "${1,0,dgarbage}", "${1,0,q}", "${0,0,d,1}", "${0,128}", "${2147483647}"] {
            assert!(expanded(bad, 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn nibbles_are_reversed_and_their_dots_count() {
        assert_eq!(expanded("${0,3,n}", 1024).unwrap(), "0.0.4");
        assert_eq!(expanded("${0,8,N}", 0xab).unwrap(), "B.A.0.0.");
        assert_eq!(expanded("${-2000,0,n}", 1024).unwrap(), "0.3.c.f.f.f.f.f");
    }
}
