//! The sources of a configuration.

use super::{Argument, Schema};
use crate::Error;
use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;
use std::path::Path;
use toml_edit::{ImDocument, TableLike};
use zonepulse_renamed::{Error as Fault, Renamed, Renewed, as_written};

/// The environment variables of this process that are valid UTF-8, as all relevant ones are.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// All sources of a configuration, in order of increasing precedence.
pub struct Sources<'a> {
    schema: &'a Schema,
    file: Option<Source<'a>>,
    environment: Source<'a>,
    arguments: Source<'a>,
}

type Source<'a> = (Place<'a>, Renewed);

/// The kind of a source.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    File { path: &'a Path, text: &'a str },
    Environment,
    Arguments,
}

/// What is wrong with a key.
enum What {
    /// It is unknown; the known ones are listed.
    Unknown(&'static [&'static str]),
    /// Its value is invalid.
    Value(String),
}

impl<'a> Sources<'a> {
    /// Reads the text of a file, the environment, and arguments.
    pub fn read(
        schema: &'a Schema,
        file: Option<(&'a Path, &'a str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        arguments: impl IntoIterator<Item = &'a Argument>,
    ) -> Result<Self, Error> {
        let file = file.map(|(path, text)| {
            let place = Place::File { path, text };
            ImDocument::parse(text).map_err(|error| {
                place.wrong(error.span().map(|span| line(text, span.start)), error.message().trim_end().to_owned())
            })?;
            let read = Toml::string(text).data().map_err(|error| place.wrong(None, error.to_string().trim_end().to_owned()));
            schema.source(place, read?.into_values())
        });
        let variables = environment.into_iter().filter_map(|(name, text)| schema.read_variable(&name, text));
        Ok(Sources {
            schema,
            file: file.transpose()?,
            environment: schema.source(Place::Environment, variables)?,
            arguments: schema.source(Place::Arguments, arguments.into_iter().map(Argument::dict))?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Source<'a>> {
        self.file.iter().chain([&self.environment, &self.arguments])
    }

    /// Deserializes the configuration.
    pub fn extract<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let figment = self.all().fold(Figment::new(), |figment, (_, source)| figment.merge(source.clone()));
        figment.extract().map_err(|error| self.explain(&error))
    }

    /// Warnings about names that the next release will reject.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.all().flat_map(|(place, source)| {
            source.used().iter().map(|renamed: &Renamed| {
                let line = place.line(&as_written(renamed.value_of.unwrap_or(renamed.old), source.used()));
                format!("{}: {}", place.name(line), renamed.warning(|key| self.schema.spell(*place, key)))
            })
        });
        warnings.collect()
    }

    /// Rejects the value of a key that has the right type but is invalid.
    pub fn refuse(&self, key: &str, what: impl Into<String>) -> Error {
        self.say(key, What::Value(what.into()))
    }

    /// The same, for a text that begins with the key, or with several keys that conflict: `a.b, c:
    /// what`.
    pub fn complain(&self, text: &str) -> Error {
        let (keys, what) = text.split_once(": ").unwrap_or(("", text));
        match keys.split_once(", ") {
            Some((key, others)) => {
                let (place, source) = self.source(key);
                let written = as_written(key, source.used());
                place.wrong(place.line(&written), format!("{}, {others}: {what}", self.schema.spell(*place, &written)))
            }
            None => self.refuse(keys, what),
        }
    }

    fn explain(&self, error: &figment::Error) -> Error {
        let mut path = error.path.clone();
        let what = match &error.kind {
            Kind::UnknownField(field, known) => {
                if path.last() != Some(field) {
                    path.push(field.clone());
                }
                What::Unknown(known)
            }
            // Without the value, since it is secret.
            Kind::InvalidType(_, expected) if self.schema.is_secret(&path.join(".")) => {
                What::Value(format!("expected {expected}, in quotes"))
            }
            kind => What::Value(kind.to_string().trim_end().to_owned()),
        };
        self.say(&path.join("."), what)
    }

    fn say(&self, key: &str, what: What) -> Error {
        let (place, source) = self.source(key);
        let written = as_written(key, source.used());
        let text = match what {
            What::Value(what) if written.is_empty() => what,
            What::Value(what) => format!("{}: {what}", self.schema.spell(*place, &written)),
            What::Unknown(known) => {
                let (section, name) = written.rsplit_once('.').map_or(("", &*written), |(section, name)| (section, name));
                let beside = |key: &str| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
                let hint = match nearest(name, known) {
                    Some(nearest) => format!("did you mean `{}`?", self.schema.spell(*place, &beside(nearest))),
                    None => format!("expected one of {}", list(known)),
                };
                format!("unknown key `{}`, {hint}", self.schema.spell(*place, &written))
            }
        };
        place.wrong(place.line(&written), text)
    }

    /// The source that determines a key: the one of highest precedence among those that contain
    /// most of its path. A key found nowhere is attributed to the file.
    fn source(&self, key: &str) -> &Source<'a> {
        let depth =
            |(_, source): &&Source<'a>| depth(&source.data().unwrap_or_default().into_values().next().unwrap_or_default(), key);
        let best = self.all().max_by_key(depth).filter(|source| depth(source) > 0);
        best.or(self.file.as_ref()).unwrap_or(&self.environment)
    }
}

