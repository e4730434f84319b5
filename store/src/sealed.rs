//! A sealed value: the points of 256 records of one server and hour, of one
//! [`Level`](crate::Level), record by record; a value of the family `sealed`.
//!
//! ```text
//! version u8 = 1 · parts
//! part     interval_s · kind · bytes of the rest of the part · records · points ·
//!          column of places · bytes of the hits · column of hits · columns of ages
//! column   stored bytes · bytes
//! ```
//!
//! Numbers are LEB128. An hour is cut into slots of `interval_s`. The *places*
//! are the records' low bytes (the first, then differences, a byte each),
//! then for each record a bit for each slot, lowest first, whole bytes. *Hits*
//! are LEB128, *ages* (milliseconds between the last access and the slot's last
//! one) planes of bytes, lowest first; both record by record, slot by slot.
//!
//! A column whose stored bytes are fewer than its own is compressed with zstd.
//! Each is compressed by itself: the lowest plane of ages is noise, which costs
//! nothing that way, and a question that does not ask for last accesses never
//! touches their columns.

use crate::cell::{Cell, Series};
use crate::key::GROUP;
use std::io;
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::MessageKind;

pub(crate) const VERSION: u8 = 1;
const LEVEL_OF_COMPRESSION: i32 = 1;

/// Makes values; keeps what compressing needs.
pub(crate) struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    column: Vec<u8>,
    packed: Vec<u8>,
    body: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(LEVEL_OF_COMPRESSION)?;
        Ok(Encoder { compressor, column: Vec::new(), packed: Vec::new(), body: Vec::new() })
    }

    /// The value of parts, rising by series; their cells are arranged.
    pub(crate) fn encode<'c>(&mut self, parts: impl Iterator<Item = (Series, &'c [Cell])>) -> Vec<u8> {
        let mut out = vec![VERSION];
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
        for plane in 0..age_bytes(interval_s) {
            self.column.clear();
            let age = |cell: &Cell| last_of_slot_ms(interval_s, cell.slot).saturating_sub(cell.last_ms);
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
    column: Vec<u8>,
    /// The columns of the part that was read last.
    pub columns: Columns,
}

/// A part, one record after the other.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub interval_s: u32,
    /// Low bytes of the records.
    pub lows: Vec<u8>,
    /// For each record, a bit for each slot.
    places: Vec<u8>,
    /// Slots of the points.
    pub slots: Vec<u16>,
    /// For each record, where its points end.
    pub ends: Vec<u32>,
    pub hits: Vec<u64>,
    /// Last accesses, milliseconds after the hour's start; none when they were not asked for.
    pub last_ms: Vec<u32>,
}

/// A part that was not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub interval_s: u32,
    pub kind: MessageKind,
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
    let (&version, rest) = value.split_first().ok_or(Malformed("sealed version"))?;
    if version != VERSION {
        return Err(Malformed("sealed version"));
    }
    let mut reader = Reader::new(rest);
    Ok(std::iter::from_fn(move || (!reader.is_empty()).then(|| next_part(&mut reader))).fuse())
}

fn next_part<'a>(reader: &mut Reader<'a>) -> Result<Part<'a>, Malformed> {
    let part = read_part(reader);
    if part.is_err() {
        // Nothing that follows can be trusted.
        *reader = Reader::new(&[]);
    }
    part
}

fn read_part<'a>(reader: &mut Reader<'a>) -> Result<Part<'a>, Malformed> {
    let interval_s = reader.below(3601, "interval")? as u32;
    if interval_s == 0 || !3600u32.is_multiple_of(interval_s) {
        return Err(Malformed("interval"));
    }
    let number = reader.below(u64::from(MessageKind::COUNT), "kind")? as u16;
    let kind = MessageKind::from_number(number).ok_or(Malformed("kind"))?;
    let length = reader.number("part")? as usize;
    Ok(Part { interval_s, kind, bytes: reader.bytes(length, "part")? })
}

impl Decoder {
    pub(crate) fn new() -> io::Result<Self> {
        let decompressor = zstd::bulk::Decompressor::new()?;
        Ok(Decoder { decompressor, column: Vec::new(), columns: Columns::default() })
    }

