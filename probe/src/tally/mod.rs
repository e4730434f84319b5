//! The table: hits summed by record and kind.
//!
//! Every message is one look-up here, and on real traffic the table is larger than
//! the processor's near caches, so a look-up is mostly waiting for memory: for the
//! index, then for the record, then for its name. The table therefore lets a few
//! hits wait and takes each of these steps for all of them before the next, so
//! that their waits overlap.
//!
//! A record is a line of memory of its own with the sums of two kinds in it, which
//! for nearly every record is all it has: requests, and responses with one code.
//! No hit allocates once its record is known.
//!
//! The table is bounded. When it is full, hits of records that are not in it fold
//! into the sums of `<other>`: totals stay exact, and so does every record that
//! was in the table before.

mod index;
mod name;
#[cfg(test)]
mod tests;

use index::Index;
use name::{MAX_WORDS, Seeds};
use std::collections::BTreeMap;
use zonepulse_dns::{MessageKind, RecordType, name as dns_name};

/// The name under which what did not fit is reported. No domain name is written so.
pub const OTHER: &str = "<other>";

/// How many hits wait at most.
const MAX_WAITING: usize = 16;
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
    waiting: [Waiting; MAX_WAITING],
    waiting_count: usize,
    index: Index,
    records: Vec<Record>,
    names: Vec<u64>,
    more: Vec<More>,
    other: BTreeMap<MessageKind, Sum>,
    folded: u64,
}

/// A hit that waits for its look-up.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    time_ms: u64,
    hash: u32,
    kind: MessageKind,
    record_type: u16,
    name_length: u8,
    word_count: u8,
    name: [u64; MAX_WORDS],
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

impl Table {
    /// An empty table for at most this many records, whose names are at most so
    /// many octets all in all (each rounded up to eight).
    pub fn new(max_records: usize, max_name_octets: usize) -> Self {
        Table {
            max_records: max_records.min(NONE as usize),
            max_name_words: (max_name_octets / 8).min(NONE as usize),
            seeds: Seeds::random(),
            waiting: [Waiting::NONE; MAX_WAITING],
            waiting_count: 0,
            index: Index::new(),
            records: Vec::new(),
            names: Vec::new(),
            more: Vec::new(),
            other: BTreeMap::new(),
            folded: 0,
        }
    }

    /// Adds a hit at this time, Unix milliseconds; `name` is in wire format.
    #[inline]
    pub fn add(&mut self, name: &[u8], record_type: RecordType, kind: MessageKind, time_ms: u64) {
        if self.waiting_count == MAX_WAITING {
            self.look_up();
        }
        let Some(hit) = self.waiting.get_mut(self.waiting_count) else { return };
        let (word_count, hash) = self.seeds.lower_and_hash(name, record_type.value(), &mut hit.name);
        hit.time_ms = time_ms;
        hit.hash = hash;
        hit.kind = kind;
        hit.record_type = record_type.value();
        hit.name_length = name.len().min(dns_name::MAX_WIRE) as u8;
        hit.word_count = word_count as u8;
        self.waiting_count += 1;
    }

