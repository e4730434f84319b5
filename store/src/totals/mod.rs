//! Totals: hits, first access and last access of every server, record and kind.
//!
//! In memory, totals are kept in sorted groups of 256 records. On disk, each group states the commit up to which it is
//! complete (`as_of`). Later additions are derived from the blocks of later commits when the store opens. A group is
//! written when a record first appears in it, when a first access moves back (blocks do not contain it), and at
//! checkpoints.

mod by_record;
pub(crate) mod disk;

use crate::database::key::{self, GROUP, group_of, low_of, record_in};
use crate::dns::block;
use crate::intake::IntakeRow;
use crate::prefetch::prefetch;
use crate::share::Counts;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::MessageKind;
use zonepulse_model::{IdSet, RecordId, ServerId};

const VERSION: u8 = 1;

/// All messages ever counted for one server, record and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The server.
    pub server_id: ServerId,
    /// The record.
    pub record_id: RecordId,
    /// Request, or response with its code.
    pub kind: MessageKind,
    /// Number of messages.
    pub hits: u64,
    /// Time of the first message, in Unix milliseconds.
    pub first_ms: u64,
    /// Time of the last message, in Unix milliseconds.
    pub last_ms: u64,
}

/// Identifies a group: server, kind and group number.
pub(crate) type GroupKey = (ServerId, u16, u32);

/// The totals of up to 256 records of one server and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// The commit up to which the group's value on disk is complete.
    pub as_of: u64,
    /// Whether the group contains more than its value on disk.
    pub dirty: bool,
    members: Members,
    /// Counts of the members, in ascending order of their low bytes.
    counts: Vec<Count>,
    /// First accesses of the members, in Unix milliseconds. Kept separately, since a batch later than all of them moves
    /// none back.
    firsts_ms: Vec<u64>,
    /// The latest first access.
    last_first_ms: u64,
}

/// The fields that nearly every batch changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    hits: u64,
    last_ms: u64,
}

impl Count {
    fn add(&mut self, hits: u64, last_ms: u64) {
        self.hits = self.hits.saturating_add(hits);
        self.last_ms = self.last_ms.max(last_ms);
    }
}

/// One total of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub hits: u64,
    pub first_ms: u64,
    pub last_ms: u64,
}

/// The records of a group that have totals, by the low byte of their numbers.
///
/// A record's index is the number of bits set before its own. This needs no search, and no branches that depend on
/// which records a batch contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Members {
    words: [u64; 4],
    /// Number of bits set in the preceding words.
    before: [u8; 4],
}

impl Members {
    /// Returns the index of a record's entry, or the index at which to insert it.
    fn place(&self, low: u8) -> Result<usize, usize> {
        let (word, bit) = (usize::from(low >> 6), 1u64 << (low & 63));
        let bits = self.words.get(word).copied().unwrap_or_default();
        let before = self.before.get(word).copied().unwrap_or_default();
        let place = usize::from(before) + (bits & (bit - 1)).count_ones() as usize;
        if bits & bit != 0 { Ok(place) } else { Err(place) }
    }

    fn has(&self, low: u8) -> bool {
        self.words.get(usize::from(low >> 6)).is_some_and(|bits| bits >> (low & 63) & 1 != 0)
    }

    fn insert(&mut self, low: u8) {
        let word = usize::from(low >> 6);
        self.words.iter_mut().skip(word).take(1).for_each(|bits| *bits |= 1 << (low & 63));
        self.before.iter_mut().skip(word + 1).for_each(|before| *before += 1);
    }

    fn iter(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|low| self.has(*low))
    }
}

impl Group {
    /// Whether the value on disk must be written after adding these rows, all of this group, because a record is new or
    /// a first access moves back.
    pub(crate) fn needs_disk(&self, rows: &[IntakeRow]) -> bool {
        rows.iter().any(|row| {
            let low = low_of(row.record_id);
            !self.members.has(low) || (row.first_ms < self.last_first_ms && self.moves_first_back(low, row.first_ms))
        })
    }

