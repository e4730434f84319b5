//! SQL from outside: one statement that reads, within bounds, its rows as they come.
//!
//! A statement runs in a process of its own (`worker`), with memory, turns and time of its own, so that whoever writes
//! SQL does not keep batches, health checks and the API's questions waiting. What is dropped ends: the rows are a stream,
//! and dropping it, or the future that makes it, ends the work for it.

use crate::Error;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;

/// Bounds of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Memory for a statement, bytes: its worker takes no more than this beyond what it takes when idle. What is read for
    /// all statements together takes as much at most.
    pub memory_bytes: usize,
    /// How many statements are answered at the same time; more wait. One caller gets half of these turns at most.
    pub max_concurrent: usize,
    /// How long a statement may take, from its start until its last row was taken, milliseconds.
    pub timeout_ms: u64,
    /// The most rows of an answer.
    pub max_rows: u64,
    /// The most bytes of an answer, as Arrow has them in memory.
    pub max_bytes: u64,
}

impl Default for SqlLimits {
    fn default() -> Self {
        SqlLimits { memory_bytes: 256 << 20, max_concurrent: 4, timeout_ms: 60_000, max_rows: 10_000_000, max_bytes: 2 << 30 }
    }
}

/// The rows of a statement, as they come.
pub struct SqlAnswer {
    /// Names, types and order of the columns.
    pub schema: SchemaRef,
    /// The rows. After an error nothing comes.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

/// What the rows of a batch take, not what they share with others.
pub(crate) fn size_bytes(batch: &RecordBatch) -> u64 {
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default());
    sizes.sum::<usize>() as u64
}
