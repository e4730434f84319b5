//! The table: hits summed by record and kind.
//!
//! Every message requires one look-up here. With real traffic the table exceeds the processor's
//! near caches, so a look-up mostly waits for memory: for the index, then the record, then its
//! name. The table therefore queues a few hits and performs each step for all of them before the
//! next, so that their waits overlap.
//!
//! A record is a cache line with the sums of two kinds, which is enough for nearly all records:
//! requests, and responses with one code. Hits of known records do not allocate.
//!
//! The table is bounded. When it is full, hits of unknown records are folded into the sums of
//! `<other>`, one for each known zone (`zones.rs`) and one for the server. Totals stay exact, and
//! so does every record that was already in the table. Records keep their places from one interval
//! to the next; `standing.rs` decides which are evicted when space runs short.

mod contents;
mod index;
mod kind;
mod name;
mod standing;
#[cfg(test)]
mod tests;
mod zones;

pub use contents::{Contents, Entry, Other};
pub use kind::Kind;

use crate::observe::Hit;
use index::Index;
use name::{MAX_WORDS, Seeds};
use standing::{Choice, Load, Ranked, Standing};
use std::marker::PhantomData;
use zonepulse_dns::{MessageKind, RecordType, name as dns_name};
use zones::Zones;

/// Maximum memory per record without its name, bytes.
pub const BYTES_PER_RECORD: usize =
    size_of::<Record>() + size_of::<Standing>() + index::BYTES_PER_NUMBER + size_of::<More>() / MORE_SHARE;

/// Maximum number of queued hits.
const MAX_WAITING: usize = 16;
/// Maximum number of further kinds of one record, besides those in its line: only broken or hostile
/// servers use more codes.
const MAX_MORE: usize = 64;
/// One in this many records may have further kinds.
const MORE_SHARE: usize = 4;
/// Zones are learnt once this many eighths of the places are taken.
const ATTENTIVE_EIGHTHS: usize = 4;
/// Maximum number of records, and of words of names, for which address space is reserved at once.
const MAX_RESERVED: usize = 1 << 22;
/// No further kind.
const NONE: u32 = u32::MAX;

/// The hits of one record and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Number of messages; 0 for none.
    pub hits: u64,
    /// Time of the earliest, Unix milliseconds.
    pub first_ms: u64,
    /// Time of the latest, Unix milliseconds.
    pub last_ms: u64,
}

/// Hits by record and kind: messages by default, or what they served.
#[derive(Debug)]
pub struct Table<K = MessageKind> {
    bound: Load,
    load: Load,
    seeds: Seeds,
    waiting: [Waiting; MAX_WAITING],
    waiting_count: usize,
    index: Index,
    records: Vec<Record>,
    names: Vec<u64>,
    more: Vec<More>,
    standings: Vec<Standing>,
    zones: Zones,
    /// Whether zones are learnt: from half full on.
    is_attentive: bool,
    /// Whether records were already evicted in this interval.
    has_made_room: bool,
    folded: u64,
    forgotten: u64,
    kinds: PhantomData<K>,
}

/// A queued hit.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    time_ms: u64,
    hash: u32,
    kind: u16,
    record_type: u16,
    name_length: u8,
    word_count: u8,
    is_positive: bool,
    /// The zone named by the message itself.
    zone: zones::Number,
    name: [u64; MAX_WORDS],
}

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Record {
    sums: [Sum; 2],
    /// Where its name begins in the arena, words.
    name_at: u32,
    /// The first of its further kinds in `more`.
    more: u32,
    kinds: [u16; 2],
    record_type: u16,
    name_length: u8,
    /// Whether there was a positive answer in this interval.
    is_positive: bool,
}

/// A kind that does not fit in the record's line.
#[derive(Debug, Clone, Copy)]
struct More {
    sum: Sum,
    kind: u16,
    next: u32,
}

