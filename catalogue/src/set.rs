//! The zones of one version of the catalogue, in all views, and the numbers by which their RRsets are addressed.
//!
//! A zone is an apex in a **view**: two views may have different zones of the same name, on the same servers or on
//! others. Verdicts cover all zones at once, because records refer to each other across zones. Their results are dense
//! arrays, so every RRset of every zone has a [`Slot`]: the zones follow each other in the order in which they were
//! given, and the RRsets of a zone in canonical order.

use crate::Name;
use crate::lookup::{self, Answer, Used, View};
use crate::zone::{RrsetIndex, RrsetRef, Zone};
use hashbrown::HashMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use zonepulse_dns::RecordType;

/// Maximum number of zones that one chain of aliases is followed through.
const MAX_ZONES_IN_CHAIN: usize = 16;

/// Position of a zone in a [`ZoneSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneIndex(pub u32);

/// Position of an RRset among those of all zones of a [`ZoneSet`], from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(NonZeroU32);

impl Slot {
    /// The RRset at a position; `None` beyond 2^32 - 2.
    pub const fn new(position: u32) -> Option<Self> {
        match NonZeroU32::new(position.wrapping_add(1)) {
            Some(next) => Some(Slot(next)),
            None => None,
        }
    }

    /// The position.
    pub const fn get(self) -> u32 {
        self.0.get() - 1
    }

    /// The position, for an array with one element per slot.
    pub const fn at(self) -> usize {
        self.get() as usize
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({})", self.get())
    }
}

/// A zone of the catalogue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its contents.
    pub zone: Arc<Zone>,
    /// Its view; equal numbers are the same view.
    pub view: u32,
    /// Our servers that serve it, as numbers that the caller chooses.
    pub servers: Vec<u32>,
}

/// The zones of one version of the catalogue.
#[derive(Debug, Default)]
pub struct ZoneSet {
    entries: Vec<Entry>,
    /// Position of the first RRset of each zone, and the end of the last.
    first: Vec<u32>,
    by_apex: HashMap<Name, Vec<ZoneIndex>>,
}

impl ZoneSet {
    /// The zones, which keep their order. RRsets beyond 2^32 - 2 cannot be addressed, and are left out.
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut first = vec![0_u32];
        let mut by_apex: HashMap<Name, Vec<ZoneIndex>> = HashMap::new();
        let mut end = 0_u32;
        for (index, entry) in entries.iter().enumerate() {
            by_apex.entry(entry.zone.apex().clone()).or_default().push(ZoneIndex(index as u32));
            end = end.saturating_add(u32::try_from(entry.zone.len()).unwrap_or(u32::MAX)).min(u32::MAX - 1);
            first.push(end);
        }
        ZoneSet { entries, first, by_apex }
    }

    /// Number of RRsets in all zones.
    pub fn len(&self) -> usize {
        self.first.last().map_or(0, |end| *end as usize)
    }

    /// Whether there are no RRsets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All zones, in order.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneIndex, &Entry)> {
        self.entries.iter().enumerate().map(|(index, entry)| (ZoneIndex(index as u32), entry))
    }

    /// A zone.
    pub fn entry(&self, zone: ZoneIndex) -> Option<&Entry> {
        self.entries.get(zone.0 as usize)
    }

    /// The slots of a zone.
    pub fn slots(&self, zone: ZoneIndex) -> Range<u32> {
        let bound = |at: usize| self.first.get(at).copied().unwrap_or_default();
        bound(zone.0 as usize)..bound(zone.0 as usize + 1)
    }

    /// The slot of an RRset.
    pub fn slot(&self, zone: ZoneIndex, index: RrsetIndex) -> Option<Slot> {
        let slots = self.slots(zone);
        let position = slots.start.checked_add(index.get())?;
        if position < slots.end { Slot::new(position) } else { None }
    }

    /// The RRset in a slot, and its zone.
    pub fn locate(&self, slot: Slot) -> Option<(ZoneIndex, RrsetRef<'_>)> {
        let zone = self.first.partition_point(|first| *first <= slot.get()).checked_sub(1)?;
        let index = slot.get() - self.first.get(zone)?;
        let rrset = self.entries.get(zone)?.zone.rrset(RrsetIndex::new(index))?;
        Some((ZoneIndex(zone as u32), rrset))
    }

    /// The slot of an owner and type in a zone.
    pub fn find(&self, zone: ZoneIndex, owner: &Name, rtype: RecordType) -> Option<Slot> {
        self.slot(zone, self.entry(zone)?.zone.find(owner, rtype)?.index())
    }

    /// The zones that `name` is in, in all views, the lowest first. A query for DS at an apex belongs to the zones above
    /// it; the zone itself comes last, for servers that serve nothing above it.
    pub fn enclosing(&self, name: &Name, rtype: RecordType) -> Vec<ZoneIndex> {
        let mut zones: Vec<ZoneIndex> = name.ancestors().filter_map(|apex| self.by_apex.get(apex)).flatten().copied().collect();
        if rtype == RecordType::DS {
            let at_apex = self.by_apex.get(name).map_or(0, Vec::len);
            zones.rotate_left(at_apex);
        }
        zones
    }

    /// Where a name that a record of a zone of `view` refers to is looked up: the lowest zone of that view, or, if none
    /// has the name, the lowest of each other view.
    pub fn targets(&self, view: u32, name: &Name, rtype: RecordType) -> Vec<ZoneIndex> {
        let mut lowest: Vec<(u32, ZoneIndex)> = Vec::new();
        for zone in self.enclosing(name, rtype) {
            let Some(entry) = self.entry(zone) else { continue };
            if entry.view == view {
                return vec![zone];
            }
            if lowest.iter().all(|(other, _)| *other != entry.view) {
                lowest.push((entry.view, zone));
            }
        }
        lowest.into_iter().map(|(_, zone)| zone).collect()
    }

    /// Looks a name up in a zone, follows aliases into other zones (RFC 1034 section 4.3.2, step 3a: "go back to step 1"),
    /// and calls `visit` for every RRset that takes part.
    pub(crate) fn follow(&self, start: ZoneIndex, name: &Name, rtype: RecordType, visit: &mut dyn FnMut(Slot, Used)) {
        let mut visited: Vec<(ZoneIndex, Name)> = vec![(start, name.clone())];
        let mut next = 0;
        while let Some((zone, name)) = visited.get(next).cloned() {
            next += 1;
            let Some(entry) = self.entry(zone) else { continue };
            let answer = lookup::lookup(&View::new(&entry.zone), &name, rtype);
            for used in &answer.used {
                if let Some(slot) = self.slot(zone, used.index) {
                    visit(slot, *used);
                }
            }
            let Some(target) = leaves(&entry.zone, &answer) else { continue };
            for other in self.targets(entry.view, &target, rtype) {
                let seen = visited.iter().any(|(zone, name)| *zone == other && *name == target);
                if !seen && visited.len() < MAX_ZONES_IN_CHAIN {
                    visited.push((other, target.clone()));
                }
            }
        }
    }
}

