//! The process in which `zonepulse serve` runs statements of SQL; not for people.

use crate::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use zonepulse_query::SqlWorkers;

/// The command that makes a process a worker.
pub(super) const NAME: &str = "sql-worker";
/// This program, even if its file has been replaced by a newer one since it started.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Workers that run this very program.
pub(super) fn processes() -> SqlWorkers {
    SqlWorkers::Processes { program: PathBuf::from(THIS_PROGRAM), arguments: vec![NAME.to_owned()] }
}

/// Works until the central closes the socket.
pub(super) fn run() -> Result<ExitCode, Error> {
    zonepulse_query::run_worker()?;
    Ok(ExitCode::SUCCESS)
}
