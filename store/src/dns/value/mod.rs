//! A sealed value: the points of 256 records of one server and hour, of one
//! [`Level`](crate::Level), record by record; a value of the family `sealed`.
//!
//! ```text
//! version u8 = 2 · unit_ms · parts
//! part     interval_s · kind · bytes of the rest of the part · records · points ·
//!          column of places · bytes of the hits · column of hits · columns of ages
//! column   stored bytes · bytes
//! ```
//!
//! Numbers are LEB128. An hour is cut into slots of `interval_s`. The *places*
//! are the records' low bytes (the first, then differences, a byte each),
//! then for each record a bit for each slot, lowest first, whole bytes. *Hits*
//! are LEB128, *ages* (units between the last access and the slot's last one)
//! planes of bytes, lowest first, as many as the oldest age of a slot needs; both record by
//! record, slot by slot. The unit is a second or a millisecond ([`Precision`]).
//! Version 1 has no `unit_ms`; its unit is the millisecond.
//!
//! A column whose stored bytes are fewer than its own is compressed with zstd.
//! Each is compressed by itself: the lowest plane of ages is noise, which costs
//! nothing that way, and a question that does not ask for last accesses never
//! touches their columns. A question about one record of the 256 takes its numbers
//! out of the columns and passes over the others'.

mod unpacked;

use crate::database::key::GROUP;
use crate::dns::cell::{Cell, Series};
use crate::{Error, Precision};
use parking_lot::Mutex;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use unpacked::Unpacked;
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::MessageKind;

pub(crate) const VERSION: u8 = 2;
const LEVEL_OF_COMPRESSION: i32 = 1;

/// Makes values; keeps what compressing needs.
pub(crate) struct Encoder {
    precision: Precision,
    compressor: zstd::bulk::Compressor<'static>,
    column: Vec<u8>,
    packed: Vec<u8>,
    body: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(precision: Precision) -> io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(LEVEL_OF_COMPRESSION)?;
        Ok(Encoder { precision, compressor, column: Vec::new(), packed: Vec::new(), body: Vec::new() })
    }

    /// The value of parts, rising by series; their cells are arranged.
    pub(crate) fn encode<'c>(&mut self, parts: impl Iterator<Item = (Series, &'c [Cell])>) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, u64::from(self.precision.unit_ms()));
        for ((interval_s, kind), cells) in parts.filter(|(_, cells)| !cells.is_empty()) {
            self.body.clear();
            self.part(interval_s, cells);
            put(&mut out, u64::from(interval_s));
            put(&mut out, u64::from(kind));
            put(&mut out, self.body.len() as u64);
            out.extend_from_slice(&self.body);
        }
        out
    }

    fn part(&mut self, interval_s: u32, cells: &[Cell]) {
        let slot_bytes = slots(interval_s).div_ceil(8);
        let records = || cells.chunk_by(|a, b| a.low == b.low);
        put(&mut self.body, records().count() as u64);
        put(&mut self.body, cells.len() as u64);
        self.column.clear();
        let mut before = 0;
        for low in records().filter_map(|cells| cells.first()).map(|cell| cell.low) {
            self.column.push(low - before);
            before = low;
        }
        for cells in records() {
            let begin = self.column.len();
            self.column.resize(begin + slot_bytes, 0);
            for cell in cells {
                if let Some(byte) = self.column.get_mut(begin + usize::from(cell.slot / 8)) {
                    *byte |= 1 << (cell.slot % 8);
                }
            }
        }
        self.put_column();
        self.column.clear();
        cells.iter().for_each(|cell| put(&mut self.column, cell.hits));
        put(&mut self.body, self.column.len() as u64);
        self.put_column();
        // Each with its unit as a constant: numbers are divided by it much sooner.
        match self.precision {
            Precision::Seconds => self.put_ages::<1000>(interval_s, cells),
            Precision::Milliseconds => self.put_ages::<1>(interval_s, cells),
        }
    }

    fn put_ages<const UNIT_MS: u32>(&mut self, interval_s: u32, cells: &[Cell]) {
        for plane in 0..age_bytes(interval_s, UNIT_MS) {
            self.column.clear();
            let age = |cell: &Cell| last_of_slot(interval_s, cell.slot, UNIT_MS).saturating_sub(cell.last_ms / UNIT_MS);
            self.column.extend(cells.iter().map(|cell| (age(cell) >> (8 * plane)) as u8));
            self.put_column();
        }
    }

    fn put_column(&mut self) {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.column.len()));
        let packed = self.compressor.compress_to_buffer(&self.column, &mut self.packed);
        // What does not get smaller, or cannot be compressed, is kept as it is.
        let stored = if packed.is_ok_and(|length| length < self.column.len()) { &self.packed } else { &self.column };
        put(&mut self.body, stored.len() as u64);
        self.body.extend_from_slice(stored);
    }
}

