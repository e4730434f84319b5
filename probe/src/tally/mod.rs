//! The table: hits summed by record and kind.
//!
//! Every message is one look-up here, so the table is built for it. A record is a
//! line of memory of its own with the sums of two kinds in it, which for nearly
//! every record is all it has: requests, and responses with one code. Its name
//! lies in an arena of words, lower-cased; letters are lowered eight at a time on
//! the way into the hash. No hit allocates once its record is known.
//!
//! The table is bounded. When it is full, hits of records that are not in it fold
//! into the sums of `<other>`: totals stay exact, and so does every record that
//! was in the table before.

mod name;
#[cfg(test)]
mod tests;

use hashbrown::HashTable;
use name::{Lowered, Seeds};
use std::collections::BTreeMap;
use zonepulse_dns::{MessageKind, RecordType, name as dns_name};

/// The name under which what did not fit is reported. No domain name is written so.
pub const OTHER: &str = "<other>";

/// How many kinds of one record have sums of their own, besides those of the
/// record's line: more codes than that are a broken or a hostile server's.
const MAX_MORE: usize = 64;
/// No further kind.
const NONE: u32 = u32::MAX;

/// What is known of one record and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// How many messages; 0 for none.
    pub hits: u64,
    /// The earliest one's time, Unix milliseconds.
    pub first_ms: u64,
    /// The latest one's time, Unix milliseconds.
    pub last_ms: u64,
}

/// Hits by record and kind.
#[derive(Debug)]
pub struct Table {
    max_records: usize,
    max_name_words: usize,
    seeds: Seeds,
    index: HashTable<Slot>,
    records: Vec<Record>,
    names: Vec<u64>,
    more: Vec<More>,
    other: BTreeMap<MessageKind, Sum>,
}

/// A record's place, with enough of its hash to tell it from nearly all others.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    record: u32,
}

#[derive(Debug)]
#[repr(align(64))]
struct Record {
    sums: [Sum; 2],
    /// Where its name begins in the arena, words.
    name_at: u32,
    /// Further kinds: the first in `more`.
    more: u32,
    kinds: [u16; 2],
    record_type: u16,
    name_length: u8,
}

/// A kind for which the record's line has no room.
#[derive(Debug)]
struct More {
    sum: Sum,
    kind: u16,
    next: u32,
}

/// A record of a table and its sums.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'t> {
    table: &'t Table,
    record: &'t Record,
}

impl Table {
    /// An empty table for at most this many records, whose names are at most so
    /// many octets all in all (each rounded up to eight).
    pub fn new(max_records: usize, max_name_octets: usize) -> Self {
        Table {
            max_records: max_records.min(NONE as usize),
            max_name_words: (max_name_octets / 8).min(NONE as usize),
            seeds: Seeds::random(),
            index: HashTable::new(),
            records: Vec::new(),
            names: Vec::new(),
            more: Vec::new(),
            other: BTreeMap::new(),
        }
    }

    /// Adds a hit at this time, Unix milliseconds; `name` is in wire format. Whether
    /// it was counted under its own record: otherwise it was folded.
    #[inline]
    pub fn add(&mut self, name: &[u8], record_type: RecordType, kind: MessageKind, time_ms: u64) -> bool {
        let name = Lowered::new(name);
        let hash = self.seeds.hash(&name, record_type.value());
        let (records, names) = (&self.records, &self.names);
        let is_it = |slot: &Slot| {
            slot.hash == hash as u32
                && records.get(slot.record as usize).is_some_and(|record| {
                    record.record_type == record_type.value()
                        && usize::from(record.name_length) == name.length()
                        && names.get(record.name_at as usize..).is_some_and(|names| names.starts_with(name.words()))
                })
        };
        let number = match self.index.find(hash, is_it) {
            Some(slot) => slot.record,
            None if self.has_room(&name) => self.insert(&name, record_type, hash),
            None => {
                Sum::add_to(self.other.entry(kind).or_insert(Sum::NONE), time_ms);
                return false;
            }
        };
        self.count(number, kind, time_ms)
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was added, folded hits included.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.other.is_empty()
    }

