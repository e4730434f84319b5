//! Records and their numbers, both ways, in memory.
//!
//! Numbers rise from 0, in the order in which records were first seen. The
//! number of a record that has vanished has no name any more.
//! Number 0 is [`OTHER`]: what finds no room in the share of its server (`share.rs`)
//! is counted there, so that totals stay exact.

use crate::database::Database;
use crate::prefetch::prefetch;
use crate::share::{Counts, Shares};
use crate::totals::Totals;
use crate::{Error, key};
use hashbrown::DefaultHashBuilder;
use parking_lot::{Mutex, RwLockReadGuard};
use rocksdb::WriteBatch;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::Range;
use std::time::Instant;
use zonepulse_dns::RecordType;

/// The name of what could not be told apart; no canonical name looks so.
pub const OTHER: &str = "<other>";

/// So many numbers are given at most.
const MAX_NUMBERS: usize = 1 << 30;

/// In an end: the record has vanished. Its text is garbage until a [`Compaction`].
const GONE: u64 = 1 << 63;

/// All records.
pub(crate) struct Dictionary {
    entries: Entries,
    owners: Owners,
}

/// A numbered list that can be searched: names end to end in one string.
#[derive(Default)]
struct Entries {
    text: String,
    /// For each number, where its name ends (47 bits, below [`GONE`]), and the type: together, so that a search
    /// looks at one place.
    ends: Vec<u64>,
    slots: Slots,
    hasher: DefaultHashBuilder,
    /// Bytes of `text` that are names of records that have vanished.
    garbage_bytes: usize,
}

/// Numbers by a part of their names' hashes, by which nearly every wrong one is known without a look at its name.
///
/// A table of its own, because whoever looks many up has to know where each will be found, to have that memory
/// fetched in time.
#[derive(Default)]
struct Slots {
    /// The tag, and the number plus one; 0 where there is none. As many as a power of two, at most seven of eight taken.
    slots: Vec<u64>,
    taken: usize,
}

impl Slots {
    /// Where the search for a tag begins.
    fn begin(&self, tag: u32) -> usize {
        tag as usize & self.slots.len().wrapping_sub(1)
    }

    /// The first number with this tag that is the one.
    fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let begin = self.begin(tag);
        let from_begin = self.slots.iter().skip(begin).chain(&self.slots);
        for slot in from_begin {
            let number = (*slot as u32).checked_sub(1)?;
            if (slot >> 32) as u32 == tag && is_it(number) {
                return Some(number);
            }
        }
        None
    }

    fn insert(&mut self, tag: u32, number: u32) {
        if (self.taken + 1) * 8 > self.slots.len() * 7 {
            let larger = vec![0; (self.slots.len() * 2).max(16)];
            let before = std::mem::replace(&mut self.slots, larger);
            before.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.put(slot));
        }
        self.put(u64::from(tag) << 32 | u64::from(number + 1));
        self.taken += 1;
    }

    /// Takes a number out, and moves back those behind it that its place kept from where their search begins.
    fn remove(&mut self, tag: u32, number: u32) {
        let wanted = u64::from(tag) << 32 | u64::from(number + 1);
        let mask = self.slots.len().wrapping_sub(1);
        let mut hole = self.begin(tag);
        loop {
            match self.slots.get(hole) {
                Some(slot) if *slot == wanted => break,
                Some(slot) if *slot != 0 => hole = (hole + 1) & mask,
                _ => return,
            }
        }
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let Some(slot) = self.slots.get(next).copied().filter(|slot| *slot != 0) else { break };
            let home = self.begin((slot >> 32) as u32);
            // How far it is from where its search begins, and from the hole.
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                if let Some(place) = self.slots.get_mut(hole) {
                    *place = slot;
                }
                hole = next;
            }
        }
        if let Some(place) = self.slots.get_mut(hole) {
            *place = 0;
        }
        self.taken -= 1;
    }

    fn put(&mut self, new: u64) {
        let begin = self.begin((new >> 32) as u32);
        let (before, after) = self.slots.split_at_mut(begin);
        if let Some(room) = after.iter_mut().chain(before).find(|slot| **slot == 0) {
            *room = new;
        }
    }
}

/// So many names are looked up at a time: the memory that one waits for is fetched while others wait, too.
const AT_A_TIME: usize = 64;

