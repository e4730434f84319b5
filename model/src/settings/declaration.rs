//! What is known about a setting, regardless of its value.

use crate::{Interval, host, url};
use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

/// A setting as needed by code that parses, displays or documents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declaration {
    /// Its name.
    pub name: &'static str,
    /// What it does, line by line.
    pub description: &'static [&'static str],
    /// The allowed values.
    pub allowed: Allowed,
    /// Who may change it.
    pub changed_by: ChangedBy,
}

/// Who may change a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedBy {
    /// Whoever may change the server.
    Anyone,
    /// Only administrators, because it decides where secrets go: destinations, the trust in them, and secrets.
    Administrators,
}

/// The values that a setting may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// True or false.
    Flag,
    /// One of these words.
    Choice {
        /// The name of the type.
        name: &'static str,
        /// The words.
        words: &'static [&'static str],
    },
    /// A number in a range, both ends included.
    Number {
        /// The minimum.
        min: u32,
        /// The maximum.
        max: u32,
    },
    /// The seconds of an [`Interval`].
    Interval,
    /// An [API address](crate::url), or empty for none.
    Url,
    /// An [FQDN or IP address](crate::host), or empty for none.
    Host,
    /// A virtual host of a broker: non-empty text.
    VirtualHost,
    /// Any text without control characters.
    Text,
    /// The same, but never displayed.
    Secret,
}

/// A setting, or a combination of settings, that is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting {
    /// The name of the setting.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// A value in the form that its declaration can check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// The type admits only allowed values.
    Typed,
    Number(u32),
    Text(&'a str),
}

/// The type of a setting.
pub(super) trait Setting {
    fn value(&self) -> Value<'_>;
}

/// Maximum length of a text in bytes, which is that of AMQP's short strings.
const MAX_TEXT_BYTES: usize = 255;

impl Allowed {
    /// The allowed length of a text, in bytes.
    pub fn bytes(self) -> RangeInclusive<usize> {
        match self {
            Allowed::Url => 0..=url::MAX_BYTES,
            Allowed::VirtualHost => 1..=MAX_TEXT_BYTES,
            _ => 0..=MAX_TEXT_BYTES,
        }
    }

    /// Why a value is not allowed; `None` if it is.
    pub(super) fn fault(self, value: Value<'_>) -> Option<String> {
        match (self, value) {
            (Allowed::Number { min, max }, Value::Number(number)) if !(min..=max).contains(&number) => {
                Some(format!("it has to be from {min} to {max}, not {number}"))
            }
            (Allowed::Interval, Value::Number(seconds)) => Interval::new(seconds).err().map(|error| error.to_string()),
            (Allowed::Url | Allowed::Host, Value::Text("")) => None,
            (Allowed::Url, Value::Text(text)) => url::fault(text).map(|what| format!("it {what}")),
            (Allowed::Host, Value::Text(text)) => host::fault(text),
            (Allowed::VirtualHost, Value::Text("")) => Some("it is empty; the one that every broker has is /".to_owned()),
            (_, Value::Text(text)) if !self.bytes().contains(&text.len()) || text.chars().any(char::is_control) => {
                Some(format!("it has at most {MAX_TEXT_BYTES} bytes and no control characters"))
            }
            _ => None,
        }
    }
}

impl Setting for bool {
    fn value(&self) -> Value<'_> {
        Value::Typed
    }
}

impl Setting for u32 {
    fn value(&self) -> Value<'_> {
        Value::Number(*self)
    }
}

impl Setting for u16 {
    fn value(&self) -> Value<'_> {
        Value::Number((*self).into())
    }
}

impl Setting for String {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadSetting { setting, reason } = self;
        write!(f, "{setting}: {reason}")
    }
}

impl Error for BadSetting {}
