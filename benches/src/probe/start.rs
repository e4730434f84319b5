//! The program's startup time and size.

use crate::measure::{self, Run};
use std::fs;
use std::process::Command;
use zonepulse_fixtures::{Format, LinkType, capture};
use zonepulse_tests::process::{program_command, succeed};

const ROUNDS: usize = 20;
/// Limit for the best wall clock time, seconds.
const MOST_S: f64 = 0.1;

pub fn run() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let empty = folder.path().join("empty.pcap");
    fs::write(&empty, capture(Format::Pcap, LinkType::Ethernet, &[])).expect("a bench's folder is writable");
    println!("Start-up and size of `zonepulse-probe`, best of {ROUNDS}\n\n| | wall clock, ms | CPU, ms |\n| --- | --- | --- |");
    let path = empty.to_string_lossy();
    for arguments in [&["--version"][..], &["tally", &path]] {
        let runs: Vec<Run> = (0..ROUNDS).map(|_| measure::run(program(arguments))).collect();
        let best = |of: fn(&Run) -> f64| runs.iter().map(of).fold(f64::MAX, f64::min);
        let wall_s = best(|run| run.wall_s);
        let what = if arguments.len() == 1 { "`--version`" } else { "`tally` of a capture without packets" };
        println!("| {what} | {:.1} | {:.1} |", wall_s * 1e3, best(|run| run.cpu_s) * 1e3);
        assert!(wall_s < MOST_S, "it takes {wall_s} s to start");
    }
    let program = program(&[]);
    let stripped = folder.path().join("stripped");
    succeed(Command::new("strip").arg("-o").arg(&stripped).arg(program.get_program()), std::time::Duration::from_secs(60));
    let size = |path: &std::path::Path| fs::metadata(path).map_or(0.0, |metadata| metadata.len() as f64 / 1e6);
    println!("\n{:.1} MB, {:.1} MB stripped. Linked at run time:", size(program.get_program().as_ref()), size(&stripped));
    let linked = succeed(Command::new("ldd").arg(program.get_program()), std::time::Duration::from_secs(10));
    let names: Vec<&str> = linked.lines().filter_map(|line| line.split_whitespace().next()).collect();
    println!("{}.\n", names.join(", "));
}

fn program(arguments: &[&str]) -> Command {
    let mut command = program_command("zonepulse-probe");
    command.args(arguments);
    command
}
