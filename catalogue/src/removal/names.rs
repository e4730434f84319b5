//! The names for which answers change.

use super::Removal;
use super::list::List;
use super::outcome::Outcome;
use crate::lookup::View;
use crate::{Name, RrsetRef};
use std::collections::HashSet;
use std::fmt;
use zonepulse_dns::RecordType;

/// What happens to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It keeps other types, and answers without data for those removed.
    LostTypes(Vec<RecordType>),
    /// It loses its last RRset, but there are names below it: it answers without data, and still hides the wildcard.
    BecameEmptyNonTerminal,
    /// It ceases to exist, with everything below it (RFC 8020).
    Vanished {
        /// Whether it was an empty non-terminal.
        was_empty: bool,
        /// The closest encloser of the name, and of names below it, from now on.
        closest_encloser: Name,
        /// The wildcard that now matches the name and all below it.
        wildcard: Option<Name>,
    },
    /// A wildcard lost its last RRset: names below its parent that do not exist get no answer from it any more.
    WildcardGone {
        /// The name below which the wildcard answered.
        parent: Name,
    },
    /// A wildcard lost some of its types.
    WildcardLostTypes(Vec<RecordType>),
    /// It is no longer delegated.
    DelegationGone {
        /// Whether a DS RRset stays behind, without use.
        leaves_ds: bool,
    },
    /// It no longer redirects the names below it (RFC 6672).
    RedirectionGone,
    /// Its delegation loses its DS RRset: resolvers treat the delegated zone as unsigned.
    BecameInsecure,
    /// It was below a zone cut or a DNAME, and stays there. Only the addresses of name servers matter there, as glue.
    Occluded,
    /// Its record was hidden by a delegation or a DNAME that is removed, and will be answered.
    Exposed(RecordType),
}

/// A name, what happens to it, and what a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// The name.
    pub name: Name,
    /// What happens to it.
    pub change: Change,
    /// A query that shows it: a name that the change affects, and a type.
    pub example: (Name, RecordType),
    /// Its response before.
    pub before: Outcome,
    /// Its response after.
    pub after: Outcome,
}

/// Finds the names that a removal affects, owner by owner.
pub fn affected(removal: &Removal<'_>, list: &mut List<Affected>) {
    let finder = Finder { removal, before: removal.before(), after: removal.after() };
    let rrsets = removal.rrsets();
    let mut vanished = HashSet::new();
    for group in rrsets.chunk_by(|a, b| a.owner() == b.owner()) {
        finder.owner(group, &mut vanished, list);
    }
    finder.exposed(&rrsets, list);
}

struct Finder<'a> {
    removal: &'a Removal<'a>,
    before: View<'a>,
    after: View<'a>,
}