    /// The records, in the order in which they came.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.records.iter().map(|record| Entry { table: self, record })
    }

    /// The sums of what did not fit, by kind.
    pub fn other(&self) -> impl ExactSizeIterator<Item = (MessageKind, Sum)> + '_ {
        self.other.iter().map(|(kind, sum)| (*kind, *sum))
    }

    /// Empties it; keeps its memory.
    pub fn clear(&mut self) {
        self.index.clear();
        self.records.clear();
        self.names.clear();
        self.more.clear();
        self.other.clear();
    }

    fn has_room(&self, name: &Lowered) -> bool {
        self.records.len() < self.max_records && self.names.len() + name.words().len() <= self.max_name_words
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, name: &Lowered, record_type: RecordType, hash: u64) -> u32 {
        let number = self.records.len() as u32;
        self.records.push(Record {
            sums: [Sum::NONE; 2],
            name_at: self.names.len() as u32,
            more: NONE,
            kinds: [0; 2],
            record_type: record_type.value(),
            name_length: name.length() as u8,
        });
        self.names.extend_from_slice(name.words());
        // The index takes a hash's upper bits for its tags and lower bits for its places: both
        // halves of what is kept here, so that it grows without looking at names.
        self.index.insert_unique(hash, Slot { hash: hash as u32, record: number }, |slot| Seeds::spread(slot.hash));
        number
    }

    #[inline]
    fn count(&mut self, number: u32, kind: MessageKind, time_ms: u64) -> bool {
        let Some(record) = self.records.get_mut(number as usize) else { return false };
        for (sum, number) in record.sums.iter_mut().zip(&mut record.kinds) {
            if sum.hits == 0 {
                *number = kind.number();
            } else if *number != kind.number() {
                continue;
            }
            sum.add_to(time_ms);
            return true;
        }
        self.count_more(number, kind, time_ms)
    }

    #[cold]
    fn count_more(&mut self, number: u32, kind: MessageKind, time_ms: u64) -> bool {
        let Some(record) = self.records.get_mut(number as usize) else { return false };
        let mut at = record.more;
        for _ in 0..MAX_MORE {
            let Some(more) = self.more.get_mut(at as usize) else {
                if self.more.len() >= self.max_records {
                    break;
                }
                let mut sum = Sum::NONE;
                sum.add_to(time_ms);
                self.more.push(More { sum, kind: kind.number(), next: record.more });
                record.more = self.more.len() as u32 - 1;
                return true;
            };
            if more.kind == kind.number() {
                more.sum.add_to(time_ms);
                return true;
            }
            at = more.next;
        }
        Sum::add_to(self.other.entry(kind).or_insert(Sum::NONE), time_ms);
        false
    }
}

impl<'t> Entry<'t> {
    /// Appends the name's canonical text; `false`, and nothing appended, when it was no name.
    pub fn push_name(&self, text: &mut String) -> bool {
        let mut wire = [0; dns_name::MAX_WIRE + 1];
        let words = self.table.names.get(self.record.name_at as usize..).unwrap_or_default();
        for (room, word) in wire.as_chunks_mut().0.iter_mut().zip(words) {
            *room = word.to_le_bytes();
        }
        wire.get(..usize::from(self.record.name_length)).is_some_and(|wire| dns_name::push_text(wire, text))
    }

    /// The record's type.
    pub fn record_type(&self) -> RecordType {
        RecordType::new(self.record.record_type)
    }

    /// The kinds that have hits, in no order.
    pub fn sums(&self) -> impl Iterator<Item = (MessageKind, Sum)> + 't {
        let Entry { table, record } = *self;
        let mut at = record.more;
        let more = std::iter::from_fn(move || {
            let more = table.more.get(at as usize)?;
            at = more.next;
            Some((more.kind, more.sum))
        });
        let line = record.kinds.iter().copied().zip(record.sums).filter(|(_, sum)| sum.hits > 0);
        line.chain(more).filter_map(|(kind, sum)| Some((MessageKind::from_number(kind)?, sum)))
    }
}

impl Sum {
    /// Of nothing.
    pub const NONE: Sum = Sum { hits: 0, first_ms: u64::MAX, last_ms: 0 };

    #[inline]
    fn add_to(&mut self, time_ms: u64) {
        self.hits += 1;
        self.first_ms = self.first_ms.min(time_ms);
        self.last_ms = self.last_ms.max(time_ms);
    }
}
