//! Statements of SQL, in processes of their own.
//!
//! # The concept
//!
//! A statement from outside can ask for anything: planning alone may take gigabytes, one call of one function may
//! allocate without any memory pool seeing it, and an expression that does not yield cannot be cancelled. So a statement
//! never runs in the process that takes batches. It runs in a **worker**: a process with an address space and a CPU time
//! that the kernel limits, which the central kills when the statement's time is over or its client has gone.
//!
//! A worker parses, plans and executes. It has no store: it asks the central for what its scans read, over a socket pair.
//! A [`Request`](crate::reading::Request) names columns, servers, records, kinds, time, sums and a limit; it contains no
//! expression, so the central never evaluates anything that a statement says. Filters on names are evaluated by the
//! worker, over the names that it asks for. Rows come back as streams of Arrow IPC, at most [`WINDOW`] batches of each
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
//!             ◀──────────────── End / Failed    the next statement may come, or:
//!             ◀────────────────────── Ready     now it may, its memory is given back
//! ```
//!
//! A small answer takes longer to hand over than to find, so neither side is woken more often than it has to be: what is
//! known at the same time goes with one call. `RowsEnd` has a scan's last batch, `End` goes with the answer's last rows and
//! says whether the worker is ready, the columns go with the first request.
//!
//! * [`statement`] runs one statement in the central: deadline, client, scans, answer.
//! * [`scans`] answers requests; [`threads`] are what scans run on.
//! * [`pool`] starts workers, keeps those that are idle, and bounds how many statements run; [`socket`] is the central's
//!   end of their sockets.
//! * [`serve`] is the worker; [`link`] its end of the socket; [`session`] how it plans; [`faults`] whose fault an error
//!   is; [`limits`] what the kernel holds it to.

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

pub(crate) use limits::go_behind;
pub(crate) use pool::Statements;
pub use serve::run;

use std::path::PathBuf;

/// Batches of a scan, and pieces of an answer, that may be on their way to whoever takes them.
const WINDOW: usize = 2;
/// A piece of an answer has about so many bytes.
const PIECE_BYTES: u64 = 1 << 20;
/// The largest row of an answer, bytes.
const MAX_ROW_BYTES: u64 = 16 << 20;
/// The stack of a worker's threads: planners call themselves for everything that a statement nests.
const STACK_BYTES: usize = 8 << 20;

/// Where statements of SQL run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlWorkers {
    /// In threads of this process, which nothing but the statement's time limits: for tests, and for programs that ask
    /// their own statements.
    Threads,
    /// In processes that run this program with these arguments, which has to call [`run`].
    Processes {
        /// The program.
        program: PathBuf,
        /// What makes it a worker.
        arguments: Vec<String>,
    },
}
