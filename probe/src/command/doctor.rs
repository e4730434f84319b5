//! `zonepulse-probe doctor`.

use super::LogArgs;
use crate::Error;
use crate::config::{Argument, Log};
use crate::doctor::{self, Examined};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use zonepulse_doctor::{Report, Status, text};
use zonepulse_program::log::Level;

/// Check whatever the probe needs, and say what is wrong and what to do about it.
///
/// Checks the configuration, capture, the DNS server's ports, the spool and its disk, the clock, and
/// the way to the central or the broker. Changes nothing, whether the probe is running or not. Run it
/// as the user that the probe runs as, or as root. The exit code is 1 if a check found an error, and
/// 0 otherwise.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", default_value = "/etc/zonepulse-probe/probe.toml")]
    config: PathBuf,
    /// Override a configuration key, as in `capture.device=eth0` (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Argument>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Makes all checks and prints them.
pub fn run(args: &Args, log: LogArgs) -> Result<ExitCode, Error> {
    // What libraries of the probe would log, a check says.
    log.start(&Log { level: Level::Error, ..Log::default() });
    let Examined { report, secrets: _ } = doctor::examine(&args.config, &args.set)?;
    print(&report, args.json).map_err(Error::disk("write to", "standard output"))?;
    Ok(if report.status == Status::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        out.write_all(text(report).as_bytes())?;
    }
    out.flush()
}
