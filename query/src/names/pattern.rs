//! Owner names in filters: exact, or with `*`.

use super::idn;
use crate::Error;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use zonepulse_dns::name;
use zonepulse_store::OTHER;

/// Maximum number of `*` in a pattern.
const MAX_STARS: usize = 16;

/// Selects one owner name exactly, or all that match a pattern.
///
/// In a pattern `*` stands for any part of a name: nothing, some characters, or several labels.
/// ASCII letters match in either case, and the final dot is optional: `www.example.com`,
/// `*.example.com` and `*mail*` are patterns; `*.example.com` does not match `example.com.` itself.
/// A literal star (the owner of a wildcard record) is written `\*`. Labels in Unicode are compared as punycode.
///
/// Messages that were folded because a table was full have a host that is not a name: `<other>`, or `<other> example.com.`
/// for a zone. It matches as displayed, exactly or by a pattern. `<other>.example.com`, and a name whose first
/// label begins with `<other>` and a space (written `\032` in a name), are ordinary names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// A name as the dictionary has it.
    Exact(String),
    /// The parts between the stars; an empty part at an end where a star stands.
    Parts {
        parts: Vec<Vec<Token>>,
        /// Whether the final dot was left out. The last part has it anyway.
        open: bool,
    },
}

/// A character of a host, unescaped: an octet of a label, [`DOT`] or [`GAP`].
///
/// Matching works on tokens so that a star never matches half an escape, and a dot within a label is
/// not a separator.
type Token = u16;

/// The separator of labels; octets are smaller.
const DOT: Token = 0x100;
/// The space of `<other> example.com.`; a space in a name is escaped.
const GAP: Token = 0x101;
/// A space in a pattern, which matches either.
const SPACE: Token = 0x102;

impl HostPattern {
    /// The name, if exactly one is selected.
    pub fn exact(&self) -> Option<&str> {
        match &self.0 {
            Pattern::Exact(name) => Some(name),
            Pattern::Parts { .. } => None,
        }
    }

    /// Whether it matches every name.
    pub fn is_any(&self) -> bool {
        matches!(&self.0, Pattern::Parts { parts, .. } if parts.iter().all(Vec::is_empty))
    }

    /// Whether a canonical name matches. `scratch` saves an allocation per name.
    pub fn matches(&self, canonical: &str, scratch: &mut Vec<u16>) -> bool {
        match &self.0 {
            Pattern::Exact(name) => name == canonical,
            Pattern::Parts { parts, open } => {
                tokens(canonical, scratch);
                if *open && scratch.last() != Some(&DOT) {
                    // Only `<other>` itself has no final dot.
                    scratch.push(DOT);
                }
                parts_match(parts, scratch)
            }
        }
    }
}

impl FromStr for HostPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::bad("host", reason);
        let ascii = in_ascii(text)?;
        let text = &*ascii;
        let pieces = split_at_stars(text);
        if pieces.len() > MAX_STARS + 1 {
            return Err(bad(format!("{text:?} has more than {MAX_STARS} stars")));
        }
        let zone = folded(text);
        if pieces.len() < 2 {
            return exact(text).map(|name| HostPattern(Pattern::Exact(name)));
        }
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            parts.push(piece_tokens(piece).ok_or_else(|| {
                bad(format!(
                    "{text:?} is not a pattern of names: a backslash stands before a character or three digits up to 255"
                ))
            })?);
        }
        if let Some(gap) = parts.first_mut().and_then(|first| first.get_mut(OTHER.len())).filter(|_| zone.is_some()) {
            *gap = GAP;
        }
        let last = parts.last_mut().filter(|last| !last.is_empty() && last.last() != Some(&DOT));
        let open = last.is_some();
        last.into_iter().for_each(|last| last.push(DOT));
        Ok(HostPattern(Pattern::Parts { parts, open }))
    }
}

impl fmt::Display for HostPattern {
    /// For display: the name, or the parts with stars in between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, open) = match &self.0 {
            Pattern::Exact(name) => return f.write_str(name),
            Pattern::Parts { parts, open } => (parts, *open),
        };
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                f.write_str("*")?;
            }
            let written = if open && at + 1 == parts.len() { part.split_last().map_or(&[][..], |(_, rest)| rest) } else { part };
            for &token in written {
                match u8::try_from(token) {
                    Err(_) if token == DOT => f.write_str(".")?,
                    Err(_) => f.write_str(" ")?,
                    Ok(octet @ (b'.' | b'*' | b'\\')) => write!(f, "\\{}", char::from(octet))?,
                    Ok(octet @ b'!'..=b'~') => write!(f, "{}", char::from(octet))?,
                    Ok(octet) => write!(f, "\\{octet:03}")?,
                }
            }
        }
        Ok(())
    }
}

/// The host for a text that is not a pattern, as the dictionary has it: a star is literal.
pub(crate) fn canonical(text: &str) -> Result<String, Error> {
    exact(&in_ascii(text)?)
}

