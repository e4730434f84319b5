//! What an operator runs to retire records, and to get them back.
//!
//! Zonepulse never changes a zone itself. A **plan** is a set of RRsets that go through four stages: they are *marked*
//! (nothing changes, but queries for them are watched), their *TTL is lowered* (so that resolvers forget them soon, and
//! an undo is quick), they are *removed*, and, if they turn out to be needed, *restored*. Each stage after the first is
//! exported as a script that applies it and one that undoes it, both written from the RRsets as they were when the plan
//! was made:
//!
//! * [`nsupdate`] writes DNS UPDATE commands (RFC 2136) for `nsupdate` of BIND and `knsupdate` of Knot DNS;
//! * [`knotc`] writes a shell script around one transaction of Knot DNS;
//! * [`diff`] shows the lines of the zone that change;
//! * [`rows`] and [`csv`] list the RRsets.
//!
//! Every command is conditional on the zone having the values the plan was made with, so a change made in between stops
//! the script before it does any harm. DNS does not compare TTLs (RFC 2136 section 3.2.5): a TTL that was changed in
//! between is overwritten.

mod knot;
mod table;
mod text;
mod update;

pub use knot::knotc;
pub use table::{Row, csv, diff, rows};
pub use update::{Client, nsupdate};

use crate::{Error, Name, removal};
use std::collections::HashSet;
use zonepulse_dns::RecordType;

/// The highest TTL (RFC 2181 section 8), seconds.
const MAX_TTL: u32 = i32::MAX as u32;

/// An RRset as it was when it was put into a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rrset {
    /// Id of the resource, for [`rows`].
    pub resource_id: u64,
    /// The operator's label for it.
    pub label: Option<String>,
    /// Owner name.
    pub owner: Name,
    /// Type.
    pub rtype: RecordType,
    /// Original TTL, which an undo restores.
    pub ttl: u32,
    /// RDATA of its records, uncompressed.
    pub rdatas: Vec<Box<[u8]>>,
}

/// What a plan does with its RRsets, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Watched; the zone is unchanged.
    Marked,
    /// In the zone with a short TTL.
    TtlLowered,
    /// No longer in the zone.
    Removed,
    /// In the zone again with the original TTL.
    Restored,
}

impl Stage {
    /// The stage as a plan's state is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Marked => "marked",
            Stage::TtlLowered => "ttl_lowered",
            Stage::Removed => "removed",
            Stage::Restored => "restored",
        }
    }
}

/// RRsets of one zone that are retired together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    zone: Name,
    rrsets: Vec<Rrset>,
    lowered_ttl: u32,
}

impl Plan {
    /// A plan for RRsets of `zone`, whose TTLs are lowered to at most `lowered_ttl` seconds before they are removed.
    ///
    /// # Errors
    ///
    /// If an RRset is not in the zone, is listed twice, has no values or a TTL above 2^31 - 1, or is one that must not be
    /// removed ([`removal::refusal`]).
    pub fn new(zone: Name, mut rrsets: Vec<Rrset>, lowered_ttl: u32) -> Result<Self, Error> {
        rrsets.sort_by_cached_key(|rrset| (rrset.owner.key(), rrset.rtype));
        let mut seen = HashSet::with_capacity(rrsets.len());
        for rrset in &mut rrsets {
            check(&zone, rrset)?;
            if !seen.insert((rrset.owner.clone(), rrset.rtype)) {
                return Err(malformed(rrset, "it is listed twice: list each RRset once"));
            }
            rrset.rdatas.sort();
            rrset.rdatas.dedup();
        }
        Ok(Plan { zone, rrsets, lowered_ttl: lowered_ttl.min(MAX_TTL) })
    }

    /// The zone's apex.
    pub fn zone(&self) -> &Name {
        &self.zone
    }

    /// The RRsets in canonical order of owners, then by type.
    pub fn rrsets(&self) -> &[Rrset] {
        &self.rrsets
    }

