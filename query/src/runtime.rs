//! The environment of plans: memory, threads, and how many run at a time.

use crate::Error;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Rows per batch: the size that DataFusion handles best.
pub(crate) const BATCH_ROWS: usize = 8192;

/// The load of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The API's questions.
    pub questions: Turns,
    /// SQL statements.
    pub statements: Turns,
}

/// How many are running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// Running now.
    pub running: u64,
    /// Maximum at a time.
    pub limit: u64,
    /// Memory held, bytes.
    pub memory_bytes: u64,
}

/// The configuration that all plans share.
pub(crate) fn config(threads: usize) -> SessionConfig {
    SessionConfig::new().with_target_partitions(threads).with_batch_size(BATCH_ROWS)
}

/// An environment whose plans share this much memory.
pub(crate) fn runtime(memory_bytes: usize) -> Result<Arc<RuntimeEnv>, Error> {
    let builder = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        // What does not fit is refused rather than spilled to a disk that the store needs.
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled));
    Ok(builder.build_arc()?)
}

/// A number of permits that a semaphore can hold.
pub(crate) fn limit(at_a_time: usize) -> usize {
    at_a_time.clamp(1, Semaphore::MAX_PERMITS)
}
