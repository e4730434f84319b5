//! Records and their numbers, both ways, in memory.
//!
//! Numbers rise from 0, in the order in which records were first seen. The
//! number of a record that has vanished has no name any more.
//! Number 0 is [`OTHER`]: what came after the dictionary was full is counted
//! there, so that totals stay exact.

use crate::database::Database;
use crate::prefetch::prefetch;
use crate::{Error, key};
use hashbrown::DefaultHashBuilder;
use parking_lot::RwLockReadGuard;
use rocksdb::WriteBatch;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::Range;
use zonepulse_dns::RecordType;

/// The name of what could not be told apart; no canonical name looks so.
pub const OTHER: &str = "<other>";

/// So many numbers are given at most.
const MAX_NUMBERS: usize = 1 << 30;

/// All records.
pub(crate) struct Dictionary {
    entries: Entries,
    max_records: usize,
}

/// A numbered list that can be searched: names end to end in one string.
#[derive(Default)]
struct Entries {
    text: String,
    /// For each number, where its name ends (48 bits), and the type: together, so that a search looks at one place.
    ends: Vec<u64>,
    slots: Slots,
    hasher: DefaultHashBuilder,
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
    let begin = at.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |before| before >> 16);
    Some((begin as usize..(end >> 16) as usize, RecordType::new(end as u16)))
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

    fn push(&mut self, name: &str, record_type: RecordType) -> u32 {
        let number = self.len() as u32;
        let tag = self.tag(name, record_type);
        self.text.push_str(name);
        self.push_end(record_type);
        self.slots.insert(tag, number);
        number
    }
}

impl Dictionary {
    /// Reads all names; makes the first, [`OTHER`], in a new store.
    pub(crate) fn load(database: &Database, max_records: usize) -> Result<Self, Error> {
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
        let mut dictionary = Dictionary { entries, max_records: max_records.clamp(1, u32::MAX as usize) };
        if dictionary.len() == 0 {
            let mut batch = WriteBatch::default();
            put(database, &mut batch, 0, OTHER, RecordType::new(0));
            database.write(batch, true)?;
            dictionary.entries.push(OTHER, RecordType::new(0));
        }
        Ok(dictionary)
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

    /// These have no name any more.
    pub(crate) fn forget(&mut self, numbers: &BTreeSet<u32>) {
        let mut entries = Entries { hasher: self.entries.hasher.clone(), ..Entries::default() };
        for number in 0..self.len() as u32 {
            match self.entries.get(number).filter(|_| !numbers.contains(&number)) {
                Some((name, record_type)) => {
                    entries.push(name, record_type);
                }
                None => entries.push_nobody(),
            }
        }
        self.entries = entries;
    }

    /// Takes over what a write added, in order, now that it is on disk.
    pub(crate) fn adopt(&mut self, pending: &Pending) {
        for (name, record_type) in pending.iter() {
            self.entries.push(name, record_type);
        }
    }
}

/// Names that a write adds: numbered, but not yet anybody else's to see.
#[derive(Default)]
pub(crate) struct Pending {
    entries: Entries,
}

impl Pending {
    /// The numbers of records: new where nobody has seen one.
    pub(crate) fn resolve(&mut self, dictionary: &Dictionary, records: &[(&str, RecordType)]) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(records.len());
        dictionary.entries.find_each(records, |name, record_type, found| {
            numbers.push(found.unwrap_or_else(|| self.number(dictionary, name, record_type)));
        });
        numbers
    }

    /// The number of a record that the dictionary does not have.
    fn number(&mut self, dictionary: &Dictionary, name: &str, record_type: RecordType) -> u32 {
        let base = dictionary.len();
        if let Some(number) = self.entries.find(name, record_type) {
            return base as u32 + number;
        }
        if dictionary.count() + self.entries.len() >= dictionary.max_records || base + self.entries.len() >= MAX_NUMBERS {
            return 0;
        }
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
}