    /// What a stage changes, and requires. An RRset whose TTL is low already stays as it is.
    fn changes(&self, stage: Stage) -> Vec<Change<'_>> {
        self.rrsets.iter().filter_map(|rrset| self.change(rrset, stage)).collect()
    }

    fn change<'a>(&self, rrset: &'a Rrset, stage: Stage) -> Option<Change<'a>> {
        let (before, after) = match stage {
            Stage::Marked => return None,
            Stage::TtlLowered => (Some(rrset.ttl), Some(rrset.ttl.min(self.lowered_ttl))),
            Stage::Removed => (Some(rrset.ttl), None),
            Stage::Restored => (None, Some(rrset.ttl)),
        };
        Some(Change { rrset, before, after })
    }
}

fn check(zone: &Name, rrset: &Rrset) -> Result<(), Error> {
    if !rrset.owner.is_at_or_below(zone) {
        return Err(Error::OutOfZone { owner: rrset.owner.clone(), apex: zone.clone() });
    }
    if let Some(reason) = removal::refusal(zone, &rrset.owner, rrset.rtype) {
        let (owner, rtype) = (rrset.owner.clone(), rrset.rtype);
        return Err(Error::NotRemovable { owner, rtype, reason: reason.as_str() });
    }
    if rrset.rdatas.is_empty() {
        return Err(malformed(rrset, "it has no values: read it from the zone again"));
    }
    if rrset.ttl > MAX_TTL {
        return Err(malformed(rrset, "its TTL is above 2147483647 (RFC 2181 section 8): read it from the zone again"));
    }
    Ok(())
}

fn malformed(rrset: &Rrset, reason: &'static str) -> Error {
    Error::BadPlan { owner: rrset.owner.clone(), rtype: rrset.rtype, reason }
}

/// A script that applies a stage, and the one that takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Takes the zone from the stage before to this one.
    pub apply: String,
    /// Takes the zone back to the stage before.
    pub undo: String,
}

/// What becomes of one RRset: its TTL before and after, `None` where it is absent. The values stay the same.
#[derive(Debug, Clone, Copy)]
struct Change<'a> {
    rrset: &'a Rrset,
    before: Option<u32>,
    after: Option<u32>,
}

impl Change<'_> {
    fn undone(self) -> Self {
        Change { before: self.after, after: self.before, ..self }
    }

    /// Whether anything becomes of it; otherwise it is only required to be as the plan knows it.
    fn is_change(self) -> bool {
        self.before != self.after
    }

    /// Whether the RRset stays in the zone.
    fn keeps_values(self) -> bool {
        self.before.is_some() && self.after.is_some()
    }
}

/// Both directions of a stage, each with its changes.
fn export<E>(plan: &Plan, stage: Stage, script: impl Fn(&[Change<'_>], Direction) -> Result<String, E>) -> Result<Export, E> {
    let changes = plan.changes(stage);
    let undone: Vec<_> = changes.iter().map(|change| change.undone()).collect();
    Ok(Export { apply: script(&changes, Direction::Apply)?, undo: script(&undone, Direction::Undo)? })
}

/// Whether a script applies its stage or undoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Apply,
    Undo,
}

/// What a script does, for the comment at its beginning.
fn purpose(plan: &Plan, stage: Stage, direction: Direction, changes: &[Change<'_>]) -> String {
    let count = changes.iter().filter(|change| change.is_change()).count();
    let zone = &plan.zone;
    let ttl = plan.lowered_ttl;
    let rrsets = if count == 1 { "1 RRset".to_owned() } else { format!("{count} RRsets") };
    match (stage, direction) {
        (Stage::Marked, _) => format!("Nothing to run: marking RRsets does not change the zone {zone}"),
        _ if count == 0 => format!("Nothing to do in the zone {zone}"),
        (Stage::TtlLowered, Direction::Apply) => format!("Lower the TTL of {rrsets} of the zone {zone} to {ttl} s"),
        (Stage::TtlLowered, Direction::Undo) => format!("Give {rrsets} of the zone {zone} the original TTL again"),
        (Stage::Removed, Direction::Apply) => format!("Remove {rrsets} from the zone {zone}"),
        (Stage::Removed, Direction::Undo) => format!("Undo the removal of {rrsets} from the zone {zone}"),
        (Stage::Restored, Direction::Apply) => format!("Restore {rrsets} of the zone {zone}"),
        (Stage::Restored, Direction::Undo) => format!("Remove {rrsets} from the zone {zone} again"),
    }
}

#[cfg(test)]
mod tests;
