//! One version of a zone.
//!
//! A zone is a sorted list of RRsets: by owner in canonical order (RFC 4034 section 6.1), then by type. Octets live in
//! two arenas, one for owners' keys and one for RDATA, which 32-bit offsets point into, so that a zone of a million
//! RRsets is a handful of allocations. Keys are relative to the apex. Since the key of a name is a prefix of the keys of
//! all names below it, a subtree is a range, and a name without records but with names below it (an empty non-terminal,
//! RFC 8499) need not be stored. A hash table of owners makes finding one cheap: in a zone that fits into no cache, what counts is how many places must
//! be read, so all about an owner is in one.
//!
//! A zone never changes. [`Zone::diff`] says how one version became another.

mod build;
mod diff;
mod key;
mod owner;
mod row;

pub use build::Builder;
pub use diff::{Change, Diff};
pub use row::{Row, Rows};

use crate::Name;
use hashbrown::{DefaultHashBuilder, HashTable};
use key::Key;
use owner::Owner;
use std::hash::BuildHasher;
use std::ops::Range;
use zonepulse_dns::RecordType;

/// Position of an RRset in its zone, from 0 in canonical order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RrsetIndex(u32);

impl RrsetIndex {
    /// The RRset at a position.
    pub const fn new(position: u32) -> Self {
        RrsetIndex(position)
    }

    /// The position.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// An RRset: where its RDATA begins. It ends where the next RRset's begins.
#[derive(Debug, Clone, Copy)]
struct Set {
    /// Where its owner is in `keys`.
    owner: u32,
    data: u32,
    ttl: u32,
    rtype: RecordType,
}

/// An immutable zone; see the [module](self).
pub struct Zone {
    apex: Name,
    /// Per owner, what [`Owner::at`] reads.
    keys: Vec<u8>,
    /// Where in `keys` the owners are, in canonical order.
    owners: Vec<u32>,
    /// Per record, its length in two octets and the RDATA.
    data: Vec<u8>,
    sets: Vec<Set>,
    /// The same, by the hash of the key.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Zone {
    /// The name at the top of the zone.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Number of RRsets.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there are no RRsets.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The SOA at the apex.
    pub fn soa(&self) -> Option<RrsetRef<'_>> {
        self.find(&self.apex, RecordType::SOA)
    }

    /// The serial of the SOA: the first of the five numbers that end its RDATA (RFC 1035 section 3.3.13).
    pub fn serial(&self) -> Option<u32> {
        let soa = self.soa()?.rdatas().next()?;
        soa.last_chunk::<20>()?.first_chunk::<4>().map(|octets| u32::from_be_bytes(*octets))
    }

