//! Text that must not appear in logs.

use serde::{Deserialize, Deserializer, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// Printed in place of a secret.
const HIDDEN: &str = "(secret)";

/// A token, a password, or a URL that contains a password.
///
/// `Debug` prints `(secret)`. There is no `Display`, so that no message or request can contain a
/// secret unless [`Secret::reveal`] is called, and no `Serialize`: a field must specify [`reveal`]
/// or [`hide`]. The memory is overwritten when the secret is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

/// A field that is, or may contain, a secret.
pub trait Field {
    /// The secret, if there is one.
    fn secret(&self) -> Option<&Secret>;
}

impl Field for Secret {
    fn secret(&self) -> Option<&Secret> {
        Some(self)
    }
}

impl Field for Option<Secret> {
    fn secret(&self) -> Option<&Secret> {
        self.as_ref()
    }
}

/// Writes the text itself, for `#[serde(serialize_with)]`: to the intended recipient, or into a
/// private file.
pub fn reveal<S: Serializer>(field: &impl Field, serializer: S) -> Result<S::Ok, S::Error> {
    write(field.secret().map(Secret::reveal), serializer)
}

/// Writes `(secret)`, for `#[serde(serialize_with)]`: readers only see that there is a secret.
pub fn hide<S: Serializer>(field: &impl Field, serializer: S) -> Result<S::Ok, S::Error> {
    write(field.secret().map(|_| HIDDEN), serializer)
}

fn write<S: Serializer>(text: Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => serializer.serialize_str(text),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use serde_json::json;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Sent {
        #[serde(serialize_with = "reveal")]
        token: Secret,
        #[serde(default, serialize_with = "reveal", skip_serializing_if = "Option::is_none")]
        password: Option<Secret>,
    }

    #[derive(Serialize)]
    struct Shown {
        #[serde(serialize_with = "hide")]
        token: Secret,
        #[serde(serialize_with = "hide")]
        password: Option<Secret>,
    }

    #[test]
    fn printing_a_secret_does_not_show_it() {
        let sent = Sent { token: "hush".into(), password: Some("hush".into()) };
        let printed = format!("{sent:?} {sent:#?} {:?}", sent.token);
        assert!(printed.contains("(secret)") && !printed.contains("hush"), "{printed}");
    }

    /// Fields that contain a secret as plain text in printable types, as `file: field`.
    fn printed_fields(file: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut prints = false;
        for line in text.lines().map(str::trim) {
            if let Some(derived) = line.strip_prefix("#[derive(") {
                prints = derived.contains("Debug");
            }
            // Types below it have their own derives.
            prints &= line != "}";
            let Some((name, kind)) = line.trim_start_matches("pub ").trim_end_matches(',').split_once(": ") else { continue };
            let is_text = ["String", "Option<String>", "&'a str", "&'static str", "Vec<u8>"].contains(&kind);
            if prints && is_text && crate::is_secret(name, "x") {
                found.push(format!("{file}: {name}"));
            }
        }
        found
    }

    #[test]
    fn no_type_that_prints_itself_has_a_secret_as_plain_text() {
        let in_text = |text: &str| printed_fields("a.rs", text);
        assert_eq!(in_text("#[derive(Clone, Debug)]\npub struct A {\n    pub api_token: String,\n}"), ["a.rs: api_token"]);
        assert!(in_text("#[derive(Clone)]\nstruct A {\n    token: String,\n}").is_empty());
        assert!(in_text("#[derive(Debug)]\nstruct A {\n    token: Secret,\n}\nstruct B {\n    token: String,\n}").is_empty());
        let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        // Secrets made up by tests do not count.
        let crates =
            std::fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("tests"));
        let mut folders: Vec<_> = crates.map(|path| path.join("src")).collect();
        let mut files = 0;
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
                match path.extension() {
                    Some(extension) if extension == "rs" => {
                        files += 1;
                        found.extend(printed_fields(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap()));
                    }
                    _ => folders.extend(path.is_dir().then_some(path)),
                }
            }
        }
        assert!(files > 300 && found.is_empty(), "{files} files: {found:#?}");
    }

    #[test]
    fn the_recipient_of_a_secret_gets_it_whole() {
        for password in [None, Some(Secret::new("b\"c"))] {
            let sent = Sent { token: "hush".into(), password };
            let text = serde_json::to_string(&sent).unwrap();
            assert!(text.contains("\"token\":\"hush\""), "{text}");
            assert_eq!(serde_json::from_str::<Sent>(&text).unwrap(), sent);
        }
    }

    #[test]
    fn a_printed_configuration_shows_only_that_there_is_a_secret() {
        let shown = |password: Option<Secret>| serde_json::to_value(Shown { token: "hush".into(), password }).unwrap();
        assert_eq!(shown(Some("hush".into())), json!({"token": "(secret)", "password": "(secret)"}));
        assert_eq!(shown(None), json!({"token": "(secret)", "password": null}));
    }
}
