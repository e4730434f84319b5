//! Records and their numbers, searchable in both directions, in memory.
//!
//! Numbers rise from 0 in the order in which records were first seen. Numbers of removed records no longer have a name.
//! Number 0 is [`OTHER`]: anything that exceeds the share of its server (`share.rs`) is counted there, so totals stay
//! exact.

mod entries;
mod protect;

use crate::Error;
use crate::database::{Database, key};
use crate::dictionary::entries::{Entries, GONE};
use crate::lock::{Mutex, ReadGuard};
use crate::share::{Counts, Shares};
use crate::totals::Totals;
use rocksdb::WriteBatch;
use std::collections::BTreeSet;
use std::time::Instant;
use zonepulse_dns::RecordType;
use zonepulse_model::{RecordId, ServerId};

pub(crate) use protect::cost_of;

/// Stands for records that are not counted individually; no canonical name looks like this.
pub const OTHER: &str = "<other>";

/// Whether a name stands for aggregated messages: [`OTHER`] alone, or followed by a space and a zone. Real names begin
/// differently even if their first label is `<other>`: it is followed by a dot, and a space is written as `\032`.
pub fn is_folded(name: &str) -> bool {
    name.strip_prefix(OTHER).is_some_and(|zone| zone.is_empty() || zone.starts_with(' '))
}

/// Maximum number of record numbers.
const MAX_NUMBERS: usize = 1 << 30;

/// All records.
pub(crate) struct Dictionary {
    entries: Entries,
    owners: Owners,
    /// Cost of the names of the catalogue.
    protected_cost: u64,
}

/// Which server introduced each record, by number.
#[derive(Default)]
struct Owners {
    /// Indexes into `servers`.
    of: Vec<u16>,
    servers: Vec<ServerId>,
}

/// A name counts as one record per this many octets in its server's share, so that long names cannot take up the memory
/// of many short ones.
const OCTETS_OF_ONE: usize = 64;

fn cost(name: &str) -> u64 {
    name.len().div_ceil(OCTETS_OF_ONE) as u64
}

/// The owner of records that are not charged to any server.
const NOBODY: u16 = u16::MAX;
/// The owner of records that are resources of a zone.
const CATALOGUE: u16 = NOBODY - 1;

impl Owners {
    fn place(&mut self, server_id: ServerId) -> u16 {
        let found = self.servers.iter().position(|known| *known == server_id);
        let at = found.unwrap_or_else(|| {
            self.servers.push(server_id);
            self.servers.len() - 1
        });
        u16::try_from(at).ok().filter(|at| *at < CATALOGUE).unwrap_or(NOBODY)
    }

    fn get(&self, record_id: RecordId) -> Option<ServerId> {
        self.servers.get(usize::from(*self.of.get(record_id.get() as usize)?)).copied()
    }
}

