//! The records of a zone file in canonical order, with their lines.

use super::super::Located;
use crate::{Name, Record};
use std::sync::Arc;
use zonepulse_dns::RecordType;

/// A record, ordered by its owner's key.
#[derive(Debug, Clone)]
pub struct Item {
    /// The owner's [`key`](Name::key).
    pub key: Box<[u8]>,
    /// Type.
    pub rtype: RecordType,
    /// TTL of the RRset, seconds.
    pub ttl: u32,
    /// RDATA.
    pub rdata: Box<[u8]>,
    /// Name of the file.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u64,
}

impl Item {
    /// The record.
    pub fn record(&self) -> Record {
        let owner = Name::from_key(&self.key).unwrap_or_else(Name::root);
        Record { owner, rtype: self.rtype, ttl: self.ttl, rdata: self.rdata.clone() }
    }

    /// What belongs to one RRset besides owner and type: signatures of different types have TTLs of their own.
    fn covered(&self) -> u16 {
        let covered = self.rdata.first_chunk().filter(|_| matches!(self.rtype.value(), 24 | 46));
        covered.map_or(0, |covered| u16::from_be_bytes(*covered))
    }
}

/// Records sorted by owner in canonical order, type and RDATA, without duplicates, and with one TTL per RRset: that of
/// its last record, as servers take it.
#[derive(Debug, Default)]
pub struct Records {
    items: Vec<Item>,
    differing: Vec<(Item, String)>,
}

/// Differing TTLs that are reported.
const MAX_DIFFERING: usize = 100;

impl Records {
    /// Sorts the records of a file.
    pub fn new(located: impl IntoIterator<Item = Located>) -> Self {
        let item = |located: Located| Item {
            key: located.record.owner.key(),
            rtype: located.record.rtype,
            ttl: located.record.ttl,
            rdata: located.record.rdata,
            file: located.file,
            line: located.line,
        };
        let mut items: Vec<Item> = located.into_iter().map(item).collect();
        // Stable, so that the records of an RRset stay in the order of the file.
        items.sort_by(|a, b| (&a.key, a.rtype, a.covered()).cmp(&(&b.key, b.rtype, b.covered())));
        let mut differing = Vec::new();
        for rrset in items.chunk_by_mut(|a, b| a.rtype == b.rtype && a.covered() == b.covered() && a.key == b.key) {
            let Some(ttl) = rrset.last().map(|last| last.ttl) else { continue };
            if let Some(item) = rrset.iter().find(|item| item.ttl != ttl).filter(|_| differing.len() < MAX_DIFFERING) {
                let message = format!("TTL {} differs from {ttl} of the same RRset; taken as {ttl}", item.ttl);
                differing.push((item.clone(), message));
            }
            rrset.iter_mut().for_each(|item| item.ttl = ttl);
            rrset.sort_by(|a, b| a.rdata.cmp(&b.rdata));
        }
        items.dedup_by(|a, b| a.rtype == b.rtype && a.rdata == b.rdata && a.key == b.key);
        Records { items, differing }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    /// RRsets whose records had different TTLs.
    pub(super) fn differing_ttls(&self) -> &[(Item, String)] {
        &self.differing
    }

    /// The records at and below the name with this key.
    pub fn below(&self, key: &[u8]) -> &[Item] {
        let from = self.items.partition_point(|item| *item.key < *key);
        let rest = self.items.get(from..).unwrap_or_default();
        let count = rest.partition_point(|item| item.key.starts_with(key));
        rest.get(..count).unwrap_or_default()
    }

    /// The records of a name.
    pub fn at(&self, name: &Name) -> &[Item] {
        let key = name.key();
        let below = self.below(&key);
        let count = below.partition_point(|item| item.key.len() == key.len());
        below.get(..count).unwrap_or_default()
    }

    /// Whether a name below this one has records.
    pub(super) fn has_below(&self, name: &Name) -> bool {
        let key = name.key();
        self.below(&key).last().is_some_and(|item| item.key.len() > key.len())
    }

    /// Whether a name exists, if only because names below it do.
    pub(super) fn exists(&self, name: &Name) -> bool {
        !self.below(&name.key()).is_empty()
    }
}