impl<K: Kind> Table<K> {
    /// An empty table for at most this many records, with names of at most this many octets in
    /// total (each rounded up to eight, and as text).
    ///
    /// Reserves address space for all of it, but uses memory only as it fills.
    pub fn new(max_records: usize, max_name_octets: usize) -> Self {
        let max_records = max_records.min(NONE as usize);
        let max_words = (max_name_octets / 8).min(NONE as usize);
        Table {
            bound: Load { records: max_records, words: max_words, text_octets: max_name_octets },
            load: Load::default(),
            seeds: Seeds::random(),
            waiting: [Waiting::NONE; MAX_WAITING],
            waiting_count: 0,
            index: Index::default(),
            records: Vec::with_capacity(max_records.min(MAX_RESERVED)),
            names: Vec::with_capacity(max_words.min(MAX_RESERVED)),
            more: Vec::new(),
            standings: Vec::with_capacity(max_records.min(MAX_RESERVED)),
            zones: Zones::default(),
            is_attentive: false,
            has_made_room: false,
            folded: 0,
            forgotten: 0,
            kinds: PhantomData,
        }
    }

    /// Queues a hit; returns where.
    #[inline(always)]
    fn queue(&mut self, name: &[u8], record_type: RecordType, kind: K, time_ms: u64, is_positive: bool) -> usize {
        if self.waiting_count == MAX_WAITING {
            self.look_up();
        }
        let at = self.waiting_count;
        let Some(hit) = self.waiting.get_mut(at) else { return at };
        let record_type = record_type.value();
        let (word_count, hash) = self.seeds.lower_and_hash(name, record_type, &mut hit.name);
        hit.time_ms = time_ms;
        hit.hash = hash;
        hit.kind = kind.number();
        hit.record_type = record_type;
        hit.name_length = name.len().min(dns_name::MAX_WIRE) as u8;
        hit.word_count = word_count as u8;
        hit.is_positive = is_positive;
        hit.zone = zones::SERVER;
        self.waiting_count += 1;
        at
    }

    /// Learns the zone of a queued hit, whose name ends with the zone's name of this length.
    fn learn(&mut self, at: usize, zone_length: usize) {
        let Some(hit) = self.waiting.get_mut(at) else { return };
        let octets = name::octets(hit.words());
        let name = octets.get(..usize::from(hit.name_length)).unwrap_or_default();
        if let Some(zone) = name.len().checked_sub(zone_length).and_then(|from| name.get(from..)) {
            hit.zone = self.zones.learn(&self.seeds, zone);
        }
    }

