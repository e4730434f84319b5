//! A cache of decompressed columns.

use parking_lot::Mutex;
use std::collections::HashMap;

/// Decompressed columns, keyed by their stored bytes.
///
/// A query about one record has to decompress the points of all 256 records in a column, and similar queries tend to
/// follow: with a minute more, with last accesses, or about a neighboring record. The stored bytes are compared in
/// full, so a hit always equals the result of decompression, whatever has happened to the value since.
pub(super) struct Unpacked {
    /// Recently used columns and those of the previous generation, limited in total to `most_bytes`.
    columns: Mutex<[Generation; 2]>,
    most_bytes: usize,
}

#[derive(Default)]
struct Generation {
    columns: HashMap<u64, Column>,
    bytes: usize,
}

struct Column {
    stored: Box<[u8]>,
    unpacked: Box<[u8]>,
}

impl Unpacked {
    pub(super) fn new(most_bytes: usize) -> Self {
        Unpacked { columns: Mutex::default(), most_bytes }
    }

    /// Appends the decompressed form of a stored column. Returns whether it was cached.
    pub(super) fn get(&self, stored: &[u8], out: &mut Vec<u8>) -> bool {
        let mark = mark(stored);
        let mut columns = self.columns.lock();
        let [young, old] = &mut *columns;
        let found = young.columns.get(&mark).or_else(|| old.columns.get(&mark));
        let Some(column) = found.filter(|column| *column.stored == *stored) else { return false };
        out.extend_from_slice(&column.unpacked);
        if !young.columns.contains_key(&mark)
            && let Some(column) = old.columns.remove(&mark)
        {
            old.bytes -= column.bytes();
            self.keep(&mut columns, mark, column);
        }
        true
    }

    pub(super) fn put(&self, stored: &[u8], unpacked: &[u8]) {
        let column = Column { stored: stored.into(), unpacked: unpacked.into() };
        self.keep(&mut self.columns.lock(), mark(stored), column);
    }

    fn keep(&self, [young, old]: &mut [Generation; 2], mark: u64, column: Column) {
        if column.bytes() > self.most_bytes / 2 {
            return;
        }
        if young.bytes + column.bytes() > self.most_bytes / 2 {
            *old = std::mem::take(young);
        }
        young.bytes += column.bytes();
        if let Some(before) = young.columns.insert(mark, column) {
            young.bytes -= before.bytes();
        }
    }
}

impl Column {
    fn bytes(&self) -> usize {
        self.stored.len() + self.unpacked.len() + size_of::<(u64, Column)>()
    }
}

/// Distinguishes most columns: a hash of the length and both ends, which hold the entropy code and the last of the
/// numbers.
fn mark(stored: &[u8]) -> u64 {
    let ends = stored.iter().take(24).chain(stored.iter().rev().take(24));
    ends.fold(stored.len() as u64, |mark, byte| (mark ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_kept_under_what_is_stored_of_it() {
        let kept = Unpacked::new(10_000);
        kept.put(&[7; 60], b"unpacked");
        let (mut out, mut other) = (Vec::new(), [7; 60]);
        assert!(kept.get(&[7; 60], &mut out));
        assert_eq!(out, b"unpacked");
        // Both ends are the same, so the mark is too.
        other[30] = 8;
        assert_eq!(mark(&other), mark(&[7; 60]));
        assert!(!kept.get(&other, &mut out));
        assert!(!kept.get(&[7; 61], &mut out));
        assert_eq!(out, b"unpacked");
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_asked_for_stays() {
        let kept = Unpacked::new(20_000);
        let stored = |number: u16| number.to_le_bytes().repeat(10);
        for number in 0..1000 {
            kept.put(&stored(number), &[1; 500]);
            assert!(kept.get(&stored(0), &mut Vec::new()), "{number}");
        }
        let columns = kept.columns.lock();
        let bytes = columns.each_ref().map(|generation| generation.columns.values().map(Column::bytes).sum::<usize>());
        assert_eq!(bytes, columns.each_ref().map(|generation| generation.bytes));
        assert!(bytes[0] + bytes[1] <= 20_000, "{bytes:?}");
        assert!(columns[0].columns.len() + columns[1].columns.len() > 20);
    }

    #[test]
    fn what_is_larger_than_there_is_room_is_not_kept() {
        let kept = Unpacked::new(1000);
        kept.put(b"stored", &[1; 1000]);
        assert!(!kept.get(b"stored", &mut Vec::new()));
    }
}