/// Where the name of a number is, and its type.
fn place(ends: &[u64], number: u32) -> Option<(Range<usize>, RecordType)> {
    let at = number as usize;
    let end = *ends.get(at)?;
    let begin = at.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |before| (before & !GONE) >> 16);
    (end & GONE == 0).then_some((begin as usize..(end >> 16) as usize, RecordType::new(end as u16)))
}

impl Entries {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, number: u32) -> Option<(&str, RecordType)> {
        let (range, record_type) = place(&self.ends, number)?;
        let name = self.text.get(range)?;
        // No canonical name is empty.
        (!name.is_empty()).then_some((name, record_type))
    }

    fn tag(&self, name: &str, record_type: RecordType) -> u32 {
        (self.hasher.hash_one((name, record_type.value())) >> 32) as u32
    }

    fn is(&self, number: u32, name: &str, record_type: RecordType) -> bool {
        place(&self.ends, number)
            .is_some_and(|(range, found)| found == record_type && self.text.as_bytes().get(range) == Some(name.as_bytes()))
    }

    fn find(&self, name: &str, record_type: RecordType) -> Option<u32> {
        let tag = self.tag(name, record_type);
        self.slots.find(tag, |number| self.is(number, name, record_type))
    }

    /// Finds many: step by step, each for all before the next, so that what a step looks at was fetched by then.
    fn find_each(&self, records: &[(&str, RecordType)], mut each: impl FnMut(&str, RecordType, Option<u32>)) {
        let mut likely = [(0, None); AT_A_TIME];
        for records in records.chunks(AT_A_TIME) {
            for ((name, record_type), (tag, _)) in records.iter().zip(&mut likely) {
                *tag = self.tag(name, *record_type);
                prefetch(&self.slots.slots, self.slots.begin(*tag));
            }
            for (_, (tag, found)) in records.iter().zip(&mut likely) {
                *found = self.slots.find(*tag, |_| true);
                prefetch(&self.ends, found.unwrap_or_default() as usize);
            }
            for (_, (_, found)) in records.iter().zip(&likely) {
                if let Some((range, _)) = found.and_then(|number| place(&self.ends, number)) {
                    prefetch(self.text.as_bytes(), range.start);
                    prefetch(self.text.as_bytes(), range.end.saturating_sub(1));
                }
            }
            for ((name, record_type), (_, found)) in records.iter().zip(&likely) {
                let found = found.and_then(|number| match self.is(number, name, *record_type) {
                    true => Some(number),
                    // Two names with one tag.
                    false => self.find(name, *record_type),
                });
                each(name, *record_type, found);
            }
        }
    }

    /// A number that nobody has.
    fn push_nobody(&mut self) {
        self.push_end(RecordType::new(0));
    }

    fn push_end(&mut self, record_type: RecordType) {
        self.ends.push((self.text.len() as u64) << 16 | u64::from(record_type.value()));
    }

    /// The record of a number vanishes; its text stays where it is.
    fn remove(&mut self, number: u32) {
        let Some((name, record_type)) = self.get(number) else { return };
        let (tag, bytes) = (self.tag(name, record_type), name.len());
        self.slots.remove(tag, number);
        self.garbage_bytes += bytes;
        if let Some(end) = self.ends.get_mut(number as usize) {
            *end |= GONE;
        }
    }

    fn push(&mut self, name: &str, record_type: RecordType) -> u32 {
        let number = self.len() as u32;
        let tag = self.tag(name, record_type);
        self.text.push_str(name);
        self.push_end(record_type);
        self.slots.insert(tag, number);
        number
    }
}

/// Which server introduced each record, by number.
#[derive(Default)]
struct Owners {
    /// Places in `servers`.
    of: Vec<u16>,
    servers: Vec<u32>,
}

/// What a name counts in the share of its server: one for so many octets, so that long names do not take the memory
/// of many.
const OCTETS_OF_ONE: usize = 64;

fn cost(name: &str) -> u64 {
    name.len().div_ceil(OCTETS_OF_ONE) as u64
}

/// The owner of what no server is charged for.
const NOBODY: u16 = u16::MAX;

impl Owners {
    fn place(&mut self, server_id: u32) -> u16 {
        let found = self.servers.iter().position(|known| *known == server_id);
        let at = found.unwrap_or_else(|| {
            self.servers.push(server_id);
            self.servers.len() - 1
        });
        u16::try_from(at).unwrap_or(NOBODY)
    }

