//! Writing values.

use super::format::{VERSION, age_bytes, last_of_slot, slots};
use crate::Precision;
use crate::dns::cell::{Cell, Series};
use std::io;
use zonepulse_codec::put;

const LEVEL_OF_COMPRESSION: i32 = 1;

/// Encodes values; reuses compression state.
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

    /// Encodes parts as a value. Parts must be sorted by series, and their cells arranged.
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
        // A constant unit in each case makes the divisions much faster.
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
        // If compression fails or does not help, store the column uncompressed.
        let stored = if packed.is_ok_and(|length| length < self.column.len()) { &self.packed } else { &self.column };
        put(&mut self.body, stored.len() as u64);
        self.body.extend_from_slice(stored);
    }
}