    /// Returns the number of these rows, all of this group, whose records have no total in it.
    pub(crate) fn count_new(&self, rows: &[IntakeRow]) -> u64 {
        rows.iter().filter(|row| !self.has(row.record_id)).count() as u64
    }

    /// Whether a record of this group has a total.
    pub(crate) fn has(&self, record_id: RecordId) -> bool {
        self.members.has(low_of(record_id))
    }

    /// Returns the number of totals.
    pub(crate) fn len(&self) -> u64 {
        self.counts.len() as u64
    }

    fn moves_first_back(&self, low: u8, first_ms: u64) -> bool {
        let first = self.members.place(low).ok().and_then(|at| self.firsts_ms.get(at));
        first.is_some_and(|first| first_ms < *first)
    }

    /// Adds rows; all must belong to this group.
    pub(crate) fn add(&mut self, rows: &[IntakeRow]) {
        for row in rows {
            let more = Entry { hits: row.hits, first_ms: row.first_ms, last_ms: row.last_ms };
            self.add_entry(low_of(row.record_id), more);
        }
        self.dirty = true;
    }

    fn add_entry(&mut self, low: u8, more: Entry) {
        match self.members.place(low) {
            Ok(at) => {
                if let Some(count) = self.counts.get_mut(at) {
                    count.add(more.hits, more.last_ms);
                }
                if more.first_ms < self.last_first_ms
                    && let Some(first) = self.firsts_ms.get_mut(at)
                {
                    *first = more.first_ms.min(*first);
                }
            }
            Err(at) => {
                self.members.insert(low);
                self.counts.insert(at, Count { hits: more.hits, last_ms: more.last_ms });
                self.firsts_ms.insert(at, more.first_ms);
                self.last_first_ms = self.last_first_ms.max(more.first_ms);
            }
        }
    }