fn in_ascii(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.len() > 4 * name::MAX_TEXT {
        return Err(Error::bad("host", format!("a name has at most {} octets", name::MAX_WIRE)));
    }
    idn::to_ascii(text).map_err(|reason| Error::bad("host", reason))
}

fn exact(text: &str) -> Result<String, Error> {
    let exact = match folded(text) {
        Some("") => Ok(OTHER.to_owned()),
        Some(zone) => name::canonical(zone.trim_start()).map(|zone| format!("{OTHER} {zone}")),
        None => name::canonical(text),
    };
    exact.map_err(|error| Error::bad("host", error.to_string()))
}

/// What follows `<other>` in a text for folded messages: nothing, or a space and a zone.
fn folded(text: &str) -> Option<&str> {
    let (other, zone) = text.split_at_checked(OTHER.len())?;
    (other.eq_ignore_ascii_case(OTHER) && (zone.is_empty() || zone.starts_with(' '))).then_some(zone)
}

/// The pieces between unescaped stars.
fn split_at_stars(text: &str) -> Vec<&[u8]> {
    let mut escaped = false;
    text.as_bytes()
        .split(|&octet| {
            let star = octet == b'*' && !escaped;
            escaped = octet == b'\\' && !escaped;
            star
        })
        .collect()
}

/// The tokens of a piece of a pattern, in lower case; `None` if an escape is broken.
fn piece_tokens(piece: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(piece.len());
    let mut rest = piece;
    while let Some((token, after)) = next_token(rest)? {
        tokens.push(if token == GAP { SPACE } else { token });
        rest = after;
    }
    Some(tokens)
}

/// The tokens of a canonical text.
fn tokens(canonical: &str, into: &mut Vec<Token>) {
    into.clear();
    let mut rest = canonical.as_bytes();
    while let Some(Some((token, after))) = next_token(rest) {
        into.push(token);
        rest = after;
    }
}

/// The first token and the rest; `Some(None)` at the end, `None` if an escape is broken.
fn next_token(text: &[u8]) -> Option<Option<(Token, &[u8])>> {
    let token = |octet: u8| Token::from(octet.to_ascii_lowercase());
    match *text {
        [] => Some(None),
        [b'.', ref rest @ ..] => Some(Some((DOT, rest))),
        [b' ', ref rest @ ..] => Some(Some((GAP, rest))),
        [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..] => {
            let value = [a, b, c].iter().fold(0u16, |value, digit| value * 10 + u16::from(digit - b'0'));
            u8::try_from(value).ok().map(|octet| Some((token(octet), rest)))
        }
        [b'\\', b'0'..=b'9', ..] | [b'\\'] => None,
        [b'\\', octet, ref rest @ ..] | [octet, ref rest @ ..] => Some(Some((token(octet), rest))),
    }
}

