//! Totals: hits, first seen and last access of every server, record and kind.
//!
//! In memory they are groups of 256 records, sorted. On disk a group says up to
//! which commit it is complete (`as_of`); what later commits added is derived
//! from their blocks when the store opens. A group is written when a record
//! appears in it for the first time, when a first access moves back (blocks do
//! not carry it), and at checkpoints.

use crate::intake::IntakeRow;
use crate::key::GROUP;
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::MessageKind;

const VERSION: u8 = 1;

/// All that was ever counted of one server, record and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The server.
    pub server_id: u32,
    /// The record.
    pub record_id: u32,
    /// Request, or response with its code.
    pub kind: MessageKind,
    /// How many messages.
    pub hits: u64,
    /// The first one's time, Unix milliseconds.
    pub first_ms: u64,
    /// The last one's time, Unix milliseconds.
    pub last_ms: u64,
}

/// Whose group: server, kind, number of the group.
pub(crate) type GroupKey = (u32, u16, u32);

/// The totals of up to 256 records of one server and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// The commit up to which the group's value on disk is complete.
    pub as_of: u64,
    /// Whether it holds more than its value on disk.
    pub dirty: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    low: u8,
    hits: u64,
    first_ms: u64,
    last_ms: u64,
}

impl Group {
    /// Whether the value on disk must be written with these rows, rising by record, all of this
    /// group: a record or a first access is new.
    pub(crate) fn needs_disk(&self, rows: &[IntakeRow]) -> bool {
        let mut at = 0;
        rows.iter().any(|row| {
            let low = (row.record_id % GROUP) as u8;
            at += self.entries.get(at..).unwrap_or_default().iter().take_while(|entry| entry.low < low).count();
            self.entries.get(at).is_none_or(|entry| entry.low != low || row.first_ms < entry.first_ms)
        })
    }

    /// Adds rows, rising by record, all of this group.
    pub(crate) fn add(&mut self, rows: &[IntakeRow]) {
        let mut at = 0;
        for row in rows {
            let low = (row.record_id % GROUP) as u8;
            at += self.entries.get(at..).unwrap_or_default().iter().take_while(|entry| entry.low < low).count();
            match self.entries.get_mut(at) {
                Some(entry) if entry.low == low => {
                    entry.hits = entry.hits.saturating_add(row.hits);
                    entry.first_ms = entry.first_ms.min(row.first_ms);
                    entry.last_ms = entry.last_ms.max(row.last_ms);
                }
                _ => self.entries.insert(at, Entry { low, hits: row.hits, first_ms: row.first_ms, last_ms: row.last_ms }),
            }
        }
        self.dirty = true;
    }

    /// Adds a point that was committed after `as_of`; `false` when the record
    /// is not there, which a sound store rules out.
    pub(crate) fn replay(&mut self, record_id: u32, hits: u64, last_ms: u64) -> bool {
        let low = (record_id % GROUP) as u8;
        let Ok(at) = self.entries.binary_search_by_key(&low, |entry| entry.low) else { return false };
        if let Some(entry) = self.entries.get_mut(at) {
            entry.hits = entry.hits.saturating_add(hits);
            entry.last_ms = entry.last_ms.max(last_ms);
        }
        self.dirty = true;
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds to the first record of the group.
    fn fold(&mut self, other: &Entry) {
        match self.entries.first_mut() {
            Some(first) if first.low == 0 => {
                first.hits = first.hits.saturating_add(other.hits);
                first.first_ms = first.first_ms.min(other.first_ms);
                first.last_ms = first.last_ms.max(other.last_ms);
            }
            _ => self.entries.insert(0, Entry { low: 0, ..*other }),
        }
    }

    pub(crate) fn encode(&self, as_of: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.entries.len() * 16);
        out.push(VERSION);
        put(&mut out, as_of);
        put(&mut out, self.entries.len() as u64);
        for entry in &self.entries {
            out.push(entry.low);
            put(&mut out, entry.hits);
            put(&mut out, entry.first_ms);
            put(&mut out, entry.last_ms - entry.first_ms);
        }
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (&version, rest) = value.split_first().ok_or(Malformed("totals version"))?;
        if version != VERSION {
            return Err(Malformed("totals version"));
        }
        let mut reader = Reader::new(rest);
        let as_of = reader.number("as of")?;
        let count = reader.count(GROUP as usize, "totals")?;
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        for _ in 0..count {
            let low = reader.bytes(1, "record")?.first().copied().unwrap_or_default();
            if entries.last().is_some_and(|before| before.low >= low) {
                return Err(Malformed("order of records"));
            }
            let hits = reader.number("hits")?;
            let first_ms = reader.number("first seen")?;
            let last_ms = first_ms.checked_add(reader.number("last access")?).ok_or(Malformed("last access"))?;
            entries.push(Entry { low, hits, first_ms, last_ms });
        }
        if reader.is_empty() { Ok(Group { as_of, dirty: false, entries }) } else { Err(Malformed("totals")) }
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) groups: BTreeMap<GroupKey, Group>,
}

