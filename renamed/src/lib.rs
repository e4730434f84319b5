//! Names that have changed.
//!
//! A setting that gets another name keeps its old one for one release: it is taken, and a warning names both. Each
//! program has one table for each thing that it reads (its configuration, its command line, the body of a request), and a
//! test goes through every entry of it. An entry goes when its release is out.
//!
//! Each source of a configuration is renewed by itself, so that one that stands above another still does, whichever
//! name each uses. Within one source, both names at once are an error: nobody could say which was meant.

mod config;

pub use config::Renewed;

use std::fmt;

/// A name that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renamed {
    /// The key whose value it is; none for the name of a key.
    pub value_of: Option<&'static str>,
    /// What it was called. A key is named with its sections, as in `deliver.via`.
    pub old: &'static str,
    /// What it is called; a key stays in its section.
    pub new: &'static str,
    /// The release that refuses the old name.
    pub refused_from: &'static str,
}

impl Renamed {
    /// A key, or a section.
    pub const fn key(old: &'static str, new: &'static str, refused_from: &'static str) -> Self {
        Renamed { value_of: None, old, new, refused_from }
    }

    /// A value of a key.
    pub const fn value(key: &'static str, old: &'static str, new: &'static str, refused_from: &'static str) -> Self {
        Renamed { value_of: Some(key), old, new, refused_from }
    }

    /// What to tell whoever used the old name. `spell` writes a key as its source does.
    pub fn warning(&self, spell: impl Fn(&str) -> String) -> String {
        let Renamed { value_of, old, new, refused_from } = self;
        match value_of {
            None => format!("{} is now called {}; release {refused_from} refuses the old name", spell(old), spell(new)),
            Some(key) => {
                format!("{} = {old:?} is now called {new:?}; release {refused_from} refuses the old name", spell(key))
            }
        }
    }

    /// What to tell whoever used both names.
    pub fn both(&self, spell: impl Fn(&str) -> String) -> String {
        format!("{} and {} are the same, under its old and its new name: keep the new one", spell(self.old), spell(self.new))
    }
}

impl fmt::Display for Renamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.warning(str::to_owned))
    }
}

/// A key as it is called now.
pub fn current(key: &str, table: &[Renamed]) -> String {
    let keys = table.iter().filter(|renamed| renamed.value_of.is_none());
    keys.fold(key.to_owned(), |key, renamed| replaced(&key, renamed.old, renamed.new))
}

/// A key as it is called where these old names are used.
pub fn as_written(key: &str, used: &[Renamed]) -> String {
    let keys = used.iter().rev().filter(|renamed| renamed.value_of.is_none());
    keys.fold(key.to_owned(), |key, renamed| replaced(&key, renamed.new, renamed.old))
}

/// The key with the name in the place of the other, if it has that, alone or as its first sections.
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
    /// It has both names.
    #[error("{}", .0.both(str::to_owned))]
    Both(Renamed),
    /// It cannot be read.
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
        assert_eq!(section.warning(shout), "AMQP is now called RABBITMQ; release 0.2 refuses the old name");
        assert_eq!(value.to_string(), "rabbitmq.mode = \"old\" is now called \"new\"; release 0.2 refuses the old name");
        assert!(section.both(shout).starts_with("AMQP and RABBITMQ are the same"));
    }
}
