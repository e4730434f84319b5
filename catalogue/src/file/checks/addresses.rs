//! Whether a host has addresses in the zone.

use super::{CNAME, NS, Records};
use crate::Name;

/// What the zone says of the addresses of a host.
pub(super) enum Addresses {
    Present,
    /// The host is not in the zone, or is in a zone that is delegated elsewhere.
    Elsewhere,
    /// The name is a CNAME.
    Alias,
    Missing,
}

/// Looks up the addresses of `target`, which a record of `owner` names.
pub(super) fn of(records: &Records, apex: &Name, owner: &Name, target: &Name) -> Addresses {
    if !target.is_at_or_below(apex) {
        return Addresses::Elsewhere;
    }
    match at(records, target) {
        Addresses::Missing if is_delegated(records, apex, owner, target) => Addresses::Elsewhere,
        Addresses::Missing if records.exists(target) => Addresses::Missing,
        Addresses::Missing => wildcard(records, apex, target).map_or(Addresses::Missing, |wildcard| at(records, &wildcard)),
        found => found,
    }
}

fn at(records: &Records, name: &Name) -> Addresses {
    let items = records.at(name);
    if items.iter().any(|item| matches!(item.rtype.value(), 1 | 28)) {
        return Addresses::Present;
    }
    if items.iter().any(|item| item.rtype.value() == CNAME) { Addresses::Alias } else { Addresses::Missing }
}

/// Whether a delegation other than `owner`'s leads to the target: then its addresses are that zone's business.
fn is_delegated(records: &Records, apex: &Name, owner: &Name, target: &Name) -> bool {
    let mut name = Some(target.clone());
    while let Some(at) = name.filter(|at| at != apex && at.is_at_or_below(apex)) {
        if at != *owner && records.at(&at).iter().any(|item| item.rtype.value() == NS) {
            return owner != apex;
        }
        name = at.parent();
    }
    false
}

/// The wildcard that would answer for a name (RFC 4592 section 3.3.1).
fn wildcard(records: &Records, apex: &Name, name: &Name) -> Option<Name> {
    let mut encloser = name.parent();
    while let Some(at) = encloser.filter(|at| at.is_at_or_below(apex)) {
        if records.exists(&at) {
            return at.wildcard().filter(|wildcard| !records.at(wildcard).is_empty());
        }
        encloser = at.parent();
    }
    None
}
