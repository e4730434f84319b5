//! Security checks on configuration files, which decide where the data goes and may contain
//! secrets.

use crate::Error;
use figment::Provider;
use figment::providers::{Format, Toml};
use figment::value::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zonepulse_private::is_secret;

/// Reads a configuration. If it contains a secret, only its owner may read the file.
///
/// Fails with [`Error::Wrong`] if everyone may write to it, and with [`Error::Private`] if it is
/// unreadable or others can read a secret.
pub fn read_file(path: &Path) -> Result<String, Error> {
    check_writers(path)?;
    Ok(zonepulse_private::read(path)?.with_secrets(holds_secret)?)
}

/// Rejects a file that everyone may write to: whoever can write to it decides where the data goes.
pub fn check_writers(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o002 != 0 => Err(Error::Wrong {
            place: path.display().to_string(),
            what: "everyone may write to this file: remove that permission (chmod o-w)".to_owned(),
        }),
        // Any other problem shows when it is read.
        _ => Ok(()),
    }
}

/// Whether a configuration contains a token, a password, or a URL with a password.
fn holds_secret(text: &str) -> bool {
    // Text that cannot be parsed is rejected for that reason.
    let profiles = Toml::string(text).data();
    profiles.is_ok_and(|profiles| profiles.values().flatten().any(|(key, value)| has_secret(key, value)))
}

/// Whether a value of this key is, or contains, a secret.
pub fn has_secret(key: &str, value: &Value) -> bool {
    match value {
        Value::String(_, text) => is_secret(key, text),
        Value::Dict(_, members) => members.iter().any(|(key, value)| has_secret(key, value)),
        Value::Array(_, values) => values.iter().any(|value| has_secret(key, value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_when_nobody_else_may_change_it_or_see_a_secret_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        let read = |text: &str, mode: u32| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            read_file(&file).map_err(|error| error.to_string())
        };
        let (secret, open) = ("[log]\ntoken = \"hush\"\n", "level = \"info\"\n# token = \"...\"\n");
        assert_eq!((read(secret, 0o600).unwrap().as_str(), read(open, 0o644).unwrap().as_str()), (secret, open));
        for (text, mode, expected) in [(secret, 0o640, "chmod 600"), (secret, 0o604, "chmod 600"), (open, 0o646, "chmod o-w")] {
            let said = read(text, mode).unwrap_err();
            assert!(said.contains("a.toml") && said.contains(expected) && !said.contains("hush"), "{mode:o}: {said}");
        }
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let error = read_file(Path::new("/nowhere/a.toml")).unwrap_err();
        assert!(matches!(error, Error::Private(zonepulse_private::Error::File { .. })), "{error}");
    }
}
