//! Owner names as a filter gives them: exact, or with `*`.

use crate::{Error, idn};
use std::fmt;
use std::str::FromStr;
use zonepulse_dns::name;

/// The most `*` that a pattern may have.
const MAX_STARS: usize = 16;
/// How the names begin under which a probe sums up what overflowed its table: `<other>` for the
/// whole server, `<other> example.com.` for a zone.
const FOLDED: &str = "<other>";

/// Which owner names are meant: one exactly, or all that match a pattern.
///
/// In a pattern `*` stands for any part of a name: nothing, some characters, or several labels.
/// ASCII letters match in either case, and the final dot may be left out: `www.example.com`,
/// `*.example.com` and `*mail*` are patterns; `*.example.com` does not match `example.com.` itself.
/// A star that is meant literally (the owner of a wildcard record) is written `\*`. Labels in Unicode are meant as
/// punycode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// A name as the dictionary has it.
    Exact(String),
    /// The parts between the stars; an empty part at an end where a star stands.
    Parts(Vec<Vec<Token>>),
}

/// A character of a canonical text, with its escape undone: an octet of a label, or [`DOT`].
///
/// Matching goes by tokens so that a star never takes half an escape, and a dot within a label is
/// no separator.
type Token = u16;

/// The separator of labels; octets are below.
const DOT: Token = 0x100;

impl HostPattern {
    /// The name, where the pattern means exactly one.
    pub fn exact(&self) -> Option<&str> {
        match &self.0 {
            Pattern::Exact(name) => Some(name),
            Pattern::Parts(_) => None,
        }
    }

    /// Whether it matches every name.
    pub fn is_any(&self) -> bool {
        matches!(&self.0, Pattern::Parts(parts) if parts.iter().all(Vec::is_empty))
    }

    /// Whether a canonical name matches. `scratch` spares an allocation per name.
    pub(crate) fn matches(&self, canonical: &str, scratch: &mut Vec<Token>) -> bool {
        match &self.0 {
            Pattern::Exact(name) => name == canonical,
            Pattern::Parts(parts) => {
                tokens(canonical, scratch);
                parts_match(parts, scratch)
            }
        }
    }
}

impl FromStr for HostPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::bad("host", reason);
        if let Some(zone) = text.strip_prefix(FOLDED) {
            if zone.is_empty() {
                return Ok(HostPattern(Pattern::Exact(FOLDED.to_owned())));
            }
            let zone = idn::to_ascii(zone.trim_start()).map_err(bad)?;
            let zone = name::canonical(&zone).map_err(|error| bad(error.to_string()))?;
            return Ok(HostPattern(Pattern::Exact(format!("{FOLDED} {zone}"))));
        }
        if text.len() > 4 * name::MAX_TEXT {
            return Err(bad(format!("a name has at most {} octets", name::MAX_WIRE)));
        }
        let ascii = idn::to_ascii(text).map_err(bad)?;
        let text = &*ascii;
        let pieces = split_at_stars(text);
        if pieces.len() > MAX_STARS + 1 {
            return Err(bad(format!("{text:?} has more than {MAX_STARS} stars")));
        }
        if pieces.len() < 2 {
            return name::canonical(text).map(|name| HostPattern(Pattern::Exact(name))).map_err(|error| bad(error.to_string()));
        }
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            parts.push(piece_tokens(piece).ok_or_else(|| {
                bad(format!(
                    "{text:?} is not a pattern of names: a backslash stands before a character or three digits up to 255"
                ))
            })?);
        }
        if let Some(last) = parts.last_mut().filter(|last| !last.is_empty() && last.last() != Some(&DOT)) {
            last.push(DOT);
        }
        Ok(HostPattern(Pattern::Parts(parts)))
    }
}

impl fmt::Display for HostPattern {
    /// For people: the name, or the parts with stars between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = match &self.0 {
            Pattern::Exact(name) => return f.write_str(name),
            Pattern::Parts(parts) => parts,
        };
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                f.write_str("*")?;
            }
            for &token in part {
                match u8::try_from(token) {
                    Err(_) => f.write_str(".")?,
                    Ok(octet @ (b'.' | b'*' | b'\\')) => write!(f, "\\{}", char::from(octet))?,
                    Ok(octet @ b'!'..=b'~') => write!(f, "{}", char::from(octet))?,
                    Ok(octet) => write!(f, "\\{octet:03}")?,
                }
            }
        }
        Ok(())
    }
}

/// The pieces between the stars that no backslash escapes.
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

/// The tokens of a piece of a pattern, letters lowered; `None` where an escape is broken.
fn piece_tokens(piece: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(piece.len());
    let mut rest = piece;
    while let Some((token, after)) = next_token(rest)? {
        tokens.push(token);
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

/// The first token and what follows it; `Some(None)` at the end, `None` where an escape is broken.
fn next_token(text: &[u8]) -> Option<Option<(Token, &[u8])>> {
    let token = |octet: u8| Token::from(octet.to_ascii_lowercase());
    match *text {
        [] => Some(None),
        [b'.', ref rest @ ..] => Some(Some((DOT, rest))),
        [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..] => {
            let value = [a, b, c].iter().fold(0u16, |value, digit| value * 10 + u16::from(digit - b'0'));
            u8::try_from(value).ok().map(|octet| Some((token(octet), rest)))
        }
        [b'\\', b'0'..=b'9', ..] | [b'\\'] => None,
        [b'\\', octet, ref rest @ ..] | [octet, ref rest @ ..] => Some(Some((token(octet), rest))),
    }
}

/// Whether the parts follow each other in the text: the first at its start, the last at its end.
fn parts_match(parts: &[Vec<Token>], text: &[Token]) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = text.strip_prefix(first.as_slice()).and_then(|rest| rest.strip_suffix(last.as_slice())) else {
        return false;
    };
    // The leftmost place of each part leaves the most for the others.
    for part in middle.iter().filter(|part| !part.is_empty()) {
        let Some(at) = rest.windows(part.len()).position(|window| window == part.as_slice()) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
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
        assert_eq!("<other> Example.com".parse::<HostPattern>().unwrap().exact(), Some("<other> example.com."));
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
