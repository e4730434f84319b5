//! What an engine may use.

use crate::sql::SqlLimits;
use crate::worker::SqlWorkers;

/// What the engine may use, and the names of what it only passes on.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for all questions that are being answered together, bytes: sorts, groups and collected rows.
    pub memory_bytes: usize,
    /// How many threads one question may use.
    pub threads: usize,
    /// How many questions are answered at the same time; more wait.
    pub max_concurrent: usize,
    /// How long a question waits for its turn before it is [`Error::Busy`], milliseconds.
    pub max_wait_ms: u64,
    /// Bounds of SQL from outside, which has memory and turns of its own.
    pub sql: SqlLimits,
    /// Where statements of SQL run.
    pub sql_workers: SqlWorkers,
    /// The counters of a coverage report: number and name. A number without a name is shown as `counter_N`.
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
