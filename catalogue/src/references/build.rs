//! Finding the references of all zones.

use super::target::{self, Target};
use super::{Edge, References};
use crate::Name;
use crate::lookup::Role;
use crate::set::{Entry, Slot, ZoneIndex, ZoneSet};
use crate::zone::RrsetRef;
use hashbrown::HashMap;
use std::ops::Range;
use zonepulse_dns::RecordType;

impl References {
    /// Finds what the RRsets of `zones` refer to.
    pub fn new(zones: &ZoneSet) -> Self {
        let mut build = Build { zones, done: References::default(), subtrees: HashMap::new(), found: Vec::new() };
        build.done.starts.reserve_exact(zones.len() + 1);
        build.done.starts.push(0);
        for (zone, entry) in zones.zones() {
            let at_apex = entry.zone.at(entry.zone.apex()).len();
            for rrset in entry.zone.iter().take(zones.slots(zone).len()) {
                if target::refers(rrset.rtype()) {
                    build.add(zone, entry, rrset, (rrset.index().get() as usize) < at_apex);
                }
                build.close();
            }
        }
        build.done.edges.shrink_to_fit();
        build.done
    }
}

struct Build<'a> {
    zones: &'a ZoneSet,
    done: References,
    /// Subtrees by view and name.
    subtrees: HashMap<(u32, Name), u32>,
    /// The references of the current RRset.
    found: Vec<Edge>,
}

impl Build<'_> {
    /// Ends the references of an RRset.
    fn close(&mut self) {
        self.found.sort_unstable();
        self.found.dedup();
        self.done.edges.append(&mut self.found);
        self.done.starts.push(u32::try_from(self.done.edges.len()).unwrap_or(u32::MAX));
    }

    fn add(&mut self, zone: ZoneIndex, entry: &Entry, rrset: RrsetRef<'_>, is_at_apex: bool) {
        let (owner, rtype) = (rrset.owner(), rrset.rtype());
        for rdata in rrset.rdatas() {
            let Some(target) = target::target(&owner, rtype, rdata) else { continue };
            self.add_target(entry.view, &target);
            match rtype {
                RecordType::NS => self.add_glue(zone, &target.name),
                RecordType::DNAME => self.add_subtree(entry.view, target.name),
                _ => {}
            }
        }
        if rtype == RecordType::NS {
            let place = if is_at_apex { self.above(zone, entry) } else { Some(zone) };
            let types: &[RecordType] = if is_at_apex { &[RecordType::NS, RecordType::DS] } else { &[RecordType::DS] };
            for rtype in types {
                let slot = place.and_then(|zone| self.zones.find(zone, &owner, *rtype));
                self.found.extend(slot.map(Edge::One));
            }
        }
        // A record does not keep itself.
        let own = self.zones.slot(zone, rrset.index()).map(Edge::One);
        self.found.retain(|edge| Some(*edge) != own);
    }

    fn add_target(&mut self, view: u32, target: &Target) {
        for rtype in target.types.iter().copied() {
            for zone in self.zones.targets(view, &target.name, rtype) {
                self.zones.follow(zone, &target.name, rtype, &mut |slot, used| {
                    if used.role != Role::Denial {
                        self.found.push(Edge::One(slot));
                    }
                });
            }
        }
    }

    /// Addresses in the zone itself: those below a cut are not found by a lookup of their own names.
    fn add_glue(&mut self, zone: ZoneIndex, host: &Name) {
        for rtype in [RecordType::A, RecordType::AAAA, RecordType::CNAME] {
            self.found.extend(self.zones.find(zone, host, rtype).map(Edge::One));
        }
    }

    /// The zone of the same view in which this one is delegated.
    fn above(&self, zone: ZoneIndex, entry: &Entry) -> Option<ZoneIndex> {
        let view = entry.view;
        let zones = self.zones.enclosing(entry.zone.apex(), RecordType::DS);
        let same_view = |other: &ZoneIndex| self.zones.entry(*other).is_some_and(|other| other.view == view);
        zones.into_iter().find(same_view).filter(|other| *other != zone)
    }

    fn add_subtree(&mut self, view: u32, name: Name) {
        let next = self.done.subtrees.len() as u32;
        let subtree = *self.subtrees.entry((view, name.clone())).or_insert(next);
        if subtree == next {
            self.done.subtrees.push(subtree_of(self.zones, view, &name));
        }
        self.found.push(Edge::Subtree(subtree));
    }
}

/// The slots of all names at and below `name`, in the zones that are looked up for it and in the zones below it.
fn subtree_of(zones: &ZoneSet, view: u32, name: &Name) -> Vec<Range<u32>> {
    let inside = zones.targets(view, name, RecordType::A);
    let mut ranges = Vec::new();
    for (index, entry) in zones.zones() {
        if entry.zone.apex() != name && entry.zone.apex().is_at_or_below(name) && entry.view == view {
            ranges.push(zones.slots(index));
        } else if inside.contains(&index) {
            ranges.extend(range(zones, index, entry.zone.at(name)));
            ranges.extend(range(zones, index, entry.zone.below(name)));
        }
    }
    ranges
}

fn range<'a>(zones: &ZoneSet, zone: ZoneIndex, rrsets: impl ExactSizeIterator<Item = RrsetRef<'a>>) -> Option<Range<u32>> {
    let mut rrsets = rrsets;
    let length = u32::try_from(rrsets.len()).ok()?;
    let first = zones.slot(zone, rrsets.next()?.index()).map(Slot::get)?;
    Some(first..first.saturating_add(length).min(zones.slots(zone).end))
}
