//! Records and their numbers, both ways, in memory.
//!
//! Numbers rise from 0, in the order in which records were first seen. The
//! number of a record that has vanished has no name any more.
//! Number 0 is [`OTHER`]: what came after the dictionary was full is counted
//! there, so that totals stay exact.

use crate::database::Database;
use crate::{Error, key};
use hashbrown::{DefaultHashBuilder, HashTable};
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
    numbers: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

/// A number and a part of its name's hash, by which nearly every wrong one is known without a look at its name.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    number: u32,
}

impl Slot {
    /// What the table orders by: all of it follows from the tag, so that growing looks at no name.
    fn hash(tag: u32) -> u64 {
        u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
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
        let is_it = |slot: &Slot| slot.tag == tag && self.is(slot.number, name, record_type);
        self.numbers.find(Slot::hash(tag), is_it).map(|slot| slot.number)
    }

    /// Finds many: first all tags, then all slots, then all names.
    fn find_each(&self, records: &[(&str, RecordType)], mut each: impl FnMut(&str, RecordType, Option<u32>)) {
        let mut likely = [(0, None); AT_A_TIME];
        for records in records.chunks(AT_A_TIME) {
            for ((name, record_type), (tag, _)) in records.iter().zip(&mut likely) {
                *tag = self.tag(name, *record_type);
            }
            for (_, (tag, found)) in records.iter().zip(&mut likely) {
                *found = self.numbers.find(Slot::hash(*tag), |slot| slot.tag == *tag).map(|slot| slot.number);
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
        self.numbers.insert_unique(Slot::hash(tag), Slot { tag, number }, |slot| Slot::hash(slot.tag));
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
        self.entries.numbers.len()
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