    /// Adds the points of a block, all of this group. Returns `false` if a record is missing, which cannot happen in an
    /// intact store.
    pub(crate) fn replay(&mut self, rows: &[block::Row]) -> bool {
        self.dirty = true;
        let place = |row: &block::Row| self.members.place(low_of(row.record_id));
        rows.iter().filter_map(|row| place(row).ok()).for_each(|at| prefetch(&self.counts, at));
        rows.iter().all(|row| match place(row).ok().and_then(|at| self.counts.get_mut(at)) {
            Some(count) => {
                count.add(row.hits, row.last_ms);
                true
            }
            None => false,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Creates a group from totals by the low bytes of the records' numbers.
    pub(crate) fn of(entries: impl Iterator<Item = (u8, Entry)>) -> Self {
        let mut group = Group::default();
        entries.for_each(|(low, entry)| group.add_entry(low, entry));
        group
    }

    /// Returns the low bytes of the records' numbers, in ascending order, and their totals.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, Entry)> {
        let entry = |(count, first_ms): (&Count, &u64)| Entry { hits: count.hits, first_ms: *first_ms, last_ms: count.last_ms };
        self.members.iter().zip(self.counts.iter().zip(&self.firsts_ms).map(entry))
    }

    pub(crate) fn encode(&self, as_of: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.counts.len() * 16);
        out.push(VERSION);
        put(&mut out, as_of);
        put(&mut out, self.counts.len() as u64);
        for (low, entry) in self.iter() {
            out.push(low);
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
        let mut group = Group { as_of, ..Group::default() };
        group.counts.reserve_exact(count);
        group.firsts_ms.reserve_exact(count);
        let mut next = 0;
        for _ in 0..count {
            let low = reader.bytes(1, "record")?.first().copied().unwrap_or_default();
            if u16::from(low) < next {
                return Err(Malformed("order of records"));
            }
            next = u16::from(low) + 1;
            let hits = reader.number("hits")?;
            let first_ms = reader.number("first seen")?;
            let last_ms = first_ms.checked_add(reader.number("last access")?).ok_or(Malformed("last access"))?;
            group.add_entry(low, Entry { hits, first_ms, last_ms });
        }
        if reader.is_empty() { Ok(group) } else { Err(Malformed("totals")) }
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) groups: BTreeMap<GroupKey, Group>,
}

impl Totals {
    pub(crate) fn visit(&self, servers: Option<&IdSet<ServerId>>, each: &mut dyn FnMut(Total)) {
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
    /// Returns the groups with these numbers, of all servers and kinds. Seeks once for each pair of server and kind,
    /// without visiting other groups.
    pub(crate) fn of_numbers(&self, numbers: Range<u32>) -> impl Iterator<Item = (&GroupKey, &Group)> {
        let of_pair = move |(server, kind): (ServerId, u16)| {
            self.groups.range((server, kind, numbers.start)..(server, kind, numbers.end.max(numbers.start)))
        };
        self.pairs().flat_map(of_pair)
    }

    /// Returns all pairs of server and kind that have totals.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (ServerId, u16)> {
        let first = self.groups.keys().next().map(|(server, kind, _)| (*server, *kind));
        std::iter::successors(first, |(server, kind)| {
            let after = (Bound::Excluded((*server, *kind, u32::MAX)), Bound::Unbounded);
            self.groups.range(after).next().map(|((server, kind, _), _)| (*server, *kind))
        })
    }

    /// Returns the number of totals of each server.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        self.groups.iter().for_each(|((server, ..), group)| *counts.entry(*server).or_default() += group.len());
        counts
    }

    /// Returns every server and record with a total, by server; a record occurs once for each kind.
    pub(crate) fn records(&self) -> impl Iterator<Item = (ServerId, RecordId)> {
        let of_group = |((server, _, number), group): (&GroupKey, &'_ Group)| {
            let (server, number, members) = (*server, *number, group.members.clone());
            (0..=u8::MAX).filter(move |low| members.has(*low)).map(move |low| (server, record_in(number, low)))
        };
        self.groups.iter().flat_map(of_group)
    }

    /// Returns the groups that change when the totals of these records are added to the first record,
    /// [`OTHER`](crate::OTHER).
    pub(crate) fn without(&self, records: &BTreeSet<RecordId>) -> BTreeMap<GroupKey, Group> {
        let mut changed: BTreeMap<GroupKey, Group> = BTreeMap::new();
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return changed };
        for (key, group) in self.of_numbers(group_of(*first)..group_of(*last) + 1) {
            let (server, kind, number) = *key;
            let lows: Vec<u8> = records.range(key::records(number)).map(|record_id| low_of(*record_id)).collect();
            let gone = |low: u8| lows.binary_search(&low).is_ok();
            if !group.members.iter().any(gone) {
                continue;
            }
            let left = changed.entry(*key).or_insert_with(|| group.clone());
            let kept: Vec<(u8, Entry)> = left.iter().filter(|(low, _)| !gone(*low)).collect();
            *left = Group { as_of: left.as_of, dirty: left.dirty, ..Group::default() };
            kept.into_iter().for_each(|(low, entry)| left.add_entry(low, entry));
            let other = (server, kind, 0);
            let into = changed.entry(other).or_insert_with(|| self.groups.get(&other).cloned().unwrap_or_default());
            group.iter().filter(|(low, _)| gone(*low)).for_each(|(_, entry)| into.add_entry(0, entry));
        }
        changed
    }

