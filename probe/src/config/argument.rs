//! A key and its value, from the command line.

use super::SECRETS;
use super::secrets::has_secret;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::str::FromStr;

/// What errors call this source.
pub(super) const ARGUMENT: &str = "an argument";

/// `KEY=VALUE`, as in `capture.device=eth0`: above the file and the environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    key: String,
    value: Value,
}

impl Argument {
    pub(super) fn merge_into(&self, figment: Figment) -> Figment {
        figment.merge(self.clone())
    }
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
        if SECRETS.contains(&key) || has_secret(key, &value) {
            return Err(format!("{key} is a secret: everybody on this machine sees arguments; use the file or the environment"));
        }
        Ok(Argument { key: key.to_owned(), value })
    }
}

impl Provider for Argument {
    fn metadata(&self) -> Metadata {
        Metadata::named(ARGUMENT)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}
