//! What changes for clients when RRsets are removed.
//!
//! Removing records of one name can change the answers for others. If a name loses its last RRset and nothing is below it,
//! the name ceases to exist, and so does everything below it (RFC 8020), unless a wildcard now answers (RFC 4592). If
//! there are names below it, it stays as an **empty non-terminal**: it answers without data, and still hides the
//! wildcard. When the last name below an empty non-terminal goes, that vanishes too, and the closest encloser of other
//! names moves up. Without its NS RRset a delegation ends, and records that it occluded, such as glue, come to light.
//!
//! A [`Removal`] is a set of RRsets of one zone, removed together. It [predicts](Removal::predict) the answer to any
//! query with the same lookup before and after, and [sums up](Removal::effects) the names for which answers change, the
//! references that come to point nowhere, and how long resolvers remember.

mod effects;
mod list;
mod names;
mod outcome;
mod references;

pub use effects::{Effects, Limits, Refused, Removed};
pub use list::List;
pub use names::{Affected, Change};
pub use outcome::{Outcome, Response, predict};
pub use references::Dangling;

use crate::lookup::View;
use crate::{Name, RrsetIndex, RrsetRef, Zone};
use zonepulse_dns::RecordType;

/// RRsets of a zone that are removed together.
#[derive(Debug, Clone)]
pub struct Removal<'a> {
    zone: &'a Zone,
    /// In order, each once.
    removed: Vec<RrsetIndex>,
}

impl<'a> Removal<'a> {
    /// A removal of these RRsets; positions that the zone does not have are ignored.
    pub fn new(zone: &'a Zone, removed: impl IntoIterator<Item = RrsetIndex>) -> Self {
        let mut removed: Vec<_> = removed.into_iter().filter(|index| zone.rrset(*index).is_some()).collect();
        removed.sort_unstable();
        removed.dedup();
        Removal { zone, removed }
    }

    /// The zone as it is.
    pub fn zone(&self) -> &'a Zone {
        self.zone
    }

    /// The responses to a query before and after.
    pub fn predict(&self, name: &Name, rtype: RecordType) -> (Outcome, Outcome) {
        predict(&self.before(), &self.after(), name, rtype)
    }

    /// The zone before, for lookups.
    pub fn before(&self) -> View<'_> {
        View::new(self.zone)
    }

    /// The zone after, for lookups.
    pub fn after(&self) -> View<'_> {
        View::without_sorted(self.zone, &self.removed)
    }

    /// Whether an RRset is removed.
    pub fn contains(&self, index: RrsetIndex) -> bool {
        self.removed.binary_search(&index).is_ok()
    }

    /// What the removal changes. `others` are zones whose records may refer to this one.
    pub fn effects(&self, others: &[&Zone], limits: Limits) -> Effects {
        effects::effects(self, others, limits)
    }

    /// The removed RRsets in canonical order.
    fn rrsets(&self) -> Vec<RrsetRef<'a>> {
        self.removed.iter().filter_map(|index| self.zone.rrset(*index)).collect()
    }

    /// The RRset, if it stays.
    fn kept(&self, owner: &Name, rtype: RecordType) -> Option<RrsetRef<'a>> {
        self.zone.find(owner, rtype).filter(|rrset| !self.contains(rrset.index()))
    }

    /// Whether an RRset of this name stays.
    fn has_data(&self, name: &Name) -> bool {
        self.zone.at(name).any(|rrset| !self.contains(rrset.index()))
    }

    /// Whether an RRset below this name stays.
    fn has_descendants(&self, name: &Name) -> bool {
        self.after().has_below(name.wire())
    }
}

/// Why an RRset must not be removed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The SOA of the zone.
    Soa,
    /// The NS RRset of the apex.
    ApexNs,
    /// The keys of a signed zone.
    ApexDnskey,
    /// What the signer maintains.
    Signer,
}

impl Refusal {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Soa => "a zone without SOA cannot be loaded (RFC 1035 section 5.2): retire the whole zone instead",
            Refusal::ApexNs => "a zone needs name servers at its apex (RFC 1035 section 5.2): retire the whole zone instead",
            Refusal::ApexDnskey => {
                "validating resolvers would reject the whole zone: remove the DS from the parent, then stop signing"
            }
            Refusal::Signer => "the signer of the zone maintains it: it goes with the records that it belongs to",
        }
    }
}

/// Whether removing an RRset breaks the zone, and why.
pub fn refusal(apex: &Name, owner: &Name, rtype: RecordType) -> Option<Refusal> {
    match (rtype.value(), owner == apex) {
        (6, _) => Some(Refusal::Soa),
        (2, true) => Some(Refusal::ApexNs),
        (48, true) => Some(Refusal::ApexDnskey),
        (46 | 47 | 50 | 51, _) => Some(Refusal::Signer),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
