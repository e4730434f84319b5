//! SQL from outside: one statement that reads, within limits, its rows as they come.
//!
//! A statement runs in a process of its own (`worker`), with its own memory, turns and time, so that SQL
//! cannot delay batches, health checks and the API's questions. The rows are a stream;
//! dropping it, or the future that makes it, cancels the statement.

use crate::Error;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;

/// Limits of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Memory for a statement, bytes: its worker may grow by this much beyond its idle size. Reading for
    /// all statements together takes at most as much.
    pub memory_bytes: usize,
    /// Maximum number of statements running at a time; further ones wait. One caller gets at most half of these turns.
    pub max_concurrent: usize,
    /// Maximum duration of a statement, from its start until its last row is taken, milliseconds.
    pub timeout_ms: u64,
    /// Maximum number of rows of an answer.
    pub max_rows: u64,
    /// Maximum size of an answer in Arrow's memory format, bytes.
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
    /// The rows. An error ends the stream.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

/// The size of a batch's rows, without what its buffers share with other batches.
pub(crate) fn size_bytes(batch: &RecordBatch) -> u64 {
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default());
    sizes.sum::<usize>() as u64
}
