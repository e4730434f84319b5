//! Transfers from real name servers, and from a stub that does what no real one does.
//!
//! `ZONEPULSE_TESTS_TRANSFER_RECORDS` sets the size of the large zones (20,000 records unless set).

// Tests may panic; clippy sees that only of functions with the attribute.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod full;
mod incremental;
mod server;
mod stub;
mod wrong;
mod zone;

use libtest_mimic::{Arguments, Completion, Trial};
use std::process::ExitCode;

/// A test with a requirement; ignored, with the reason, if this machine lacks it.
fn test_with<T>(
    name: impl Into<String>,
    need: impl FnOnce() -> Result<T, String> + Send + 'static,
    body: impl FnOnce(T) + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match need() {
        Ok(given) => {
            body(given);
            Ok(Completion::Completed)
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

/// Runs a future on a runtime of one thread.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn main() -> ExitCode {
    if full::is_reader() {
        full::read();
        return ExitCode::SUCCESS;
    }
    let trials = [full::trials(), incremental::trials(), wrong::trials(), stub::trials()].into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
