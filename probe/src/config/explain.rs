//! What is wrong with a configuration, in words that name the place.

use super::argument::ARGUMENT;
use super::{ENVIRONMENT_PREFIX, SECRETS, wrong};
use crate::Error;
use figment::error::Kind;
use std::path::Path;

/// Names that are less alike than this (0 to 1, Jaro-Winkler) are not suggested.
const LIKENESS: f64 = 0.8;

/// The first thing that is wrong, with the place where it stands.
pub(super) fn explain(path: &Path, error: figment::Error) -> Error {
    let key = error.path.join(".");
    let source = error.metadata.as_ref().map(|metadata| metadata.name.as_ref()).unwrap_or_default();
    let place = match () {
        () if source == ARGUMENT => "--set".to_owned(),
        () if source.contains("environment") => format!("{ENVIRONMENT_PREFIX}{}", key.to_uppercase().replace('.', "__")),
        () => path.display().to_string(),
    };
    let what = match &error.kind {
        Kind::UnknownField(unknown, known) => match similar(unknown, known) {
            Some(meant) => format!("unknown key; did you mean {meant}? Known here: {}", known.join(", ")),
            None => format!("unknown key; known here: {}", known.join(", ")),
        },
        Kind::InvalidType(_, expected) if SECRETS.contains(&key.as_str()) => {
            format!("expected {expected}, in quotes")
        }
        kind => kind.to_string().trim_end().to_owned(),
    };
    wrong(place, if key.is_empty() { what } else { format!("{key}: {what}") })
}

/// The known name that is most like this one, if any is.
fn similar<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &&str| strsim::jaro_winkler(unknown, name);
    let best = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(&best) >= LIKENESS).then_some(best)
}