impl Place<'_> {
    /// The beginning of an error or a warning.
    fn name(self, line: Option<usize>) -> String {
        match (self, line) {
            (Place::File { path, .. }, Some(line)) => format!("{}:{line}", path.display()),
            (Place::File { path, .. }, None) => path.display().to_string(),
            (Place::Environment, _) => "the environment".to_owned(),
            (Place::Arguments, _) => "the arguments".to_owned(),
        }
    }

    fn wrong(self, line: Option<usize>, what: String) -> Error {
        Error::Wrong { place: self.name(line), what }
    }

    /// The line of a key as written there, or of the longest part of its path that exists.
    fn line(self, key: &str) -> Option<usize> {
        let Place::File { text, .. } = self else { return None };
        let document = ImDocument::parse(text).ok()?;
        let mut table: Option<&dyn TableLike> = Some(document.as_table());
        let mut found = None;
        for part in key.split('.') {
            let Some((key, item)) = table.and_then(|table| table.get_key_value(part)) else { break };
            found = key.span().map(|span| line(text, span.start)).or(found);
            table = item.as_table_like();
        }
        found
    }
}

impl Schema {
    fn source<'a>(&self, place: Place<'a>, pieces: impl Iterator<Item = Dict>) -> Result<Source<'a>, Error> {
        let mut together = Dict::new();
        pieces.for_each(|piece| merge(&mut together, piece));
        let renewed = Renewed::of(Together(together), self.renamed).map_err(|fault| match fault {
            Fault::Both(renamed) => {
                let line = place.line(renamed.value_of.unwrap_or(renamed.old));
                place.wrong(line, renamed.both(|key| self.spell(place, key)))
            }
            fault => place.wrong(None, fault.to_string()),
        })?;
        Ok((place, renewed))
    }

    /// A key as written in this kind of source.
    fn spell(&self, place: Place<'_>, key: &str) -> String {
        match place {
            Place::File { .. } => key.to_owned(),
            Place::Environment => self.variable(key),
            Place::Arguments => format!("--set {key}"),
        }
    }

    /// The setting in a variable, if it belongs to the program. Secrets are always text.
    fn read_variable(&self, name: &str, text: String) -> Option<Dict> {
        let (prefix, key) = name.split_at_checked(self.prefix.len())?;
        let (key, is_ours) = (key.to_lowercase(), prefix.eq_ignore_ascii_case(self.prefix));
        if !is_ours || !(self.is_variable)(&key) {
            return None;
        }
        let key = key.replace("__", ".");
        if key.split('.').all(str::is_empty) {
            return None;
        }
        // Like figment's variables: true, 5, [53], "x"; anything else is text.
        let value = if self.is_secret(&key) {
            Value::from(text)
        } else {
            let Ok(value) = text.parse();
            value
        };
        nest(&key, value).into_dict()
    }
}

/// The merged contents of one source.
struct Together(Dict);

impl Provider for Together {
    fn metadata(&self) -> Metadata {
        Metadata::default()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

/// Merges a piece into the whole, with precedence.
fn merge(whole: &mut Dict, piece: Dict) {
    for (key, value) in piece {
        match value {
            Value::Dict(tag, members) => match whole.entry(key).or_insert_with(|| Value::Dict(tag, Dict::new())) {
                Value::Dict(_, there) => merge(there, members),
                there => *there = Value::Dict(tag, members),
            },
            value => {
                whole.insert(key, value);
            }
        }
    }
}

/// How much of a key's path exists.
fn depth(dict: &Dict, key: &str) -> usize {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    match (dict.get(first), rest) {
        (None, _) => 0,
        (Some(Value::Dict(_, inner)), Some(rest)) => 1 + depth(inner, rest),
        (Some(_), _) => 1,
    }
}

/// The line number of an offset in a text, starting at 1.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The key that was probably meant, only a few typos away.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let slips = |other: &str| strsim::damerau_levenshtein(&key.to_ascii_lowercase(), other);
    let part = |other: &str| key.len() >= 4 && (other.starts_with(key) || key.starts_with(other));
    let near = |other: &&&str| slips(other) <= 1 + other.len() / 4 || part(other);
    known.iter().filter(near).min_by_key(|other| slips(other)).copied()
}

fn list(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