impl Dictionary {
    /// Loads all names; in a new store, creates the first one, [`OTHER`]. Records have no owner until
    /// [`Dictionary::assign`].
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
        let mut dictionary = Dictionary { entries, owners: Owners::default(), protected_cost: 0 };
        if dictionary.len() == 0 {
            let mut batch = WriteBatch::default();
            put(database, &mut batch, RecordId::OTHER, OTHER, RecordType::new(0));
            database.write(batch, true)?;
            dictionary.entries.push(OTHER, RecordType::new(0));
        }
        dictionary.owners.of.resize(dictionary.len(), NOBODY);
        Ok(dictionary)
    }

    /// Returns the cost of all names but those of the catalogue.
    pub(crate) fn cost(&self) -> u64 {
        let all: u64 = (0..self.len() as u32).filter_map(|number| self.name(RecordId::new(number))).map(cost).sum();
        all.saturating_sub(self.protected_cost)
    }

    /// Charges each record that is not the catalogue's to one of the servers that have totals of it, so that no server is charged more than
    /// necessary. Returns the cost per server. The server that introduced a record is not stored on disk.
    pub(crate) fn assign(&mut self, totals: &Totals) -> Counts {
        let mut owned: Vec<u64> = Vec::new();
        for (server_id, record_id) in totals.records() {
            let named = self.entries.get(record_id.get()).filter(|_| record_id != RecordId::OTHER);
            let Some((name, _)) = named else { continue };
            let new = self.owners.place(server_id);
            owned.resize(self.owners.servers.len(), 0);
            let Some(owner) = self.owners.of.get_mut(record_id.get() as usize) else { continue };
            if *owner == CATALOGUE {
                continue;
            }
            let count = |of: u16| owned.get(usize::from(of)).copied();
            // A record shared with another server is charged to the one with the lower cost.
            if count(*owner).is_some_and(|count_now| *owner == new || count_now <= count(new).unwrap_or(0)) {
                continue;
            }
            let before = std::mem::replace(owner, new);
            owned.get_mut(usize::from(before)).into_iter().for_each(|count| *count -= cost(name));
            owned.get_mut(usize::from(new)).into_iter().for_each(|count| *count += cost(name));
        }
        self.owners.servers.iter().copied().zip(owned).collect()
    }

    /// Upper bound of all numbers (exclusive).
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the number of numbers that have a name.
    pub(crate) fn count(&self) -> usize {
        self.entries.count()
    }

    pub(crate) fn name(&self, record_id: RecordId) -> Option<&str> {
        self.entries.get(record_id.get()).map(|(name, _)| name)
    }

    /// Removes the names of these records. Returns the cost of the names, in total and per server.
    pub(crate) fn forget(&mut self, records: &BTreeSet<RecordId>) -> (u64, Counts) {
        let (mut all, mut owned) = (0, Counts::new());
        for record_id in records {
            let Some(cost) = self.name(*record_id).map(cost) else { continue };
            self.entries.remove(record_id.get());
            all += cost;
            if let Some(server_id) = self.owners.get(*record_id) {
                *owned.entry(server_id).or_default() += cost;
            }
        }
        (all, owned)
    }

    /// Adds the names of a write, in order, now that it is on disk.
    pub(crate) fn adopt(&mut self, pending: &Pending) {
        for (name, record_type) in pending.iter() {
            self.entries.push(name, record_type);
        }
        for owners in pending.owners.chunk_by(|a, b| a == b) {
            let place = owners.first().map_or(NOBODY, |server_id| self.owners.place(*server_id));
            self.owners.of.extend(owners.iter().map(|_| place));
        }
    }

    /// Whether there is enough garbage to make a [`Compaction`] worthwhile.
    pub(crate) fn is_worth_compacting(&self) -> bool {
        self.entries.garbage_bytes > MIN_GARBAGE_BYTES && self.entries.garbage_bytes > self.entries.text.len() / 2
    }

    /// Brings a compaction up to date and switches to its text. Returns the old text, so that it can be dropped once
    /// nobody is waiting for the dictionary. Nothing may have been forgotten since the compaction began.
    pub(crate) fn compact(&mut self, mut compaction: Compaction) -> Compaction {
        while !compaction.step(self) {}
        std::mem::swap(&mut self.entries.text, &mut compaction.text);
        std::mem::swap(&mut self.entries.ends, &mut compaction.ends);
        self.entries.garbage_bytes = 0;
        compaction
    }
}

/// Acceptable amount of garbage, in bytes.
const MIN_GARBAGE_BYTES: usize = if cfg!(test) { 16 } else { 1 << 20 };
/// Number of names copied in one step of a compaction.
const STEP_NAMES: usize = if cfg!(test) { 3 } else { 1 << 16 };

/// A copy of the dictionary's text without the names of removed records, made in bounded steps so that nobody has to
/// wait for it.
#[derive(Default)]
pub(crate) struct Compaction {
    text: String,
    ends: Vec<u64>,
}

impl Compaction {
    /// Copies some more names. Returns whether the copy is complete.
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

/// Names added by a pending write: numbered, but not yet visible to others.
#[derive(Default)]
pub(crate) struct Pending {
    entries: Entries,
    /// The server that introduces each name.
    owners: Vec<ServerId>,
    /// Cost of the names that each server introduces.
    pub(crate) added: Counts,
    /// Number of new names that exceeded their server's share.
    pub(crate) folded: Counts,
}

impl Pending {
    /// Returns the numbers of the records that a server reports. New records get a new number, or 0 if the server may
    /// not add them.
    pub(crate) fn resolve(
        &mut self,
        dictionary: &Dictionary,
        shares: &Mutex<Shares>,
        server_id: ServerId,
        records: &[(&str, RecordType)],
        now: Instant,
    ) -> Vec<RecordId> {
        let mut numbers = Vec::with_capacity(records.len());
        let mut room = None;
        dictionary.entries.find_each(records, |name, record_type, found| {
            let number = found.unwrap_or_else(|| {
                if let Some(number) = self.entries.find(name, record_type) {
                    return dictionary.len() as u32 + number;
                }
                // Only determined at the first new name, since ordinary batches have none.
                let room = room.get_or_insert_with(|| shares.lock().room(server_id, &self.added, now));
                self.number(dictionary, room, server_id, name, record_type)
            });
            numbers.push(RecordId::new(number));
        });
        numbers
    }

