//! A key and its value, from the command line.

use super::renamed::is_secret;
use super::secrets::has_secret;
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use std::str::FromStr;

/// Keys whose value is a path. On the command line, it may start from the current directory.
const PATHS: [&str; 10] = [
    "spool.dir",
    "deliver.http.token_file",
    "tls.ca_file",
    "pull.token_file",
    "pull.certificate_file",
    "pull.key_file",
    "dnstap.socket",
    "components.kea4_socket",
    "components.kea6_socket",
    "components.backup_pid_file",
];

/// `KEY=VALUE`, as in `capture.device=eth0`: above the file and the environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    key: String,
    value: Value,
}

impl FromStr for Argument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in capture.device=eth0")?;
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(format!("{key:?} is no key; write KEY=VALUE, as in capture.device=eth0"));
        }
        // As figment reads variables: true, 5, [53], "x"; anything else is text.
        let Ok(value) = value.parse();
        if is_secret(key) || has_secret(key, &value) {
            return Err(format!("{key} is a secret: everybody on this machine sees arguments; use the file or the environment"));
        }
        let value = match value {
            Value::String(tag, path) if PATHS.contains(&key) && !path.is_empty() => {
                let absolute =
                    std::path::absolute(&path).map_err(|error| format!("{key}: {path:?} has no absolute path: {error}"))?;
                let text = absolute.to_str().ok_or_else(|| format!("{key}: {} is not UTF-8", absolute.display()))?;
                Value::String(tag, text.to_owned())
            }
            value => value,
        };
        Ok(Argument { key: key.to_owned(), value })
    }
}

impl Provider for Argument {
    fn metadata(&self) -> Metadata {
        Metadata::named("an argument")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}
