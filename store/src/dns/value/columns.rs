//! The columns of a decoded part.

use crate::database::key::GROUP;
use crate::dns::cell::Cell;
use std::ops::Range;
use zonepulse_codec::{Malformed, Reader};

/// A part, ordered by record.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Low bytes of the records.
    pub lows: Vec<u8>,
    /// Slots of the points.
    pub slots: Vec<u16>,
    /// End of each record's points.
    pub ends: Vec<u32>,
    /// The ranges of the part's points that were read.
    pub(super) runs: Vec<Range<usize>>,
    /// Empty if not requested.
    pub hits: Vec<u64>,
    /// Last accesses, in milliseconds after the start of the hour; empty if not requested.
    pub last_ms: Vec<u32>,
}

impl Columns {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.lows.clear();
        self.slots.clear();
        self.ends.clear();
        self.runs.clear();
        self.hits.clear();
        self.last_ms.clear();
    }

    /// Reads the places of the requested records and determines which points of the part belong to them.
    #[inline]
    pub(super) fn take_places(
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

    /// Like [`Columns::take_places`], for hours with a single slot, in which each record has exactly one point.
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

    #[inline]
    pub(super) fn take_hits(&mut self, column: &[u8], points: usize) -> Result<(), Malformed> {
        if column.len() == points {
            // Each number is a single byte, unless the last one has its continuation bit set.
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

    /// Returns each record's low byte and range of points.
    #[inline]
    pub(crate) fn records(&self) -> impl Iterator<Item = (u8, Range<usize>)> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        self.lows.iter().zip(begins.zip(&self.ends)).map(|(low, (begin, end))| (*low, begin as usize..*end as usize))
    }

    /// Returns the slots, hits and last accesses of a non-empty range of points.
    #[inline]
    pub(crate) fn points(&self, range: Range<usize>) -> Option<(&[u16], &[u64], &[u32])> {
        let slots = self.slots.get(range.clone()).filter(|slots| !slots.is_empty())?;
        let hits = self.hits.get(range.clone()).unwrap_or_default();
        Some((slots, hits, self.last_ms.get(range).unwrap_or_default()))
    }

    /// Appends the part's cells, arranged. All columns must have been read.
    pub(crate) fn cells(&self, out: &mut Vec<Cell>) {
        for (low, range) in self.records() {
            let (slots, hits) = (self.slots.get(range.clone()), self.hits.get(range.clone()));
            let last_ms = self.last_ms.get(range);
            let cells = slots.into_iter().flatten().zip(hits.into_iter().flatten()).zip(last_ms.into_iter().flatten());
            out.extend(cells.map(|((slot, hits), last_ms)| Cell { low, slot: *slot, last_ms: *last_ms, hits: *hits }));
        }
    }
}

/// Checks that each record has one point, in the only slot.
#[inline]
pub(super) fn check_single_places(lows: &[u8], places: &[u8], points: usize) -> Result<(), Malformed> {
    // No early exit, so that several bytes are checked at once: errors are rare.
    let others = places.iter().fold(0, |others, bits| others | (bits ^ 1));
    if points != lows.len() || places.len() != points || others != 0 {
        return Err(Malformed("places"));
    }
    // A difference of 0 would repeat a record, and a sum beyond one byte would lie outside the group.
    let same = lows.iter().skip(1).fold(false, |same, difference| same | (*difference == 0));
    // At most 256 bytes, so the sum cannot overflow.
    let last = lows.iter().fold(0u32, |sum, difference| sum.wrapping_add(u32::from(*difference)));
    if same || last >= GROUP { Err(Malformed("records")) } else { Ok(()) }
}

/// Returns up to eight bytes of a bitmap as a number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Skips this many LEB128 numbers, each of which ends with a byte below 128.
pub(super) fn skip_numbers(bytes: &[u8], mut count: usize) -> Result<&[u8], Malformed> {
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
