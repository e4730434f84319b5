//! SQL statements, in processes of their own.
//!
//! # The concept
//!
//! A statement from outside can do anything: planning alone may take gigabytes, a single function call may
//! allocate memory that no pool sees, and an expression that does not yield cannot be cancelled. So a statement
//! never runs in the process that accepts batches. It runs in a **worker**: a process whose address space and CPU time
//! the kernel limits, and which the central kills when the statement's time is over or its client is gone.
//!
//! A worker parses, plans and executes. It has no store: it requests what its scans read from the central, over a socket pair.
//! A [`Request`](crate::reading::Request) names columns, servers, records, kinds, time, sums and a limit; it contains no
//! expression, so the central never evaluates anything from a statement. Filters on names are evaluated by the
//! worker, over names that it requests. Rows come back as streams of Arrow IPC, at most [`WINDOW`] batches of each
//! scan ahead of the worker, and the statement's own rows go to the central in the same way.
//!
//! ```text
//! central                                    worker (one statement at a time)
//!   Statement ─────────────────────────────▶   parse, plan
//!             ◀─────────────── Read (request)   a scan begins
//!   Rows, Rows, … RowsEnd ─────────────────▶   execute
//!             ◀─────────────────────── More     a batch was taken: send another
//!             ◀───────────────────── Answer     columns and rows of the statement
//!   More ──────────────────────────────────▶   the client has taken them
//!             ◀──────────────── End / Failed    ready for the next statement, or:
//!             ◀────────────────────── Ready     ready, after returning memory
//! ```
//!
//! A small answer takes longer to hand over than to find, so neither side is woken more often than necessary: what is
//! known at the same time is sent with one call. `RowsEnd` has a scan's last batch, `End` is sent with the answer's last rows
//! and says whether the worker is ready, the columns are sent with the first request.
//!
//! * [`statement`] runs one statement in the central: deadline, client, scans, answer.
//! * [`scans`] answers requests; [`threads`] run the scans.
//! * [`pool`] starts workers, keeps idle ones, and limits how many statements run; [`socket`] is the central's
//!   end of their sockets.
//! * [`serve`] is the worker; [`link`] its end of the socket; [`session`] plans; [`faults`] decides who is to blame for an
//!   error; [`limits`] are those that the kernel enforces.

mod faults;
mod frame;
mod ipc;
mod limits;
mod link;
mod pool;
mod scans;
mod serve;
mod session;
mod socket;
mod statement;
mod threads;

pub(crate) use pool::Statements;
pub use pool::try_worker;
pub use serve::run;

use std::path::PathBuf;

/// Maximum number of batches of a scan, and of pieces of an answer, that are in transit.
const WINDOW: usize = 2;
/// The approximate size of a piece of an answer, bytes.
const PIECE_BYTES: u64 = 1 << 20;
/// Maximum size of a row of an answer, bytes.
const MAX_ROW_BYTES: u64 = 16 << 20;
/// The stack size of a worker's threads: planners recurse into nested expressions.
const STACK_BYTES: usize = 8 << 20;

/// Where SQL statements run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlWorkers {
    /// In threads of this process, limited only by the statement's time: for tests, and for programs that run
    /// their own statements.
    Threads,
    /// In processes that run this program with these arguments; it has to call [`run`].
    Processes {
        /// The program.
        program: PathBuf,
        /// The arguments that make it a worker.
        arguments: Vec<String>,
    },
}
