//! The query string: decoded names and values.
//!
//! Ordinary form decoders substitute U+FFFD for invalid UTF-8, and accept a `%` that escapes nothing: a filter would
//! then mean something else than intended. Here either is an error that names the parameter, as are unknown parameters
//! and repeated ones that may occur only once.

use crate::http::answer::problem::{Case, Problem};
use axum::http::Uri;
use std::fmt::Display;
use std::str::FromStr;

/// Maximum number of parameters, counting repeated ones each time.
const MAX_PARAMETERS: usize = 1000;

/// Names and values, in order.
#[derive(Debug)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Reads a query string if all of its parameters are known.
    pub fn read(uri: &Uri, known: &[&[&str]]) -> Result<Pairs, Problem> {
        Self::checked(uri, |name| {
            if known.iter().any(|group| group.contains(&name)) {
                return Ok(());
            }
            let known = known.concat();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let reason = format_args!("there is no such parameter; this call has {known}");
            Err(Problem::parameter(shown(name), reason))
        })
    }

    /// Reads a whole query string, for a part of a call that does not know the other parameters.
    pub fn decoded(uri: &Uri) -> Result<Pairs, Problem> {
        Self::checked(uri, |_name| Ok(()))
    }

    fn checked(uri: &Uri, check: impl Fn(&str) -> Result<(), Problem>) -> Result<Pairs, Problem> {
        let texts = || uri.query().unwrap_or_default().split('&').filter(|text| !text.is_empty());
        let count = texts().count();
        if count > MAX_PARAMETERS {
            let detail = format!("{count} parameters are more than {MAX_PARAMETERS}");
            return Err(Problem::new(Case::BadParameter, detail));
        }
        let mut pairs = Vec::with_capacity(count);
        for text in texts() {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let name = decoded(name).map_err(|reason| Problem::parameter(shown(name), format_args!("in its name, {reason}")))?;
            check(&name)?;
            let value = decoded(value).map_err(|reason| Problem::parameter(name.clone(), reason))?;
            pairs.push((name, value));
        }
        Ok(Pairs(pairs))
    }

    /// A parameter that may occur once.
    pub fn one_with<T>(&self, name: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        let first = values.next();
        if values.next().is_some() {
            return Err(Problem::parameter(name, "it is there more than once"));
        }
        first.map(|value| read(value).map_err(|reason| Problem::parameter(name, reason))).transpose()
    }

    /// A parameter that may occur any number of times, each adding a value.
    pub fn many_with<T>(&self, name: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Problem> {
        let values = self.0.iter().filter(|(key, _)| key == name);
        values.map(|(_, value)| read(value).map_err(|reason| Problem::parameter(name, reason))).collect()
    }

    /// Like [`Pairs::many_with`], for values that implement `FromStr`.
    pub fn many<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<Vec<T>, Problem> {
        self.many_with(name, |text| {
            // The vocabulary's errors quote the whole text.
            let text = shown(text);
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }
}

/// The name and value of one pair, from a query string that was accepted before.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((decoded(name)?, decoded(value)?))
}

/// A value as shown in an error: truncated if long.
pub fn shown(text: &str) -> String {
    const LENGTH: usize = 100;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A name or value of `application/x-www-form-urlencoded`.
fn decoded(text: &str) -> Result<String, String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match *rest {
            [] => break,
            [b'%', high, low, ref after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                octets.push(16 * hex(high) + hex(low));
                after
            }
            [b'%', ..] => return Err("a % stands before two hexadecimal digits; a % itself is written %25".to_owned()),
            [b'+', ref after @ ..] => {
                octets.push(b' ');
                after
            }
            [octet, ref after @ ..] => {
                octets.push(octet);
                after
            }
        };
    }
    String::from_utf8(octets).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let octet = error.as_bytes().get(at).copied().unwrap_or_default();
        format!("%{octet:02X} is not UTF-8; an octet of a name is written as \\{octet:03}")
    })
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_decoded() {
        for (text, expected) in [
            ("", ""),
            ("a+b", "a b"),
            ("a%2Bb", "a+b"),
            ("%2a.example", "*.example"),
            ("b%C3%BCcher", "bücher"),
            ("bücher", "bücher"),
            ("%25ff", "%ff"),
            ("%00", "\0"),
        ] {
            assert_eq!(decoded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_refused_by_its_octet() {
        for (text, octet) in [("%ff", "%FF"), ("a%C3b", "%C3"), ("%ED%A0%80", "%ED"), ("ok%80", "%80"), ("%c0%af", "%C0")] {
            let reason = decoded(text).unwrap_err();
            assert!(reason.starts_with(octet), "{text}: {reason}");
        }
    }

    #[test]
    fn a_percent_sign_that_escapes_nothing_is_refused() {
        for text in ["%", "50%", "%4", "%zz", "%%25", "%-1", "%+1"] {
            assert!(decoded(text).is_err(), "{text}");
        }
    }
}