    /// Reads a part into `self.columns`, last accesses only when asked for.
    pub(crate) fn read(&mut self, part: &Part<'_>, last_access: bool) -> Result<(), Malformed> {
        let slots = slots(part.interval_s);
        let slot_bytes = slots.div_ceil(8);
        let mut reader = Reader::new(part.bytes);
        let records = reader.below(u64::from(GROUP) + 1, "records")? as usize;
        let points = reader.below((records * slots) as u64 + 1, "points")? as usize;
        self.columns.interval_s = part.interval_s;
        self.column(&mut reader, records * (1 + slot_bytes))?;
        self.columns.take_places(&self.column, records, points, slot_bytes, slots)?;
        let hits_bytes = reader.below(10 * points as u64 + 1, "hits")? as usize;
        self.column(&mut reader, hits_bytes)?;
        self.columns.take_hits(&self.column, points)?;
        self.columns.last_ms.clear();
        if !last_access {
            return Ok(());
        }
        self.columns.last_ms.resize(points, 0);
        for plane in 0..age_bytes(part.interval_s) {
            self.column(&mut reader, points)?;
            for (age, byte) in self.columns.last_ms.iter_mut().zip(&self.column) {
                *age |= u32::from(*byte) << (8 * plane);
            }
        }
        let Columns { last_ms, slots, .. } = &mut self.columns;
        for (last_ms, slot) in last_ms.iter_mut().zip(slots.iter()) {
            *last_ms = last_of_slot_ms(part.interval_s, *slot).checked_sub(*last_ms).ok_or(Malformed("ages"))?;
        }
        if reader.is_empty() { Ok(()) } else { Err(Malformed("part")) }
    }

    fn column(&mut self, reader: &mut Reader<'_>, length: usize) -> Result<(), Malformed> {
        let stored = reader.below(length as u64 + 1, "column")? as usize;
        let bytes = reader.bytes(stored, "column")?;
        self.column.clear();
        if stored == length {
            self.column.extend_from_slice(bytes);
            return Ok(());
        }
        self.column.reserve(length);
        match self.decompressor.decompress_to_buffer(bytes, &mut self.column) {
            Ok(found) if found == length => Ok(()),
            _ => Err(Malformed("column")),
        }
    }
}

impl Columns {
    fn take_places(
        &mut self,
        column: &[u8],
        records: usize,
        points: usize,
        slot_bytes: usize,
        slots: usize,
    ) -> Result<(), Malformed> {
        let (lows, places) = column.split_at_checked(records).ok_or(Malformed("places"))?;
        self.lows.clear();
        let mut low = 0u8;
        for (at, difference) in lows.iter().enumerate() {
            low = low.checked_add(*difference).filter(|_| at == 0 || *difference > 0).ok_or(Malformed("records"))?;
            self.lows.push(low);
        }
        self.places.clear();
        self.places.extend_from_slice(places);
        self.slots.clear();
        self.ends.clear();
        for bytes in self.places.chunks_exact(slot_bytes.max(1)) {
            for (at, byte) in (0u16..).zip(bytes) {
                let mut bits = *byte;
                while bits != 0 {
                    self.slots.push(at * 8 + bits.trailing_zeros() as u16);
                    bits &= bits - 1;
                }
            }
            if self.slots.last().is_some_and(|slot| usize::from(*slot) >= slots) {
                return Err(Malformed("places"));
            }
            self.ends.push(self.slots.len() as u32);
        }
        if self.slots.len() == points { Ok(()) } else { Err(Malformed("points")) }
    }

    fn take_hits(&mut self, column: &[u8], points: usize) -> Result<(), Malformed> {
        self.hits.clear();
        let mut reader = Reader::new(column);
        for _ in 0..points {
            self.hits.push(reader.number("hits")?);
        }
        if reader.is_empty() { Ok(()) } else { Err(Malformed("hits")) }
    }

    /// Low byte and range of points, record by record.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u8, std::ops::Range<usize>)> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        self.lows.iter().zip(begins.zip(&self.ends)).map(|(low, (begin, end))| (*low, begin as usize..*end as usize))
    }

    /// Appends the part's cells, arranged. The last accesses must have been read.
    pub(crate) fn cells(&self, out: &mut Vec<Cell>) {
        for (low, range) in self.records() {
            let (slots, hits) = (self.slots.get(range.clone()), self.hits.get(range.clone()));
            let last_ms = self.last_ms.get(range);
            let cells = slots.into_iter().flatten().zip(hits.into_iter().flatten()).zip(last_ms.into_iter().flatten());
            out.extend(cells.map(|((slot, hits), last_ms)| Cell { low, slot: *slot, last_ms: *last_ms, hits: *hits }));
        }
    }
}

