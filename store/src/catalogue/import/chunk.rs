//! Rows that wait to be written, and the numbers they get.

use crate::catalogue::keys;
use crate::catalogue::map::Delta;
use crate::catalogue::value::Head;
use crate::database::key;
use crate::dictionary::{Dictionary, Pending, cost_of};
use crate::{Error, Inner};
use rocksdb::WriteBatch;
use std::ops::Range;
use zonepulse_dns::RecordType;
use zonepulse_model::{RecordId, ResourceId, ZoneId};

/// The largest number ever assigned to a resource.
pub(crate) const LAST_ID: &[u8] = b"last_resource_id";

/// What becomes of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Kept,
    New,
    Returned,
    Changed,
    Removed,
}

/// Rows in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    rows: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    kind: Kind,
    rtype: RecordType,
    /// Owner and type as in the key, value, and the owner of a new resource as text; back to back in `bytes`.
    begin: usize,
    value: usize,
    owner: usize,
    end: usize,
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len() + self.rows.len() * size_of::<Waiting>()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }

    /// Adds a row; `owner` is the text of a new resource's owner.
    pub(super) fn push(&mut self, kind: Kind, place: &[u8], value: &[u8], owner: &str, rtype: RecordType) {
        let begin = self.bytes.len();
        let (value_at, owner_at) = (begin + place.len(), begin + place.len() + value.len());
        self.bytes.extend_from_slice(place);
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(owner.as_bytes());
        self.rows.push(Waiting { kind, rtype, begin, value: value_at, owner: owner_at, end: self.bytes.len() });
    }

    /// Visits all rows: kind, owner with type, value, owner of a new one as text, type.
    pub(super) fn each(&self) -> impl Iterator<Item = (Kind, &[u8], &[u8], &str, RecordType)> {
        self.rows.iter().map(|row| {
            let owner = std::str::from_utf8(self.at(row.owner..row.end)).unwrap_or_default();
            (row.kind, self.at(row.begin..row.value), self.at(row.value..row.owner), owner, row.rtype)
        })
    }

    fn at(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Gives new resources their ids and records, and adds the rows to a batch. The caller holds `writer`.
    pub(super) fn put(
        &mut self,
        inner: &Inner,
        batch: &mut WriteBatch,
        of: (ZoneId, u32),
        last_id: ResourceId,
    ) -> Result<Numbered, Error> {
        let numbered = self.number(inner, last_id)?;
        if numbered.last_id != last_id {
            batch.put(LAST_ID, numbered.last_id.to_be_bytes());
        }
        let known = inner.dictionary.read().len();
        numbered.names.put(&inner.database, batch, known);
        let family = inner.database.family(key::RESOURCES);
        let mut key = keys::prefix(of.0, of.1).to_vec();
        for (_, place, value, ..) in self.each() {
            key.truncate(keys::PREFIX_BYTES);
            key.extend_from_slice(place);
            batch.put_cf(family, &key, value);
        }
        Ok(numbered)
    }

    fn number(&mut self, inner: &Inner, mut last_id: ResourceId) -> Result<Numbered, Error> {
        let dictionary = inner.dictionary.read();
        let (mut names, mut found, mut records, mut cost) = (Pending::default(), Vec::new(), Vec::new(), 0);
        {
            let new: Vec<_> = self.each().filter(|row| row.0 == Kind::New).map(|row| (row.3, row.4)).collect();
            dictionary.each(&new, |name, rtype, number| {
                let is_protected = number.is_some_and(|record_id| dictionary.is_protected(record_id));
                if !is_protected {
                    cost += cost_of(name);
                    found.extend(number);
                }
                records.push(number.or_else(|| names.protected(&dictionary, name, rtype)));
            });
        }
        if dictionary.protected_cost().saturating_add(cost) > inner.max_catalogue_names {
            return Err(Error::TooMany("names in the catalogue", inner.max_catalogue_names as usize));
        }
        let new = self.rows.iter().filter(|row| row.kind == Kind::New);
        for (row, record_id) in new.zip(records) {
            let record_id = record_id.ok_or(Error::TooMany("numbers of records", 1 << 30))?;
            last_id = last_id.next().ok_or(Error::TooMany("numbers of resources", u32::MAX as usize))?;
            let value = self.bytes.get_mut(row.value..row.owner).unwrap_or_default();
            Head::set_ids(value, record_id, last_id);
        }
        Ok(Numbered { names, found, last_id })
    }

    /// The changes of the map of resources.
    pub(super) fn deltas(&self) -> impl Iterator<Item = Delta> {
        let moved = self.each().filter(|row| !matches!(row.0, Kind::Kept | Kind::Changed));
        moved.filter_map(|(kind, _, value, ..)| {
            let head = Head::decode(value).ok()?;
            Some(Delta { resource_id: head.resource_id, record_id: head.record_id, present: kind != Kind::Removed })
        })
    }
}

/// Names that rows need.
pub(super) struct Numbered {
    names: Pending,
    /// Records that the dictionary has, but not for the catalogue yet.
    found: Vec<RecordId>,
    pub(super) last_id: ResourceId,
}

impl Numbered {
    /// Makes the names known as those of the catalogue, now that they are on disk. Returns their records.
    pub(super) fn publish(self, inner: &Inner) -> Vec<RecordId> {
        let mut records = Vec::new();
        let mut released = Vec::new();
        {
            let mut dictionary: crate::lock::WriteGuard<'_, Dictionary> = inner.dictionary.write();
            let from = dictionary.len() as u32;
            dictionary.adopt_protected(&self.names);
            records.extend((from..dictionary.len() as u32).map(RecordId::new));
            for record_id in self.found {
                if let Some(of_server) = dictionary.protect(record_id) {
                    released.push(of_server);
                    records.push(record_id);
                }
            }
        }
        if !released.is_empty() {
            let mut shares = inner.names.lock();
            for released in released {
                let owned = released.server_id.map(|server_id| (server_id, released.cost)).into_iter().collect();
                shares.release(released.cost, &owned);
            }
        }
        records
    }
}
