//! Renamed settings.
//!
//! A renamed setting keeps its old name for one release: the old name is accepted, and a warning
//! mentions both. Each program has a table for each kind of input (its configuration, its command
//! line, the body of a request), and a test covers every entry. An entry is removed once its
//! release is out.
//!
//! Each configuration source is processed separately, so that precedence does not depend on which
//! names the sources use. Within one source, using both names at once is an error, because it would
//! be ambiguous.

mod config;

pub use config::Renewed;

use std::fmt;

/// A name that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renamed {
    /// The key whose value was renamed; none if a key itself was renamed.
    pub value_of: Option<&'static str>,
    /// The old name. A key includes its sections, as in `deliver.via`.
    pub old: &'static str,
    /// The new name; a key stays in its section.
    pub new: &'static str,
    /// The release that rejects the old name.
    pub refused_from: &'static str,
}

impl Renamed {
    /// A renamed key or section.
    pub const fn key(old: &'static str, new: &'static str, refused_from: &'static str) -> Self {
        Renamed { value_of: None, old, new, refused_from }
    }

    /// A renamed value of a key.
    pub const fn value(key: &'static str, old: &'static str, new: &'static str, refused_from: &'static str) -> Self {
        Renamed { value_of: Some(key), old, new, refused_from }
    }

    /// The warning for the old name. `spell` writes a key as in its source.
    pub fn warning(&self, spell: impl Fn(&str) -> String) -> String {
        let Renamed { value_of, old, new, refused_from } = self;
        match value_of {
            None => format!("{} is now called {}; release {refused_from} will reject the old name", spell(old), spell(new)),
            Some(key) => {
                format!("{} = {old:?} is now called {new:?}; release {refused_from} will reject the old name", spell(key))
            }
        }
    }

    /// The error for both names.
    pub fn both(&self, spell: impl Fn(&str) -> String) -> String {
        format!("{} and {} are the same setting under its old and new name: keep the new one", spell(self.old), spell(self.new))
    }
}

impl fmt::Display for Renamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.warning(str::to_owned))
    }
}

/// The present name of a key.
pub fn current(key: &str, table: &[Renamed]) -> String {
    let keys = table.iter().filter(|renamed| renamed.value_of.is_none());
    keys.fold(key.to_owned(), |key, renamed| replaced(&key, renamed.old, renamed.new))
}

/// The name of a key in a source that uses these old names.
pub fn as_written(key: &str, used: &[Renamed]) -> String {
    let keys = used.iter().rev().filter(|renamed| renamed.value_of.is_none());
    keys.fold(key.to_owned(), |key, renamed| replaced(&key, renamed.new, renamed.old))
}

/// Replaces `from` by `to` in a key, if it is the whole key or its first sections.
fn replaced(key: &str, from: &str, to: &str) -> String {
    match key.strip_prefix(from) {
        Some(rest) if rest.is_empty() || rest.starts_with('.') => format!("{to}{rest}"),
        _ => key.to_owned(),
    }
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It uses both names.
    #[error("{}", .0.both(str::to_owned))]
    Both(Renamed),
    /// It is unreadable.
    #[error(transparent)]
    Source(#[from] Box<figment::Error>),
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [Renamed; 3] = [
        Renamed::key("amqp", "rabbitmq", "0.2"),
        Renamed::key("rabbitmq.verify", "rabbitmq.verify_ca", "0.2"),
        Renamed::value("rabbitmq.mode", "old", "new", "0.2"),
    ];

    #[test]
    fn a_key_is_followed_through_all_its_names_and_back() {
        for (old, new) in [
            ("amqp", "rabbitmq"),
            ("amqp.url", "rabbitmq.url"),
            ("amqp.verify", "rabbitmq.verify_ca"),
            ("amqps.url", "amqps.url"),
            ("log.level", "log.level"),
        ] {
            assert_eq!(current(old, &TABLE), new);
            assert_eq!(as_written(new, &TABLE), old);
        }
        assert_eq!(as_written("rabbitmq.url", &[]), "rabbitmq.url");
    }

    #[test]
    fn a_warning_names_both_and_the_release() {
        let [section, _, value] = TABLE;
        let shout = |key: &str| key.to_uppercase();
        assert_eq!(section.warning(shout), "AMQP is now called RABBITMQ; release 0.2 will reject the old name");
        assert_eq!(value.to_string(), "rabbitmq.mode = \"old\" is now called \"new\"; release 0.2 will reject the old name");
        assert!(section.both(shout).starts_with("AMQP and RABBITMQ are the same setting"));
    }
}