    fn get(&self, number: u32) -> Option<u32> {
        self.servers.get(usize::from(*self.of.get(number as usize)?)).copied()
    }
}

impl Dictionary {
    /// Reads all names; makes the first, [`OTHER`], in a new store. Nobody owns any until [`Dictionary::assign`].
    pub(crate) fn load(database: &Database) -> Result<Self, Error> {
        let mut entries = Entries::default();
        database.visit(key::NAMES, &[], |key, value| {
            let number = key::u32_at(key, 0).filter(|_| key.len() == 4);
            let record_type = value.first_chunk().map(|bytes| RecordType::new(u16::from_be_bytes(*bytes)));
            let name = value.get(2..).and_then(|text| std::str::from_utf8(text).ok());
            match (number, record_type, name) {
                (Some(number), Some(record_type), Some(name)) if (entries.len()..MAX_NUMBERS).contains(&(number as usize)) => {
                    (entries.len()..number as usize).for_each(|_| entries.push_nobody());
                    entries.push(name, record_type);
                    Ok(true)
                }
                _ => Err(Error::damaged("name", key)),
            }
        })?;
        let mut dictionary = Dictionary { entries, owners: Owners::default() };
        if dictionary.len() == 0 {
            let mut batch = WriteBatch::default();
            put(database, &mut batch, 0, OTHER, RecordType::new(0));
            database.write(batch, true)?;
            dictionary.entries.push(OTHER, RecordType::new(0));
        }
        dictionary.owners.of.resize(dictionary.len(), NOBODY);
        Ok(dictionary)
    }

    /// What all names count together.
    pub(crate) fn cost(&self) -> u64 {
        (0..self.len() as u32).filter_map(|number| self.name(number)).map(cost).sum()
    }

    /// Charges each record to one of the servers that have totals of it, so that no server has more than it
    /// must; gives what those of each count. Who introduced it is not on disk.
    pub(crate) fn assign(&mut self, totals: &Totals) -> Counts {
        let mut owned: Vec<u64> = Vec::new();
        for (server_id, record_id) in totals.records() {
            let Some((name, _)) = self.entries.get(record_id).filter(|_| record_id != 0) else { continue };
            let new = self.owners.place(server_id);
            owned.resize(self.owners.servers.len(), 0);
            let Some(owner) = self.owners.of.get_mut(record_id as usize) else { continue };
            let count = |of: u16| owned.get(usize::from(of)).copied();
            // A record that another server has, too, goes to the one that has fewer.
            if count(*owner).is_some_and(|count_now| *owner == new || count_now <= count(new).unwrap_or(0)) {
                continue;
            }
            let before = std::mem::replace(owner, new);
            owned.get_mut(usize::from(before)).into_iter().for_each(|count| *count -= cost(name));
            owned.get_mut(usize::from(new)).into_iter().for_each(|count| *count += cost(name));
        }
        self.owners.servers.iter().copied().zip(owned).collect()
    }

    /// Every number is below this.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many numbers have a name.
    pub(crate) fn count(&self) -> usize {
        self.entries.slots.taken
    }

    pub(crate) fn name(&self, number: u32) -> Option<&str> {
        self.entries.get(number).map(|(name, _)| name)
    }

    /// These have no name any more. Gives what the names counted, together and for each server.
    pub(crate) fn forget(&mut self, numbers: &BTreeSet<u32>) -> (u64, Counts) {
        let (mut all, mut owned) = (0, Counts::new());
        for number in numbers {
            let Some(cost) = self.name(*number).map(cost) else { continue };
            self.entries.remove(*number);
            all += cost;
            if let Some(server_id) = self.owners.get(*number) {
                *owned.entry(server_id).or_default() += cost;
            }
        }
        (all, owned)
    }

    /// Takes over what a write added, in order, now that it is on disk.
    pub(crate) fn adopt(&mut self, pending: &Pending) {
        for (name, record_type) in pending.iter() {
            self.entries.push(name, record_type);
        }
        for owners in pending.owners.chunk_by(|a, b| a == b) {
            let place = owners.first().map_or(NOBODY, |server_id| self.owners.place(*server_id));
            self.owners.of.extend(owners.iter().map(|_| place));
        }
    }

