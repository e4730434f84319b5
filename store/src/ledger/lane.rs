//! Lanes: the sequences of runs that the ledger consists of, and their keys.

use super::run::Run;
use crate::Error;
use crate::database::key;
use zonepulse_codec::Malformed;
use zonepulse_model::ServerId;

/// Folds of a zone that are at most this far apart are one. A flood comes and goes from one interval to the next; this
/// bounds the runs of a zone to six an hour, however often it folds.
pub(super) const FOLD_SLACK_MS: u64 = 600_000;

/// The runs of one server that say the same kind of thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub server_id: ServerId,
    pub of: Of,
}

/// What a lane is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    /// Time covered by batches, with the reasons that concern all zones.
    Covered,
    /// Ranges from which the probe evicted batches, or that a restored store may have forgotten.
    Evicted,
    /// Time in which messages of this zone were folded.
    Folded(String),
}

impl Of {
    /// How far apart runs may be and still be joined, regardless of their reasons; `None` if only neighbours with the
    /// same reasons are.
    pub(super) fn slack_ms(&self) -> Option<u64> {
        match self {
            Of::Covered | Of::Evicted => None,
            Of::Folded(_) => Some(FOLD_SLACK_MS),
        }
    }

    /// Whether two runs of the lane, in this order, are rightly separate.
    pub(crate) fn are_apart(&self, first: &Run, next: &Run) -> bool {
        let end_ms = first.until_ms.saturating_add(self.slack_ms().unwrap_or(0));
        end_ms < next.from_ms || (self.slack_ms().is_none() && end_ms == next.from_ms && first.why != next.why)
    }

    fn kind(&self) -> u8 {
        match self {
            Of::Covered => key::COVERED,
            Of::Evicted => key::EVICTED,
            Of::Folded(_) => key::FOLDED,
        }
    }

    fn zone(&self) -> &str {
        match self {
            Of::Covered | Of::Evicted => "",
            Of::Folded(zone) => zone,
        }
    }
}

impl Lane {
    pub(crate) fn new(server_id: ServerId, of: Of) -> Lane {
        Lane { server_id, of }
    }

    /// What all keys of the lane begin with, and only those.
    pub(super) fn prefix(&self) -> Vec<u8> {
        key::ledger_prefix(self.server_id, self.of.kind(), self.of.zone())
    }

    /// Parses a key into its lane and the start of the run.
    pub(crate) fn parse(found: &[u8]) -> Option<(Lane, u64)> {
        let (server_id, kind, zone, from_ms) = key::parse_ledger(found)?;
        let of = match (kind, zone) {
            (key::COVERED, "") => Of::Covered,
            (key::EVICTED, "") => Of::Evicted,
            (key::FOLDED, zone) if !zone.is_empty() => Of::Folded(zone.to_owned()),
            _ => return None,
        };
        Some((Lane { server_id, of }, from_ms))
    }
}

/// Reads a run of the lane whose keys begin with `prefix`; `None` if the key belongs to another lane.
pub(super) fn run_of(prefix: &[u8], found: &[u8], value: &[u8]) -> Result<Option<Run>, Error> {
    let Some(from) = found.strip_prefix(prefix).filter(|from| from.len() == 8) else { return Ok(None) };
    let from_ms = key::u64_at(from, 0).ok_or_else(|| Error::damaged("run", found))?;
    let run = Run::decode(from_ms, value).map_err(|Malformed(what)| Error::damaged(what, found))?;
    Ok(Some(run))
}

/// The key of a run in the lane whose keys begin with `prefix`.
pub(super) fn key_of(prefix: &[u8], from_ms: u64) -> Vec<u8> {
    [prefix, &from_ms.to_be_bytes()[..]].concat()
}

/// A zone and all zones above it, by canonical name.
pub(super) fn with_ancestors(zone: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(zone), |name| {
        if *name == "." {
            return None;
        }
        let mut escaped = false;
        let end = name.bytes().position(|byte| {
            let is_dot = byte == b'.' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_dot
        })?;
        let rest = name.get(end + 1..)?;
        Some(if rest.is_empty() { "." } else { rest })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_parsed_from_its_keys_and_holds_no_other_keys() {
        let zones = ["example.", "example.org.", "org."].map(|zone| Of::Folded(zone.to_owned()));
        let lanes: Vec<Lane> =
            [Of::Covered, Of::Evicted].into_iter().chain(zones).map(|of| Lane::new(ServerId::new(7), of)).collect();
        for lane in &lanes {
            let key = key_of(&lane.prefix(), 0x0102);
            assert_eq!(Lane::parse(&key), Some((lane.clone(), 0x0102)));
            for other in lanes.iter().filter(|other| *other != lane) {
                assert!(!key.starts_with(&other.prefix()), "{lane:?} in {other:?}");
            }
        }
    }

    #[test]
    fn the_ancestors_of_a_zone_end_with_the_root() {
        assert_eq!(with_ancestors("a\\.b.example.org.").collect::<Vec<_>>(), ["a\\.b.example.org.", "example.org.", "org.", "."]);
        assert_eq!(with_ancestors(".").collect::<Vec<_>>(), ["."]);
        assert_eq!(with_ancestors("a\\\\.b.").collect::<Vec<_>>(), ["a\\\\.b.", "b.", "."]);
    }
}