    /// What it holds.
    pub fn contents(&mut self) -> Contents<'_> {
        self.look_up();
        Contents { table: self }
    }

    /// Empties it; keeps its memory.
    pub fn clear(&mut self) {
        self.waiting_count = 0;
        self.index.clear();
        self.records.clear();
        self.names.clear();
        self.more.clear();
        self.other.clear();
        self.folded = 0;
    }

    /// Counts the hits that wait.
    fn look_up(&mut self) {
        let mut candidates = [NONE; MAX_WAITING];
        let mut names_at = [0; MAX_WAITING];
        let mut first_words = [0; MAX_WAITING];
        let waiting = self.waiting.get(..self.waiting_count).unwrap_or_default();
        for (hit, candidate) in waiting.iter().zip(&mut candidates) {
            *candidate = self.index.first(hit.hash);
        }
        for (candidate, name_at) in candidates.iter().zip(&mut names_at) {
            *name_at = self.records.get(*candidate as usize).map_or(0, |record| record.name_at);
        }
        for (name_at, word) in names_at.iter().zip(&mut first_words) {
            *word = self.names.get(*name_at as usize).copied().unwrap_or_default();
        }
        for at in 0..self.waiting_count {
            let candidate = candidates.get(at).copied().unwrap_or(NONE);
            let first_word = first_words.get(at).copied().unwrap_or_default();
            self.count(at, candidate, first_word);
        }
        self.waiting_count = 0;
    }

    /// Counts one hit that waits: for the candidate, if that is its record.
    #[inline]
    fn count(&mut self, at: usize, candidate: u32, first_word: u64) {
        let Some(hit) = self.waiting.get(at) else { return };
        let likely = hit.name.first() == Some(&first_word) && self.is_record(candidate, hit);
        let number = match likely {
            true => Some(candidate),
            false => self.find_or_insert(at),
        };
        let Some(hit) = self.waiting.get(at) else { return };
        let Some(record) = number.and_then(|number| self.records.get_mut(number as usize)) else {
            return self.fold(at);
        };
        for (sum, number) in record.sums.iter_mut().zip(&mut record.kinds) {
            if sum.hits == 0 {
                *number = hit.kind.number();
            } else if *number != hit.kind.number() {
                continue;
            }
            return sum.add(hit.time_ms);
        }
        self.count_more(number.unwrap_or(NONE), at);
    }

    #[inline]
    fn is_record(&self, number: u32, hit: &Waiting) -> bool {
        self.records.get(number as usize).is_some_and(|record| {
            let names = self.names.get(record.name_at as usize..).unwrap_or_default();
            let pairs = names.iter().zip(hit.words());
            record.record_type == hit.record_type
                && record.name_length == hit.name_length
                && pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
        })
    }

    /// The record of a hit, made if there is none yet; `None` when there is no room for it.
    #[cold]
    fn find_or_insert(&mut self, at: usize) -> Option<u32> {
        let hit = self.waiting.get(at)?;
        if let Some(number) = self.index.find(hit.hash, |number| self.is_record(number, hit)) {
            return Some(number);
        }
        if self.records.len() >= self.max_records || self.names.len() + hit.words().len() > self.max_name_words {
            return None;
        }
        let number = self.records.len() as u32;
        self.records.push(Record {
            sums: [Sum::NONE; 2],
            name_at: self.names.len() as u32,
            more: NONE,
            kinds: [0; 2],
            record_type: hit.record_type,
            name_length: hit.name_length,
        });
        self.names.extend_from_slice(hit.words());
        self.index.insert(hit.hash, number);
        Some(number)
    }

    #[cold]
    fn count_more(&mut self, number: u32, at: usize) {
        let Some(hit) = self.waiting.get(at) else { return };
        let Some(record) = self.records.get_mut(number as usize) else { return };
        let is_full = self.more.len() >= self.max_records;
        let mut next = record.more;
        for _ in 0..MAX_MORE {
            match self.more.get_mut(next as usize) {
                Some(more) if more.kind == hit.kind.number() => return more.sum.add(hit.time_ms),
                Some(more) => next = more.next,
                None if is_full => break,
                None => {
                    let mut more = More { sum: Sum::NONE, kind: hit.kind.number(), next: record.more };
                    more.sum.add(hit.time_ms);
                    record.more = self.more.len() as u32;
                    return self.more.push(more);
                }
            }
        }
        self.fold(at);
    }

    fn fold(&mut self, at: usize) {
        let Some(hit) = self.waiting.get(at) else { return };
        self.folded += 1;
        self.other.entry(hit.kind).or_insert(Sum::NONE).add(hit.time_ms);
    }
}

impl Waiting {
    const NONE: Waiting = Waiting {
        time_ms: 0,
        hash: 0,
        kind: MessageKind::REQUEST,
        record_type: 0,
        name_length: 0,
        word_count: 0,
        name: [0; MAX_WORDS],
    };

    #[inline]
    fn words(&self) -> &[u64] {
        self.name.get(..usize::from(self.word_count)).unwrap_or_default()
    }
}

/// What a table holds.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'t> {
    table: &'t Table,
}

/// A record of a table and its sums.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'t> {
    table: &'t Table,
    record: &'t Record,
}

impl<'t> Contents<'t> {
    /// The records, in the order in which they came.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'t>> + use<'t> {
        let table = self.table;
        table.records.iter().map(move |record| Entry { table, record })
    }

    /// The sums of what did not fit, by kind.
    pub fn other(&self) -> impl ExactSizeIterator<Item = (MessageKind, Sum)> + use<'t> {
        self.table.other.iter().map(|(kind, sum)| (*kind, *sum))
    }

    /// How many hits did not fit.
    pub fn folded(&self) -> u64 {
        self.table.folded
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
    fn add(&mut self, time_ms: u64) {
        self.hits += 1;
        self.first_ms = self.first_ms.min(time_ms);
        self.last_ms = self.last_ms.max(time_ms);
    }
}
