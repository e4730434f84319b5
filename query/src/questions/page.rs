//! Which rows of an answer to give, and the answer.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

/// No answer has more rows than this; a larger [`Page::limit`] is refused.
pub const MAX_LIMIT: u64 = 1_000_000;

/// Which rows of an answer to give, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Columns to sort by, the most important first; none for the question's own order. Rows that are
    /// equal in these columns always come in the same order, so that pages do not overlap.
    pub sort: Vec<SortKey>,
    /// How many rows to skip.
    pub offset: u64,
    /// How many rows to give, at most [`MAX_LIMIT`].
    pub limit: u64,
}

impl Page {
    /// The first rows in the question's own order.
    pub const fn first(limit: u64) -> Page {
        Page { sort: Vec::new(), offset: 0, limit }
    }
}

/// A column to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// A column of the answer's shape.
    pub column: String,
    /// Largest first. What has no value comes last either way.
    pub descending: bool,
}

/// Rows, and how many there would be without paging.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The rows, all of `schema`; none at all when there is no row.
    pub batches: Vec<RecordBatch>,
    /// Names, types and order of the columns.
    pub schema: SchemaRef,
    /// Rows before paging.
    pub total: u64,
}

impl Answer {
    /// How many rows it gives.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}
