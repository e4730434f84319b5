//! Sets of ids.

use std::ops::Deref;
use std::sync::Arc;

/// Unique ids in ascending order. Clones share them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdSet<T>(Arc<[T]>);

impl<T: Copy + Ord> IdSet<T> {
    /// Whether the set contains an id.
    pub fn has(&self, id: T) -> bool {
        self.binary_search(&id).is_ok()
    }

    /// The ids from `id` on.
    pub fn starting_at(&self, id: T) -> &[T] {
        self.get(self.partition_point(|known| *known < id)..).unwrap_or_default()
    }
}

impl<T: Copy + Ord> From<Vec<T>> for IdSet<T> {
    fn from(mut ids: Vec<T>) -> Self {
        if !ids.is_sorted_by(|a, b| a < b) {
            ids.sort_unstable();
            ids.dedup();
        }
        IdSet(ids.into())
    }
}

impl<T: Copy + Ord, const COUNT: usize> From<[T; COUNT]> for IdSet<T> {
    fn from(ids: [T; COUNT]) -> Self {
        Vec::from(ids).into()
    }
}

impl<T: Copy + Ord> FromIterator<T> for IdSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(ids: I) -> Self {
        Vec::from_iter(ids).into()
    }
}

impl<T> Deref for IdSet<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a IdSet<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServerId;

    fn set(numbers: &[u32]) -> IdSet<ServerId> {
        numbers.iter().copied().map(ServerId::new).collect()
    }

    #[test]
    fn a_set_is_the_same_in_whatever_order_and_however_often_its_ids_come() {
        for numbers in [&[1, 3, 7][..], &[7, 1, 3], &[3, 3, 7, 1, 1]] {
            assert_eq!(set(numbers), set(&[1, 3, 7]));
        }
        let set = set(&[7, 1, 3]);
        assert_eq!(set.iter().map(|id| id.get()).collect::<Vec<_>>(), [1, 3, 7]);
        assert_eq!((set.has(ServerId::new(3)), set.has(ServerId::new(4))), (true, false));
        assert_eq!(set.starting_at(ServerId::new(4)), [ServerId::new(7)]);
        assert!(set.starting_at(ServerId::new(8)).is_empty());
    }
}
