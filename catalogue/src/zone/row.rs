//! Zones as sorted rows, the form in which they are stored.

use super::owner::Owner;
use super::{RrsetRef, Set, Zone, key};
use crate::{Error, Name};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use zonepulse_dns::RecordType;

/// An RRset as octets. Rows sort as `(key, rtype)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The owner's [`Name::key`] without that of the apex at its beginning.
    pub key: &'a [u8],
    /// Type.
    pub rtype: RecordType,
    /// TTL in seconds.
    pub ttl: u32,
    /// For every record, the length of its RDATA in two octets (big endian) and the RDATA.
    pub rdatas: &'a [u8],
}

impl Zone {
    /// The zone as rows; [`Rows`] makes the zone of them again.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.iter().map(RrsetRef::row)
    }
}

impl<'a> RrsetRef<'a> {
    /// The RRset as octets.
    pub fn row(self) -> Row<'a> {
        Row { key: self.key(), rtype: self.rtype(), ttl: self.ttl(), rdatas: self.encoded() }
    }
}

/// Builds a zone of rows in their order. Octets are copied once, into the zone.
pub struct Rows {
    apex: Name,
    keys: Vec<u8>,
    owners: Vec<u32>,
    data: Vec<u8>,
    sets: Vec<Set>,
}

impl Rows {
    /// A zone without rows.
    pub fn new(apex: Name) -> Self {
        Rows { apex, keys: Vec::new(), owners: Vec::new(), data: Vec::new(), sets: Vec::new() }
    }

    /// Adds the next row.
    ///
    /// # Errors
    /// If the row does not follow the one before, is not as [`Zone::rows`] writes it, or makes the zone too large.
    pub fn push(&mut self, row: Row<'_>) -> Result<(), Error> {
        self.check(row).map_err(|reason| Error::BadRow { apex: self.apex.clone(), row: self.sets.len(), reason })?;
        self.begin(row.key, row.rtype, row.ttl)?;
        self.data.extend_from_slice(row.rdatas);
        Ok(())
    }

    /// The zone.
    ///
    /// # Errors
    /// If it is too large.
    pub fn finish(mut self) -> Result<Zone, Error> {
        self.offset(self.data.len())?;
        self.keys.shrink_to_fit();
        self.owners.shrink_to_fit();
        self.data.shrink_to_fit();
        self.sets.shrink_to_fit();
        let Rows { apex, keys, owners, data, sets } = self;
        let index = HashTable::with_capacity(owners.len());
        let mut zone = Zone { apex, keys, owners, data, sets, index, hasher: DefaultHashBuilder::default() };
        zone.fill_index();
        Ok(zone)
    }

    /// Begins an RRset that follows all others; [`Rows::record`] adds its records.
    pub(super) fn begin(&mut self, key: &[u8], rtype: RecordType, ttl: u32) -> Result<(), Error> {
        if self.last_key() != Some(key) {
            self.owners.push(self.offset(self.keys.len())?);
            let first = self.offset(self.sets.len())?;
            Owner::write(&mut self.keys, first, key);
        }
        let owner = self.owners.last().copied().unwrap_or_default();
        self.sets.push(Set { owner, data: self.offset(self.data.len())?, ttl, rtype });
        Ok(())
    }

    /// Adds a record to the RRset that was begun last.
    pub(super) fn record(&mut self, ttl: u32, rdata: &[u8]) {
        self.lower_ttl(ttl);
        // The builder has refused longer RDATA.
        self.data.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        self.data.extend_from_slice(rdata);
    }

    /// The smallest TTL of a record is that of the RRset (RFC 2181 section 5.2).
    pub(super) fn lower_ttl(&mut self, ttl: u32) {
        if let Some(set) = self.sets.last_mut() {
            set.ttl = set.ttl.min(ttl);
        }
    }

    /// Makes room for this many octets of RDATA.
    pub(super) fn reserve(&mut self, data: usize) {
        self.data.reserve_exact(data);
    }

    fn check(&self, row: Row<'_>) -> Result<(), &'static str> {
        let last = self.last_key().zip(self.sets.last()).map(|(key, set)| (key, set.rtype));
        if last.is_some_and(|last| last >= (row.key, row.rtype)) {
            return Err("it does not follow the row before it");
        }
        if last.is_none_or(|(key, _)| key != row.key) && key::name_at(row.key, &self.apex).is_none() {
            return Err("its key is not that of a name");
        }
        let mut rest = row.rdatas;
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            rest = after.get(usize::from(u16::from_be_bytes(*length))..).ok_or("its RDATA is truncated")?;
        }
        if row.rdatas.is_empty() || !rest.is_empty() { Err("its RDATA is truncated") } else { Ok(()) }
    }

    fn last_key(&self) -> Option<&[u8]> {
        self.owners.last().and_then(|at| Owner::at(&self.keys, *at)).map(|owner| owner.key)
    }

    fn offset(&self, position: usize) -> Result<u32, Error> {
        u32::try_from(position).map_err(|_| Error::ZoneTooLarge { apex: self.apex.clone() })
    }
}

impl Zone {
    /// Hashes all owners into the empty `index`, which has room for them.
    fn fill_index(&mut self) {
        let hash = |at: u32| self.hasher.hash_one(Owner::at(&self.keys, at).map_or(&[][..], |owner| owner.key));
        for at in &self.owners {
            self.index.insert_unique(hash(*at), *at, |other| hash(*other));
        }
    }
}
