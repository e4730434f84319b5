//! Reading resources.

use super::row::{parse_place, place};
use super::value::{Rdatas, Value, Version, data};
use super::{Catalogue, keys, owner, zone};
use crate::Error;
use crate::database::key;
use rocksdb::DBRawIterator;
use std::ops::ControlFlow;
use zonepulse_codec::Malformed;
use zonepulse_dns::RecordType;
use zonepulse_model::{RecordId, ResourceId, ZoneId};

/// An RRset of a zone, borrowed from the database while it is visited.
#[derive(Debug, Clone)]
pub struct Resource<'a> {
    /// Its zone.
    pub zone_id: ZoneId,
    /// Its id.
    pub resource_id: ResourceId,
    /// Its owner and type in the dictionary.
    pub record_id: RecordId,
    /// Its owner: the labels from right to left, as `database/key.rs` describes them.
    pub owner: &'a [u8],
    /// Its type.
    pub rtype: RecordType,
    /// When it first appeared, Unix milliseconds.
    pub created_ms: u64,
    /// From when its data are these, Unix milliseconds.
    pub since_ms: u64,
    /// When it was removed, Unix milliseconds; its data are then the last ones it had.
    pub removed_ms: Option<u64>,
    /// TTL, seconds.
    pub ttl: u32,
    /// Its RDATAs.
    pub rdatas: Rdatas<'a>,
    value: Value<'a>,
}

impl<'a> Resource<'a> {
    fn parse(key: &'a [u8], value: &'a [u8]) -> Result<Self, Error> {
        let damaged = |what: &str| Error::damaged(what, key);
        let (zone_id, _, place) = keys::parse(key).ok_or_else(|| damaged("resource"))?;
        let (owner, rtype) = parse_place(place).ok_or_else(|| damaged("resource"))?;
        let value = Value::decode(value).map_err(|Malformed(what)| damaged(what))?;
        let (ttl, rdatas) = data(value.data).map_err(|Malformed(what)| damaged(what))?;
        let Value { created_ms, since_ms, removed_ms, .. } = value;
        let (resource_id, record_id) = (value.head.resource_id, value.head.record_id);
        Ok(Resource { zone_id, resource_id, record_id, owner, rtype, created_ms, since_ms, removed_ms, ttl, rdatas, value })
    }

    /// What it was before, newest first. Versions that cannot be read are left out; `check` reports them.
    pub fn versions(&self) -> impl Iterator<Item = Version<'a>> + use<'a> {
        self.value.versions().filter_map(Result::ok)
    }

    /// Since when it has been there without interruption, as far as is known, Unix milliseconds.
    pub fn present_since_ms(&self) -> u64 {
        self.value.present_since_ms()
    }

    /// TTL and RDATAs at a time, Unix milliseconds; `None` if it was absent. A time before all versions that are kept,
    /// but after the resource first appeared, has the earliest that is.
    pub fn at(&self, at_ms: u64) -> Option<(u32, Rdatas<'a>)> {
        self.value.at(at_ms).ok().flatten()
    }
}

/// Where a visit of a zone's resources begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<'a> {
    /// Owner of the first resource, as in [`Resource::owner`]; empty for the root, before all others.
    pub owner: &'a [u8],
    /// Type of the first resource.
    pub rtype: RecordType,
}

impl Catalogue<'_> {
    /// Visits a zone's present resources in the canonical order of their owners, then by type, until `each` breaks.
    pub fn visit(&self, zone_id: ZoneId, each: &mut dyn FnMut(&Resource<'_>) -> ControlFlow<()>) -> Result<(), Error> {
        self.visit_from(zone_id, None, &mut |resource| {
            if resource.removed_ms.is_some() { ControlFlow::Continue(()) } else { each(resource) }
        })
    }

    /// Visits a zone as it was at a time, Unix milliseconds: its resources, with the TTL and RDATAs they had.
    pub fn visit_at(
        &self,
        zone_id: ZoneId,
        at_ms: u64,
        each: &mut dyn FnMut(&Resource<'_>, u32, Rdatas<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.visit_from(zone_id, None, &mut |resource| match resource.at(at_ms) {
            Some((ttl, rdatas)) => each(resource, ttl, rdatas),
            None => ControlFlow::Continue(()),
        })
    }

    /// Visits a zone's resources, removed ones included, from a place on: for pages of them, or to select some.
    pub fn visit_from(
        &self,
        zone_id: ZoneId,
        from: Option<Page<'_>>,
        each: &mut dyn FnMut(&Resource<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (generation, mut iterator) = self.rows(zone_id)?;
        let prefix = keys::prefix(zone_id, generation);
        let from = from.map(|page| place(page.owner, page.rtype)).unwrap_or_default();
        iterator.seek([&prefix[..], &from].concat());
        while let Some((key, value)) = iterator.item() {
            if !key.starts_with(&prefix) || each(&Resource::parse(key, value)?).is_break() {
                return Ok(());
            }
            iterator.next();
        }
        Ok(iterator.status()?)
    }

    /// Reads one resource, removed or not; `None` if there is no such id.
    pub fn resource<T>(&self, id: ResourceId, read: impl FnOnce(&Resource<'_>) -> T) -> Result<Option<T>, Error> {
        let Some((zone_id, record_id)) = self.inner.resources.read().place(id) else { return Ok(None) };
        let place = {
            let dictionary = self.inner.dictionary.read();
            let named = dictionary.get(record_id).and_then(|(name, rtype)| Some((owner::owner_of_text(name)?, rtype)));
            named.map(|(owner, rtype)| place(&owner, rtype))
        };
        let Some(place) = place else { return Ok(None) };
        let (generation, mut iterator) = match self.rows(zone_id) {
            Ok(rows) => rows,
            // It was removed with its zone in the meantime.
            Err(Error::Missing(..)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let key = [&keys::prefix(zone_id, generation)[..], &place].concat();
        iterator.seek(&key);
        match iterator.item() {
            Some((found, value)) if found == key => Ok(Some(read(&Resource::parse(&key, value)?))),
            _ => Ok(iterator.status().map(|()| None)?),
        }
    }

    /// An iterator over all resources, in which those of a zone have this generation.
    fn rows(&self, zone_id: ZoneId) -> Result<(u32, DBRawIterator<'_>), Error> {
        let generation = || Ok::<_, Error>(self.zone(zone_id)?.ok_or_else(|| zone::missing(zone_id))?.generation);
        let mut before = generation()?;
        loop {
            let iterator = self.inner.database.iterator(key::RESOURCES);
            // An import may have replaced the generation before the iterator was made. Generations only rise, so if it is
            // still the same, it was that of the iterator, too.
            let after = generation()?;
            if before == after {
                return Ok((after, iterator));
            }
            before = after;
        }
    }
}