    /// Assigns a number to a record that has not been seen before.
    fn number(
        &mut self,
        dictionary: &Dictionary,
        room: &mut u64,
        server_id: ServerId,
        name: &str,
        record_type: RecordType,
    ) -> u32 {
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

    /// Adds the names to a write, numbered from `base`.
    pub(crate) fn put(&self, database: &Database, batch: &mut WriteBatch, base: usize) {
        for (number, (name, record_type)) in (base as u32..).zip(self.iter()) {
            put(database, batch, RecordId::new(number), name, record_type);
        }
    }
}

fn put(database: &Database, batch: &mut WriteBatch, record_id: RecordId, name: &str, record_type: RecordType) {
    let value = [&record_type.value().to_be_bytes(), name.as_bytes()].concat();
    batch.put_cf(database.family(key::NAMES), record_id.to_be_bytes(), value);
}

/// Read access to the dictionary.
pub struct DictionaryReader<'a> {
    guard: ReadGuard<'a, Dictionary>,
}

impl<'a> DictionaryReader<'a> {
    pub(crate) fn new(guard: ReadGuard<'a, Dictionary>) -> Self {
        DictionaryReader { guard }
    }

    /// Returns the canonical name and type of a record.
    pub fn get(&self, record_id: RecordId) -> Option<(&str, RecordType)> {
        self.guard.entries.get(record_id.get())
    }

    /// Returns the number of a record, given its canonical name.
    pub fn find(&self, name: &str, record_type: RecordType) -> Option<RecordId> {
        self.guard.entries.find(name, record_type).map(RecordId::new)
    }

    /// Upper bound of all numbers (exclusive). Not every number still belongs to a record.
    pub fn len(&self) -> usize {
        self.guard.len()
    }

    /// Always `false`: [`OTHER`] is always present.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns all records in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (RecordId, &str, RecordType)> {
        let ids = (0..self.len() as u32).map(RecordId::new);
        ids.filter_map(|record_id| self.get(record_id).map(|(name, record_type)| (record_id, name, record_type)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    #[test]
    fn a_folded_name_is_told_from_real_names_that_begin_like_it() {
        for (name, folded) in [
            ("<other>", true),
            ("<other> .", true),
            ("<other> example.", true),
            ("<other>.", false),
            ("<other>.example.", false),
            ("<other>\\032example.", false),
            ("<other>x.example.", false),
            ("www.example.", false),
        ] {
            assert_eq!(is_folded(name), folded, "{name}");
            assert_ne!(zonepulse_dns::name::is_canonical(name), folded, "{name}");
        }
    }

    fn names(range: Range<usize>) -> Vec<String> {
        range.map(|number| format!("host-{number}.example.")).collect()
    }

    fn dictionary(names: &[String]) -> Dictionary {
        let mut dictionary = Dictionary { entries: Entries::default(), owners: Owners::default(), protected_cost: 0 };
        let mut pending = Pending::default();
        for name in names {
            pending.entries.push(name, RecordType::A);
            pending.owners.push(ServerId::new(1));
        }
        dictionary.adopt(&pending);
        dictionary
    }

    #[test]
    fn of_many_names_some_of_which_vanish_the_others_are_found_and_numbers_stay() {
        let all = names(0..5000);
        let mut dictionary = dictionary(&all);
        // Deterministic, but unrelated to the order of the table.
        let is_gone = |number: &u32| number.wrapping_mul(2_654_435_761).is_multiple_of(3);
        let gone: BTreeSet<RecordId> = (0..5000).filter(is_gone).map(RecordId::new).collect();
        for some in gone.iter().copied().collect::<Vec<_>>().chunks(100) {
            let some: BTreeSet<RecordId> = some.iter().copied().collect();
            assert_eq!(dictionary.forget(&some), (some.len() as u64, Counts::from([(ServerId::new(1), some.len() as u64)])));
            assert_eq!(dictionary.forget(&some).0, 0, "they are gone already");
        }
        let expect = |dictionary: &Dictionary| {
            assert_eq!(dictionary.count(), 5000 - gone.len());
            for (number, name) in (0u32..).zip(&all) {
                let there = !gone.contains(&RecordId::new(number));
                assert_eq!(dictionary.entries.find(name, RecordType::A), there.then_some(number));
                assert_eq!(dictionary.name(RecordId::new(number)), there.then_some(name.as_str()));
            }
        };
        expect(&dictionary);
        let mut compaction = Compaction::default();
        while !compaction.step(&dictionary) {}
        let bytes = dictionary.entries.text.len();
        // Names added while the compaction is running are not lost.
        let late = ["late.example.".to_owned()];
        let mut pending = Pending::default();
        pending.entries.push(&late[0], RecordType::A);
        pending.owners.push(ServerId::new(2));
        dictionary.adopt(&pending);
        drop(dictionary.compact(compaction));
        assert!(dictionary.entries.text.len() < bytes);
        assert_eq!(dictionary.entries.find(&late[0], RecordType::A), Some(5000));
        dictionary.forget(&BTreeSet::from([RecordId::new(5000)]));
        expect(&dictionary);
    }
}
