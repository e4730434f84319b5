//! Reading the catalogue when a store is opened.

use super::map::Delta;
use super::usage::{self, LateCounts};
use super::value::Head;
use super::zone::{ZONES, Zone};
use super::{ResourceMap, keys};
use crate::Error;
use crate::database::{Database, key};
use crate::dictionary::Dictionary;
use crate::registry;
use rocksdb::WriteBatch;
use std::collections::BTreeMap;
use zonepulse_codec::Malformed;
use zonepulse_model::ZoneId;

/// Reads which record is which resource, protects the names, and removes what an import left behind when the process
/// ended.
pub(crate) fn load(database: &Database, dictionary: &mut Dictionary) -> Result<(ResourceMap, LateCounts), Error> {
    let mut map = ResourceMap::default();
    let mut generations = BTreeMap::new();
    registry::all(database, ZONES, |key, value| {
        let zone: Zone = registry::parse(key, value)?;
        generations.insert(zone.id, zone.generation);
        map.set_zone(zone.id, &zone.apex, &zone.servers);
        Ok(())
    })?;
    let left_behind = load_resources(database, dictionary, &generations, &mut map)?;
    if !left_behind.is_empty() {
        let mut batch = WriteBatch::default();
        let family = database.family(key::RESOURCES);
        for (zone_id, generation) in left_behind {
            tracing::info!(zone_id = zone_id.get(), generation, "removed what an interrupted import left behind");
            let (from, until) = keys::range(zone_id, Some(generation));
            batch.delete_range_cf(family, from, until);
        }
        database.write(batch, false)?;
    }
    let late = usage::load(database, &mut map)?;
    Ok((map, late))
}

/// Reads the rows of all zones. Returns the generations that no zone refers to.
fn load_resources(
    database: &Database,
    dictionary: &mut Dictionary,
    generations: &BTreeMap<ZoneId, u32>,
    map: &mut ResourceMap,
) -> Result<Vec<(ZoneId, u32)>, Error> {
    let mut left_behind = Vec::new();
    let mut iterator = database.iterator(key::RESOURCES);
    iterator.seek_to_first();
    let mut current = None;
    while let Some((row, value)) = iterator.item() {
        let (zone_id, generation, _) = keys::parse(row).ok_or_else(|| Error::damaged("resource", row))?;
        if current != Some((zone_id, generation)) {
            if generations.get(&zone_id) != Some(&generation) {
                left_behind.push((zone_id, generation));
                let (_, until) = keys::range(zone_id, Some(generation));
                iterator.seek(until);
                continue;
            }
            current = Some((zone_id, generation));
        }
        let head = Head::decode(value).map_err(|Malformed(what)| Error::damaged(what, row))?;
        let Head { removed, record_id, resource_id } = head;
        let is_named = dictionary.name(record_id).is_some();
        if resource_id.is_none() || !is_named || map.place(resource_id).is_some() {
            return Err(Error::damaged(if is_named { "resource id" } else { "record of a resource" }, row));
        }
        map.apply(zone_id, Delta { resource_id, record_id, present: !removed });
        dictionary.protect(record_id);
        iterator.next();
    }
    iterator.status()?;
    Ok(left_behind)
}
