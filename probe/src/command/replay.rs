//! `zonepulse-probe replay`.

use super::LogArgs;
use crate::Error;
use crate::config::{Argument, Config};
use crate::replay::{self, Outcome, Settings};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use zonepulse_wire::Counter;

/// Sends captures through the whole path as if they were live.
///
/// The same replay again counts once: the same messages as a whole, for the same server and with the same interval, in
/// whatever files and format they are. A part of them, or more than them, is another replay and counts beside it; so it is with
/// ports or addresses that find other messages, and with --end-now. It may run beside `run`: it
/// keeps its batches in a directory of its own in the spool.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Captures: pcap, pcapng or dnstap, also zstd-compressed; in the order of their time.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The configuration, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A key of the configuration and another value for it (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Argument>,
    /// Move the captures' time so that they end now. Each time this is another replay, and counts again.
    #[arg(long)]
    end_now: bool,
    /// Send for this server instead of the configuration's.
    #[arg(long, value_name = "NUMBER")]
    server_id: Option<u32>,
    /// Wait so long for the central once everything is read; for ever when not given.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Replays, prints what was sent and what was lost, and fails when something
/// could not be read, was refused, or has not arrived.
pub fn run(args: &Args, log: LogArgs) -> Result<ExitCode, Error> {
    let mut config = Config::load(&args.config, &args.set)?;
    log.start(&config.log);
    config.warn();
    if let Some(server_id) = args.server_id {
        if server_id == 0 {
            return Err(Error::Config { place: "--server-id".into(), detail: "0 is no server".into() });
        }
        config.server_id = server_id;
    }
    let timeout = args.timeout.map(Duration::from_secs);
    let outcome = replay::run(&config, &Settings { files: args.files.clone(), end_now: args.end_now, timeout })?;
    print(&outcome).map_err(Error::disk("write to", "standard output"))?;
    if outcome.waiting > 0 {
        tracing::error!(batches = outcome.waiting, dir = %outcome.dir.display(), "time is up; the next replay for this server delivers what still waits");
    }
    if outcome.without_raw + outcome.without_points > 0 {
        tracing::warn!(
            without_raw_points = outcome.without_raw,
            without_points = outcome.without_points,
            "what was replayed is older than what the central keeps for this server: batches without raw points are in roll-ups and \
             totals, batches without points in totals only (/api/v2/dns/aggregate without a time); raise the retention before a \
             replay, or use --end-now"
        );
    }
    Ok(if outcome.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line for each number: its name, a tab, the number.
fn print(outcome: &Outcome) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let read = &outcome.read;
    for (name, number) in [
        ("frames", read.frames),
        ("hits", read.hits),
        ("batches", read.batches),
        ("batches_of_earlier_replays", outcome.found),
        ("delivered", outcome.delivered),
        ("delivered_without_raw_points", outcome.without_raw),
        ("delivered_without_points", outcome.without_points),
        ("refused", outcome.refused),
        ("waiting", outcome.waiting),
        ("files_damaged", read.damages.len() as u64),
    ] {
        writeln!(out, "{name}\t{number}")?;
    }
    for (number, count) in read.counters.iter() {
        match Counter::from_number(number) {
            Some(counter) => writeln!(out, "{}\t{count}", counter.as_str())?,
            None => writeln!(out, "counter_{number}\t{count}")?,
        }
    }
    out.flush()
}
