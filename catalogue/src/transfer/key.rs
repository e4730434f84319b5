//! TSIG keys (RFC 8945), and the forms in which operators have them.

use super::error::KeyError;
use crate::Name;
use domain::tsig;
use domain::utils::base64;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Maximum length of a key file, octets.
pub const MAX_FILE_BYTES: usize = 65_536;

/// An HMAC for TSIG. MD5 is not supported: RFC 8945 section 6 forbids its use for new keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `hmac-sha1`
    Sha1,
    /// `hmac-sha256`
    Sha256,
    /// `hmac-sha384`
    Sha384,
    /// `hmac-sha512`
    Sha512,
}

impl Algorithm {
    /// The name in TSIG records and key files.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "hmac-sha1",
            Algorithm::Sha256 => "hmac-sha256",
            Algorithm::Sha384 => "hmac-sha384",
            Algorithm::Sha512 => "hmac-sha512",
        }
    }

    pub(super) fn to_domain(self) -> tsig::Algorithm {
        match self {
            Algorithm::Sha1 => tsig::Algorithm::Sha1,
            Algorithm::Sha256 => tsig::Algorithm::Sha256,
            Algorithm::Sha384 => tsig::Algorithm::Sha384,
            Algorithm::Sha512 => tsig::Algorithm::Sha512,
        }
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let lower = text.to_ascii_lowercase();
        let all = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];
        let found = all.into_iter().find(|algorithm| algorithm.name() == lower.trim_end_matches('.'));
        found.ok_or(KeyError::Algorithm)
    }
}

/// A key shared with a primary. Its secret appears in no `Debug` output and in no error.
#[derive(Clone)]
pub struct TsigKey {
    name: Name,
    algorithm: Algorithm,
    secret: Arc<[u8]>,
    key: Arc<tsig::Key>,
}

impl TsigKey {
    /// A key from its parts; `secret` is not Base64 but what it decodes to.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::Missing("secret"));
        }
        let key_name = tsig::KeyName::from_octets(name.wire().try_into().map_err(|_| KeyError::Name)?);
        let key_name = key_name.map_err(|_| KeyError::Name)?;
        let key = tsig::Key::new(algorithm.to_domain(), secret, key_name, None, None).map_err(|_| KeyError::Algorithm)?;
        Ok(TsigKey { name, algorithm, secret: secret.into(), key: Arc::new(key) })
    }

    /// A key from a file or an option, in one of these forms:
    ///
    /// * `[algorithm:]name:secret`, as `kdig -y` and `dig -y` take it (`hmac-sha256` if there is no algorithm);
    /// * `key "name" { algorithm ...; secret "..."; };`, as BIND and its tools write it;
    /// * `key:` with `- id:` (Knot) or `name:` (NSD), `algorithm:` and `secret:`.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_FILE_BYTES {
            return Err(KeyError::TooLong(MAX_FILE_BYTES));
        }
        let is_bind = text.contains('{');
        let text = without_comments(text, is_bind);
        let parts = if is_bind {
            Parts::from_bind(&text)?
        } else if text.lines().filter(|line| !line.trim().is_empty()).count() > 1 {
            Parts::from_lines(&text)?
        } else {
            Parts::from_option(&text)?
        };
        parts.into_key()
    }

    /// The name of the key.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The algorithm of the key.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The secret, for storing it. Never log or display it.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    pub(super) fn to_domain(&self) -> Arc<tsig::Key> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TsigKey").field("name", &self.name).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The text without comments: from `#` at the beginning of a word, and with BIND from `//`, to the end of the line, and
