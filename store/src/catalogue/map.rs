//! Which record is which resource, in memory.
//!
//! Points contain records (owner and type), the catalogue contains resources (zone, owner and type). Usually a record is
//! one resource. It is several where zones meet (the NS of a zone and those of the delegation to it) and where a zone has
//! several views; then the resources of a record form a list, the one of the longest apex first.

use super::dense::Dense;
use std::collections::BTreeMap;
use std::sync::Arc;
use zonepulse_model::{RecordId, ResourceId, ServerId, ZoneId};

/// Flag in a record's number: the resource is removed.
const REMOVED: u32 = 1 << 31;

/// The resources of all zones, at one moment.
#[derive(Debug, Clone, Default)]
pub struct ResourceMap {
    version: u64,
    /// The first present resource of each record.
    by_record: Dense<u32>,
    by_resource: Dense<Place>,
    zones: Arc<BTreeMap<ZoneId, Of>>,
    /// Whether some zone is not served by every server.
    is_restricted: bool,
    /// From when accesses of a record count, Unix milliseconds.
    counts_from_ms: Dense<u64>,
    present: u64,
}

/// Where a resource belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    zone: u32,
    /// The record, and whether the resource is [`REMOVED`].
    record: u32,
    /// The next present resource of the same record.
    next: u32,
}

/// What of a zone decides whose record a resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Of {
    apex_bytes: usize,
    /// Ascending; empty for every server.
    servers: Vec<ServerId>,
}

impl Of {
    fn serves(&self, server_id: ServerId) -> bool {
        self.servers.is_empty() || self.servers.binary_search(&server_id).is_ok()
    }
}

/// A change of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) resource_id: ResourceId,
    pub(crate) record_id: RecordId,
    pub(crate) present: bool,
}

impl ResourceMap {
    /// Rises with every change of zones, resources, notes, usage and plans.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Number of resources that are present.
    pub fn len(&self) -> u64 {
        self.present
    }

    /// Whether no resource is present.
    pub fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// The resource of a record on a server: among the zones that the server serves, the one with the longest apex that
    /// has the record. [`ResourceId::NONE`] if none has.
    #[inline]
    pub fn get(&self, record_id: RecordId, server_id: ServerId) -> ResourceId {
        let first = ResourceId::new(self.by_record.get(record_id.get()));
        if first.is_none() || !self.is_restricted {
            return first;
        }
        self.chain(first).find(|(_, zone)| self.serves(*zone, server_id)).map_or(ResourceId::NONE, |(id, _)| id)
    }

    /// The resource of a record where no server is given: that of the zone with the longest apex. [`ResourceId::NONE`] if no
    /// zone has it.
    #[inline]
    pub fn lowest(&self, record_id: RecordId) -> ResourceId {
        ResourceId::new(self.by_record.get(record_id.get()))
    }

