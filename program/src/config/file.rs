//! Files that decide where the data goes, or hold what must not be seen.

use crate::Error;
use figment::Provider;
use figment::providers::{Format, Toml};
use figment::value::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zonepulse_private::is_secret;

/// The text of a configuration. When there is a secret in it, only its owner may read the file.
///
/// Fails with [`Error::Wrong`] when everybody may write to it, and with [`Error::Private`] when it cannot be read or
/// others can read a secret.
pub fn read_file(path: &Path) -> Result<String, Error> {
    check_writers(path)?;
    Ok(zonepulse_private::read(path)?.with_secrets(holds_secret)?)
}

/// Refuses a file that everybody may write to: whoever may write it decides where the data goes.
pub fn check_writers(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o002 != 0 => Err(Error::Wrong {
            place: path.display().to_string(),
            what: "everybody may write to this file: take that right away (chmod o-w)".to_owned(),
        }),
        // What else is wrong with it shows when it is read.
        _ => Ok(()),
    }
}

/// Whether a configuration has a token, a password, or a URL with a password in it.
fn holds_secret(text: &str) -> bool {
    // What cannot be parsed is refused for that.
    let profiles = Toml::string(text).data();
    profiles.is_ok_and(|profiles| profiles.values().flatten().any(|(key, value)| has_secret(key, value)))
}

/// Whether a value of this key is a secret, or has one in it.
pub fn has_secret(key: &str, value: &Value) -> bool {
    match value {
        Value::String(_, text) => is_secret(key, text),
        Value::Dict(_, members) => members.iter().any(|(key, value)| has_secret(key, value)),
        Value::Array(_, values) => values.iter().any(|value| has_secret(key, value)),
        _ => false,
    }
}
