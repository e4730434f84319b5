//! Names in Unicode, as people write them, and in ASCII, as DNS has them (IDNA, UTS 46).

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use std::borrow::Cow;

/// The separators of labels in Unicode (RFC 3490 section 3.1).
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// Characters that no label may be mapped to: they would be read as a pattern, an escape, or no part of a name.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "*\\");

/// Converts the Unicode labels of a name or pattern to ASCII: `bücher.example` becomes `xn--bcher-kva.example`. ASCII labels
/// are kept.
pub fn to_ascii(text: &str) -> Result<Cow<'_, str>, String> {
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    let mut ascii = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(DOTS).unwrap_or(rest.len());
        let (label, after) = rest.split_at(end);
        ascii.push_str(&label_to_ascii(label)?);
        let mut after = after.chars();
        if after.next().is_some() {
            ascii.push('.');
        }
        rest = after.as_str();
    }
    Ok(Cow::Owned(ascii))
}

fn label_to_ascii(label: &str) -> Result<Cow<'_, str>, String> {
    if label.is_ascii() {
        return Ok(Cow::Borrowed(label));
    }
    if label.contains('*') {
        return Err(format!(
            "{label:?}: a label with letters beyond ASCII is compared as punycode, so a star can only stand for whole labels beside it"
        ));
    }
    if label.contains('\\') {
        return Err(format!("{label:?}: a label has either letters beyond ASCII or escapes: write its octets as \\DDD"));
    }
    let ascii = Uts46::new().to_ascii(label.as_bytes(), DENIED, Hyphens::Allow, DnsLength::Ignore).ok();
    // Some characters are mapped to dots: `…` to three.
    let ascii = ascii.filter(|ascii| !ascii.contains('.'));
    ascii.ok_or_else(|| format!("{label:?} is no label of an internationalized name: write its octets as \\DDD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_in_unicode_are_compared_as_punycode() {
        for (text, expected) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.Example", "xn--bcher-kva.Example"),
            ("bu\u{308}cher.example.", "xn--bcher-kva.example."),
            ("www.bücher.example", "www.xn--bcher-kva.example"),
            ("_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("\u{ff57}\u{ff57}\u{ff57}.example", "www.example"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
            ("bücher.*", "xn--bcher-kva.*"),
            ("*mail*.bücher.example", "*mail*.xn--bcher-kva.example"),
            ("\\195\\188.example", "\\195\\188.example"),
            ("a\\.b.bücher", "a\\.b.xn--bcher-kva"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(to_ascii(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_would_become_syntax_is_refused() {
        for text in [
            "\u{ff0a}.example",
            "www\u{ff0a}.example",
            "a\u{ff3c}042.example",
            "a\u{a0}b.example",
            "\u{3000}.example",
            "a\u{2026}b.example",
            "a\u{2024}b.example",
            "\u{2488}example",
        ] {
            let reason = to_ascii(text).unwrap_err();
            assert!(reason.contains("no label of an internationalized name"), "{text}: {reason}");
        }
    }

    #[test]
    fn what_cannot_be_punycode_is_refused() {
        for (text, word) in [("*bücher*.example", "star"), ("b\\252cher.ü\\252", "escapes"), ("\u{fffd}.example", "octets")] {
            let reason = to_ascii(text).unwrap_err();
            assert!(reason.contains(word), "{text}: {reason}");
        }
    }
}
