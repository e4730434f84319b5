//! Renaming in sources of a configuration.

use crate::{Error, Renamed};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

/// A configuration source in which everything has its present name.
#[derive(Debug, Clone)]
pub struct Renewed {
    metadata: Metadata,
    data: Map<Profile, Dict>,
    used: Vec<Renamed>,
}

impl Renewed {
    /// Reads a source. Entries of the table are applied in order, so that a later one may build on
    /// an earlier one.
    ///
    /// Fails with [`Error::Both`] if a key appears under both names, and with [`Error::Source`] if
    /// the source is unreadable.
    pub fn of(source: impl Provider, table: &[Renamed]) -> Result<Self, Error> {
        let mut data = source.data().map_err(Box::new)?;
        let mut used = Vec::new();
        for dict in data.values_mut() {
            for renamed in table {
                if renew(dict, renamed)? {
                    used.push(*renamed);
                }
            }
        }
        Ok(Renewed { metadata: source.metadata(), data, used })
    }

    /// The old names used by the source.
    pub fn used(&self) -> &[Renamed] {
        &self.used
    }
}

impl Provider for Renewed {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(self.data.clone())
    }
}

/// Replaces the old name by the new one; returns whether the old one was there.
fn renew(dict: &mut Dict, renamed: &Renamed) -> Result<bool, Error> {
    if let Some(key) = renamed.value_of {
        let Some((section, name)) = section(dict, key) else { return Ok(false) };
        return Ok(match section.get_mut(name) {
            Some(Value::String(_, text)) if text == renamed.old => {
                renamed.new.clone_into(text);
                true
            }
            _ => false,
        });
    }
    let new = renamed.new.rsplit_once('.').map_or(renamed.new, |(_, name)| name);
    let Some((section, old)) = section(dict, renamed.old) else { return Ok(false) };
    if section.contains_key(old) && section.contains_key(new) {
        return Err(Error::Both(*renamed));
    }
    let Some(value) = section.remove(old) else { return Ok(false) };
    section.insert(new.to_owned(), value);
    Ok(true)
}

/// The section that contains a key, if it exists, and the key's name in it.
fn section<'d, 'k>(dict: &'d mut Dict, key: &'k str) -> Option<(&'d mut Dict, &'k str)> {
    let Some((first, rest)) = key.split_once('.') else { return Some((dict, key)) };
    match dict.get_mut(first) {
        Some(Value::Dict(_, inner)) => section(inner, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use figment::Figment;
    use figment::providers::{Format, Toml};

    const TABLE: [Renamed; 3] = [
        Renamed::key("amqp", "rabbitmq", "0.2"),
        Renamed::key("rabbitmq.verify", "rabbitmq.verify_ca", "0.2"),
        Renamed::value("rabbitmq.mode", "old", "new", "0.2"),
    ];

    fn renewed(text: &str) -> Result<Renewed, Error> {
        Renewed::of(Toml::string(text), &TABLE)
    }

    fn value(source: &Renewed, key: &str) -> String {
        Figment::from(source.clone()).extract_inner(key).unwrap()
    }

    #[test]
    fn old_names_become_new_ones_wherever_they_are() {
        for (text, used) in [
            ("[amqp]\nverify = \"x\"\nmode = \"old\"", 3),
            ("amqp.verify = \"x\"\namqp.mode = \"new\"", 2),
            ("[rabbitmq]\nverify = \"x\"\nmode = \"new\"", 1),
            ("[rabbitmq]\nverify_ca = \"x\"\nmode = \"new\"", 0),
        ] {
            let source = renewed(text).unwrap();
            assert_eq!((value(&source, "rabbitmq.verify_ca"), value(&source, "rabbitmq.mode")), ("x".into(), "new".into()));
            assert_eq!(source.used().len(), used, "{text}");
        }
    }

    #[test]
    fn both_names_in_one_source_are_an_error() {
        let both = |text: &str| match renewed(text) {
            Err(Error::Both(renamed)) => (renamed.old, renamed.new),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(both("[amqp]\nmode = \"a\"\n[rabbitmq]\nverify = \"b\""), ("amqp", "rabbitmq"));
        assert_eq!(both("[amqp]\nverify = \"a\"\nverify_ca = \"b\""), ("rabbitmq.verify", "rabbitmq.verify_ca"));
    }

    #[test]
    fn similar_names_elsewhere_are_kept() {
        let source = renewed("amqp = 3\nrabbitmqs.verify = \"x\"\n[other]\namqp = \"y\"").unwrap();
        assert_eq!(source.used(), [TABLE[0]]);
        assert_eq!((value(&source, "other.amqp"), value(&source, "rabbitmqs.verify")), ("y".into(), "x".into()));
    }

    #[test]
    fn an_unreadable_source_is_an_error() {
        assert!(matches!(renewed("amqp = "), Err(Error::Source(_))));
    }
}