    /// All RRsets in canonical order.
    pub fn iter(&self) -> Rrsets<'_> {
        self.range(0..self.sets.len())
    }

    /// The RRset at a position.
    pub fn rrset(&self, index: RrsetIndex) -> Option<RrsetRef<'_>> {
        self.sets.get(index.0 as usize).map(|set| RrsetRef { zone: self, set, index })
    }

    /// The RRset of an owner and a type.
    pub fn find(&self, owner: &Name, rtype: RecordType) -> Option<RrsetRef<'_>> {
        self.at(owner).find(|set| set.rtype() == rtype)
    }

    /// The RRsets of an owner, by type.
    pub fn at(&self, owner: &Name) -> Rrsets<'_> {
        self.at_wire(owner.wire())
    }

    /// The RRsets of all names below `owner`, without its own.
    pub fn below(&self, owner: &Name) -> Rrsets<'_> {
        self.below_wire(owner.wire())
    }

    /// [`Zone::at`] for a lower-case name in wire format.
    pub(crate) fn at_wire(&self, wire: &[u8]) -> Rrsets<'_> {
        let owner = Key::relative(wire, &self.apex).and_then(|key| self.owner_of(key.as_slice()));
        self.range(owner.map_or(0..0, |owner| owner.first..self.end_of(owner)))
    }

    /// [`Zone::below`] for a lower-case name in wire format.
    pub(crate) fn below_wire(&self, wire: &[u8]) -> Rrsets<'_> {
        let Some(key) = Key::relative(wire, &self.apex) else { return self.range(0..0) };
        let key = key.as_slice();
        let start = self.first_where(0, |other| other > key);
        let end = self.first_where(start, |other| !other.starts_with(key));
        let first = |position: usize| self.owner(position).map_or(self.sets.len(), |owner| owner.first);
        self.range(first(start)..first(end))
    }

    /// Whether any owner is at or below a lower-case name in wire format.
    pub(crate) fn has_at_or_below(&self, wire: &[u8]) -> bool {
        let Some(key) = Key::relative(wire, &self.apex) else { return false };
        let first = self.first_where(0, |other| other >= key.as_slice());
        self.owner(first).is_some_and(|other| other.key.starts_with(key.as_slice()))
    }

    /// Octets of memory that the zone occupies.
    pub fn size_bytes(&self) -> usize {
        self.keys.capacity()
            + self.data.capacity()
            + self.owners.capacity() * size_of::<u32>()
            + self.sets.capacity() * size_of::<Set>()
            + self.index.allocation_size()
            + size_of::<Zone>()
    }

    /// What must be added, removed and changed to make `new` of `old`, in canonical order.
    pub fn diff<'a>(old: &'a Zone, new: &'a Zone) -> Diff<'a> {
        Diff::new(old, new)
    }

    fn range(&self, sets: Range<usize>) -> Rrsets<'_> {
        Rrsets { zone: self, sets }
    }

    /// The owner with exactly this key.
    fn owner_of(&self, key: &[u8]) -> Option<Owner<'_>> {
        let same = |at: &u32| Owner::at(&self.keys, *at).is_some_and(|owner| owner.key == key);
        self.index.find(self.hasher.hash_one(key), same).and_then(|at| Owner::at(&self.keys, *at))
    }

    /// The owner at a position in canonical order.
    fn owner(&self, position: usize) -> Option<Owner<'_>> {
        self.owners.get(position).and_then(|at| Owner::at(&self.keys, *at))
    }

    /// Where the RRsets of an owner end: where those of the next begin.
    fn end_of(&self, owner: Owner<'_>) -> usize {
        Owner::read(owner.rest).map_or(self.sets.len(), |next| next.first)
    }

    /// The first position, at or after `from`, whose key fulfils a condition that all after it fulfil.
    fn first_where(&self, from: usize, condition: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (from, self.owners.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.owner(middle).is_none_or(|owner| condition(owner.key)) { high = middle } else { low = middle + 1 }
        }
        low
    }
}

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zone").field("apex", &self.apex).field("rrsets", &self.len()).finish_non_exhaustive()
    }
}

/// RRsets that follow each other in a zone.
#[derive(Debug, Clone)]
pub struct Rrsets<'a> {
    zone: &'a Zone,
    sets: Range<usize>,
}

impl<'a> Iterator for Rrsets<'a> {
    type Item = RrsetRef<'a>;

    fn next(&mut self) -> Option<RrsetRef<'a>> {
        let index = self.sets.next()?;
        let set = self.zone.sets.get(index)?;
        Some(RrsetRef { zone: self.zone, set, index: RrsetIndex(index as u32) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.sets.size_hint()
    }
}

impl ExactSizeIterator for Rrsets<'_> {}

/// An RRset of a zone.
#[derive(Clone, Copy)]
pub struct RrsetRef<'a> {
    zone: &'a Zone,
    set: &'a Set,
    index: RrsetIndex,
}

impl<'a> RrsetRef<'a> {
    /// Its position in the zone.
    pub fn index(self) -> RrsetIndex {
        self.index
    }

    /// Its owner.
    pub fn owner(self) -> Name {
        // Only keys of names in the zone are ever stored.
        key::name_at(self.key(), &self.zone.apex).unwrap_or_else(|| self.zone.apex.clone())
    }

    /// Its type.
    pub fn rtype(self) -> RecordType {
        self.set.rtype
    }

    /// Its TTL in seconds.
    pub fn ttl(self) -> u32 {
        self.set.ttl
    }

    /// The RDATA of its records in canonical order (RFC 4034 section 6.3).
    pub fn rdatas(self) -> Rdatas<'a> {
        Rdatas(self.encoded())
    }

    /// The key of its owner, relative to the apex.
    fn key(self) -> &'a [u8] {
        Owner::at(&self.zone.keys, self.set.owner).map_or(&[], |owner| owner.key)
    }

    /// Its records as the zone keeps them.
    fn encoded(self) -> &'a [u8] {
        let next = self.zone.sets.get(self.index.0 as usize + 1);
        let end = next.map_or(self.zone.data.len(), |next| next.data as usize);
        self.zone.data.get(self.set.data as usize..end).unwrap_or_default()
    }
}

impl std::fmt::Debug for RrsetRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} ({} records)", self.owner(), self.ttl(), self.rtype(), self.rdatas().count())
    }
}

/// The RDATA of the records of an RRset.
#[derive(Debug, Clone)]
pub struct Rdatas<'a>(&'a [u8]);

impl<'a> Iterator for Rdatas<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.0 = rest;
        Some(rdata)
    }
}

#[cfg(test)]
mod tests;
