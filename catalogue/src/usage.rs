//! Which RRsets queries used.
//!
//! A query names an owner and a type, but the response may be built from other RRsets: the CNAMEs of a chain, a DNAME, a
//! wildcard, a delegation with its glue. So every query is looked up as an authoritative server would, in the zone as it
//! was at the time, and everything that takes part is **credited**. Where a chain leaves a zone for another one of the
//! catalogue, crediting follows it.
//!
//! * An RRset below a zone cut or a DNAME is never credited by a query for its own name, since servers never answer with
//!   it; glue is, through the delegation.
//! * A negative answer credits the SOA ([`Via::Denial`]) and nothing else.
//! * A query of type ANY credits every RRset that it could have been answered with ([`Via::Any`]). Servers may answer with
//!   just one of them or with a synthetic HINFO (RFC 8482), so this is weak evidence; but the client could have wanted
//!   any of them, hence it counts as use: an error in this direction keeps a record that could go, never the reverse.
//! * Transfers (AXFR, IXFR) and other meta-types credit nothing.

mod credit;
mod history;

pub use credit::{Credit, Crediting};
pub use history::{Asked, History};

use crate::set::{Slot, ZoneIndex, ZoneSet};
use std::fmt;

/// How a query reaches an RRset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Via {
    /// The query names its owner and type.
    Asked = 1,
    /// The query is for an alias that leads here, or the RRset is such an alias (CNAME, DNAME).
    Alias = 2,
    /// The query is for a name that this wildcard answers (RFC 4592).
    Wildcard = 4,
    /// The query is for a name below a cut: NS and DS of the referral.
    Delegation = 8,
    /// The address of a name server in such a referral.
    Glue = 16,
    /// The query is of type ANY.
    Any = 32,
    /// The SOA of a negative answer (RFC 2308).
    Denial = 64,
}

/// The ways in which an RRset was used.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Vias(u8);

impl Vias {
    /// All ways, the most direct first.
    pub const ALL: [Via; 7] = [Via::Asked, Via::Alias, Via::Wildcard, Via::Delegation, Via::Glue, Via::Any, Via::Denial];

    /// Whether `via` is one of them.
    pub fn contains(self, via: Via) -> bool {
        self.0 & via as u8 != 0
    }

    /// Whether `via` is the only one.
    pub fn is_only(self, via: Via) -> bool {
        self.0 == via as u8
    }

    /// Adds a way.
    pub fn insert(&mut self, via: Via) {
        self.0 |= via as u8;
    }

    /// The ways, the most direct first.
    pub fn iter(self) -> impl Iterator<Item = Via> {
        Self::ALL.into_iter().filter(move |via| self.contains(*via))
    }
}

impl fmt::Debug for Vias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Via> for Vias {
    fn from_iter<I: IntoIterator<Item = Via>>(vias: I) -> Self {
        let mut all = Vias::default();
        vias.into_iter().for_each(|via| all.insert(via));
        all
    }
}

/// When and how an RRset was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// First use, Unix milliseconds.
    pub first_ms: i64,
    /// Last use, Unix milliseconds.
    pub last_ms: i64,
    /// Queries that named its owner and type.
    pub asked_hits: u64,
    /// In which ways.
    pub vias: Vias,
}

impl Used {
    const NEVER: Used = Used { first_ms: i64::MAX, last_ms: i64::MIN, asked_hits: 0, vias: Vias(0) };
}

/// The usage of every RRset of a [`ZoneSet`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Without any way for an RRset that was never used.
    rows: Vec<Used>,
}

impl Usage {
    /// No usage of `rrsets` RRsets.
    pub fn new(rrsets: usize) -> Self {
        Usage { rows: vec![Used::NEVER; rrsets] }
    }

    /// The usage of an RRset, if it was ever used.
    pub fn get(&self, slot: Slot) -> Option<Used> {
        self.rows.get(slot.at()).copied().filter(|used| used.vias != Vias::default())
    }

    /// Number of RRsets.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no RRsets.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a use. `hits` counts only if the query named the RRset.
    pub fn add(&mut self, slot: Slot, via: Via, first_ms: i64, last_ms: i64, hits: u64) {
        let Some(row) = self.rows.get_mut(slot.at()) else { return };
        row.first_ms = row.first_ms.min(first_ms);
        row.last_ms = row.last_ms.max(last_ms);
        row.vias.insert(via);
        if via == Via::Asked {
            row.asked_hits = row.asked_hits.saturating_add(hits);
        }
    }

    /// Adds what a server was asked. The `credits` of the query are in the order of [`Crediting::credit`]; those of the
    /// zones count in which this server looks the name up: of each view, the lowest that it serves. If it serves none of
    /// them, the catalogue does not know the server well enough, and the lowest zone of each view counts.
    pub fn add_asked(&mut self, credits: &[Credit], zones: &ZoneSet, server: u32, first_ms: i64, last_ms: i64, hits: u64) {
        let single = match (credits.first(), credits.last()) {
            (Some(first), Some(last)) => first.start == last.start,
            _ => return,
        };
        let serves = |start: ZoneIndex| zones.entry(start).is_some_and(|entry| entry.servers.contains(&server));
        let is_known = single || credits.iter().any(|credit| serves(credit.start));
        let mut starts: Vec<(u32, ZoneIndex)> = Vec::new();
        for credit in credits {
            if !single && !is_start(&mut starts, zones, credit.start, |start| !is_known || serves(start)) {
                continue;
            }
            if let Some(slot) = credit.slot {
                self.add(slot, credit.via, first_ms, last_ms, hits);
            }
        }
    }

    /// The same usage after the RRsets moved to other slots, or vanished.
    pub fn moved(&self, moves: &[Option<Slot>], rrsets: usize) -> Usage {
        let mut usage = Usage::new(rrsets);
        for (row, slot) in self.rows.iter().zip(moves) {
            if let Some(target) = slot.and_then(|slot| usage.rows.get_mut(slot.at())) {
                *target = *row;
            }
        }
        usage
    }
}

/// Whether a zone is the one of its view in which a server looks a name up; zones come lowest first.
fn is_start(starts: &mut Vec<(u32, ZoneIndex)>, zones: &ZoneSet, start: ZoneIndex, serves: impl Fn(ZoneIndex) -> bool) -> bool {
    let Some(view) = zones.entry(start).map(|entry| entry.view) else { return false };
    match starts.iter().find(|(other, _)| *other == view) {
        Some((_, chosen)) => *chosen == start,
        None if serves(start) => {
            starts.push((view, start));
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests;
