//! The catalogue in memory: all zones as they are now, ready for lookups, and which resource each RRset is.

use super::source::Remembered;
use crate::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use zonepulse_catalogue::set::{Entry, Slot, ZoneIndex, ZoneSet};
use zonepulse_catalogue::usage::{Crediting, Via};
use zonepulse_catalogue::zone::{Row, Rows};
use zonepulse_catalogue::{Name, RrsetIndex, Zone};
use zonepulse_dns::RecordType;
use zonepulse_model::{ResourceId, ZoneId};
use zonepulse_store::{Catalogue, Resource, Store, Zone as StoredZone, is_folded};

/// All zones as they are at one moment.
#[derive(Default)]
pub struct Current {
    /// For lookups across zones.
    pub set: Arc<ZoneSet>,
    /// In the order of their [`ZoneIndex`].
    pub zones: Vec<Arc<Loaded>>,
    /// The servers that serve zones which name none: all.
    pub(super) everyone: Vec<u32>,
    /// By number of the resource: its slot and 1, or 0.
    slots: Arc<Vec<u32>>,
}

/// A zone with its contents.
pub struct Loaded {
    /// How it is configured, and what was last heard of it.
    pub row: StoredZone,
    /// Its contents.
    pub contents: Arc<Contents>,
}

impl Loaded {
    /// Whether the same queries are answered alike, whatever else was heard of the zone.
    fn answers_like(&self, other: &Loaded) -> bool {
        let (row, its) = (&self.row, &other.row);
        Arc::ptr_eq(&self.contents, &other.contents) && row.view == its.view && row.servers == its.servers
    }
}

/// The contents of a zone: the arrays have an element for each RRset, in the order of [`RrsetIndex`].
pub struct Contents {
    /// The RRsets.
    pub zone: Arc<Zone>,
    /// Which resources they are.
    pub ids: Vec<ResourceId>,
    /// Since when they have been in the zone, Unix milliseconds; 0 if they were there when the zone was first loaded.
    pub created_ms: Vec<u64>,
    /// The largest TTL that each had in the last days, if larger than now: (RRset, TTL, until when, Unix milliseconds).
    pub earlier_ttls: Vec<(RrsetIndex, u32, u64)>,
}

impl Current {
    /// Reads all zones.
    pub fn load(store: &Store) -> Result<Self, Error> {
        let catalogue = store.catalogue();
        let mut zones = Vec::new();
        for row in catalogue.zones()? {
            let contents = Arc::new(Contents::load(&catalogue, &row)?);
            zones.push(Arc::new(Loaded { row, contents }));
        }
        Ok(Current::of(zones, everyone(store)?))
    }

    /// The catalogue of these zones.
    fn of(zones: Vec<Arc<Loaded>>, everyone: Vec<u32>) -> Self {
        let mut views: Vec<&str> = Vec::new();
        let mut entries = Vec::with_capacity(zones.len());
        for loaded in &zones {
            let view = views.iter().position(|view| *view == loaded.row.view).unwrap_or_else(|| {
                views.push(&loaded.row.view);
                views.len() - 1
            });
            let servers = match loaded.row.servers.as_slice() {
                [] => everyone.clone(),
                servers => servers.iter().map(|id| id.get()).collect(),
            };
            entries.push(Entry { zone: loaded.contents.zone.clone(), view: view as u32, servers });
        }
        let set = ZoneSet::new(entries);
        let mut slots = Vec::new();
        for ((index, _), loaded) in set.zones().zip(&zones) {
            for (slot, id) in set.slots(index).zip(&loaded.contents.ids) {
                let at = id.get() as usize;
                if slots.len() <= at {
                    slots.resize(at + 1, 0);
                }
                slots.get_mut(at).into_iter().for_each(|place| *place = slot + 1);
            }
        }
        Current { set: Arc::new(set), zones, everyone, slots: Arc::new(slots) }
    }

    /// The same with one zone added or replaced; zones are in the order of their ids.
    pub fn with(&self, loaded: Loaded) -> Self {
        let mut zones: Vec<_> = self.zones.iter().filter(|zone| zone.row.id != loaded.row.id).cloned().collect();
        let at = zones.partition_point(|zone| zone.row.id < loaded.row.id);
        let answers_alike = self.zone(loaded.row.id).is_some_and(|(_, before)| before.answers_like(&loaded));
        zones.insert(at, Arc::new(loaded));
        if answers_alike {
            // Everything that was computed from the contents stays valid.
            let Current { set, everyone, slots, .. } = self;
            return Current { set: set.clone(), zones, everyone: everyone.clone(), slots: slots.clone() };
        }
        Current::of(zones, self.everyone.clone())
    }

    /// The same catalogue.
    pub(super) fn with_same(&self) -> Self {
        Current::of(self.zones.clone(), self.everyone.clone())
    }

    /// The same for another set of servers.
    pub(super) fn for_servers(&self, everyone: Vec<u32>) -> Self {
        Current::of(self.zones.clone(), everyone)
    }

    /// The same without a zone.
    pub fn without(&self, id: ZoneId) -> Self {
        Current::of(self.zones.iter().filter(|zone| zone.row.id != id).cloned().collect(), self.everyone.clone())
    }

