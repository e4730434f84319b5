//! Texts that must not be shown, whatever contains them.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use std::fmt;

/// What is shown instead.
const HIDDEN: &str = "(secret)";
/// Secrets shorter than this also occur in ordinary text, bytes. Nothing shows them on purpose either.
const SHORTEST: usize = 8;

/// Secrets, in all forms in which they may occur. `Debug` shows none.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// These texts.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Secrets {
        let mut secrets = Secrets::default();
        texts.into_iter().for_each(|text| secrets.add(text));
        secrets
    }

    /// Adds a text: as it is, without percent-encoding (RFC 3986), and in base64 (RFC 4648).
    pub fn add(&mut self, text: &str) {
        let texts = [text.to_owned()].into_iter().chain(decoded(text).filter(|decoded| decoded != text));
        let texts: Vec<String> = texts.filter(|text| text.len() >= SHORTEST).collect();
        let engines = [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD];
        let encoded: Vec<String> = texts.iter().flat_map(|text| engines.iter().map(move |engine| engine.encode(text))).collect();
        self.0.extend(texts.into_iter().chain(encoded));
        // With padding first: what remains of a text must not be its padding.
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self.0.dedup();
    }

    /// Adds the password in a URL, if there is one.
    pub fn add_url(&mut self, url: &str) {
        if let Some(password) = password(url) {
            self.add(password);
        }
    }

    /// A text without them.
    pub fn hide(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| if text.contains(&**secret) { text.replace(&**secret, HIDDEN) } else { text })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// The password in a URL.
fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

/// A text without percent-encoding, if it is one.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) => {
                octets.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_secrets() {
        assert_eq!(password("amqp://me:hush%20@broker.example:5672/%2f"), Some("hush%20"));
        assert_eq!(password("amqp://me:a@b@broker/x@y"), Some("a@b"));
        assert_eq!((password("amqp://broker:5672"), password("amqp://me@broker")), (None, None));
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let mut secrets = Secrets::default();
        secrets.add_url("amqp://me:hush%20hush%3Fhush@broker.example");
        let plain = "hush hush?hush";
        let forms = [
            "hush%20hush%3Fhush".to_owned(),
            plain.to_owned(),
            BASE64_STANDARD.encode(plain),
            BASE64_URL_SAFE_NO_PAD.encode(plain),
        ];
        for form in forms {
            assert_eq!(secrets.hide(&format!("before {form} after")), "before (secret) after");
        }
        assert_eq!(secrets.hide("100 % of it"), "100 % of it");
        assert!(!format!("{secrets:?}").contains("hush"));
    }

    #[test]
    fn what_occurs_in_ordinary_text_is_not_hidden() {
        let secrets = Secrets::of(["", "a", "guest"]);
        assert_eq!(secrets.hide("a guest of the broker"), "a guest of the broker");
    }

    #[test]
    fn text_that_is_not_encoded_is_its_own() {
        assert_eq!(decoded("100%").as_deref(), Some("100%"));
        assert_eq!(decoded("%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(decoded("%c3%a4").as_deref(), Some("ä"));
        assert_eq!(decoded("%ff"), None);
    }
}
