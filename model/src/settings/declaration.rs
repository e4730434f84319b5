//! What is known of a setting, whatever its value.

use crate::{Interval, host, url};
use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

/// A setting as whoever parses, shows or documents it needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declaration {
    /// Its name.
    pub name: &'static str,
    /// What it does, line by line.
    pub description: &'static [&'static str],
    /// The values it may have.
    pub allowed: Allowed,
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
        /// The smallest one.
        min: u32,
        /// The largest one.
        max: u32,
    },
    /// The seconds of an [`Interval`].
    Interval,
    /// An [address of an API](crate::url), or empty for none.
    Url,
    /// An [FQDN or IP address](crate::host), or empty for none.
    Host,
    /// A virtual host at a broker: text that is not empty.
    VirtualHost,
    /// Any text without control characters.
    Text,
    /// The same, but nobody is shown it.
    Secret,
}

/// A setting, or settings together, that cannot be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting {
    /// Which one.
    pub setting: &'static str,
    /// Why.
    pub reason: String,
}

/// A value in the form in which its declaration can judge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Its type has no values but those that are allowed.
    Typed,
    Number(u32),
    Text(&'a str),
}

/// A type that settings have.
pub(super) trait Setting {
    fn value(&self) -> Value<'_>;
}

/// The longest text, bytes; AMQP's short strings have no more.
const MAX_TEXT_BYTES: usize = 255;

impl Allowed {
    /// How long a text may be, bytes.
    pub fn bytes(self) -> RangeInclusive<usize> {
        match self {
            Allowed::Url => 0..=url::MAX_BYTES,
            Allowed::VirtualHost => 1..=MAX_TEXT_BYTES,
            _ => 0..=MAX_TEXT_BYTES,
        }
    }

    /// Why a value is not allowed; `None` when it is.
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
