//! Lists of which only the first entries are kept.

/// The first entries of a list, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    /// Number of entries.
    pub total: usize,
    /// The first of them.
    pub first: Vec<T>,
    limit: usize,
}

impl<T> List<T> {
    pub(super) fn new(limit: usize) -> Self {
        List { total: 0, first: Vec::new(), limit }
    }

    /// Counts an entry, and makes it if there is room.
    pub(super) fn push(&mut self, entry: impl FnOnce() -> T) {
        self.total += 1;
        if self.first.len() < self.limit {
            self.first.push(entry());
        }
    }
}
