//! Values by number, where most numbers below the highest have one.

use std::sync::Arc;

const CHUNK: usize = 1024;

/// Values by number, in chunks that copies share until one of them changes. Numbers without a value have the default,
/// and chunks without values take no memory: numbers that are never reused may grow.
#[derive(Debug, Clone)]
pub(crate) struct Dense<T> {
    chunks: Vec<Option<Arc<[T; CHUNK]>>>,
    /// Values that differ from the default.
    count: usize,
}

impl<T> Default for Dense<T> {
    fn default() -> Self {
        Dense { chunks: Vec::new(), count: 0 }
    }
}

impl<T: Copy + Default + PartialEq> Dense<T> {
    #[inline]
    pub(crate) fn get(&self, number: u32) -> T {
        let number = number as usize;
        let chunk = self.chunks.get(number / CHUNK).and_then(Option::as_ref);
        chunk.and_then(|chunk| chunk.get(number % CHUNK)).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, number: u32, value: T) {
        let (at, number) = (number as usize / CHUNK, number as usize % CHUNK);
        if at >= self.chunks.len() {
            if value == T::default() {
                return;
            }
            self.chunks.resize(at + 1, None);
        }
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        if chunk.is_none() && value == T::default() {
            return;
        }
        let chunk = chunk.get_or_insert_with(|| Arc::new([T::default(); CHUNK]));
        if let Some(place) = Arc::make_mut(chunk).get_mut(number) {
            let before = std::mem::replace(place, value);
            self.count += usize::from(value != T::default());
            self.count -= usize::from(before != T::default());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All numbers with a value, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, T)> {
        let chunks = self.chunks.iter().enumerate().filter_map(|(at, chunk)| Some((at, chunk.as_ref()?)));
        let values = chunks.flat_map(|(at, chunk)| ((at * CHUNK) as u32..).zip(chunk.iter().copied()));
        values.filter(|(_, value)| *value != T::default())
    }

    /// Frees chunks without values.
    pub(crate) fn prune(&mut self) {
        for chunk in &mut self.chunks {
            let is_empty = |chunk: &Arc<[T; CHUNK]>| chunk.iter().all(|value| *value == T::default());
            if chunk.as_ref().is_some_and(is_empty) {
                *chunk = None;
            }
        }
        let used = self.chunks.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.chunks.truncate(used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn values_are_found_under_their_numbers(sets in prop::collection::vec((0..9000u32, 0..4u32), 0..60), cut in 0..60usize) {
            let (mut dense, mut map, mut before) = (Dense::default(), BTreeMap::new(), None);
            for (at, (number, value)) in sets.iter().enumerate() {
                if at == cut {
                    before = Some((dense.clone(), map.clone()));
                }
                dense.set(*number, *value);
                map.insert(*number, *value);
                map.retain(|_, value| *value != 0);
            }
            dense.prune();
            for (dense, map) in before.into_iter().chain([(dense, map)]) {
                prop_assert_eq!(dense.len(), map.len());
                prop_assert!(map.iter().all(|(number, value)| dense.get(*number) == *value));
                prop_assert_eq!(dense.iter().collect::<BTreeMap<_, _>>(), map);
            }
        }
    }
}
