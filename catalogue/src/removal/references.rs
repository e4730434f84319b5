//! References that come to point nowhere.

use super::Removal;
use super::list::List;
use super::outcome::Outcome;
use crate::lookup::View;
use crate::{Name, RrsetRef, Zone, rdata};
use std::collections::HashSet;
use std::fmt;
use zonepulse_dns::RecordType;

/// Types whose RDATA names something a client then looks up: NS, CNAME, PTR, MX, AFSDB, RT, SRV, NAPTR, KX, DNAME, SVCB,
/// HTTPS.
const REFERRING: [u16; 12] = [2, 5, 12, 15, 18, 21, 33, 35, 36, 39, 64, 65];
/// Most aliases in a row that are followed; BIND follows as many.
const MAX_CHAIN: usize = 16;

/// A record that refers to a name which no longer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dangling {
    /// Apex of the zone that the record is in.
    pub zone: Name,
    /// Owner of the record.
    pub owner: Name,
    /// Its type.
    pub rtype: RecordType,
    /// The name it refers to.
    pub target: Name,
    /// For NS: whether the delegation is left without any name server that has an address, as far as this zone says.
    pub breaks_delegation: bool,
}

/// Finds the references that a removal leaves dangling, in its own zone and in others.
pub fn dangling(removal: &Removal<'_>, others: &[&Zone], list: &mut List<Dangling>) {
    let mut finder =
        Finder { removal, before: removal.before(), after: removal.after(), touched: touched(removal), types: types(removal) };
    finder.follow_aliases();
    finder.search(removal.zone, list);
    for other in others.iter().filter(|other| other.apex() != removal.zone.apex()) {
        finder.search(other, list);
    }
}

/// Names whose answers may change, as roots of subtrees: the owners, and for a wildcard its parent.
fn touched(removal: &Removal<'_>) -> HashSet<Name> {
    let owner = |rrset: RrsetRef<'_>| {
        let owner = rrset.owner();
        if owner.is_wildcard() { owner.parent().unwrap_or(owner) } else { owner }
    };
    removal.rrsets().into_iter().map(owner).collect()
}

/// The types for which an alias is followed: those removed, as far as an alias can lead to them, and addresses.
fn types(removal: &Removal<'_>) -> Vec<RecordType> {
    let mut types: Vec<_> = removal.rrsets().iter().map(|rrset| rrset.rtype()).collect();
    types.extend([RecordType::A, RecordType::AAAA]);
    types.sort_unstable();
    types.dedup();
    types.retain(|rtype| ![RecordType::NS, RecordType::CNAME, RecordType::DNAME].contains(rtype));
    types
}

struct Finder<'a> {
    removal: &'a Removal<'a>,
    before: View<'a>,
    after: View<'a>,
    touched: HashSet<Name>,
    types: Vec<RecordType>,
}

impl Finder<'_> {
    fn is_touched(&self, name: &Name) -> bool {
        name.ancestors().any(|ancestor| self.touched.contains(ancestor))
    }

    /// Whether what a reference leads to may change: a DNAME leads to everything below its target.
    fn leads_there(&self, rtype: RecordType, target: &Name) -> bool {
        self.is_touched(target) || rtype == RecordType::DNAME && self.touched.iter().any(|name| name.is_at_or_below(target))
    }

    /// Adds the owners of aliases that lead to what is touched.
    fn follow_aliases(&mut self) {
        for _ in 0..MAX_CHAIN {
            let aliases =
                self.removal.zone.iter().filter(|rrset| [RecordType::CNAME, RecordType::DNAME].contains(&rrset.rtype()));
            let leading = aliases.filter(|rrset| self.targets(*rrset).any(|target| self.leads_there(rrset.rtype(), &target)));
            let new: Vec<Name> = leading.map(|rrset| rrset.owner()).filter(|owner| !self.is_touched(owner)).collect();
            if new.is_empty() {
                return;
            }
            self.touched.extend(new);
        }
    }

    fn targets<'a>(&self, rrset: RrsetRef<'a>) -> impl Iterator<Item = Name> + use<'a> {
        rrset.rdatas().flat_map(move |rdata| rdata::names(rrset.rtype(), rdata))
    }

    fn search(&self, zone: &Zone, list: &mut List<Dangling>) {
        let own = zone.apex() == self.removal.zone.apex();
        for rrset in zone.iter().filter(|rrset| REFERRING.contains(&rrset.rtype().value())) {
            if own && self.removal.contains(rrset.index()) {
                continue;
            }
            for target in self.targets(rrset) {
                if self.in_zone(&target) && self.leads_there(rrset.rtype(), &target) && self.breaks(rrset.rtype(), &target) {
                    let breaks_delegation = rrset.rtype() == RecordType::NS && !self.has_server(rrset);
                    let zone = zone.apex().clone();
                    let (owner, rtype) = (rrset.owner(), rrset.rtype());
                    list.push(|| Dangling { zone, owner, rtype, target, breaks_delegation });
                }
            }
        }
    }

    fn in_zone(&self, name: &Name) -> bool {
        !name.is_root() && name.is_at_or_below(self.removal.zone.apex())
    }

    /// Whether a name server of this NS RRset has an address after the removal, or is in a zone that may have one.
    fn has_server(&self, rrset: RrsetRef<'_>) -> bool {
        self.targets(rrset).any(|target| !self.in_zone(&target) || self.has_address(&target, true))
    }

    /// Whether a reference led somewhere before, and does not after.
    fn breaks(&self, rtype: RecordType, target: &Name) -> bool {
        match rtype {
            RecordType::NS => self.has_address(target, false) && !self.has_address(target, true),
            RecordType::DNAME => self.exists(target, false) && !self.exists(target, true),
            RecordType::PTR => self.answers(target, RecordType::ANY, false) && !self.answers(target, RecordType::ANY, true),
            RecordType::CNAME => {
                let useful = |after| self.types.iter().any(|rtype| self.answers(target, *rtype, after));
                useful(false) && !useful(true)
            }
            _ => {
                let useful = |after| [RecordType::A, RecordType::AAAA].iter().any(|rtype| self.answers(target, *rtype, after));
                useful(false) && !useful(true)
            }
        }
    }

    fn answers(&self, name: &Name, rtype: RecordType, after: bool) -> bool {
        let view = if after { &self.after } else { &self.before };
        Outcome::new(view, name, rtype).is_useful()
    }

    /// Whether a name server has an address: as glue, or by a lookup.
    fn has_address(&self, name: &Name, after: bool) -> bool {
        let gone = |rrset: &RrsetRef<'_>| after && self.removal.contains(rrset.index());
        let glue =
            self.removal.zone.at(name).any(|rrset| [RecordType::A, RecordType::AAAA].contains(&rrset.rtype()) && !gone(&rrset));
        glue || [RecordType::A, RecordType::AAAA].iter().any(|rtype| {
            let view = if after { &self.after } else { &self.before };
            let outcome = Outcome::new(view, name, *rtype);
            // A referral to the zone of the server itself does not help: without glue it leads in a circle.
            outcome.is_useful() && outcome.response != super::Response::Referral
        })
    }

    fn exists(&self, name: &Name, after: bool) -> bool {
        if after {
            self.removal.has_data(name) || self.removal.has_descendants(name)
        } else {
            self.removal.zone.has_at_or_below(name.wire())
        }
    }
}

impl fmt::Display for Dangling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dangling { zone, owner, rtype, target, .. } = self;
        write!(f, "{owner} {rtype} in the zone {zone} refers to {target}, which will not answer")?;
        f.write_str(if self.breaks_delegation { "; no name server of the delegation has an address then" } else { "" })
    }
}
