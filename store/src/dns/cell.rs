//! The intermediate form of points: those of one server, hour, interval length and kind, collected by groups of 256
//! records and ready to be stored record by record.
//!
//! A block lists its records in order, so a group's rows are adjacent and are appended as one run. Blocks arrive in
//! chronological order, so one stable counting sort by record puts a group's cells into their final order.

use crate::database::key::{GROUP, group_of, low_of};
use crate::dns::block::Row;
use std::collections::BTreeMap;

/// The point of a record in one slot of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The record's position in its group.
    pub low: u8,
    /// The interval's index in the hour: its offset from the start of the hour divided by its length.
    pub slot: u16,
    /// The last access, in milliseconds after the start of the hour.
    pub last_ms: u32,
    pub hits: u64,
}

impl Cell {
    fn place(&self) -> (u8, u16) {
        (self.low, self.slot)
    }
}

/// Identifies cells that are stored together: interval length in seconds, and number of the kind.
pub(crate) type Series = (u32, u16);

/// Cells of one hour and server, by group and series.
pub(crate) type Groups = BTreeMap<(u32, Series), Vec<Cell>>;

/// Appends the rows of one kind from a block, sorted by record.
pub(crate) fn gather(groups: &mut Groups, series: Series, slot: u16, hour_ms: u64, rows: &[Row]) {
    for run in rows.chunk_by(|a, b| group_of(a.record_id) == group_of(b.record_id)) {
        let Some(first) = run.first() else { continue };
        let cells = groups.entry((group_of(first.record_id), series)).or_default();
        cells.extend(run.iter().map(|row| Cell {
            low: low_of(row.record_id),
            slot,
            // Within the hour, since intervals divide it.
            last_ms: row.last_ms.saturating_sub(hour_ms) as u32,
            hits: row.hits,
        }));
    }
}

/// Sorts the cells of a group and series, and merges those at the same place by adding up what several batches
/// reported.
pub(crate) fn arrange(cells: &mut Vec<Cell>, scratch: &mut Vec<Cell>) {
    // Always the case for roll-ups of a single interval length.
    if cells.is_sorted_by(|a, b| a.place() < b.place()) {
        return;
    }
    let mut starts = [0usize; GROUP as usize];
    for cell in cells.iter() {
        if let Some(count) = starts.get_mut(usize::from(cell.low)) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += std::mem::replace(start, sum);
    }
    scratch.clear();
    scratch.resize(cells.len(), Cell::default());
    for cell in cells.iter() {
        if let Some(start) = starts.get_mut(usize::from(cell.low))
            && let Some(place) = scratch.get_mut(*start)
        {
            *place = *cell;
            *start += 1;
        }
    }
    if !scratch.is_sorted_by_key(Cell::place) {
        scratch.sort_by_key(Cell::place);
    }
    std::mem::swap(cells, scratch);
    merge(cells);
}

fn merge(cells: &mut Vec<Cell>) {
    cells.dedup_by(|later, kept| {
        let same = later.place() == kept.place();
        if same {
            kept.hits = kept.hits.saturating_add(later.hits);
            kept.last_ms = kept.last_ms.max(later.last_ms);
        }
        same
    });
}

/// Sums arranged cells into buckets of `bucket_s`, a multiple of `interval_s`, and appends them in order.
pub(crate) fn roll_up(cells: &[Cell], interval_s: u32, bucket_s: u32, out: &mut Vec<Cell>) {
    let per_bucket = (bucket_s / interval_s.max(1)).clamp(1, u32::from(u16::MAX));
    let mut cells = cells.iter();
    let Some(first) = cells.next() else { return };
    let bucket = |cell: &Cell| {
        let slot = u32::from(cell.slot) / per_bucket;
        (Cell { slot: slot as u16, ..*cell }, (slot + 1) * per_bucket)
    };
    // The current bucket, and the first slot after it.
    let (mut current, mut end) = bucket(first);
    for cell in cells {
        if current.low == cell.low && u32::from(cell.slot) < end {
            current.hits = current.hits.saturating_add(cell.hits);
            current.last_ms = current.last_ms.max(cell.last_ms);
        } else {
            out.push(current);
            (current, end) = bucket(cell);
        }
    }
    out.push(current);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(low: u8, slot: u16, hits: u64, last_ms: u32) -> Cell {
        Cell { low, slot, last_ms, hits }
    }

    #[test]
    fn cells_come_record_by_record_and_each_place_once() {
        let mut cells = vec![cell(9, 0, 1, 5), cell(3, 0, 2, 6), cell(3, 1, 3, 70), cell(9, 0, 4, 4), cell(3, 0, 1, 9)];
        arrange(&mut cells, &mut Vec::new());
        assert_eq!(cells, [cell(3, 0, 3, 9), cell(3, 1, 3, 70), cell(9, 0, 5, 5)]);
    }

    #[test]
    fn buckets_are_sums_of_their_slots() {
        let cells = [cell(1, 0, 1, 10), cell(1, 4, 2, 20), cell(1, 5, 4, 30), cell(2, 5, 8, 40)];
        let mut out = Vec::new();
        roll_up(&cells, 60, 300, &mut out);
        assert_eq!(out, [cell(1, 0, 3, 20), cell(1, 1, 4, 30), cell(2, 1, 8, 40)]);
    }
}
