//! Zones of records in any order.

use super::key::Key;
use super::{Rows, Zone};
use crate::{Error, Name, Record};
use zonepulse_dns::RecordType;

/// Collects the records of a zone in any order.
///
/// Duplicates count once, and records of one RRset with different TTLs all get the smallest (RFC 2181 sections 5 and
/// 5.2).
pub struct Builder {
    apex: Name,
    /// Records one after another, as [`Raw::at`] reads them.
    records: Vec<u8>,
    entries: Vec<Entry>,
    /// Octets that the RDATA will occupy in the zone.
    data: usize,
}

/// Where a record is, and the octets of its key by which it is being sorted.
#[derive(Clone, Copy)]
struct Entry {
    octets: u64,
    at: u32,
}

impl Builder {
    /// A zone without records.
    pub fn new(apex: Name) -> Self {
        Builder { apex, records: Vec::new(), entries: Vec::new(), data: 0 }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If the record is not in the zone, its RDATA is too long, or the zone becomes too large.
    pub fn add(&mut self, record: Record) -> Result<(), Error> {
        let Some(key) = Key::relative(record.owner.wire(), &self.apex) else {
            return Err(Error::OutOfZone { owner: record.owner, apex: self.apex.clone() });
        };
        let Ok(rdata_length) = u16::try_from(record.rdata.len()) else {
            return Err(Error::RdataTooLong { owner: record.owner, rtype: record.rtype, size_bytes: record.rdata.len() });
        };
        let Ok(at) = u32::try_from(self.records.len()) else {
            return Err(Error::ZoneTooLarge { apex: self.apex.clone() });
        };
        let key = key.as_slice();
        self.entries.push(Entry { octets: 0, at });
        self.records.extend_from_slice(&(key.len() as u16).to_be_bytes());
        self.records.extend_from_slice(&rdata_length.to_be_bytes());
        self.records.extend_from_slice(&record.rtype.value().to_be_bytes());
        self.records.extend_from_slice(&record.ttl.to_be_bytes());
        self.records.extend_from_slice(key);
        self.records.extend_from_slice(&record.rdata);
        self.data += record.rdata.len() + 2;
        Ok(())
    }

    /// The zone.
    ///
    /// # Errors
    /// If it is too large.
    pub fn finish(mut self) -> Result<Zone, Error> {
        sort(&mut self.entries, &self.records, 0);
        let mut rows = Rows::new(self.apex);
        rows.reserve(self.data);
        let mut last: Option<Raw<'_>> = None;
        for record in self.entries.iter().filter_map(|entry| Raw::at(&self.records, entry)) {
            let same_set = last.is_some_and(|last| (last.key, last.rtype) == (record.key, record.rtype));
            if !same_set {
                rows.begin(record.key, record.rtype, record.ttl)?;
            }
            if same_set && last.is_some_and(|last| last.rdata == record.rdata) {
                rows.lower_ttl(record.ttl);
            } else {
                rows.record(record.ttl, record.rdata);
            }
            last = Some(record);
        }
        drop(self.entries);
        drop(self.records);
        rows.finish()
    }
}

/// A record as [`Builder`] keeps it.
#[derive(Clone, Copy)]
struct Raw<'a> {
    key: &'a [u8],
    rtype: RecordType,
    ttl: u32,
    rdata: &'a [u8],
}

impl<'a> Raw<'a> {
    fn at(records: &'a [u8], entry: &Entry) -> Option<Self> {
        let octets = records.get(entry.at as usize..)?;
        let (key_length, rest) = octets.split_first_chunk::<2>()?;
        let (rdata_length, rest) = rest.split_first_chunk::<2>()?;
        let (rtype, rest) = rest.split_first_chunk::<2>()?;
        let (ttl, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*key_length)))?;
        let rdata = rest.get(..usize::from(u16::from_be_bytes(*rdata_length)))?;
        Some(Raw { key, rtype: RecordType::new(u16::from_be_bytes(*rtype)), ttl: u32::from_be_bytes(*ttl), rdata })
    }

    /// What orders the records of one owner.
    fn content(self) -> (RecordType, &'a [u8]) {
        (self.rtype, self.rdata)
    }
}

/// Sorts entries, whose keys agree up to `depth`, by key, type and RDATA.
///
/// Comparing whole keys would mostly wait for memory: each is somewhere else. So entries are sorted by the next eight
/// octets of their keys, copied beside them, and then those that still agree by the eight after. A key has at most 510.
fn sort(entries: &mut [Entry], records: &[u8], depth: usize) {
    let mut longest = 0;
    for entry in &mut *entries {
        let key = Raw::at(records, entry).map_or(&[][..], |raw| raw.key);
        longest = longest.max(key.len());
        entry.octets = octets(key.get(depth..).unwrap_or_default());
    }
    entries.sort_unstable_by_key(|entry| entry.octets);
    let end = depth + size_of::<u64>();
    for run in entries.chunk_by_mut(|a, b| a.octets == b.octets).filter(|run| run.len() > 1) {
        if longest <= end || has_one_key(run, records) {
            run.sort_unstable_by(|a, b| Raw::at(records, a).map(Raw::content).cmp(&Raw::at(records, b).map(Raw::content)));
        } else {
            sort(run, records, end);
        }
    }
}

/// Whether all keys are equal: often, a run is the records of one owner.
fn has_one_key(run: &[Entry], records: &[u8]) -> bool {
    let key = |entry: &Entry| Raw::at(records, entry).map(|raw| raw.key);
    run.first().is_none_or(|first| run.iter().all(|entry| key(entry) == key(first)))
}

/// The first eight octets of a key or of what remains of it, padded with 0. They order keys as whole keys are ordered,
/// since no label is empty: 0 never follows 0.
fn octets(key: &[u8]) -> u64 {
    let mut octets = [0; 8];
    octets.iter_mut().zip(key).for_each(|(octet, key)| *octet = *key);
    u64::from_be_bytes(octets)
}
