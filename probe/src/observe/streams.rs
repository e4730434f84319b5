//! TCP segments, and the streams they belong to.
//!
//! Each direction of a connection is a separate [`Stream`]. Only streams with data are kept. Starts
//! of connections are recorded in a table of fixed size, so that a flood of connection attempts
//! costs nothing and displaces no stream. There are at most [`MAX_STREAMS`], which hold at most
//! [`MAX_BYTES`]; beyond that, those idle longest are evicted, and both they and what they held are
//! counted.

use super::Sink;
use super::scope::Side;
use super::stream::{Part, Stream};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use zonepulse_wire::Counter;

/// Default maximum number of streams.
const MAX_STREAMS: usize = 65_536;
/// Default limit for data held by all streams, bytes.
const MAX_BYTES: usize = 32 << 20;
/// Overhead of a stream, bytes.
const STREAM_BYTES: usize = size_of::<Slot>() + 16;
/// How long an idle stream is kept, nanoseconds. Servers close idle connections after some seconds
/// to minutes (RFC 7766 section 6.2.3). An evicted stream that continues is picked up again by a
/// search.
const MAX_IDLE_NS: u64 = 120_000_000_000;
/// Number of starts of connections recorded.
const BEGINNINGS: usize = 65_536;
/// No slot.
const NONE: u32 = u32::MAX;

/// A TCP segment (RFC 9293 section 3.1).
#[derive(Debug)]
pub(super) struct Segment<'a> {
    key: Key,
    flags: u8,
    confirmed: u32,
    part: Part<'a>,
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Identifies one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: (u128, u16),
    destination: (u128, u16),
}

impl<'a> Segment<'a> {
    /// Reads a segment; `None` if its header is truncated. `length` is the length on the wire.
    #[inline]
    pub(super) fn read((source, destination): (u128, u128), (octets, length): (&'a [u8], usize), time_ns: u64) -> Option<Self> {
        let (header, _) = octets.split_first_chunk::<20>()?;
        let [a, b, c, d, sequence @ .., e, f, g, h, offset, flags, _, _, _, _, _, _] = *header;
        let header_length = usize::from(offset >> 4) * 4;
        if header_length < 20 {
            return None;
        }
        let data = octets.get(header_length..)?;
        Some(Segment {
            key: Key { source: (source, u16::from_be_bytes([a, b])), destination: (destination, u16::from_be_bytes([c, d])) },
            flags,
            confirmed: u32::from_be_bytes([e, f, g, h]),
            part: Part {
                sequence: u32::from_be_bytes(sequence),
                time_ns,
                octets: data,
                missing: length.saturating_sub(octets.len()),
                last: flags & FIN != 0,
            },
        })
    }

    /// Source address and port.
    pub(super) fn source(&self) -> (u128, u16) {
        self.key.source
    }

    /// Destination address and port.
    pub(super) fn destination(&self) -> (u128, u16) {
        self.key.destination
    }

    /// The segment's payload.
    pub(super) fn octets(&self) -> &'a [u8] {
        self.part.octets
    }

    fn is_empty(&self) -> bool {
        self.part.octets.is_empty() && self.part.missing == 0
    }
}

#[derive(Debug)]
pub(super) struct Streams {
    hasher: DefaultHashBuilder,
    /// Slots by key.
    index: HashTable<u32>,
    slots: Vec<Slot>,
    /// The first unused slot; they are chained by `older`.
    free: u32,
    newest: u32,
    oldest: u32,
    /// The upper half of a key's hash, and the sequence number of its first message, indexed by the
    /// lower part of the hash.
    beginnings: Vec<(u32, u32)>,
    /// Data held by all streams, bytes.
    bytes: usize,
    max_bytes: usize,
    max_streams: usize,
    /// Number of streams with a gap.
    gaps: usize,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    hash: u64,
    side: Side,
    stream: Stream,
    seen_ns: u64,
    newer: u32,
    older: u32,
}

impl Streams {
    pub(super) fn new() -> Self {
        Streams {
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            slots: Vec::new(),
            free: NONE,
            newest: NONE,
            oldest: NONE,
            beginnings: vec![(0, 0); BEGINNINGS],
            bytes: 0,
            max_bytes: MAX_BYTES,
            max_streams: MAX_STREAMS,
            gaps: 0,
        }
    }

    /// Half of it is for the streams, half for the data they hold.
    pub(super) fn set_max_bytes(&mut self, max_bytes: usize) {
        let rest = max_bytes.saturating_sub(size_of_val(&*self.beginnings));
        self.max_bytes = (rest / 2).min(MAX_BYTES);
        self.max_streams = (rest / 2 / STREAM_BYTES).clamp(1, MAX_STREAMS);
    }

    /// Reads a segment of a watched endpoint.
    #[inline]
    pub(super) fn segment(&mut self, segment: &Segment<'_>, side: Side, sink: &mut impl Sink) {
        if self.gaps > 0 && segment.flags & ACK != 0 {
            self.confirm(segment, sink);
        }
        if segment.is_empty() && segment.flags & (SYN | FIN | RST) == 0 {
            return;
        }
        let hash = self.hasher.hash_one(segment.key);
        let mut part = segment.part;
        if segment.flags & SYN != 0 {
            part.sequence = part.sequence.wrapping_add(1);
            self.begin(&segment.key, hash, part.sequence, sink);
        }
        let found = self.find(&segment.key, hash);
        if segment.flags & RST != 0 {
            return found.map_or((), |number| self.remove(number, sink));
        }
        let number = match found {
            Some(number) => number,
            None if segment.is_empty() => return,
            None => {
                let stream = self.first_part(hash, part.sequence);
                self.insert(segment.key, hash, side, stream, sink)
            }
        };
        self.take(number, &part, side, sink);
    }