    /// Replaces groups with versions that are now on disk.
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

pub(crate) fn visit_group((server_id, kind, number): GroupKey, group: &Group, each: &mut dyn FnMut(Total)) {
    let Some(kind) = MessageKind::from_number(kind) else { return };
    for (low, entry) in group.iter() {
        each(Total {
            server_id,
            record_id: record_in(number, low),
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
    use proptest::prelude::*;
    use zonepulse_fixtures::extremes::{from_one_to, up_to};

    fn row(record_id: u32, hits: u64, first_ms: u64, last_ms: u64) -> IntakeRow {
        IntakeRow { record_id: RecordId::new(record_id), kind: MessageKind::REQUEST, hits, first_ms, last_ms }
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
            group.iter().map(|(low, e)| (low, e.hits, e.first_ms, e.last_ms)).collect::<Vec<_>>(),
            [(0, 1, 50, 60), (43, 1, 80, 80), (44, 3, 40, 70)]
        );
    }

    #[test]
    fn what_is_taken_out_is_added_to_the_first_record() {
        let mut totals = Totals::default();
        for (number, rows) in [(0, vec![row(5, 1, 50, 60)]), (1, vec![row(256, 2, 30, 40), row(257, 4, 70, 80)])] {
            let mut group = Group::default();
            group.add(&rows);
            totals.groups.insert((ServerId::new(1), 0, number), group);
        }
        let changed = totals.without(&BTreeSet::from([5, 256, 257].map(RecordId::new)));
        totals.replace(changed, 9);
        let mut found = Vec::new();
        totals.visit(None, &mut |total| found.push((total.record_id.get(), total.hits, total.first_ms, total.last_ms)));
        assert_eq!(found, [(0, 7, 30, 80)]);
        assert_eq!(totals.groups.len(), 1);
    }

    #[test]
    fn a_group_survives_its_bytes() {
        let mut group = Group::default();
        group.add(&[row(0, 1, 50, 60), row(255, u64::MAX, 0, u64::MAX)]);
        let decoded = Group::decode(&group.encode(7)).unwrap();
        assert_eq!(decoded, Group { as_of: 7, dirty: false, ..group });
    }

    fn any_rows() -> impl Strategy<Value = Vec<IntakeRow>> {
        let of_row = (any::<u8>(), from_one_to(u64::MAX), up_to(u64::MAX), up_to(u64::MAX));
        let row_of = |(low, hits, a, b): (u8, u64, u64, u64)| row(u32::from(low), hits, a.min(b), a.max(b));
        prop::collection::vec(of_row.prop_map(row_of), 0..300)
    }

    proptest! {
        #[test]
        fn any_group_survives_its_bytes(rows in any_rows(), as_of in up_to(u64::MAX)) {
            let mut group = Group::default();
            group.add(&rows);
            let decoded = Group::decode(&group.encode(as_of)).unwrap();
            let told = |group: &Group| group.iter().map(|(low, e)| (low, e.hits, e.first_ms, e.last_ms)).collect::<Vec<_>>();
            prop_assert_eq!((decoded.as_of, decoded.dirty, told(&decoded)), (as_of, false, told(&group)));
        }

        #[test]
        fn a_total_stops_at_the_largest_number(rows in any_rows()) {
            let mut sums: BTreeMap<RecordId, u128> = BTreeMap::new();
            rows.iter().for_each(|row| *sums.entry(row.record_id).or_default() += u128::from(row.hits));
            let mut totals = Totals::default();
            let mut group = Group::default();
            group.add(&rows);
            totals.groups.insert((ServerId::new(1), 0, 0), group);
            totals.visit(None, &mut |total| {
                let sum = sums.remove(&total.record_id).unwrap();
                assert_eq!(u128::from(total.hits), sum.min(u128::from(u64::MAX)));
            });
            prop_assert!(sums.is_empty());
        }

        #[test]
        fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Group::decode(&[&[VERSION][..], &bytes].concat());
        }
    }

    #[test]
    fn version_1_stays_as_it_is_byte_for_byte() {
        let mut group = Group::default();
        group.add(&[row(257, 2, 300, 301)]);
        assert_eq!(group.encode(5), [1, 5, 1, 1, 2, 172, 2, 1]);
    }
}
