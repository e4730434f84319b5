//! What plans run in: memory, threads, and how many at a time.

use crate::Error;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Rows in a batch: what DataFusion works with best.
pub(crate) const BATCH_ROWS: usize = 8192;

/// How much an engine is answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The API's questions.
    pub questions: Turns,
    /// Statements of SQL.
    pub statements: Turns,
}

/// How many are being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// Now.
    pub running: u64,
    /// At most at a time.
    pub limit: u64,
    /// Memory that they hold, bytes.
    pub memory_bytes: u64,
}

/// What all plans have in common.
pub(crate) fn config(threads: usize) -> SessionConfig {
    SessionConfig::new().with_target_partitions(threads).with_batch_size(BATCH_ROWS)
}

/// Where plans get their memory from, and no more than this.
pub(crate) fn runtime(memory_bytes: usize) -> Result<Arc<RuntimeEnv>, Error> {
    let builder = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        // What does not fit is refused, not written to a disk that the store needs.
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled));
    Ok(builder.build_arc()?)
}

/// So many at a time, within what a semaphore can count.
pub(crate) fn limit(at_a_time: usize) -> usize {
    at_a_time.clamp(1, Semaphore::MAX_PERMITS)
}