    /// The resources of a server's records, for many look-ups: [`ResourceMap::get`] without looking at lists of servers
    /// for each of them.
    pub fn of_server(&self, server_id: ServerId) -> ResourcesOfServer<'_> {
        let others = self.zones.iter().filter(|(_, of)| !of.serves(server_id)).map(|(zone_id, _)| *zone_id).collect();
        ResourcesOfServer { map: self, others }
    }

    /// Every present resource of a record, and its zone, that of the longest apex first.
    pub fn all(&self, record_id: RecordId) -> impl Iterator<Item = (ResourceId, ZoneId)> {
        self.chain(ResourceId::new(self.by_record.get(record_id.get())))
    }

    /// The zone of a resource, and its record. Removed resources have theirs, too.
    pub fn place(&self, resource_id: ResourceId) -> Option<(ZoneId, RecordId)> {
        let place = self.by_resource.get(resource_id.get());
        (place.zone != 0).then(|| (ZoneId::new(place.zone), RecordId::new(place.record & !REMOVED)))
    }

    /// Whether a resource is in its zone at present.
    pub fn is_present(&self, resource_id: ResourceId) -> bool {
        let place = self.by_resource.get(resource_id.get());
        place.zone != 0 && place.record & REMOVED == 0
    }

    /// Whether a zone is served by a server.
    pub fn serves(&self, zone_id: ZoneId, server_id: ServerId) -> bool {
        self.zones.get(&zone_id).is_some_and(|of| of.serves(server_id))
    }

    /// From when accesses of a record count for the catalogue as it is, Unix milliseconds; 0 for always. What was before
    /// is in the frozen credits of its resources.
    pub fn counts_from_ms(&self, record_id: RecordId) -> u64 {
        self.counts_from_ms.get(record_id.get())
    }

    pub(crate) fn all_count_from_ms(&self) -> &Dense<u64> {
        &self.counts_from_ms
    }

    fn chain(&self, first: ResourceId) -> impl Iterator<Item = (ResourceId, ZoneId)> {
        let mut next = first.get();
        std::iter::from_fn(move || {
            let place = self.by_resource.get(next);
            (place.zone != 0).then(|| (ResourceId::new(std::mem::replace(&mut next, place.next)), ZoneId::new(place.zone)))
        })
    }

    /// All resources, removed or not, with their zones and records.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ResourceId, ZoneId, RecordId)> {
        let all = self.by_resource.iter();
        all.map(|(id, place)| (ResourceId::new(id), ZoneId::new(place.zone), RecordId::new(place.record & !REMOVED)))
    }

    pub(crate) fn changed(&mut self) {
        self.version += 1;
    }

    pub(crate) fn set_counts_from(&mut self, record_id: RecordId, from_ms: u64) {
        self.counts_from_ms.set(record_id.get(), from_ms);
    }

    /// Sets what is known of a zone. Lists of resources stay in order: an apex never changes.
    pub(crate) fn set_zone(&mut self, zone_id: ZoneId, apex: &str, servers: &[ServerId]) {
        let of = Of { apex_bytes: apex.len(), servers: servers.to_vec() };
        Arc::make_mut(&mut self.zones).insert(zone_id, of);
        self.is_restricted = self.zones.values().any(|of| !of.servers.is_empty());
    }

    /// Forgets a zone and its resources. Returns the records that are no resources any more.
    pub(crate) fn remove_zone(&mut self, zone_id: ZoneId) -> Vec<RecordId> {
        let of_zone = self.iter().filter(|(_, of, _)| *of == zone_id);
        let gone: Vec<(ResourceId, RecordId)> = of_zone.map(|(id, _, record_id)| (id, record_id)).collect();
        for (resource_id, record_id) in &gone {
            self.unlink(*resource_id, *record_id);
            self.by_resource.set(resource_id.get(), Place::default());
        }
        Arc::make_mut(&mut self.zones).remove(&zone_id);
        self.is_restricted = self.zones.values().any(|of| !of.servers.is_empty());
        self.by_resource.prune();
        self.by_record.prune();
        let mut others = Dense::default();
        self.iter().for_each(|(_, _, record_id)| others.set(record_id.get(), true));
        gone.into_iter().map(|(_, record_id)| record_id).filter(|record_id| !others.get(record_id.get())).collect()
    }

    /// Applies a change of a zone's resource.
    pub(crate) fn apply(&mut self, zone_id: ZoneId, delta: Delta) {
        let Delta { resource_id, record_id, present } = delta;
        self.unlink(resource_id, record_id);
        let removed = if present { 0 } else { REMOVED };
        let place = Place { zone: zone_id.get(), record: record_id.get() | removed, next: 0 };
        self.by_resource.set(resource_id.get(), place);
        if present {
            self.link(resource_id, record_id, zone_id);
        }
    }

    /// Puts a resource into the list of its record: longer apexes first, then lower zone ids.
    fn link(&mut self, resource_id: ResourceId, record_id: RecordId, zone_id: ZoneId) {
        self.present += 1;
        let rank = |zone_id: ZoneId| (std::cmp::Reverse(self.zones.get(&zone_id).map_or(0, |of| of.apex_bytes)), zone_id);
        let own = rank(zone_id);
        let before = self.all(record_id).take_while(|(_, other)| rank(*other) < own).last().map(|(id, _)| id);
        match before {
            Some(before) => {
                let place = self.by_resource.get(before.get());
                self.set_next(resource_id, place.next);
                self.set_next(before, resource_id.get());
            }
            None => {
                self.set_next(resource_id, self.by_record.get(record_id.get()));
                self.by_record.set(record_id.get(), resource_id.get());
            }
        }
    }

    fn unlink(&mut self, resource_id: ResourceId, record_id: RecordId) {
        let next = self.by_resource.get(resource_id.get()).next;
        if self.by_record.get(record_id.get()) == resource_id.get() {
            self.by_record.set(record_id.get(), next);
            self.present -= 1;
            return;
        }
        let all = self.all(record_id).map(|(id, _)| id);
        let before = all.take_while(|id| *id != resource_id).last();
        if let Some(before) = before.filter(|before| self.by_resource.get(before.get()).next == resource_id.get()) {
            self.set_next(before, next);
            self.present -= 1;
        }
    }

    fn set_next(&mut self, resource_id: ResourceId, next: u32) {
        let place = self.by_resource.get(resource_id.get());
        self.by_resource.set(resource_id.get(), Place { next, ..place });
    }
}