/// Reads values; keeps what decompressing needs, and the columns of one part.
pub(crate) struct Decoder {
    decompressor: zstd::bulk::Decompressor<'static>,
    /// Where columns are kept for who asks again; none where they would only displace each other.
    kept: Option<Arc<Unpacked>>,
    column: Vec<u8>,
    /// The column before.
    places: Vec<u8>,
    /// The columns of the part that was read last.
    pub columns: Columns,
}

/// Decoders that nobody uses: to make one takes as long as to read a value.
pub(crate) struct Decoders {
    idle: Mutex<Vec<Decoder>>,
    unpacked: Arc<Unpacked>,
}

impl Decoders {
    /// So many are kept.
    const MOST: usize = 16;
    /// One with room for more points, as hours of short intervals need it, is not kept.
    const MOST_POINTS: usize = 1 << 16;

    /// Who asks for at most so many records is likely to ask for them again.
    const FEW: usize = 8;

    /// Keeps so many bytes of columns.
    pub(crate) fn new(bytes: usize) -> Self {
        Decoders { idle: Mutex::default(), unpacked: Arc::new(Unpacked::new(bytes)) }
    }

    /// Does something with one, for a question about these records.
    pub(crate) fn with<T>(
        &self,
        records: Option<&[u32]>,
        work: impl FnOnce(&mut Decoder) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let idle = self.idle.lock().pop();
        let mut decoder = idle.map_or_else(Decoder::new, Ok).map_err(Error::Compression)?;
        let few = records.is_some_and(|records| records.len() <= Self::FEW);
        decoder.kept = few.then(|| self.unpacked.clone());
        let done = work(&mut decoder);
        let mut idle = self.idle.lock();
        if idle.len() < Self::MOST && decoder.columns.slots.capacity() <= Self::MOST_POINTS {
            idle.push(decoder);
        }
        done
    }
}

/// A part, one record after the other.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Low bytes of the records.
    pub lows: Vec<u8>,
    /// Slots of the points.
    pub slots: Vec<u16>,
    /// For each record, where its points end.
    pub ends: Vec<u32>,
    /// Which points of the part were read.
    runs: Vec<Range<usize>>,
    /// None when they were not asked for.
    pub hits: Vec<u64>,
    /// Last accesses, milliseconds after the hour's start; none when they were not asked for.
    pub last_ms: Vec<u32>,
}

/// A part that was not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub interval_s: u32,
    pub kind: MessageKind,
    precision: Precision,
    bytes: &'a [u8],
}

impl Part<'_> {
    pub(crate) fn series(&self) -> Series {
        (self.interval_s, self.kind.number())
    }

    /// How many points it has, as its beginning says.
    pub(crate) fn points(&self) -> Result<u64, Malformed> {
        let mut reader = Reader::new(self.bytes);
        let records = reader.below(u64::from(GROUP) + 1, "records")?;
        reader.below(records * slots(self.interval_s) as u64 + 1, "points")
    }
}

/// The parts of a value.
pub(crate) fn parts(value: &[u8]) -> Result<impl Iterator<Item = Result<Part<'_>, Malformed>>, Malformed> {
    let (precision, mut reader) = begin(value)?;
    Ok(std::iter::from_fn(move || (!reader.is_empty()).then(|| next_part(&mut reader, precision))).fuse())
}

/// What a value keeps of last accesses.
pub(crate) fn precision(value: &[u8]) -> Result<Precision, Malformed> {
    begin(value).map(|(precision, _)| precision)
}

fn begin(value: &[u8]) -> Result<(Precision, Reader<'_>), Malformed> {
    let (&version, rest) = value.split_first().ok_or(Malformed("sealed version"))?;
    let mut reader = Reader::new(rest);
    match version {
        1 => Ok((Precision::Milliseconds, reader)),
        VERSION => {
            let precision = Precision::of_unit_ms(reader.number("unit")?).ok_or(Malformed("unit"))?;
            Ok((precision, reader))
        }
        _ => Err(Malformed("sealed version")),
    }
}