    /// A zone by its id.
    pub fn zone(&self, id: ZoneId) -> Option<(ZoneIndex, &Arc<Loaded>)> {
        let at = self.zones.binary_search_by_key(&id, |zone| zone.row.id).ok()?;
        Some((ZoneIndex(at as u32), self.zones.get(at)?))
    }

    /// The RRset of a resource, if it is present.
    pub fn slot(&self, id: ResourceId) -> Option<Slot> {
        Slot::new(self.slots.get(id.get() as usize)?.checked_sub(1)?)
    }

    /// Whether a question uses any RRset other than the SOA of a negative answer.
    pub(crate) fn is_used_by(&self, name: &str, rtype: RecordType) -> bool {
        let Some((name, rtype)) = named((name, rtype)) else { return false };
        let mut crediting = Crediting::default();
        crediting.credit(0, &name, rtype, &self.set).iter().any(|credit| credit.slot.is_some() && credit.via != Via::Denial)
    }

    /// The zone and resource in a slot.
    pub fn resource(&self, slot: Slot) -> Option<(&Arc<Loaded>, RrsetIndex, ResourceId)> {
        let (zone, rrset) = self.set.locate(slot)?;
        let loaded = self.zones.get(zone.0 as usize)?;
        let id = loaded.contents.ids.get(rrset.index().get() as usize)?;
        Some((loaded, rrset.index(), *id))
    }
}

/// A record's name and type, unless it stands for several names.
pub(crate) fn named((name, rtype): (&str, RecordType)) -> Option<(Name, RecordType)> {
    if is_folded(name) { None } else { Name::from_text(name).ok().map(|name| (name, rtype)) }
}

/// All servers that are not removed.
pub(super) fn everyone(store: &Store) -> Result<Vec<u32>, Error> {
    let servers = store.registry().servers()?;
    Ok(servers.iter().filter(|server| !server.is_removed()).map(|server| server.id.get()).collect())
}

impl Contents {
    /// Reads a zone's present resources.
    pub fn load(catalogue: &Catalogue<'_>, row: &StoredZone) -> Result<Self, Error> {
        let apex = Name::from_text(&row.apex).map_err(|error| Error::Fault(error.to_string()))?;
        let apex_key = apex.key();
        let (mut rows, mut about) = (Rows::new(apex), About::new(row));
        let mut failed = None;
        let mut rdatas = Vec::new();
        catalogue.visit(row.id, &mut |resource| {
            rdatas.clear();
            for rdata in resource.rdatas.clone() {
                // Longer ones are refused by imports.
                rdatas.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
                rdatas.extend_from_slice(rdata);
            }
            let Some(key) = resource.owner.strip_prefix(&*apex_key) else {
                failed = Some(Error::Fault(format!("resource {} is not in {}", resource.resource_id, row.apex)));
                return ControlFlow::Break(());
            };
            let pushed = rows.push(Row { key, rtype: resource.rtype, ttl: resource.ttl, rdatas: &rdatas });
            if let Err(error) = pushed {
                failed = Some(Error::Fault(error.to_string()));
                return ControlFlow::Break(());
            }
            about.add(resource);
            ControlFlow::Continue(())
        })?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        let zone = rows.finish().map_err(|error| Error::Fault(error.to_string()))?;
        Ok(about.of(Arc::new(zone)))
    }

    /// The same of a zone that was just imported, without a second copy of it.
    pub(super) fn imported(catalogue: &Catalogue<'_>, row: &StoredZone, zone: Arc<Zone>) -> Result<Self, Error> {
        let mut about = About::new(row);
        catalogue.visit(row.id, &mut |resource| {
            about.add(resource);
            ControlFlow::Continue(())
        })?;
        if about.ids.len() != zone.len() {
            return Err(Error::Fault(format!("{} has other resources than were imported", row.apex)));
        }
        Ok(about.of(zone))
    }
}

/// What is known of a zone's RRsets besides their data.
struct About {
    first_ms: u64,
    ids: Vec<ResourceId>,
    created_ms: Vec<u64>,
    earlier_ttls: Vec<(RrsetIndex, u32, u64)>,
}

impl About {
    fn new(row: &StoredZone) -> Self {
        let count = usize::try_from(row.resources).unwrap_or_default();
        let (ids, created_ms) = (Vec::with_capacity(count), Vec::with_capacity(count));
        About { first_ms: Remembered::of(row).first_loaded_ms.unwrap_or(0), ids, created_ms, earlier_ttls: Vec::new() }
    }

    fn add(&mut self, resource: &Resource<'_>) {
        let index = RrsetIndex::new(self.ids.len() as u32);
        let earlier = resource.versions().filter(|version| version.ttl > resource.ttl);
        self.earlier_ttls.extend(earlier.map(|version| (index, version.ttl, version.until_ms)));
        self.ids.push(resource.resource_id);
        // A resource that came back is judged like one that was created then.
        let since_ms = resource.present_since_ms();
        self.created_ms.push(if since_ms <= self.first_ms { 0 } else { since_ms });
    }

    fn of(self, zone: Arc<Zone>) -> Contents {
        let About { ids, created_ms, earlier_ttls, .. } = self;
        Contents { zone, ids, created_ms, earlier_ttls }
    }
}