/// The resources of a server's records.
#[derive(Debug, Clone)]
pub struct ResourcesOfServer<'a> {
    map: &'a ResourceMap,
    /// The zones that the server does not serve, ascending.
    others: Vec<ZoneId>,
}

impl ResourcesOfServer<'_> {
    /// As [`ResourceMap::get`].
    #[inline]
    pub fn get(&self, record_id: RecordId) -> ResourceId {
        let first = ResourceId::new(self.map.by_record.get(record_id.get()));
        if first.is_none() || self.others.is_empty() {
            return first;
        }
        let mut chain = self.map.chain(first);
        chain.find(|(_, zone)| self.others.binary_search(zone).is_err()).map_or(ResourceId::NONE, |(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set_zone(map: &mut ResourceMap, id: u32, apex: &str, servers: &[u32]) {
        let servers: Vec<_> = servers.iter().copied().map(ServerId::new).collect();
        map.set_zone(ZoneId::new(id), apex, &servers);
    }

    fn delta(resource: u32, record: u32, present: bool) -> Delta {
        Delta { resource_id: ResourceId::new(resource), record_id: RecordId::new(record), present }
    }

    fn get(map: &ResourceMap, record: u32, server: u32) -> u32 {
        let (record_id, server_id) = (RecordId::new(record), ServerId::new(server));
        let found = map.get(record_id, server_id);
        assert_eq!(map.of_server(server_id).get(record_id), found);
        found.get()
    }

    #[test]
    fn of_a_parent_and_its_child_the_child_has_the_record_where_it_is_served() {
        let mut map = ResourceMap::default();
        set_zone(&mut map, 1, "example.", &[1, 2]);
        set_zone(&mut map, 2, "sub.example.", &[2, 3]);
        map.apply(ZoneId::new(1), delta(10, 7, true));
        map.apply(ZoneId::new(2), delta(11, 7, true));
        assert_eq!([1, 2, 3, 4].map(|server| get(&map, 7, server)), [10, 11, 11, 0]);
        map.apply(ZoneId::new(2), delta(11, 7, false));
        assert_eq!([1, 2, 3].map(|server| get(&map, 7, server)), [10, 10, 0]);
        assert_eq!(map.place(ResourceId::new(11)), Some((ZoneId::new(2), RecordId::new(7))));
        assert!(!map.is_present(ResourceId::new(11)));
        assert_eq!(map.remove_zone(ZoneId::new(1)), [], "the removed resource still has the record");
        assert_eq!(map.remove_zone(ZoneId::new(2)), [RecordId::new(7)]);
        assert_eq!(map.place(ResourceId::new(11)), None);
    }

    proptest! {
        #[test]
        fn lists_of_resources_are_those_of_a_plain_model(changes in prop::collection::vec((0..6u32, 0..4u32, any::<bool>()), 0..40)) {
            let mut map = ResourceMap::default();
            let apexes = ["a.", "b.a.", "c.b.a.", "b.a.", "a.", "x."];
            (1..).zip(apexes).for_each(|(id, apex)| set_zone(&mut map, id, apex, &[id % 2 + 1]));
            let mut present = std::collections::BTreeSet::new();
            for (at, record, is_there) in changes {
                let id = at * 10 + record + 1;
                map.apply(ZoneId::new(at + 1), delta(id, record, is_there));
                if is_there { present.insert((at, record)); } else { present.remove(&(at, record)); }
                prop_assert_eq!(map.len(), present.len() as u64);
                for record in 0..4 {
                    let mut expected: Vec<_> = present.iter().filter(|(_, of)| *of == record).map(|(at, _)| *at).collect();
                    expected.sort_by_key(|at| (std::cmp::Reverse(apexes[*at as usize].len()), *at));
                    let found: Vec<_> = map.all(RecordId::new(record)).map(|(_, zone_id)| zone_id.get() - 1).collect();
                    prop_assert_eq!(&found, &expected);
                    for server in 1..=2 {
                        let served = expected.iter().find(|at| (*at + 1) % 2 + 1 == server);
                        prop_assert_eq!(get(&map, record, server), served.map_or(0, |at| at * 10 + record + 1));
                    }
                }
            }
        }
    }
}
