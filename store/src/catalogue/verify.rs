//! Checking the catalogue, as a part of checking the store.

use super::import::LAST_ID;
use super::keys::{self, Late};
use super::row::parse_place;
use super::usage::{Credit, LateAccess};
use super::value::{Value, data};
use super::zone::{ZONES, Zone};
use super::{ResourceMap, ResourceNote, owner};
use crate::database::key;
use crate::{Error, Inner, registry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use zonepulse_codec::Malformed;
use zonepulse_model::{RecordId, ResourceId, ZoneId};

/// What was checked.
#[derive(Default)]
pub(crate) struct Verified {
    pub(crate) zones: u64,
    pub(crate) resources: u64,
    pub(crate) faults: Vec<String>,
}

struct Walk<'a> {
    inner: &'a Inner,
    map: &'a ResourceMap,
    max_faults: usize,
    found: Verified,
}

/// Checks zones, resources, notes and usage against each other and against what is in memory. The caller keeps imports
/// and writes out.
pub(crate) fn verify(inner: &Inner, max_faults: usize) -> Result<Verified, Error> {
    let map = inner.resources.read().clone();
    let mut walk = Walk { inner, map: &map, max_faults, found: Verified::default() };
    let zones = walk.zones()?;
    walk.resources(zones)?;
    walk.notes()?;
    walk.usage()?;
    walk.plans()?;
    Ok(walk.found)
}

