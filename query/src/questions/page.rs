//! Pages of an answer.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

/// The maximum [`Page::limit`].
pub const MAX_LIMIT: u64 = 1_000_000;

/// Which rows of an answer to return, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Columns to sort by, most important first; none for the question's default order. Rows that are
    /// equal in these columns always come in the same order, so that pages do not overlap.
    pub sort: Vec<SortKey>,
    /// The number of rows to skip.
    pub offset: u64,
    /// The maximum number of rows, up to [`MAX_LIMIT`].
    pub limit: u64,
}

impl Page {
    /// The first rows in the default order.
    pub const fn first(limit: u64) -> Page {
        Page { sort: Vec::new(), offset: 0, limit }
    }
}

/// A column to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The name of a column of the answer.
    pub column: String,
    /// Largest first. Nulls come last either way.
    pub descending: bool,
}

/// A page of rows, and the number of rows before paging.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The rows, all with `schema`; no batch if there is no row.
    pub batches: Vec<RecordBatch>,
    /// Names, types and order of the columns.
    pub schema: SchemaRef,
    /// The number of rows before paging.
    pub total: u64,
}

impl Answer {
    /// The number of rows of this page.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}