/// Whether the parts occur in the text in order: the first at its start, the last at its end.
fn parts_match(parts: &[Vec<Token>], text: &[Token]) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some((begin, rest)) = text.split_at_checked(first.len()) else { return false };
    let Some((mut rest, end)) = rest.len().checked_sub(last.len()).and_then(|at| rest.split_at_checked(at)) else {
        return false;
    };
    if !part_matches(first, begin) || !part_matches(last, end) {
        return false;
    }
    // The leftmost match of each part leaves the most for the others.
    for part in middle.iter().filter(|part| !part.is_empty()) {
        let Some(at) = rest.windows(part.len()).position(|window| part_matches(part, window)) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

/// Whether a part of a pattern matches the same number of tokens of a text.
fn part_matches(part: &[Token], text: &[Token]) -> bool {
    let one =
        |(wanted, found): (&Token, &Token)| wanted == found || *wanted == SPACE && (*found == GAP || *found == Token::from(b' '));
    part.iter().zip(text).all(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(name, &mut Vec::new())
    }

    #[test]
    fn a_name_without_a_star_is_meant_exactly() {
        let pattern: HostPattern = "WWW.Example.com".parse().unwrap();
        assert_eq!(pattern.exact(), Some("www.example.com."));
        assert!(!matches("example.com", "www.example.com."));
    }

    #[test]
    fn a_star_matches_any_part_of_a_name() {
        for (pattern, name, expected) in [
            ("*.example.com", "www.example.com.", true),
            ("*.example.com", "a.b.example.com.", true),
            ("*.example.com.", "www.example.com.", true),
            ("*.example.com", "example.com.", false),
            ("*example.com", "example.com.", true),
            ("*.EXAMPLE.com", "www.example.com.", true),
            ("www.*", "www.example.com.", true),
            ("www.*", "wwwx.example.com.", false),
            ("w*.com", "www.example.com.", true),
            ("w*.com", "www.example.net.", false),
            ("*mail*", "smtp.mailer.example.", true),
            ("*mail*", "www.example.", false),
            ("*a*b*", "a.b.", true),
            ("*b*a*", "a.b.", false),
            ("aa*aa", "aa.", false),
            ("*", ".", true),
            ("*", "anything.", true),
            ("*", "<other> example.", true),
            ("**", "x.", true),
            ("*.", ".", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_owner_of_a_wildcard_record_is_meant_with_an_escaped_star() {
        let pattern: HostPattern = "\\*.example.com".parse().unwrap();
        assert_eq!(pattern.exact(), Some("*.example.com."));
        assert!(matches("\\*.*", "*.example.com."));
        assert!(!matches("\\*.*", "www.example.com."));
    }

    #[test]
    fn a_star_takes_no_half_of_an_escape() {
        assert!(!matches("*.b", "a\\.b."), "the dot is within the label");
        assert!(matches("*\\.b", "a\\.b."));
        assert!(matches("a*b", "a\\.b."));
        assert!(!matches("*032x", "\\032x."));
        assert!(matches("*\\032X", "\\032x."));
    }

    #[test]
    fn what_overflowed_a_probe_can_be_asked_for() {
        assert_eq!("<other>".parse::<HostPattern>().unwrap().exact(), Some("<other>"));
        for text in ["<other> Example.com", "<Other> example.com.", "<other>  example.com"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().exact(), Some("<other> example.com."), "{text}");
        }
    }

    #[test]
    fn a_real_name_that_begins_like_what_overflowed_can_be_asked_for() {
        for (text, name) in [
            ("<other>.", "<other>."),
            ("<other>.Example.com", "<other>.example.com."),
            ("<other>x.example", "<other>x.example."),
            ("<other>\\032example", "<other>\\032example."),
            ("<oth>er.example", "<oth>er.example."),
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().exact(), Some(name), "{text}");
        }
    }

    #[test]
    fn a_pattern_matches_what_is_displayed_of_what_overflowed() {
        let hosts = ["<other>", "<other> example.", "<other>.", "<other>.example.", "<other>\\032example.", "<other>x.example."];
        for (pattern, matched) in [
            ("<other>*", &hosts[..]),
            ("<OTHER>*", &hosts[..]),
            ("<other> *", &hosts[1..2]),
            ("<other> *xample", &hosts[1..2]),
            ("<other> ex*", &hosts[1..2]),
            ("<other>\\032*", &hosts[4..5]),
            ("<other>.*", &hosts[2..4]),
            ("*<other>", &[hosts[0], hosts[2]][..]),
            ("*<other>.", &hosts[2..3]),
            ("*> ex*", &[hosts[1], hosts[4]][..]),
            ("*\\032ex*", &hosts[4..5]),
            ("*.example", &[hosts[3], hosts[5]][..]),
            ("*example", &[hosts[1], hosts[3], hosts[4], hosts[5]][..]),
        ] {
            let found: Vec<&str> = hosts.into_iter().filter(|host| matches(pattern, host)).collect();
            assert_eq!(found, matched, "{pattern}");
        }
        assert!(matches("my printer*", "my\\032printer.local."), "a space of a label, as people type it");
    }

    #[test]
    fn what_is_no_name_and_no_pattern_is_refused_by_its_argument() {
        for text in ["", "a..b", "*\\", "*\\25", "*\\256", "<other> a..b", &"*a".repeat(17), &"*a".repeat(4000)] {
            let error = text.parse::<HostPattern>().unwrap_err();
            assert!(matches!(error, Error::BadArgument { argument: "host", .. }), "{text}");
        }
    }

    #[test]
    fn a_name_in_unicode_is_meant_as_punycode() {
        let pattern: HostPattern = "Bücher.Example".parse().unwrap();
        assert_eq!(pattern.exact(), Some("xn--bcher-kva.example."));
        assert!(matches("*.bücher.example", "www.xn--bcher-kva.example."));
        assert!(matches("bücher.*", "xn--bcher-kva.example."));
        assert!(!matches("*.bücher.example", "www.example."));
        let error = "*bücher.example".parse::<HostPattern>().unwrap_err();
        assert!(matches!(error, Error::BadArgument { argument: "host", .. }), "{error}");
    }

    #[test]
    fn only_stars_match_everything() {
        assert!("*".parse::<HostPattern>().unwrap().is_any());
        assert!("**".parse::<HostPattern>().unwrap().is_any());
        assert!(!"*.".parse::<HostPattern>().unwrap().is_any());
    }

    /// The plainest matcher there is, for names without escapes.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|at| slow(rest, &text[at..])),
            [first, rest @ ..] => text.first() == Some(first) && slow(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_plainest_matcher(pattern in "[ab.*]{0,6}[*][ab.*]{0,4}[.*]", text in "([ab]{1,2}[.]){1,5}") {
            prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn a_pattern_survives_its_text(pattern in "[a-cA-C.*\\\\0-2]{0,12}") {
            if let Ok(parsed) = pattern.parse::<HostPattern>() {
                let again: HostPattern = parsed.to_string().parse().unwrap();
                if parsed.exact().is_none() {
                    prop_assert_eq!(again, parsed);
                }
            }
        }
    }
}
