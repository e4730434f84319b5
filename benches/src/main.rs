//! Measurements of the real programs. `make bench` runs them all; the figures
//! and the command stand in `docs/BENCHMARKS.md`.
//!
//! What is measured is CPU seconds of the program under test, read from `/proc`
//! by whoever started it, because machines are noisy and wall clock is not the
//! program's doing.

mod measure;
mod pipeline;
mod probe;
mod store;
mod system;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if let (Some("floor"), Some(file)) = (arguments.next().as_deref(), arguments.next()) {
        probe::floor(&file);
        return ExitCode::SUCCESS;
    }
    if let Some(code) = zonepulse_tests::supervisor::supervise() {
        return code;
    }
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "pipeline" => pipeline::run(),
        "recall" => match zonepulse_tests::needs::corpus() {
            Ok(corpus) => print!("{}", zonepulse_tests::recall::document(&zonepulse_tests::recall::rows(&corpus))),
            Err(reason) => {
                eprintln!("recall: {reason}");
                return ExitCode::FAILURE;
            }
        },
        "store" => store::run(),
        "system" => system::run(),
        "probe" => probe::run(std::env::args().nth(2).as_deref()),
        "" => {
            probe::run(None);
            store::run();
            system::run();
            pipeline::run();
        }
        other => {
            eprintln!("no bench {other:?}: probe, store, system, pipeline, recall, or none for all");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
