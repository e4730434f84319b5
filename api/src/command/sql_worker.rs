//! The process in which `zonepulse serve` runs statements of SQL; not for people.

use crate::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use zonepulse_query::SqlWorkers;

/// What makes a process a worker.
pub(super) const NAME: &str = "sql-worker";
/// This program, even when its file has been replaced by a newer one since it was started.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Workers of this very program.
pub(super) fn processes() -> SqlWorkers {
    SqlWorkers::Processes { program: PathBuf::from(THIS_PROGRAM), arguments: vec![NAME.to_owned()] }
}

/// Is a worker until the central closes its socket.
pub(super) fn run() -> Result<ExitCode, Error> {
    zonepulse_query::run_worker()?;
    Ok(ExitCode::SUCCESS)
}