fn next_part<'a>(reader: &mut Reader<'a>, precision: Precision) -> Result<Part<'a>, Malformed> {
    let part = read_part(reader, precision);
    if part.is_err() {
        // Nothing that follows can be trusted.
        *reader = Reader::new(&[]);
    }
    part
}

fn read_part<'a>(reader: &mut Reader<'a>, precision: Precision) -> Result<Part<'a>, Malformed> {
    let interval_s = reader.below(3601, "interval")? as u32;
    if interval_s == 0 || !3600u32.is_multiple_of(interval_s) {
        return Err(Malformed("interval"));
    }
    let number = reader.below(u64::from(MessageKind::COUNT), "kind")? as u16;
    let kind = MessageKind::from_number(number).ok_or(Malformed("kind"))?;
    let length = reader.number("part")? as usize;
    Ok(Part { interval_s, kind, precision, bytes: reader.bytes(length, "part")? })
}

/// What of a part is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub hits: bool,
    pub last_access: bool,
    /// Low bytes of the records, rising; `None` for all.
    pub lows: Option<&'a [u8]>,
}

impl Wanted<'_> {
    pub(crate) const EVERYTHING: Wanted<'static> = Wanted { hits: true, last_access: true, lows: None };
}

impl Decoder {
    pub(crate) fn new() -> io::Result<Self> {
        let decompressor = zstd::bulk::Decompressor::new()?;
        let (column, places) = (Vec::new(), Vec::new());
        Ok(Decoder { decompressor, kept: None, column, places, columns: Columns::default() })
    }

    /// Reads of a part into `self.columns` what is wanted.
    pub(crate) fn read(&mut self, part: &Part<'_>, wanted: &Wanted<'_>) -> Result<(), Malformed> {
        let slots = slots(part.interval_s);
        let slot_bytes = slots.div_ceil(8);
        let mut reader = Reader::new(part.bytes);
        let records = reader.below(u64::from(GROUP) + 1, "records")? as usize;
        let points = reader.below((records * slots) as u64 + 1, "points")? as usize;
        self.columns.clear();
        self.column(&mut reader, records * (1 + slot_bytes))?;
        self.columns.take_places(&self.column, records, points, slots, wanted.lows)?;
        if !wanted.hits && !wanted.last_access || self.columns.lows.is_empty() {
            return Ok(());
        }
        let hits_bytes = reader.below(10 * points as u64 + 1, "hits")? as usize;
        if wanted.hits {
            self.column(&mut reader, hits_bytes)?;
            self.columns.take_hits(&self.column, points)?;
        } else {
            skip_column(&mut reader, hits_bytes)?;
        }
        if wanted.last_access {
            self.ages(part, &mut reader, points)?;
            if !reader.is_empty() {
                return Err(Malformed("part"));
            }
        }
        Ok(())
    }

    /// Adds the hits of a part, of which each record has one point, to sums by the records' low bytes.
    ///
    /// There are many such parts and little in each: no column is made of what is added up at once.
    pub(crate) fn add_single(&mut self, part: &Part<'_>, sums: &mut [(u64, u64)]) -> Result<(), Malformed> {
        let mut reader = Reader::new(part.bytes);
        let records = reader.below(u64::from(GROUP) + 1, "records")? as usize;
        let points = reader.below(records as u64 + 1, "points")? as usize;
        self.column(&mut reader, records * 2)?;
        if records == 0 {
            return Ok(());
        }
        std::mem::swap(&mut self.column, &mut self.places);
        let hits_bytes = reader.below(10 * points as u64 + 1, "hits")? as usize;
        self.column(&mut reader, hits_bytes)?;
        let (lows, places) = self.places.split_at_checked(records).ok_or(Malformed("places"))?;
        check_single_places(lows, places, points)?;
        let mut low = 0usize;
        // 256 bytes at most, which fit.
        let mut place = |difference: &u8| {
            low = low.wrapping_add(usize::from(*difference));
            low
        };
        let mut add = |low: usize, hits: u64| {
            if let Some((sum, _)) = sums.get_mut(low) {
                *sum = sum.saturating_add(hits);
            }
        };
        if self.column.len() == points {
            lows.iter().zip(&self.column).for_each(|(difference, hits)| add(place(difference), u64::from(*hits)));
            // Every number is a byte, or the last one of them says that more follows.
            let all = self.column.iter().fold(0, |all, byte| all | byte);
            return if all >= 0x80 { Err(Malformed("hits")) } else { Ok(()) };
        }
        let mut reader = Reader::new(&self.column);
        for difference in lows {
            add(place(difference), reader.number("hits")?);
        }
        if reader.is_empty() { Ok(()) } else { Err(Malformed("hits")) }
    }