    pub(super) fn expire(&mut self, now_ns: u64, sink: &mut impl Sink) {
        while let Some(slot) = self.slot(self.oldest)
            && slot.seen_ns.saturating_add(MAX_IDLE_NS) <= now_ns
        {
            self.remove(self.oldest, sink);
        }
        if self.gaps > 0 {
            let mut number = self.oldest;
            while let Some(slot) = self.slot(number) {
                let newer = slot.newer;
                if slot.stream.has_gap() {
                    self.with(number, |stream, side| stream.close_overdue_gap(now_ns, side, sink));
                }
                number = newer;
            }
        }
    }

    /// Adjusts for a step of the clock.
    pub(super) fn shift(&mut self, by_ns: i64) {
        for slot in &mut self.slots {
            slot.seen_ns = slot.seen_ns.saturating_add_signed(by_ns);
            slot.stream.shift(by_ns);
        }
    }

    pub(super) fn finish(&mut self, sink: &mut impl Sink) {
        while self.oldest != NONE {
            self.remove(self.oldest, sink);
        }
    }

    /// Records the start of a connection, which ends any earlier one between the same ports.
    fn begin(&mut self, key: &Key, hash: u64, next: u32, sink: &mut impl Sink) {
        if let Some(number) = self.find(key, hash)
            && !self.slot(number).is_some_and(|slot| slot.stream.begins_at(next))
        {
            self.remove(number, sink);
        }
        if let Some(beginning) = self.beginnings.get_mut(hash as usize % BEGINNINGS) {
            *beginning = ((hash >> 32) as u32, next);
        }
    }

    /// A new stream whose first data has this sequence number.
    fn first_part(&mut self, hash: u64, sequence: u32) -> Stream {
        if let Some(beginning) = self.beginnings.get_mut(hash as usize % BEGINNINGS)
            && beginning.0 == (hash >> 32) as u32
        {
            // Used only once: an evicted stream does not start there again.
            let (_, next) = std::mem::take(beginning);
            let stream = Stream::new(next, true);
            if stream.is_near(sequence) {
                return stream;
            }
        }
        Stream::new(sequence, false)
    }

    fn take(&mut self, number: u32, part: &Part<'_>, side: Side, sink: &mut impl Sink) {
        self.touch(number, part.time_ns);
        self.with(number, |stream, _| {
            if !stream.is_near(part.sequence) {
                stream.close(side, sink);
                *stream = Stream::new(part.sequence, false);
            }
            stream.part(part, side, sink);
        });
        if self.slot(number).is_some_and(|slot| slot.stream.is_finished()) {
            self.remove(number, sink);
        }
        while self.bytes > self.max_bytes && self.oldest != NONE {
            self.evict(sink);
        }
    }

    /// The other direction's stream need not wait for what this end has acknowledged.
    fn confirm(&mut self, segment: &Segment<'_>, sink: &mut impl Sink) {
        let reverse = Key { source: segment.key.destination, destination: segment.key.source };
        let Some(number) = self.find(&reverse, self.hasher.hash_one(reverse)) else { return };
        let (before, now_ns) = (segment.confirmed, segment.part.time_ns);
        self.with(number, |stream, side| stream.confirmed(before, now_ns, side, sink));
    }

    /// Works on a stream, and updates the totals over all streams.
    #[inline]
    fn with(&mut self, number: u32, work: impl FnOnce(&mut Stream, Side)) {
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        let before = (slot.stream.bytes(), slot.stream.has_gap());
        work(&mut slot.stream, slot.side);
        let after = (slot.stream.bytes(), slot.stream.has_gap());
        self.bytes = self.bytes - before.0 + after.0;
        self.gaps = self.gaps - usize::from(before.1) + usize::from(after.1);
    }

    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)
    }

    #[inline]
    fn find(&self, key: &Key, hash: u64) -> Option<u32> {
        self.index.find(hash, |&number| self.slot(number).is_some_and(|slot| slot.key == *key)).copied()
    }

    fn insert(&mut self, key: Key, hash: u64, side: Side, stream: Stream, sink: &mut impl Sink) -> u32 {
        if self.index.len() >= self.max_streams {
            self.evict(sink);
        }
        let slot = Slot { key, hash, side, stream, seen_ns: 0, newer: NONE, older: NONE };
        let number = match self.slots.get_mut(self.free as usize) {
            Some(unused) => {
                let number = self.free;
                self.free = unused.older;
                *unused = slot;
                number
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, number, |&number| slots.get(number as usize).map_or(0, |slot| slot.hash));
        self.link_newest(number);
        number
    }

    fn evict(&mut self, sink: &mut impl Sink) {
        sink.add(Counter::StreamsEvicted, 1);
        self.remove(self.oldest, sink);
    }

    fn remove(&mut self, number: u32, sink: &mut impl Sink) {
        self.with(number, |stream, side| {
            stream.close(side, sink);
            *stream = Stream::new(0, false);
        });
        self.unlink(number);
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        slot.older = self.free;
        self.free = number;
        if let Ok(entry) = self.index.find_entry(slot.hash, |&other| other == number) {
            entry.remove();
        }
    }

    /// Makes a stream the most recently used.
    #[inline]
    fn touch(&mut self, number: u32, now_ns: u64) {
        if self.newest != number {
            self.unlink(number);
            self.link_newest(number);
        }
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.seen_ns = now_ns;
        }
    }

    fn unlink(&mut self, number: u32) {
        let Some(&Slot { newer, older, .. }) = self.slot(number) else { return };
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, number: u32) {
        let before = self.newest;
        if let Some(slot) = self.slots.get_mut(number as usize) {
            (slot.newer, slot.older) = (NONE, before);
        }
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.newer = number,
            None => self.oldest = number,
        }
        self.newest = number;
    }
}
