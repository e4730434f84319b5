//! Batches for a central that pulls.
//!
//! Fetched but unconfirmed batches are returned again, so nothing is claimed: if a central fails
//! halfway, it or another one simply starts over. The oldest go first, but those returned less
//! often precede, so that a batch that a central cannot handle does not block others.

use super::{Index, Key, Spool, lock};
use std::collections::HashSet;
use tokio::sync::watch;

impl Spool {
    /// Selects batches up to these limits, but at least one if there is any.
    pub fn give(&self, max_bytes: u64, max_batches: usize) -> Vec<Key> {
        lock(&self.index).give(max_bytes, max_batches)
    }

    /// The keys of these batches, given by epoch and sequence number, that are in the spool.
    pub fn find(&self, wanted: &HashSet<(u64, u64)>) -> Vec<Key> {
        let index = lock(&self.index);
        index.waiting.keys().filter(|key| wanted.contains(&(key.epoch, key.seq))).copied().collect()
    }

    /// Notifies of new batches.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }
}

impl Index {
    fn give(&mut self, max_bytes: u64, max_batches: usize) -> Vec<Key> {
        let mut given = Vec::new();
        let mut bytes = 0;
        let mut fits = |key: Key, size_bytes: u64| {
            let fits = given.is_empty() || bytes + size_bytes <= max_bytes && given.len() < max_batches;
            if fits {
                bytes += size_bytes;
                given.push(key);
            }
            fits
        };
        let fresh = self.waiting.iter().filter(|(_, waiting)| waiting.given == 0);
        let full = fresh.map(|(key, waiting)| (*key, waiting.size_bytes)).any(|(key, size_bytes)| !fits(key, size_bytes));
        if !full {
            let mut again: Vec<_> = self.waiting.iter().filter(|(_, waiting)| waiting.given > 0).collect();
            again.sort_by_key(|(key, waiting)| (waiting.given, **key));
            let _ = again.into_iter().all(|(key, waiting)| fits(*key, waiting.size_bytes));
        }
        for key in &given {
            if let Some(waiting) = self.waiting.get_mut(key) {
                waiting.given = waiting.given.saturating_add(1);
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seq: u64) -> Key {
        Key { start_s: 60 * seq, epoch: 9, seq }
    }

    fn index(batches: u64) -> Index {
        let mut index = Index::default();
        (0..batches).for_each(|seq| index.add(key(seq), 100));
        index
    }

    fn numbers(keys: &[Key]) -> Vec<u64> {
        keys.iter().map(|key| key.seq).collect()
    }

    #[test]
    fn the_oldest_go_first_up_to_a_bound() {
        let mut index = index(10);
        assert_eq!(numbers(&index.give(350, 100)), [0, 1, 2]);
        assert_eq!(numbers(&index.give(1000, 2)), [3, 4]);
        assert_eq!(numbers(&index.give(1, 100)), [5], "not at least one");
    }

    #[test]
    fn unconfirmed_batches_are_returned_again_after_the_others() {
        let mut index = index(5);
        assert_eq!(numbers(&index.give(300, 100)), [0, 1, 2]);
        index.take(key(1));
        assert_eq!(numbers(&index.give(300, 100)), [3, 4, 0]);
        assert_eq!(numbers(&index.give(300, 100)), [2, 3, 4]);
        assert_eq!(numbers(&index.give(100, 100)), [0]);
        assert!(Index::default().give(300, 100).is_empty());
    }
}