/// The name with which an answer continues in another zone: outside of this one, or below one of its cuts.
fn leaves(zone: &Zone, answer: &Answer) -> Option<Name> {
    if let Some(next) = &answer.next {
        // A chain that was given up within the zone is a loop, or longer than resolvers follow.
        return (!next.is_at_or_below(zone.apex())).then(|| next.clone());
    }
    let last = answer.answer.last().filter(|_| answer.cut.is_some())?;
    last.synthesised.clone().or_else(|| Name::from_wire(zone.rrset(last.index)?.rdatas().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use crate::zone::Builder;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    fn entry(apex: &str, view: u32, owners: &[&str]) -> Entry {
        let mut builder = Builder::new(name(apex));
        for owner in owners {
            let rdata = vec![192, 0, 2, 1].into();
            builder.add(Record { owner: name(owner), rtype: RecordType::A, ttl: 60, rdata }).unwrap();
        }
        Entry { zone: Arc::new(builder.finish().unwrap()), view, servers: vec![] }
    }

    #[test]
    fn slots_number_the_rrsets_of_all_zones() {
        let set = ZoneSet::new(vec![entry("a.", 0, &["a.", "b.a."]), entry("e.", 0, &[]), entry("c.", 0, &["c."])]);
        assert_eq!(set.len(), 3);
        let owners: Vec<_> = (0..4).map(|at| Some(set.locate(Slot::new(at)?)?.1.owner().to_string())).collect();
        assert_eq!(owners, [Some("a.".into()), Some("b.a.".into()), Some("c.".into()), None]);
        assert_eq!(set.find(ZoneIndex(2), &name("c."), RecordType::A), Slot::new(2));
        assert_eq!(set.slot(ZoneIndex(0), RrsetIndex::new(2)), None);
    }

    #[test]
    fn ds_at_an_apex_belongs_to_the_zone_above() {
        let set = ZoneSet::new(vec![entry("a.", 0, &[]), entry("b.a.", 0, &[])]);
        assert_eq!(set.enclosing(&name("b.a."), RecordType::A), [ZoneIndex(1), ZoneIndex(0)]);
        assert_eq!(set.enclosing(&name("b.a."), RecordType::DS), [ZoneIndex(0), ZoneIndex(1)]);
        assert_eq!(set.enclosing(&name("c.b.a."), RecordType::DS), [ZoneIndex(1), ZoneIndex(0)]);
    }

    #[test]
    fn a_target_is_looked_up_in_its_own_view_first() {
        let set = ZoneSet::new(vec![entry("a.", 0, &[]), entry("b.a.", 1, &[]), entry("a.", 1, &[])]);
        assert_eq!(set.targets(0, &name("x.b.a."), RecordType::A), [ZoneIndex(0)]);
        assert_eq!(set.targets(1, &name("x.b.a."), RecordType::A), [ZoneIndex(1)]);
        assert_eq!(set.targets(2, &name("x.b.a."), RecordType::A), [ZoneIndex(1), ZoneIndex(0)]);
        assert_eq!(set.targets(0, &name("x."), RecordType::A), []);
    }
}
