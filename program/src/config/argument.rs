//! A key and its value from the command line.

use super::{Schema, has_secret};
use figment::util::nest;
use figment::value::{Dict, Value};

/// `KEY=VALUE`, as in `log.level=debug`.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    key: String,
    value: Value,
}

impl Argument {
    /// Parses one. The error says what is wrong: secrets are rejected, because every user of the
    /// machine can see arguments.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in log.level=debug")?;
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(format!("{key:?} is not a key; write KEY=VALUE, as in log.level=debug"));
        }
        // Like figment's variables: true, 5, [53], "x"; anything else is text.
        let Ok(value) = value.parse();
        if schema.is_secret(key) || has_secret(key, &value) {
            return Err(format!(
                "{key} is a secret, and every user of this machine can see arguments: use the file or the environment"
            ));
        }
        let value = match value {
            Value::String(tag, path) if schema.is_path(key) && !path.is_empty() => {
                let absolute =
                    std::path::absolute(&path).map_err(|error| format!("{key}: {path:?} has no absolute path: {error}"))?;
                let text = absolute.to_str().ok_or_else(|| format!("{key}: {} is not UTF-8", absolute.display()))?;
                Value::String(tag, text.to_owned())
            }
            value => value,
        };
        Ok(Argument { key: key.to_owned(), value })
    }

    pub(super) fn dict(&self) -> Dict {
        nest(&self.key, self.value.clone()).into_dict().unwrap_or_default()
    }
}