/// How many slots an hour has.
fn slots(interval_s: u32) -> usize {
    (3600 / interval_s.max(1)) as usize
}

/// The last millisecond of a slot, after the hour's start.
fn last_of_slot_ms(interval_s: u32, slot: u16) -> u32 {
    (u32::from(slot) + 1) * interval_s * 1000 - 1
}

/// How many bytes an age takes.
fn age_bytes(interval_s: u32) -> u32 {
    if interval_s * 1000 <= 1 << 16 { 2 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::arrange;
    use proptest::prelude::*;

    fn decoded(value: &[u8]) -> Result<Vec<(Series, Vec<Cell>)>, Malformed> {
        let mut decoder = Decoder::new().unwrap();
        let mut all = Vec::new();
        for part in parts(value)? {
            let part = part?;
            decoder.read(&part, true)?;
            let mut cells = Vec::new();
            decoder.columns.cells(&mut cells);
            all.push((part.series(), cells));
        }
        Ok(all)
    }

    fn encoded(all: &[(Series, Vec<Cell>)]) -> Vec<u8> {
        Encoder::new().unwrap().encode(all.iter().map(|(series, cells)| (*series, cells.as_slice())))
    }

    #[test]
    fn version_1_stays_as_it_is_byte_for_byte() {
        let cell = |low, slot, last_ms, hits| Cell { low, slot, last_ms, hits };
        let minutes = vec![cell(1, 0, 59_999, 5), cell(1, 9, 599_000, 300), cell(200, 59, 3_540_000, 1)];
        let hour = vec![cell(0, 0, 3_599_999, 2)];
        let value = encoded(&[((60, 0), minutes), ((3600, 1), hour)]);
        let first = [
            1, 60, 0, 35, 2, 3, 18, 1, 199, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 4, 4, 5, 172, 2, 1, 3, 0, 231, 95, 3,
            0, 3, 234,
        ];
        let second = [144, 28, 1, 14, 1, 1, 2, 0, 1, 1, 1, 2, 1, 0, 1, 0, 1, 0];
        assert_eq!(value, [&first[..], &second[..]].concat());
    }

    #[test]
    fn columns_that_get_smaller_are_compressed_and_come_back() {
        let cells: Vec<Cell> = (0..=255u8)
            .flat_map(|low| (0..60).map(move |slot| Cell { low, slot, last_ms: u32::from(slot) * 60_000, hits: 7 }))
            .collect();
        let all = vec![((60, 0), cells)];
        let value = encoded(&all);
        assert!(value.len() < 300, "{} bytes", value.len());
        assert_eq!(decoded(&value), Ok(all));
    }

    fn any_parts() -> impl Strategy<Value = Vec<(Series, Vec<Cell>)>> {
        let interval = prop::sample::select(vec![1u32, 5, 30, 60, 300, 900, 3600]);
        let part = (interval, 0..MessageKind::COUNT).prop_flat_map(|(interval_s, kind)| {
            let cell = (any::<u8>(), 0..slots(interval_s) as u16, 1..u64::MAX, 0..interval_s * 1000).prop_map(
                move |(low, slot, hits, age)| Cell { low, slot, last_ms: last_of_slot_ms(interval_s, slot) - age, hits },
            );
            prop::collection::vec(cell, 1..200).prop_map(move |mut cells| {
                arrange(&mut cells, &mut Vec::new());
                ((interval_s, kind), cells)
            })
        });
        prop::collection::vec(part, 0..3)
    }

    proptest! {
        #[test]
        fn a_sealed_value_gives_back_its_points(all in any_parts()) {
            prop_assert_eq!(decoded(&encoded(&all)), Ok(all));
        }

        #[test]
        fn a_damaged_value_is_refused_or_read_but_never_panics(all in any_parts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut value = encoded(&all);
            *at.get_mut(&mut value) = byte;
            let _ = decoded(&value);
        }
    }
}