    fn ages(&mut self, part: &Part<'_>, reader: &mut Reader<'_>, points: usize) -> Result<(), Malformed> {
        let unit_ms = part.precision.unit_ms();
        self.columns.last_ms.resize(self.columns.slots.len(), 0);
        for plane in 0..age_bytes(part.interval_s, unit_ms) {
            self.column(reader, points)?;
            let mut ages = self.columns.last_ms.iter_mut();
            for run in &self.columns.runs {
                let bytes = self.column.get(run.clone()).unwrap_or_default();
                // The bytes first: an exhausted `zip` must not take an age more than it has bytes for.
                for (byte, age) in bytes.iter().zip(&mut ages) {
                    *age |= u32::from(*byte) << (8 * plane);
                }
            }
        }
        let Columns { last_ms, slots, .. } = &mut self.columns;
        for (last_ms, slot) in last_ms.iter_mut().zip(slots.iter()) {
            let last = last_of_slot(part.interval_s, *slot, unit_ms).checked_sub(*last_ms).ok_or(Malformed("ages"))?;
            *last_ms = last * unit_ms;
        }
        Ok(())
    }

    fn column(&mut self, reader: &mut Reader<'_>, length: usize) -> Result<(), Malformed> {
        let stored = reader.below(length as u64 + 1, "column")? as usize;
        let bytes = reader.bytes(stored, "column")?;
        self.column.clear();
        if stored == length {
            self.column.extend_from_slice(bytes);
            return Ok(());
        }
        if self.kept.as_ref().is_some_and(|kept| kept.get(bytes, &mut self.column)) {
            return if self.column.len() == length { Ok(()) } else { Err(Malformed("column")) };
        }
        self.column.reserve(length);
        match self.decompressor.decompress_to_buffer(bytes, &mut self.column) {
            Ok(found) if found == length => {}
            _ => return Err(Malformed("column")),
        }
        if let Some(kept) = &self.kept {
            kept.put(bytes, &self.column);
        }
        Ok(())
    }
}

fn skip_column(reader: &mut Reader<'_>, length: usize) -> Result<(), Malformed> {
    let stored = reader.below(length as u64 + 1, "column")? as usize;
    reader.bytes(stored, "column").map(|_| ())
}

impl Columns {
    fn clear(&mut self) {
        self.lows.clear();
        self.slots.clear();
        self.ends.clear();
        self.runs.clear();
        self.hits.clear();
        self.last_ms.clear();
    }

    /// Takes the places of the wanted records, and notes which points of the part are theirs.
    fn take_places(
        &mut self,
        column: &[u8],
        records: usize,
        points: usize,
        slots: usize,
        mut wanted: Option<&[u8]>,
    ) -> Result<(), Malformed> {
        let (lows, places) = column.split_at_checked(records).ok_or(Malformed("places"))?;
        if slots == 1 && wanted.is_none() {
            return self.take_single_places(lows, places, points);
        }
        let (mut low, mut seen) = (0u8, 0usize);
        let slot_bytes = slots.div_ceil(8).max(1);
        for (at, (difference, bits)) in lows.iter().zip(places.chunks_exact(slot_bytes)).enumerate() {
            low = low.checked_add(*difference).filter(|_| at == 0 || *difference > 0).ok_or(Malformed("records"))?;
            let begin = seen;
            seen += bits.chunks(8).map(|bits| word(bits).count_ones() as usize).sum::<usize>();
            let is_wanted = match &mut wanted {
                None => true,
                Some(rest) => {
                    *rest = rest.get(rest.partition_point(|wanted| *wanted < low)..).unwrap_or_default();
                    rest.first() == Some(&low)
                }
            };
            if !is_wanted {
                continue;
            }
            for (at, bits) in (0u16..).step_by(64).zip(bits.chunks(8)) {
                let mut bits = word(bits);
                while bits != 0 {
                    self.slots.push(at + bits.trailing_zeros() as u16);
                    bits &= bits - 1;
                }
            }
            if self.slots.last().is_some_and(|slot| usize::from(*slot) >= slots) {
                return Err(Malformed("places"));
            }
            self.lows.push(low);
            self.ends.push(self.slots.len() as u32);
            match self.runs.last_mut() {
                Some(run) if run.end == begin => run.end = seen,
                _ => self.runs.push(begin..seen),
            }
        }
        if seen == points { Ok(()) } else { Err(Malformed("points")) }
    }