    /// Whether so much text is garbage that it is worth a [`Compaction`].
    pub(crate) fn is_worth_compacting(&self) -> bool {
        self.entries.garbage_bytes > MIN_GARBAGE_BYTES && self.entries.garbage_bytes > self.entries.text.len() / 2
    }

    /// Takes over the text of a compaction, which is brought up to date before; gives the old one, to be dropped
    /// when nobody waits for this any more. Nothing must have been forgotten since the compaction began.
    pub(crate) fn compact(&mut self, mut compaction: Compaction) -> Compaction {
        while !compaction.step(self) {}
        std::mem::swap(&mut self.entries.text, &mut compaction.text);
        std::mem::swap(&mut self.entries.ends, &mut compaction.ends);
        self.entries.garbage_bytes = 0;
        compaction
    }
}

/// Garbage that nobody minds, bytes.
const MIN_GARBAGE_BYTES: usize = if cfg!(test) { 16 } else { 1 << 20 };
/// A step of a compaction copies so many names.
const STEP_NAMES: usize = if cfg!(test) { 3 } else { 1 << 16 };

/// The dictionary's text, written anew without the names of records that have vanished: a bounded part at a time, so
/// that nobody waits for it.
#[derive(Default)]
pub(crate) struct Compaction {
    text: String,
    ends: Vec<u64>,
}

impl Compaction {
    /// Copies some more; says whether that was all.
    pub(crate) fn step(&mut self, dictionary: &Dictionary) -> bool {
        let from = self.ends.len();
        let until = dictionary.len().min(from + STEP_NAMES);
        for number in from as u32..until as u32 {
            let named = dictionary.entries.get(number);
            if let Some((name, _)) = named {
                self.text.push_str(name);
            }
            let record_type = named.map_or(GONE, |(_, record_type)| u64::from(record_type.value()));
            self.ends.push((self.text.len() as u64) << 16 | record_type);
        }
        self.ends.len() == dictionary.len()
    }
}

/// Names that a write adds: numbered, but not yet anybody else's to see.
#[derive(Default)]
pub(crate) struct Pending {
    entries: Entries,
    /// Who introduces each.
    owners: Vec<u32>,
    /// What the names that each server introduces count.
    pub(crate) added: Counts,
    /// New names that found no room in their server's share.
    pub(crate) folded: Counts,
}

impl Pending {
    /// The numbers of records that a server tells of: new where nobody has seen one, and 0 where the
    /// server may not add it.
    pub(crate) fn resolve(
        &mut self,
        dictionary: &Dictionary,
        shares: &Mutex<Shares>,
        server_id: u32,
        records: &[(&str, RecordType)],
    ) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(records.len());
        let mut room = None;
        dictionary.entries.find_each(records, |name, record_type, found| {
            numbers.push(found.unwrap_or_else(|| {
                if let Some(number) = self.entries.find(name, record_type) {
                    return dictionary.len() as u32 + number;
                }
                // Asked for when the first name is new, which an ordinary batch has none of.
                let room = room.get_or_insert_with(|| shares.lock().room(server_id, &self.added, Instant::now()));
                self.number(dictionary, room, server_id, name, record_type)
            }));
        });
        numbers
    }

    /// The number of a record that nobody has seen.
    fn number(&mut self, dictionary: &Dictionary, room: &mut u64, server_id: u32, name: &str, record_type: RecordType) -> u32 {
        let base = dictionary.len();
        let left = room.checked_sub(cost(name)).filter(|_| base + self.entries.len() < MAX_NUMBERS);
        let Some(left) = left else {
            *self.folded.entry(server_id).or_default() += 1;
            return 0;
        };
        *room = left;
        *self.added.entry(server_id).or_default() += cost(name);
        self.owners.push(server_id);
        base as u32 + self.entries.push(name, record_type)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, RecordType)> {
        (0..self.entries.len() as u32).filter_map(|number| self.entries.get(number))
    }

    /// Adds the names to a write, numbered from `base` on.
    pub(crate) fn put(&self, database: &Database, batch: &mut WriteBatch, base: usize) {
        for (number, (name, record_type)) in (base as u32..).zip(self.iter()) {
            put(database, batch, number, name, record_type);
        }
    }
}

