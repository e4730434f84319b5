//! Decoding values.

use super::cache::Unpacked;
use super::columns::{Columns, check_single_places};
use super::format::{Part, age_bytes, last_of_slot, slots};
use crate::database::key::GROUP;
use std::io;
use std::sync::Arc;
use zonepulse_codec::{Malformed, Reader};

/// Decodes values; holds decompression state and the columns of one part.
pub(crate) struct Decoder {
    decompressor: zstd::bulk::Decompressor<'static>,
    /// Cache for columns that are likely to be needed again; `None` where they would only displace each other.
    pub(super) kept: Option<Arc<Unpacked>>,
    column: Vec<u8>,
    /// The previous column.
    places: Vec<u8>,
    /// The columns of the part that was read most recently.
    pub columns: Columns,
}

/// The requested contents of a part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub hits: bool,
    pub last_access: bool,
    /// Low bytes of the records, in ascending order; `None` for all.
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

    /// Reads the requested contents of a part into `self.columns`.
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

    /// Adds the hits of a part with one point per record to sums indexed by the records' low bytes.
    ///
    /// Such parts are numerous and small, so their hits are added directly instead of being decoded into a column
    /// first.
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
        // At most 256 bytes, so the sum cannot overflow.
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
            // Each number is a single byte, unless the last one has its continuation bit set.
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
                // Bytes come first in the `zip`, so that it does not consume an extra age when the bytes run out.
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