    /// Where an hour is one slot, each record has one point.
    fn take_single_places(&mut self, lows: &[u8], places: &[u8], points: usize) -> Result<(), Malformed> {
        check_single_places(lows, places, points)?;
        let mut low = 0u8;
        self.lows.extend(lows.iter().map(|difference| {
            low = low.wrapping_add(*difference);
            low
        }));
        self.slots.resize(points, 0);
        self.ends.extend(1..=points as u32);
        self.runs.push(0..points);
        Ok(())
    }

    fn take_hits(&mut self, column: &[u8], points: usize) -> Result<(), Malformed> {
        if column.len() == points {
            // Every number is a byte, or the last one of them says that more follows.
            for run in &self.runs {
                let bytes = column.get(run.clone()).ok_or(Malformed("hits"))?;
                if bytes.iter().any(|byte| *byte >= 0x80) {
                    return Err(Malformed("hits"));
                }
                self.hits.extend(bytes.iter().map(|byte| u64::from(*byte)));
            }
            return Ok(());
        }
        let (mut rest, mut at) = (column, 0);
        for run in &self.runs {
            rest = skip_numbers(rest, run.start - at)?;
            let mut reader = Reader::new(rest);
            for _ in run.clone() {
                self.hits.push(reader.number("hits")?);
            }
            (rest, at) = (reader.rest(), run.end);
        }
        if at == points && !rest.is_empty() { Err(Malformed("hits")) } else { Ok(()) }
    }

    /// Low byte and range of points, record by record.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u8, Range<usize>)> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        self.lows.iter().zip(begins.zip(&self.ends)).map(|(low, (begin, end))| (*low, begin as usize..*end as usize))
    }

    /// Appends the part's cells, arranged. Everything must have been read.
    pub(crate) fn cells(&self, out: &mut Vec<Cell>) {
        for (low, range) in self.records() {
            let (slots, hits) = (self.slots.get(range.clone()), self.hits.get(range.clone()));
            let last_ms = self.last_ms.get(range);
            let cells = slots.into_iter().flatten().zip(hits.into_iter().flatten()).zip(last_ms.into_iter().flatten());
            out.extend(cells.map(|((slot, hits), last_ms)| Cell { low, slot: *slot, last_ms: *last_ms, hits: *hits }));
        }
    }
}

/// Whether places say that each record has one point, of the one slot that there is.
fn check_single_places(lows: &[u8], places: &[u8], points: usize) -> Result<(), Malformed> {
    // Looked at to the end, several at once: what is wrong is rare.
    let others = places.iter().fold(0, |others, bits| others | (bits ^ 1));
    if points != lows.len() || places.len() != points || others != 0 {
        return Err(Malformed("places"));
    }
    // A difference of 0 is two records of one number, and a sum past a byte none of the group.
    let same = lows.iter().skip(1).fold(false, |same, difference| same | (*difference == 0));
    // 256 bytes at most, which fit.
    let last = lows.iter().fold(0u32, |sum, difference| sum.wrapping_add(u32::from(*difference)));
    if same || last >= GROUP { Err(Malformed("records")) } else { Ok(()) }
}

/// How many slots an hour has.
fn slots(interval_s: u32) -> usize {
    (3600 / interval_s.max(1)) as usize
}

/// The last unit of a slot, after the hour's start.
#[inline]
fn last_of_slot(interval_s: u32, slot: u16, unit_ms: u32) -> u32 {
    (u32::from(slot) + 1) * (interval_s * 1000 / unit_ms.max(1)) - 1
}

/// How many bytes an age takes.
fn age_bytes(interval_s: u32, unit_ms: u32) -> u32 {
    match interval_s * 1000 / unit_ms.max(1) {
        0..=1 => 0,
        2..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 3,
    }
}

/// At most eight bytes of a bitmap as a number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// What follows so many numbers in LEB128: each ends with a byte below 128.
fn skip_numbers(bytes: &[u8], mut count: usize) -> Result<&[u8], Malformed> {
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let ends = (!u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080).count_ones() as usize;
        if ends >= count {
            break;
        }
        count -= ends;
        rest = after;
    }
    let mut rest = rest.iter();
    while count > 0 {
        count -= usize::from(*rest.next().ok_or(Malformed("hits"))? < 0x80);
    }
    Ok(rest.as_slice())
}

#[cfg(test)]
mod tests;
