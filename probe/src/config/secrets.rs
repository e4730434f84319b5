//! Files that decide where the data goes, or hold what must not be seen.

use super::wrong;
use crate::Error;
use figment::Provider;
use figment::providers::{Format, Toml};
use figment::value::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zonepulse_private::Secret;
use zonepulse_private::is_secret;

pub(super) fn read_token(path: &Path) -> Result<Secret, Error> {
    check_mode(path)?;
    let text = zonepulse_private::read(path).and_then(zonepulse_private::Contents::only_owner);
    let text = text.map_err(|error| match error {
        zonepulse_private::Error::File { source, .. } => {
            wrong(path.display(), format!("(the file of the token) cannot be read: {source}"))
        }
        error => error.into(),
    })?;
    let token = Secret::new(text.trim());
    check_token(&token).map_err(|what| wrong(path.display(), format!("the token {what}")))?;
    Ok(token)
}

pub(super) fn check_token(token: &Secret) -> Result<(), &'static str> {
    let text = token.reveal();
    if text.is_empty() {
        return Err("is empty");
    }
    let visible = text.bytes().all(|octet| octet.is_ascii_graphic());
    if visible { Ok(()) } else { Err("has characters that no token has (spaces, control or non-ASCII characters)") }
}

/// Whoever may write such a file decides where the data goes.
pub(super) fn check_mode(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o002 != 0 => {
            Err(wrong(path.display(), "everybody may write to this file: take that right away (chmod o-w)"))
        }
        // What else is wrong with it shows when it is read.
        _ => Ok(()),
    }
}

/// The text of a configuration. When there is a secret in it, only its owner may read the file.
pub(super) fn read_config(path: &Path) -> Result<String, Error> {
    check_mode(path)?;
    let text = zonepulse_private::read(path).and_then(|contents| contents.with_secrets(holds_secret));
    text.map_err(|error| match error {
        zonepulse_private::Error::File { source, .. } => wrong(path.display(), format!("cannot be read: {source}")),
        error => error.into(),
    })
}

/// Whether a configuration has a token, a password, or a URL with a password in it.
fn holds_secret(text: &str) -> bool {
    // What cannot be parsed is refused for that.
    let profiles = Toml::string(text).data();
    profiles.is_ok_and(|profiles| profiles.values().flatten().any(|(key, value)| has_secret(key, value)))
}

/// Whether a value of this key is a secret, or has one in it.
pub(super) fn has_secret(key: &str, value: &Value) -> bool {
    match value {
        Value::String(_, text) => is_secret(key, text),
        Value::Dict(_, members) => members.iter().any(|(key, value)| has_secret(key, value)),
        Value::Array(_, values) => values.iter().any(|value| has_secret(key, value)),
        _ => false,
    }
}