impl Walk<'_> {
    fn fault(&mut self, text: impl Into<String>) {
        if self.found.faults.len() < self.max_faults {
            self.found.faults.push(text.into());
        }
    }

    fn damaged(&mut self, what: &str, key: &[u8]) {
        self.fault(Error::damaged(what, key).to_string());
    }

    fn zones(&mut self) -> Result<BTreeMap<ZoneId, Zone>, Error> {
        let (mut zones, mut names) = (BTreeMap::new(), BTreeSet::new());
        registry::all(&self.inner.database, ZONES, |key, value| {
            self.found.zones += 1;
            let zone: Zone = match registry::parse(key, value) {
                Ok(zone) => zone,
                Err(error) => {
                    self.fault(error.to_string());
                    return Ok(());
                }
            };
            if !names.insert((zone.apex.clone(), zone.view.clone())) {
                self.fault(format!("zone {}: {} is in view {} twice", zone.id, zone.apex, zone.view));
            }
            if !zone.servers.is_sorted_by(|a, b| a < b) {
                self.fault(format!("zone {}: its servers are not in order", zone.id));
            }
            zones.insert(zone.id, zone);
            Ok(())
        })?;
        Ok(zones)
    }

    fn resources(&mut self, zones: BTreeMap<ZoneId, Zone>) -> Result<(), Error> {
        let last = self.inner.database.get("default", LAST_ID)?.and_then(|value| key::u32_at(&value, 0)).unwrap_or_default();
        let mut counts: BTreeMap<ZoneId, (u64, u64)> = BTreeMap::new();
        let mut seen = super::dense::Dense::default();
        let mut present = 0;
        let inner = self.inner;
        inner.database.visit(key::RESOURCES, &[], |row, value| {
            self.found.resources += 1;
            let Some((zone_id, generation, place)) = keys::parse(row) else {
                self.damaged("resource", row);
                return Ok(true);
            };
            let Some(zone) = zones.get(&zone_id).filter(|zone| zone.generation == generation) else {
                self.damaged("resource of a zone that does not exist, or of another generation", row);
                return Ok(true);
            };
            let value = match decode(value) {
                Ok(value) => value,
                Err(Malformed(what)) => {
                    self.damaged(what, row);
                    return Ok(true);
                }
            };
            let id = value.head.resource_id;
            let count = counts.entry(zone_id).or_default();
            *if value.removed_ms.is_none() { &mut count.0 } else { &mut count.1 } += 1;
            present += u64::from(value.removed_ms.is_none());
            if id.is_none() || id.get() > last || seen.get(id.get()) {
                self.fault(format!("resource {id} of zone {}: its id is assigned twice, or was never assigned", zone.apex));
            }
            seen.set(id.get(), true);
            self.resource(zone, place, &value);
            Ok(true)
        })?;
        for zone in zones.values() {
            let (present, removed) = counts.get(&zone.id).copied().unwrap_or_default();
            if (present, removed) != (zone.resources, zone.removed) {
                let Zone { id, apex, resources, removed: gone, .. } = zone;
                self.fault(format!(
                    "zone {id}, {apex}: {present} resources and {removed} removed ones are there, it says {resources} and {gone}"
                ));
            }
        }
        if self.map.len() != present || self.map.iter().count() != seen.len() {
            self.fault(format!("{present} resources are present, {} are known in memory", self.map.len()));
        }
        Ok(())
    }

    /// Checks one resource against its zone, its record, and what is in memory.
    fn resource(&mut self, zone: &Zone, place: &[u8], value: &Value<'_>) {
        let (id, record_id) = (value.head.resource_id, value.head.record_id);
        let named = {
            let dictionary = self.inner.dictionary.read();
            let named = dictionary.get(record_id).map(|(name, rtype)| (owner::owner_of_text(name), rtype));
            named.filter(|_| dictionary.is_protected(record_id))
        };
        let is_its_record = match (named, parse_place(place)) {
            (Some((Some(of_record), rtype)), Some((owner, of))) => of_record == owner && rtype == of,
            _ => false,
        };
        let is_below = owner::owner_of_text(&zone.apex).is_some_and(|apex| place.starts_with(&apex));
        if !is_its_record || !is_below {
            self.fault(format!("resource {id} of zone {}: record {record_id} is not its owner and type", zone.apex));
        }
        let is_known = self.map.place(id) == Some((zone.id, record_id));
        if !is_known || self.map.is_present(id) != value.removed_ms.is_none() {
            self.fault(format!("resource {id} of zone {}: it is not known in memory", zone.apex));
        }
        let mut after_ms = value.since_ms;
        for version in value.versions() {
            match version {
                Ok(version) if version.from_ms <= version.until_ms && version.until_ms <= after_ms => after_ms = version.from_ms,
                _ => {
                    self.fault(format!("resource {id} of zone {}: its earlier versions are not in order", zone.apex));
                    return;
                }
            }
        }
    }

    fn notes(&mut self) -> Result<(), Error> {
        let (mut notes, mut labels) = (BTreeSet::new(), BTreeSet::new());
        self.inner.database.visit(key::RESOURCE_NOTES, &[], |key, value| {
            if let Some((label, id)) = keys::parse_label(key) {
                labels.insert((id, label.to_owned()));
            } else if let Some(id) = keys::parse_tagged(key, keys::NOTE).map(ResourceId::new) {
                match serde_json::from_slice::<ResourceNote>(value) {
                    Ok(note) if self.map.place(id).is_some() => {
                        notes.extend((!note.label.is_empty()).then_some((id, note.label)));
                    }
                    Ok(_) => self.fault(format!("there is a note about resource {id}, which does not exist")),
                    Err(error) => self.damaged(&error.to_string(), key),
                }
            } else {
                self.damaged("note of a resource", key);
            }
            Ok(true)
        })?;
        for (id, label) in notes.symmetric_difference(&labels) {
            self.fault(format!("resource {id}: its note and the list of labels differ about {label:?}"));
        }
        Ok(())
    }

    fn usage(&mut self) -> Result<(), Error> {
        let (mut late, mut from) = (0, 0);
        self.inner.database.visit(key::USAGE, &[], |key, value| {
            if let Some(id) = keys::parse_tagged(key, keys::CREDIT).map(ResourceId::new) {
                if Credit::decode(value).is_err() || self.map.place(id).is_none() {
                    self.damaged("frozen credit", key);
                }
            } else if let Some(record) = keys::parse_tagged(key, keys::FROM).map(RecordId::new) {
                from += 1;
                if key::u64_at(value, 0) != Some(self.map.counts_from_ms(record)) || value.len() != 8 {
                    self.damaged("start of usage", key);
                }
            } else {
                late += 1;
                if Late::parse(key).is_none_or(|late| LateAccess::decode(late, value).is_err()) {
                    self.damaged("late access", key);
                }
            }
            Ok(true)
        })?;
        if late != self.inner.late.waiting.load(Ordering::Relaxed) || from != self.map.all_count_from_ms().len() {
            self.fault(format!("{late} late accesses and {from} starts of usage are there; other numbers are known in memory"));
        }
        Ok(())
    }

    fn plans(&mut self) -> Result<(), Error> {
        registry::all(&self.inner.database, super::retirement::PLANS, |key, value| {
            if let Err(error) = registry::parse::<serde_json::Value>(key, value) {
                self.fault(error.to_string());
            }
            Ok(())
        })
    }
}

fn decode(value: &[u8]) -> Result<Value<'_>, Malformed> {
    let value = Value::decode(value)?;
    data(value.data)?;
    Ok(value)
}
