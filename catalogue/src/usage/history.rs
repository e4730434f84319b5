//! Usage over the versions of the catalogue.

use super::{Crediting, Usage};
use crate::Name;
use crate::set::{Slot, ZoneIndex, ZoneSet};
use crate::zone::RrsetIndex;
use std::sync::Arc;
use zonepulse_dns::RecordType;

/// What a server was asked for, over some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// A number that stands for the name and the type.
    pub record: u32,
    /// The server.
    pub server: u32,
    /// First query, Unix milliseconds.
    pub first_ms: i64,
    /// Last query, Unix milliseconds.
    pub last_ms: i64,
    /// Number of queries.
    pub hits: u64,
}

/// The zones as they were, each version with the credits of queries in it.
///
/// Usage is reported for the RRsets of the newest version: what an older version credited is found there by view, zone,
/// owner and type, or not at all if it was removed since.
#[derive(Debug)]
pub struct History {
    /// Oldest first.
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    /// When it was loaded, Unix milliseconds.
    from_ms: i64,
    zones: Arc<ZoneSet>,
    crediting: Crediting,
    /// Where its RRsets are in the newest version; `None` for the newest.
    moves: Option<Vec<Option<Slot>>>,
}

impl History {
    /// A history of one version, for queries at any time.
    pub fn new(zones: Arc<ZoneSet>) -> Self {
        let version = Version { from_ms: i64::MIN, zones, crediting: Crediting::default(), moves: None };
        History { versions: vec![version] }
    }

    /// Adds a newer version, loaded at `from_ms`.
    pub fn push(&mut self, from_ms: i64, zones: Arc<ZoneSet>) {
        for version in &mut self.versions {
            version.moves = Some(moves(&version.zones, &zones));
        }
        self.versions.push(Version { from_ms, zones, crediting: Crediting::default(), moves: None });
    }

    /// Forgets versions that ended before `time_ms`. Queries before the oldest that is left are looked up in that one.
    pub fn forget_before(&mut self, time_ms: i64) {
        let ended = self.versions.iter().skip(1).take_while(|next| next.from_ms <= time_ms).count();
        self.versions.drain(..ended);
        if let Some(oldest) = self.versions.first_mut() {
            oldest.from_ms = i64::MIN;
        }
    }

    /// The zones at a time.
    pub fn at(&self, time_ms: i64) -> Option<&Arc<ZoneSet>> {
        self.versions.iter().rev().find(|version| version.from_ms <= time_ms).map(|version| &version.zones)
    }

    /// The newest zones.
    pub fn newest(&self) -> Option<&Arc<ZoneSet>> {
        self.versions.last().map(|version| &version.zones)
    }

    /// Adds queries to `usage` (of the newest version). `question` gives the name and type of the record, and is called
    /// only the first time a version meets it.
    ///
    /// If the zones changed between the first and the last query, every version in between is credited with the part
    /// of the period that it covers, since any of them may have answered. Shorter periods give more exact results.
    pub fn add(&mut self, usage: &mut Usage, asked: &Asked, question: &dyn Fn() -> Option<(Name, RecordType)>) {
        let mut until_ms = i64::MAX;
        for version in self.versions.iter_mut().rev() {
            let end_ms = std::mem::replace(&mut until_ms, version.from_ms);
            if version.from_ms > asked.last_ms || asked.first_ms >= end_ms {
                continue;
            }
            if version.crediting.get(asked.record).is_none() {
                let Some((name, rtype)) = question() else { return };
                version.crediting.credit(asked.record, &name, rtype, &version.zones);
            }
            let first_ms = asked.first_ms.max(version.from_ms);
            let last_ms = asked.last_ms.min(end_ms.saturating_sub(1));
            // All hits are counted in the version of the last, so that none is counted twice.
            let hits = if last_ms == asked.last_ms { asked.hits } else { 0 };
            version.add(usage, &Asked { first_ms, last_ms, hits, ..*asked });
        }
    }
}

impl Version {
    fn add(&self, usage: &mut Usage, asked: &Asked) {
        let Some(credits) = self.crediting.get(asked.record) else { return };
        let Asked { server, first_ms, last_ms, hits, .. } = *asked;
        let Some(moves) = &self.moves else {
            return usage.add_asked(credits, &self.zones, server, first_ms, last_ms, hits);
        };
        let moved = |slot: Slot| moves.get(slot.at()).copied().flatten();
        let credits: Vec<_> =
            credits.iter().map(|credit| super::Credit { slot: credit.slot.and_then(moved), ..*credit }).collect();
        usage.add_asked(&credits, &self.zones, server, first_ms, last_ms, hits);
    }
}

/// Where the RRsets of `old` are in `new`.
fn moves(old: &ZoneSet, new: &ZoneSet) -> Vec<Option<Slot>> {
    let mut moves = Vec::with_capacity(old.len());
    for (index, entry) in old.zones() {
        let apex = entry.zone.apex();
        let same = |(_, other): &(ZoneIndex, &crate::set::Entry)| other.view == entry.view && other.zone.apex() == apex;
        let target = new.zones().find(same);
        for position in 0..old.slots(index).len() as u32 {
            moves.push(target.and_then(|(zone, other)| {
                let rrset = RrsetIndex::new(position);
                if Arc::ptr_eq(&entry.zone, &other.zone) {
                    return new.slot(zone, rrset);
                }
                let rrset = entry.zone.rrset(rrset)?;
                new.find(zone, &rrset.owner(), rrset.rtype())
            }));
        }
    }
    moves
}
