//! The order in which verdicts are listed.

use super::Verdicts;
use crate::set::Slot;
use std::cmp::Reverse;

/// The longest quiet first; equals in the order of their slots.
type Key = (Reverse<u32>, Slot);

impl Verdicts {
    /// A page of the RRsets for which `filter` returns true: at most `limit` after the first `offset`, the longest quiet
    /// first, and equals in the order of their slots.
    pub fn page(&self, filter: impl Fn(Slot) -> bool, offset: usize, limit: usize) -> Vec<Slot> {
        let all = (0..self.rows.len() as u32).filter_map(Slot::new).zip(&self.rows);
        let mut keys: Vec<Key> =
            all.filter(|(slot, _)| filter(*slot)).map(|(slot, row)| (Reverse(row.quiet_for_s), slot)).collect();
        let end = offset.saturating_add(limit).min(keys.len());
        if end < keys.len() {
            keys.select_nth_unstable(end);
            keys.truncate(end);
        }
        keys.sort_unstable();
        keys.into_iter().skip(offset).map(|(_, slot)| slot).collect()
    }
}