/// with BIND what is between `/*` and `*/`. Base64 has slashes, so they begin no comment elsewhere.
fn without_comments(text: &str, is_bind: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while is_bind && let Some((before, after)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    let mut lines = String::with_capacity(kept.len());
    for line in kept.lines() {
        let begins_word =
            |at: usize| line.get(..at).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t', ';']));
        let slashes = line.match_indices("//").filter(|_| is_bind);
        let marks = line.match_indices('#').chain(slashes).map(|(at, _)| at);
        let end = marks.filter(|at| begins_word(*at)).min().unwrap_or(line.len());
        lines.push_str(line.get(..end).unwrap_or_default());
        lines.push('\n');
    }
    lines
}

/// The parts of a key as they are found.
#[derive(Default)]
struct Parts {
    name: Option<String>,
    algorithm: Option<String>,
    secret: Option<String>,
}

impl Parts {
    fn set(part: &mut Option<String>, what: &'static str, value: &str) -> Result<(), KeyError> {
        let value = value.trim().trim_matches(['"', '\'']);
        match part.replace(value.to_owned()) {
            None => Ok(()),
            Some(_) if what == "name" => Err(KeyError::Several),
            Some(_) => Err(KeyError::Twice(what)),
        }
    }

    /// `[algorithm:]name:secret`
    fn from_option(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let mut parts = text.rsplitn(3, ':');
        let (Some(secret), Some(name), algorithm) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::UnknownForm);
        };
        Ok(Parts { name: Some(name.to_owned()), algorithm: algorithm.map(str::to_owned), secret: Some(secret.to_owned()) })
    }

    /// `key "name" { algorithm ...; secret "..."; };`
    fn from_bind(text: &str) -> Result<Self, KeyError> {
        let (head, body) = text.split_once('{').ok_or(KeyError::UnknownForm)?;
        let (body, after) = body.split_once('}').ok_or(KeyError::UnknownForm)?;
        if after.contains('{') {
            return Err(KeyError::Several);
        }
        let name = head.trim().strip_prefix("key").filter(|name| name.starts_with([' ', '\t', '\n', '"']));
        let mut parts = Parts::default();
        Parts::set(&mut parts.name, "name", name.ok_or(KeyError::UnknownForm)?)?;
        for statement in body.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            match statement.split_once(char::is_whitespace) {
                Some(("algorithm", value)) => Parts::set(&mut parts.algorithm, "algorithm", value)?,
                Some(("secret", value)) => Parts::set(&mut parts.secret, "secret", value)?,
                _ => return Err(KeyError::UnknownForm),
            }
        }
        parts.algorithm.get_or_insert_default();
        Ok(parts)
    }

    /// Lines of `field: value`, as Knot and NSD have them.
    fn from_lines(text: &str) -> Result<Self, KeyError> {
        let mut parts = Parts::default();
        for line in text.lines().map(|line| line.trim().trim_start_matches("- ").trim()).filter(|line| !line.is_empty()) {
            match line.split_once(':') {
                Some(("key", "")) => {}
                Some(("id" | "name", value)) => Parts::set(&mut parts.name, "name", value)?,
                Some(("algorithm", value)) => Parts::set(&mut parts.algorithm, "algorithm", value)?,
                Some(("secret", value)) => Parts::set(&mut parts.secret, "secret", value)?,
                _ => return Err(KeyError::UnknownForm),
            }
        }
        parts.algorithm.get_or_insert_default();
        Ok(parts)
    }

    fn into_key(self) -> Result<TsigKey, KeyError> {
        let name = self.name.filter(|name| !name.is_empty()).ok_or(KeyError::Missing("name"))?;
        let secret = self.secret.filter(|secret| !secret.is_empty()).ok_or(KeyError::Missing("secret"))?;
        let algorithm = match self.algorithm.as_deref() {
            // As `kdig -y` and `dig -y` do.
            None => Algorithm::Sha256,
            Some("") => return Err(KeyError::Missing("algorithm")),
            Some(algorithm) => algorithm.parse()?,
        };
        let name = Name::from_text(&name).map_err(|_| KeyError::Name)?;
        let secret: String = secret.split_whitespace().collect();
        // The decoder's own error would quote a character of the secret.
        let secret: Vec<u8> = base64::decode(&secret).map_err(|_| KeyError::Secret)?;
        TsigKey::new(name, algorithm, &secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    const SECRET: &str = "c2VjcmV0L3NlY3JldC9zZWNyZXQ/c2VjcmV0IQ==";

    fn check(text: &str, expected: Expect) {
        let text = text.replace("SECRET", SECRET);
        let shown = match TsigKey::from_text(&text) {
            Ok(key) => {
                assert_eq!(key.secret(), b"secret/secret/secret?secret!");
                format!("{} {}", key.name(), key.algorithm().name())
            }
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn an_option_of_kdig_is_a_key() {
        check("hmac-sha512:Transfer.Key:SECRET\n", expect!["transfer.key. hmac-sha512"]);
        check("transfer:SECRET", expect!["transfer. hmac-sha256"]);
        check("# generated\nhmac-sha256:secret:SECRET\n", expect!["secret. hmac-sha256"]);
    }

    #[test]
    fn a_key_of_bind_is_a_key() {
        check("key \"transfer\" {\n\talgorithm hmac-sha256;\n\tsecret \"SECRET\";\n};\n", expect!["transfer. hmac-sha256"]);
        check("/* a */ key transfer. { // b\nalgorithm HMAC-SHA384; # c\n secret SECRET; };", expect!["transfer. hmac-sha384"]);
    }

    #[test]
    fn a_key_of_knot_or_nsd_is_a_key() {
        let knot = "# hmac-sha256:transfer:SECRET\nkey:\n  - id: transfer\n    algorithm: hmac-sha256\n    secret: SECRET\n";
        check(knot, expect!["transfer. hmac-sha256"]);
        let nsd = "key:\n  name: \"transfer\"\n  algorithm: hmac-sha1\n  secret: \"SECRET\"\n";
        check(nsd, expect!["transfer. hmac-sha1"]);
    }

    #[test]
    fn slashes_in_a_secret_are_no_comment() {
        let key = TsigKey::from_text("key:\n- id: a\n  algorithm: hmac-sha256\n  secret: //8=\n").unwrap();
        assert_eq!(key.secret(), [255, 255]);
        let key = TsigKey::from_text("key a { algorithm hmac-sha256; secret \"//8=\"; };").unwrap();
        assert_eq!(key.secret(), [255, 255]);
    }

    #[test]
    fn what_is_missing_is_named() {
        check("key a { secret \"SECRET\"; };", expect!["the TSIG key has no algorithm"]);
        check("key:\n- id: a\n  algorithm: hmac-sha256\n  secret:\n", expect!["the TSIG key has no secret"]);
        check("hmac-sha256::SECRET", expect!["the TSIG key has no name"]);
        check("key a { algorithm hmac-sha256; };", expect!["the TSIG key has no secret"]);
    }

    #[test]
    fn errors_do_not_contain_the_secret() {
        for text in [
            "hmac-md5:a:SECRET",
            "hmac-sha256:a:SECRET!",
            "hmac-sha256:a..b:SECRET",
            "key { SECRET }",
            "secret: SECRET\nsecret: SECRET",
            "key a { algorithm hmac-sha256; secret \"SECRET\"; SECRET; };",
            "SECRET",
        ] {
            let error = TsigKey::from_text(&text.replace("SECRET", SECRET)).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("c2Vj") && !shown.contains("SECRET"), "{shown}");
        }
    }

    #[test]
    fn a_file_with_two_keys_is_rejected() {
        let one = "key a { algorithm hmac-sha256; secret \"SECRET\"; };";
        let expected = "the file has more than one TSIG key: keep only the one to use";
        assert_eq!(TsigKey::from_text(&format!("{one}\n{one}").replace("SECRET", SECRET)).unwrap_err().to_string(), expected);
        let one = "- id: a\n  algorithm: hmac-sha256\n  secret: SECRET\n";
        assert_eq!(TsigKey::from_text(&format!("key:\n{one}{one}").replace("SECRET", SECRET)).unwrap_err().to_string(), expected);
    }

    #[test]
    fn debug_output_does_not_contain_the_secret() {
        let key = TsigKey::from_text(&format!("a:{SECRET}")).unwrap();
        expect!["TsigKey { name: a., algorithm: Sha256, .. }"].assert_eq(&format!("{key:?}"));
    }

    proptest! {
        #[test]
        fn text_of_any_kind_never_panics(text in "(key|secret|algorithm|hmac-sha256|[ :;{}\"/*#\n=aZ9é-]){0,40}") {
            let _ = TsigKey::from_text(&text);
        }
    }
}