    /// Counts queued hits, and gives read access to the table.
    pub fn contents(&mut self) -> Contents<'_, K> {
        self.look_up();
        Contents::new(self)
    }

    /// Ends an interval: clears the sums and keeps the records, as far as the policy of
    /// `standing.rs` allows.
    pub fn close_interval(&mut self) {
        self.look_up();
        (self.folded, self.forgotten, self.has_made_room) = (0, 0, false);
        let mut ranked = Ranked::new();
        for (record, standing) in self.records.iter().zip(&mut self.standings) {
            let hits = record.few_hits();
            standing.close_interval(hits, record.is_positive);
            ranked.add(standing.rank(hits), record.load(&self.names));
        }
        let mut choice = Choice::new(self.bound, &ranked);
        self.retain(|record, standing, load| choice.stays(standing.rank(record.few_hits()), load));
        self.more.clear();
        for record in &mut self.records {
            *record = Record { sums: [Sum::NONE; 2], more: NONE, is_positive: false, ..*record };
        }
        self.zones.close_interval(&self.seeds);
    }

    /// Begins the interval after another table's, which is still open, with the same records.
    pub fn follow(&mut self, other: &mut Table<K>) {
        other.look_up();
        (self.bound, self.load) = (other.bound, other.load);
        self.seeds = other.seeds;
        self.waiting_count = 0;
        self.index.clone_from(&other.index);
        self.records.clone_from(&other.records);
        self.names.clone_from(&other.names);
        self.standings.clone_from(&other.standings);
        self.zones.clone_from(&other.zones);
        self.is_attentive = other.is_attentive;
        self.close_interval();
    }

    /// Keeps the selected records, in their order.
    fn retain(&mut self, mut stays: impl FnMut(&Record, Standing, Load) -> bool) {
        let before = self.records.len();
        let mut load = Load::default();
        for number in 0..before {
            let Some((record, standing)) = self.records.get(number).copied().zip(self.standings.get(number).copied()) else {
                break;
            };
            let one = record.load(&self.names);
            if !stays(&record, standing, one) {
                continue;
            }
            let (from, to) = (record.name_at as usize, load.words);
            if from != to {
                self.names.copy_within(from..from + one.words, to);
            }
            let kept = self.records.get_mut(load.records).zip(self.standings.get_mut(load.records));
            if let Some((record_to, standing_to)) = kept {
                (*record_to, *standing_to) = (Record { name_at: to as u32, ..record }, standing);
            }
            load.add(one);
        }
        self.load = load;
        self.is_attentive = !load.fits(self.bound, ATTENTIVE_EIGHTHS);
        if load.records == before {
            return;
        }
        self.forgotten += (before - load.records) as u64;
        self.records.truncate(load.records);
        self.standings.truncate(load.records);
        self.names.truncate(load.words);
        self.index.clear();
        for (number, record) in (0..).zip(&self.records) {
            let hash = self.seeds.hash(record.words(&self.names), record.name_length, record.record_type);
            self.index.insert(hash, number);
        }
    }

    /// Counts the queued hits.
    fn look_up(&mut self) {
        let mut candidates = [NONE; MAX_WAITING];
        let mut names_at = [0; MAX_WAITING];
        let mut first_words = [0; MAX_WAITING];
        let waiting = self.waiting.get(..self.waiting_count).unwrap_or_default();
        for (hit, candidate) in waiting.iter().zip(&mut candidates) {
            *candidate = self.index.likely(hit.hash);
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

    /// Counts a queued hit, on the candidate if that is its record.
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
        record.is_positive |= hit.is_positive;
        // Select the second sum if the first is of another kind, without a branch: the order of
        // requests and responses is unpredictable.
        let [first, _] = record.kinds;
        let slot = usize::from(record.is_active() & (first != hit.kind));
        if let (Some(sum), Some(kind)) = (record.sums.get_mut(slot), record.kinds.get_mut(slot)) {
            if sum.hits == 0 {
                *kind = hit.kind;
            }
            if *kind == hit.kind {
                return sum.add(hit.time_ms);
            }
        }
        self.count_more(number.unwrap_or(NONE), at);
    }

    #[inline]
    fn is_record(&self, number: u32, hit: &Waiting) -> bool {
        self.records.get(number as usize).is_some_and(|record| {
            let names = self.names.get(record.name_at as usize..).unwrap_or_default();
            record.record_type == hit.record_type
                && record.name_length == hit.name_length
                && names.get(..hit.words().len()).is_some_and(|words| are_equal(words, hit.words()))
        })
    }

    /// The record of a hit, created if necessary; `None` if there is no space.
    #[cold]
    fn find_or_insert(&mut self, at: usize) -> Option<u32> {
        let hit = self.waiting.get(at)?;
        if let Some(number) = self.index.find(hit.hash, |number| self.is_record(number, hit)) {
            return Some(number);
        }
        let load = self.room_for(at).or_else(|| {
            self.make_room();
            self.room_for(at)
        })?;
        let hit = self.waiting.get(at)?;
        let number = self.records.len() as u32;
        self.records.push(Record {
            sums: [Sum::NONE; 2],
            name_at: self.names.len() as u32,
            more: NONE,
            kinds: [0; 2],
            record_type: hit.record_type,
            name_length: hit.name_length,
            is_positive: false,
        });
        self.names.extend_from_slice(hit.words());
        self.standings.push(Standing::default());
        self.index.insert(hit.hash, number);
        self.load.add(load);
        self.is_attentive |= !self.load.fits(self.bound, ATTENTIVE_EIGHTHS);
        Some(number)
    }

    /// The memory for a hit's record, if it fits. The last places are reserved for positive
    /// responses.
    fn room_for(&self, at: usize) -> Option<Load> {
        let hit = self.waiting.get(at)?;
        let eighths = if hit.is_positive { 8 } else { 7 };
        let fits = |one: &Load| {
            let mut load = self.load;
            load.add(*one);
            load.fits(self.bound, eighths)
        };
        // In a flood no record fits; then skip work on the name.
        let is_full = !fits(&Load { records: 1, ..Load::default() });
        (!is_full).then(|| hit.load()).filter(fits)
    }

    /// Evicts unanswered records without hits in this interval.
    fn make_room(&mut self) {
        if !self.has_made_room {
            self.has_made_room = true;
            self.retain(|record, standing, _| record.is_active() || !standing.is_unanswered());
        }
    }

    #[cold]
    fn count_more(&mut self, number: u32, at: usize) {
        let Some(hit) = self.waiting.get(at) else { return };
        let Some(record) = self.records.get_mut(number as usize) else { return };
        let is_full = self.more.len() >= self.bound.records.div_ceil(MORE_SHARE);
        let mut next = record.more;
        for _ in 0..MAX_MORE {
            match self.more.get_mut(next as usize) {
                Some(more) if more.kind == hit.kind => return more.sum.add(hit.time_ms),
                Some(more) => next = more.next,
                None if is_full => break,
                None => {
                    let mut more = More { sum: Sum::NONE, kind: hit.kind, next: record.more };
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
        let zone = match hit.zone {
            zones::SERVER => {
                let octets = name::octets(hit.words());
                let name = octets.get(..usize::from(hit.name_length)).unwrap_or_default();
                self.zones.find_longest(&self.seeds, name)
            }
            zone => zone,
        };
        self.zones.fold(zone, hit.kind, hit.time_ms);
    }
}

impl Table<MessageKind> {
    /// Adds a hit.
    #[inline]
    pub fn add(&mut self, message: &Hit<'_>) {
        let at = self.queue(message.name, message.record_type, message.kind, message.time_ms, message.is_positive());
        if self.is_attentive {
            self.learn_from(at, message);
        }
    }

    #[cold]
    fn learn_from(&mut self, at: usize, message: &Hit<'_>) {
        if let Some(zone_length) = message.zone_length() {
            self.learn(at, zone_length);
        }
    }
}

impl Record {
    /// Whether it has hits in this interval: the first sum is always used first.
    fn is_active(&self) -> bool {
        let [first, _] = self.sums;
        first.hits > 0
    }

    /// The hits in its line, which are all hits if there are few.
    fn few_hits(&self) -> u64 {
        let [first, second] = self.sums;
        first.hits.saturating_add(second.hits)
    }

    fn words<'n>(&self, names: &'n [u64]) -> &'n [u64] {
        let count = usize::from(self.name_length).div_ceil(8);
        names.get(self.name_at as usize..).and_then(|names| names.get(..count)).unwrap_or_default()
    }

    fn load(&self, names: &[u64]) -> Load {
        let words = self.words(names);
        Load { records: 1, words: words.len(), text_octets: name::text_octets(words, self.name_length) }
    }
}

/// Whether two slices of equal length are equal.
#[inline]
fn are_equal(a: &[u64], b: &[u64]) -> bool {
    let few = a.len() <= 4;
    // Nearly all names have two to four words: avoid branches on the length.
    match (a.first_chunk(), a.last_chunk(), b.first_chunk(), b.last_chunk()) {
        (Some([a, b]), Some([c, d]), Some([e, f]), Some([g, h])) if few => (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0,
        _ => a == b,
    }
}

impl Waiting {
    const NONE: Waiting = Waiting {
        time_ms: 0,
        hash: 0,
        kind: 0,
        record_type: 0,
        name_length: 0,
        word_count: 0,
        is_positive: false,
        zone: zones::SERVER,
        name: [0; MAX_WORDS],
    };

    #[inline]
    fn words(&self) -> &[u64] {
        self.name.get(..usize::from(self.word_count)).unwrap_or_default()
    }

    /// The memory of its record.
    fn load(&self) -> Load {
        Load { records: 1, words: self.words().len(), text_octets: name::text_octets(self.words(), self.name_length) }
    }
}

impl Sum {
    /// No hits.
    pub const NONE: Sum = Sum { hits: 0, first_ms: u64::MAX, last_ms: 0 };

    /// Adds another sum.
    pub fn merge(&mut self, other: &Sum) {
        self.hits += other.hits;
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
    }

    #[inline]
    fn add(&mut self, time_ms: u64) {
        self.hits += 1;
        self.first_ms = self.first_ms.min(time_ms);
        self.last_ms = self.last_ms.max(time_ms);
    }
}
