//! The summary of a removal.

use super::list::List;
use super::names::{Affected, affected};
use super::outcome::Outcome;
use super::references::{Dangling, dangling};
use super::{Refusal, Removal, refusal};
use crate::{Name, RrsetIndex, Zone};
use std::fmt;
use zonepulse_dns::RecordType;

/// Bounds of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most entries of each list; the rest is only counted.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { entries: 100 }
    }
}

/// An RRset that must not be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its owner.
    pub owner: Name,
    /// Its type.
    pub rtype: RecordType,
    /// Why not.
    pub refusal: Refusal,
}

/// A removed RRset, and what a query for it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its position in the zone.
    pub index: RrsetIndex,
    /// Its owner.
    pub owner: Name,
    /// Its type.
    pub rtype: RecordType,
    /// The response before.
    pub before: Outcome,
    /// The response after.
    pub after: Outcome,
    /// Until when resolvers may still answer with the old data: its TTL, seconds.
    pub forgotten_after_s: u32,
    /// How long an undo takes to reach everyone: as long as resolvers keep the new response, seconds.
    pub undone_after_s: u32,
}

/// What a removal changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// RRsets that must not be removed. If there are any, nothing else is worked out.
    pub refused: List<Refused>,
    /// The removed RRsets.
    pub removed: List<Removed>,
    /// The names for which answers change.
    pub names: List<Affected>,
    /// References that come to point nowhere.
    pub dangling: List<Dangling>,
    /// How long resolvers cache a denial (RFC 2308 section 5: the lower one of the SOA's TTL and its MINIMUM), seconds.
    pub denial_ttl_s: u32,
    /// Until when resolvers may still answer with old data: the highest TTL of the removed RRsets, seconds.
    pub forgotten_after_s: u32,
    /// How long an undo takes to reach everyone, seconds.
    pub undone_after_s: u32,
}

pub fn effects(removal: &Removal<'_>, others: &[&Zone], limits: Limits) -> Effects {
    let mut effects = Effects {
        refused: List::new(limits.entries),
        removed: List::new(limits.entries),
        names: List::new(limits.entries),
        dangling: List::new(limits.entries),
        denial_ttl_s: denial_ttl(removal.zone),
        forgotten_after_s: 0,
        undone_after_s: 0,
    };
    let apex = removal.zone.apex();
    let rrsets = removal.rrsets();
    for rrset in &rrsets {
        let (owner, rtype) = (rrset.owner(), rrset.rtype());
        if let Some(refusal) = refusal(apex, &owner, rtype) {
            effects.refused.push(|| Refused { owner, rtype, refusal });
        }
    }
    if effects.refused.total > 0 {
        return effects;
    }
    let (before, after) = (removal.before(), removal.after());
    for rrset in rrsets {
        let (owner, rtype) = (rrset.owner(), rrset.rtype());
        let after = Outcome::new(&after, &owner, rtype);
        let undone_after_s = after.ttl.filter(|_| after.is_useful()).unwrap_or(effects.denial_ttl_s);
        effects.forgotten_after_s = effects.forgotten_after_s.max(rrset.ttl());
        effects.undone_after_s = effects.undone_after_s.max(undone_after_s);
        effects.removed.push(|| Removed {
            index: rrset.index(),
            before: Outcome::new(&before, &owner, rtype),
            after,
            owner,
            rtype,
            forgotten_after_s: rrset.ttl(),
            undone_after_s,
        });
    }
    affected(removal, &mut effects.names);
    dangling(removal, others, &mut effects.dangling);
    effects
}

/// How long resolvers cache that something does not exist (RFC 2308 section 5).
fn denial_ttl(zone: &Zone) -> u32 {
    let Some(soa) = zone.soa() else { return 0 };
    let minimum = soa.rdatas().next().and_then(|rdata| rdata.last_chunk::<4>()).map_or(0, |octets| u32::from_be_bytes(*octets));
    soa.ttl().min(minimum)
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} cannot be removed: {}", self.owner, self.rtype, self.refusal.as_str())
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Removed { owner, rtype, before, after, .. } = self;
        write!(f, "{owner} {rtype}: {before} before, {after} after. ")?;
        write!(f, "Resolvers may answer with the old data for {} s; ", self.forgotten_after_s)?;
        write!(f, "an undo reaches everyone after {} s", self.undone_after_s)
    }
}

/// The summary in plain words, one line per entry.
impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(f, "Cannot be removed", &self.refused)?;
        if self.refused.total > 0 {
            return Ok(());
        }
        section(f, "Removed", &self.removed)?;
        section(f, "Names affected", &self.names)?;
        section(f, "References left dangling", &self.dangling)?;
        writeln!(
            f,
            "Resolvers cache a denial for up to {} s and the old data for up to {} s.",
            self.denial_ttl_s, self.forgotten_after_s
        )?;
        writeln!(f, "An undo reaches everyone after {} s.", self.undone_after_s)
    }
}

fn section<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, list: &List<T>) -> fmt::Result {
    if list.total == 0 {
        return Ok(());
    }
    writeln!(f, "{title} ({}):", list.total)?;
    for entry in &list.first {
        writeln!(f, "  {entry}")?;
    }
    match list.total - list.first.len() {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}