fn put(database: &Database, batch: &mut WriteBatch, number: u32, name: &str, record_type: RecordType) {
    let value = [&record_type.value().to_be_bytes(), name.as_bytes()].concat();
    batch.put_cf(database.family(key::NAMES), number.to_be_bytes(), value);
}

/// The dictionary, held for reading.
pub struct DictionaryReader<'a> {
    guard: RwLockReadGuard<'a, Dictionary>,
}

impl<'a> DictionaryReader<'a> {
    pub(crate) fn new(guard: RwLockReadGuard<'a, Dictionary>) -> Self {
        DictionaryReader { guard }
    }

    /// The canonical name and type of a record.
    pub fn get(&self, record_id: u32) -> Option<(&str, RecordType)> {
        self.guard.entries.get(record_id)
    }

    /// The number of a record, by its canonical name.
    pub fn find(&self, name: &str, record_type: RecordType) -> Option<u32> {
        self.guard.entries.find(name, record_type)
    }

    /// Every record's number is below this; not every number is a record's any more.
    pub fn len(&self) -> usize {
        self.guard.len()
    }

    /// Never: [`OTHER`] is always there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All records in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str, RecordType)> {
        (0..self.len() as u32).filter_map(|number| self.get(number).map(|(name, record_type)| (number, name, record_type)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_so_many_names_that_tags_are_shared_each_is_found() {
        let mut entries = Entries::default();
        let (mut names, mut tags, mut shared) = (Vec::new(), BTreeSet::new(), 0);
        while shared < 2 {
            let name = format!("host-{}.example.", names.len());
            shared += u32::from(!tags.insert(entries.tag(&name, RecordType::A)));
            entries.push(&name, RecordType::A);
            names.push(name);
        }
        let asked: Vec<_> = names.iter().flat_map(|name| [(name.as_str(), RecordType::A), (name, RecordType::new(28))]).collect();
        let mut found = Vec::new();
        entries.find_each(&asked, |_, _, number| found.push(number));
        let expected: Vec<_> = (0..names.len() as u32).flat_map(|number| [Some(number), None]).collect();
        assert_eq!(found, expected);
    }

    fn names(range: Range<usize>) -> Vec<String> {
        range.map(|number| format!("host-{number}.example.")).collect()
    }

    fn dictionary(names: &[String]) -> Dictionary {
        let mut dictionary = Dictionary { entries: Entries::default(), owners: Owners::default() };
        let mut pending = Pending::default();
        for name in names {
            pending.entries.push(name, RecordType::A);
            pending.owners.push(1);
        }
        dictionary.adopt(&pending);
        dictionary
    }

    #[test]
    fn of_many_names_some_of_which_vanish_the_others_are_found_and_numbers_stay() {
        let all = names(0..5000);
        let mut dictionary = dictionary(&all);
        // Fixed, but in no order that the table knows.
        let gone: BTreeSet<u32> = (0..5000u32).filter(|number| number.wrapping_mul(2_654_435_761) % 3 == 0).collect();
        for some in gone.iter().copied().collect::<Vec<_>>().chunks(100) {
            let some: BTreeSet<u32> = some.iter().copied().collect();
            assert_eq!(dictionary.forget(&some), (some.len() as u64, Counts::from([(1, some.len() as u64)])));
            assert_eq!(dictionary.forget(&some).0, 0, "they are gone already");
        }
        let expect = |dictionary: &Dictionary| {
            assert_eq!(dictionary.count(), 5000 - gone.len());
            for (number, name) in (0u32..).zip(&all) {
                let there = !gone.contains(&number);
                assert_eq!(dictionary.entries.find(name, RecordType::A), there.then_some(number));
                assert_eq!(dictionary.name(number), there.then_some(name.as_str()));
            }
        };
        expect(&dictionary);
        let mut compaction = Compaction::default();
        while !compaction.step(&dictionary) {}
        let bytes = dictionary.entries.text.len();
        // What is added while it goes on is not lost.
        let late = ["late.example.".to_owned()];
        let mut pending = Pending::default();
        pending.entries.push(&late[0], RecordType::A);
        pending.owners.push(2);
        dictionary.adopt(&pending);
        drop(dictionary.compact(compaction));
        assert!(dictionary.entries.text.len() < bytes);
        assert_eq!(dictionary.entries.find(&late[0], RecordType::A), Some(5000));
        dictionary.forget(&BTreeSet::from([5000]));
        expect(&dictionary);
    }
}