impl Finder<'_> {
    /// The changes at the owner of these removed RRsets, and at empty non-terminals above it.
    fn owner(&self, group: &[RrsetRef<'_>], vanished: &mut HashSet<Name>, list: &mut List<Affected>) {
        let Some(first) = group.first() else { return };
        let owner = first.owner();
        let types: Vec<_> = group.iter().map(|rrset| rrset.rtype()).collect();
        if self.cut_above(&owner, true) && self.cut_above(&owner, false) {
            self.push(list, owner.clone(), Change::Occluded, (owner, first.rtype()));
            return;
        }
        let is_apex = owner == *self.removal.zone.apex();
        let below = self.unused_below(&owner);
        if types.contains(&RecordType::NS) && !is_apex {
            let leaves_ds = self.removal.kept(&owner, RecordType::DS).is_some();
            let example = (owner.clone(), RecordType::A);
            self.push(list, owner.clone(), Change::DelegationGone { leaves_ds }, example);
        } else if types.contains(&RecordType::DS) && self.removal.kept(&owner, RecordType::NS).is_some() {
            self.push(list, owner.clone(), Change::BecameInsecure, (owner.clone(), RecordType::DS));
        }
        if types.contains(&RecordType::DNAME) {
            let example = self.redirected(&owner).or(below.map(|name| (name, RecordType::A)));
            let example = example.unwrap_or_else(|| (owner.clone(), RecordType::DNAME));
            self.push(list, owner.clone(), Change::RedirectionGone, example);
        }
        let example = (owner.clone(), first.rtype());
        if self.removal.has_data(&owner) {
            let types: Vec<_> =
                types.into_iter().filter(|rtype| ![RecordType::NS, RecordType::DS, RecordType::DNAME].contains(rtype)).collect();
            match types.first() {
                Some(rtype) if !owner.is_wildcard() => {
                    let example = (owner.clone(), *rtype);
                    self.push(list, owner, Change::LostTypes(types), example);
                }
                Some(rtype) => {
                    let example = (owner.parent().and_then(|parent| self.unused_below(&parent)), *rtype);
                    let example = (example.0.unwrap_or_else(|| owner.clone()), example.1);
                    self.push(list, owner, Change::WildcardLostTypes(types), example);
                }
                None => {}
            }
        } else if self.removal.has_descendants(&owner) {
            self.push(list, owner, Change::BecameEmptyNonTerminal, example);
        } else {
            self.vanish(owner, first.rtype(), vanished, list);
        }
    }

    /// A name that ceases to exist, and the empty non-terminals above it that go with it.
    fn vanish(&self, owner: Name, rtype: RecordType, vanished: &mut HashSet<Name>, list: &mut List<Affected>) {
        let mut gone = vec![owner.clone()];
        let mut closest_encloser = owner.parent();
        while let Some(name) = closest_encloser.take() {
            let is_apex = name == *self.removal.zone.apex();
            if is_apex || self.removal.has_data(&name) || self.removal.has_descendants(&name) {
                closest_encloser = Some(name);
                break;
            }
            closest_encloser = name.parent();
            gone.push(name);
        }
        let Some(closest_encloser) = closest_encloser else { return };
        let wildcard =
            closest_encloser.wildcard().filter(|name| self.removal.has_data(name) || self.removal.has_descendants(name));
        for name in gone {
            if !vanished.insert(name.clone()) {
                break;
            }
            if let Some(parent) = name.parent().filter(|_| name.is_wildcard()) {
                let example = self.unused_below(&parent).unwrap_or_else(|| name.clone());
                self.push(list, name, Change::WildcardGone { parent }, (example, rtype));
                continue;
            }
            let was_empty = self.removal.zone.at(&name).next().is_none();
            // The removed RRset of another name is no reason to hide that an empty non-terminal answered without data.
            let example = (name.clone(), rtype);
            let change = Change::Vanished { was_empty, closest_encloser: closest_encloser.clone(), wildcard: wildcard.clone() };
            self.push(list, name, change, example);
        }
    }

    /// What the removed delegations and redirections had hidden.
    fn exposed(&self, rrsets: &[RrsetRef<'_>], list: &mut List<Affected>) {
        let mut covered: Option<Name> = None;
        for rrset in rrsets.iter().filter(|rrset| [RecordType::NS, RecordType::DNAME].contains(&rrset.rtype())) {
            let owner = rrset.owner();
            let again = covered.as_ref().is_some_and(|cut| owner.is_at_or_below(cut));
            if again || owner == *self.removal.zone.apex() && rrset.rtype() == RecordType::NS {
                continue;
            }
            let at_cut = self
                .removal
                .zone
                .at(&owner)
                .filter(|other| ![RecordType::NS, RecordType::DS, RecordType::DNAME].contains(&other.rtype()));
            let at_cut = at_cut.filter(|_| rrset.rtype() == RecordType::NS);
            for hidden in at_cut.chain(self.removal.zone.below(&owner)) {
                let name = hidden.owner();
                if !self.removal.contains(hidden.index()) && self.cut_above(&name, true) && !self.is_occluded(&name) {
                    let example = (name.clone(), hidden.rtype());
                    self.push(list, name, Change::Exposed(hidden.rtype()), example);
                }
            }
            covered = Some(owner);
        }
    }

    fn is_occluded(&self, name: &Name) -> bool {
        self.cut_above(name, false)
    }

    /// Whether a delegation or a DNAME hides the name, in the zone as it is or as it will be.
    fn cut_above(&self, name: &Name, before: bool) -> bool {
        let zone = self.removal.zone;
        let find = |owner: &Name, rtype| if before { zone.find(owner, rtype) } else { self.removal.kept(owner, rtype) };
        let mut above = name.parent();
        while let Some(owner) = above.filter(|owner| owner.is_at_or_below(zone.apex())) {
            let is_apex = owner == *zone.apex();
            if find(&owner, RecordType::DNAME).is_some() || !is_apex && find(&owner, RecordType::NS).is_some() {
                return true;
            }
            above = owner.parent();
        }
        false
    }

    /// A name that a DNAME redirects to a record of the zone, and the type of that record.
    fn redirected(&self, owner: &Name) -> Option<(Name, RecordType)> {
        let zone = self.removal.zone;
        let target = zone.find(owner, RecordType::DNAME)?.rdatas().next().and_then(Name::from_wire)?;
        let found = zone.below(&target).next().filter(|_| target.is_at_or_below(zone.apex()))?;
        Some((found.owner().replace_suffix(&target, owner)?, found.rtype()))
    }

    /// A name directly below `parent` that does not exist.
    fn unused_below(&self, parent: &Name) -> Option<Name> {
        (0..100)
            .map(|number| format!("name{number}"))
            .filter_map(|label| parent.below(label.as_bytes()))
            .find(|name| self.removal.zone.at(name).next().is_none() && self.removal.zone.below(name).next().is_none())
    }

    fn push(&self, list: &mut List<Affected>, name: Name, change: Change, example: (Name, RecordType)) {
        list.push(|| {
            let before = Outcome::new(&self.before, &example.0, example.1);
            let after = Outcome::new(&self.after, &example.0, example.1);
            Affected { name, change, example, before, after }
        });
    }
}

impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.change {
            Change::LostTypes(types) => write!(f, "{name} loses {} and keeps other types", join(types))?,
            Change::BecameEmptyNonTerminal => {
                write!(f, "{name} loses its last record, but names below it stay: it still exists, without data")?;
            }
            Change::Vanished { was_empty, closest_encloser, wildcard } => {
                let empty = if *was_empty { " (an empty non-terminal)" } else { "" };
                write!(f, "{name}{empty} ceases to exist, with everything below it (closest encloser: {closest_encloser})")?;
                if let Some(wildcard) = wildcard {
                    write!(f, "; the wildcard {wildcard} now answers for all of them")?;
                }
            }
            Change::WildcardGone { parent } => {
                write!(f, "the wildcard {name} is gone: names below {parent} without records of their own cease to exist")?;
            }
            Change::WildcardLostTypes(types) => write!(f, "the wildcard {name} loses {}", join(types))?,
            Change::DelegationGone { leaves_ds } => {
                write!(f, "{name} is no longer delegated")?;
                f.write_str(if *leaves_ds { "; its DS stays behind, without use" } else { "" })?;
            }
            Change::RedirectionGone => write!(f, "{name} no longer redirects the names below it")?,
            Change::BecameInsecure => write!(f, "{name} stays delegated, but resolvers no longer validate it")?,
            Change::Occluded => {
                return write!(f, "{name} is below a zone cut or a DNAME: answers change only where it is glue");
            }
            Change::Exposed(rtype) => write!(f, "{name} {rtype} was hidden and comes to light")?,
        }
        write!(f, ". A query for {} {} gets {} before, {} after", self.example.0, self.example.1, self.before, self.after)
    }
}

fn join(types: &[RecordType]) -> String {
    types.iter().map(RecordType::to_string).collect::<Vec<_>>().join(", ")
}
