//! The limits of an engine.

use crate::sql::SqlLimits;
use crate::worker::SqlWorkers;

/// The limits of an engine, and names that it only passes on.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory shared by all running questions, bytes: sorts, groups and collected rows.
    pub memory_bytes: usize,
    /// How many threads one question may use.
    pub threads: usize,
    /// Maximum number of questions running at a time; further ones wait.
    pub max_concurrent: usize,
    /// How long a question waits for its turn before it fails with [`Error::Busy`](crate::Error::Busy), milliseconds.
    pub max_wait_ms: u64,
    /// Limits of SQL statements, which have memory and turns of their own.
    pub sql: SqlLimits,
    /// Where SQL statements run.
    pub sql_workers: SqlWorkers,
    /// Number and name of each counter of a coverage report. A number without a name is shown as `counter_N`.
    pub counter_names: Vec<(u16, &'static str)>,
    /// The numbers of the counters whose sum is a report's `not_counted`.
    pub not_counted: Vec<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            memory_bytes: 256 << 20,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_concurrent: 8,
            max_wait_ms: 10_000,
            sql: SqlLimits::default(),
            sql_workers: SqlWorkers::Threads,
            counter_names: Vec::new(),
            not_counted: Vec::new(),
        }
    }
}