impl Totals {
    pub(crate) fn visit(&self, servers: Option<&[u32]>, each: &mut dyn FnMut(Total)) {
        match servers {
            None => self.groups.iter().for_each(|(key, group)| visit_group(*key, group, each)),
            Some(servers) => {
                for server in servers {
                    let of_server = self.groups.range((*server, 0, 0)..=(*server, u16::MAX, u32::MAX));
                    of_server.for_each(|(key, group)| visit_group(*key, group, each));
                }
            }
        }
    }
}

impl Totals {
    /// The groups that differ when these records' totals are added to the first record, [`OTHER`](crate::OTHER).
    pub(crate) fn without(&self, records: &BTreeSet<u32>) -> BTreeMap<GroupKey, Group> {
        let mut changed: BTreeMap<GroupKey, Group> = BTreeMap::new();
        for (key, group) in &self.groups {
            let (server, kind, number) = *key;
            let range = number * GROUP..=number * GROUP + (GROUP - 1);
            let lows: Vec<u8> = records.range(range).map(|record_id| (record_id % GROUP) as u8).collect();
            let gone = |entry: &Entry| lows.binary_search(&entry.low).is_ok();
            if !group.entries.iter().any(gone) {
                continue;
            }
            changed.entry(*key).or_insert_with(|| group.clone()).entries.retain(|entry| !gone(entry));
            let other = (server, kind, 0);
            let into = changed.entry(other).or_insert_with(|| self.groups.get(&other).cloned().unwrap_or_default());
            group.entries.iter().filter(|entry| gone(entry)).for_each(|entry| into.fold(entry));
        }
        changed
    }

    /// Takes over groups that are on disk now.
    pub(crate) fn replace(&mut self, groups: BTreeMap<GroupKey, Group>, as_of: u64) {
        for (key, group) in groups {
            if group.is_empty() {
                self.groups.remove(&key);
            } else {
                self.groups.insert(key, Group { as_of, dirty: false, ..group });
            }
        }
    }
}

fn visit_group((server_id, kind, number): GroupKey, group: &Group, each: &mut dyn FnMut(Total)) {
    let Some(kind) = MessageKind::from_number(kind) else { return };
    for entry in &group.entries {
        each(Total {
            server_id,
            record_id: number * GROUP + u32::from(entry.low),
            kind,
            hits: entry.hits,
            first_ms: entry.first_ms,
            last_ms: entry.last_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(record_id: u32, hits: u64, first_ms: u64, last_ms: u64) -> IntakeRow {
        IntakeRow { record_id, kind: MessageKind::REQUEST, hits, first_ms, last_ms }
    }

    #[test]
    fn only_a_new_record_or_an_earlier_first_access_needs_the_disk() {
        let mut group = Group::default();
        let cases = [
            (vec![row(256, 1, 50, 60), row(300, 1, 50, 60)], true),
            (vec![row(300, 1, 55, 70)], false),
            (vec![row(300, 1, 40, 45)], true),
            (vec![row(299, 1, 80, 80)], true),
        ];
        for (rows, needs_disk) in cases {
            assert_eq!(group.needs_disk(&rows), needs_disk, "{rows:?}");
            group.add(&rows);
        }
        assert_eq!(
            group.entries.iter().map(|e| (e.low, e.hits, e.first_ms, e.last_ms)).collect::<Vec<_>>(),
            [(0, 1, 50, 60), (43, 1, 80, 80), (44, 3, 40, 70)]
        );
    }

    #[test]
    fn what_is_taken_out_is_added_to_the_first_record() {
        let mut totals = Totals::default();
        for (number, rows) in [(0, vec![row(5, 1, 50, 60)]), (1, vec![row(256, 2, 30, 40), row(257, 4, 70, 80)])] {
            let mut group = Group::default();
            group.add(&rows);
            totals.groups.insert((1, 0, number), group);
        }
        let changed = totals.without(&BTreeSet::from([5, 256, 257]));
        totals.replace(changed, 9);
        let mut found = Vec::new();
        totals.visit(None, &mut |total| found.push((total.record_id, total.hits, total.first_ms, total.last_ms)));
        assert_eq!(found, [(0, 7, 30, 80)]);
        assert_eq!(totals.groups.len(), 1);
    }

    #[test]
    fn a_group_survives_its_bytes() {
        let mut group = Group::default();
        group.add(&[row(0, 1, 50, 60), row(255, u64::MAX, 0, u64::MAX)]);
        let decoded = Group::decode(&group.encode(7)).unwrap();
        assert_eq!((decoded.as_of, decoded.dirty, &decoded.entries), (7, false, &group.entries));
    }

    #[test]
    fn version_1_stays_as_it_is_byte_for_byte() {
        let mut group = Group::default();
        group.add(&[row(257, 2, 300, 301)]);
        assert_eq!(group.encode(5), [1, 5, 1, 1, 2, 172, 2, 1]);
    }
}
