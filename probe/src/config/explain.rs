//! What is wrong with a configuration, in words that name the place.

use super::renamed::Place;
use super::{SECRETS, wrong};
use crate::Error;
use figment::error::Kind;
use zonepulse_renamed::{Renamed, as_written};

/// Names that are less alike than this (0 to 1, Jaro-Winkler) are not suggested.
const LIKENESS: f64 = 0.8;

/// The first thing that is wrong, with the place where it stands, in which these old names are used.
pub(super) fn explain(place: Place<'_>, error: figment::Error, used: &[Renamed]) -> Error {
    let key = error.path.join(".");
    let written = as_written(&key, used);
    let place = match place {
        Place::File(path) => path.display().to_string(),
        Place::Environment => place.spell(&written),
        Place::Arguments => "--set".to_owned(),
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
    wrong(place, if key.is_empty() { what } else { format!("{written}: {what}") })
}

/// The known name that is most like this one, if any is.
fn similar<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &&str| strsim::jaro_winkler(unknown, name);
    let best = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(&best) >= LIKENESS).then_some(best)
}
