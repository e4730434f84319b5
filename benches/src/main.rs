//! Benchmarks of the real programs. `make bench` runs them all; `docs/BENCHMARKS.md` contains the
//! figures and the command.
//!
//! They measure CPU seconds of the program under test, read from `/proc` by its parent: machines
//! are noisy, and wall clock time depends on other programs.

mod dataset;
mod growth;
mod measure;
mod peers;
mod pipeline;
mod plot;
mod probe;
mod report;
mod store;
mod system;
mod workload;
mod zones;

use std::process::ExitCode;

/// Benchmarks whose figures go into the report.
const BENCHES: [&str; 7] = ["probe", "store", "peers", "system", "pipeline", "growth", "zones"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, file] = arguments.as_slice()
        && word == "floor"
    {
        probe::floor(file);
        return ExitCode::SUCCESS;
    }
    if let Some(code) = zonepulse_tests::supervisor::supervise() {
        return code;
    }
    let name = arguments.first().map_or("", String::as_str);
    if name == "recall" {
        return recall();
    }
    let wanted: Vec<&str> = BENCHES.into_iter().filter(|bench| name.is_empty() || name == *bench).collect();
    if wanted.is_empty() {
        eprintln!("no bench {name:?}: {}, recall, or none for all", BENCHES.join(", "));
        return ExitCode::FAILURE;
    }
    match report::run(&wanted, arguments.get(1..).unwrap_or_default()) {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(reason)) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
        None => {}
    }
    match name {
        "probe" => probe::run(arguments.get(1).map(String::as_str)),
        "store" => store::run(),
        "peers" => peers::run(),
        "system" => system::run(),
        "growth" => growth::run(arguments.get(1).map(String::as_str)),
        "zones" => zones::run(arguments.get(1).map(String::as_str)),
        _ => pipeline::run(),
    }
    ExitCode::SUCCESS
}

fn recall() -> ExitCode {
    match zonepulse_tests::needs::corpus() {
        Ok(corpus) => print!("{}", zonepulse_tests::recall::document(&zonepulse_tests::recall::rows(&corpus))),
        Err(reason) => {
            eprintln!("recall: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
