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

/// Send captures through the whole pipeline as if they were live.
///
/// Repeating a replay does not count again: a replay is identified by its messages as a whole, the
/// server and the interval, whatever the files and their format. A subset or superset of the
/// messages is a different replay and counts in addition; so does one whose ports or addresses
/// select other messages, and every replay with --end-now. It may run next to `run`: it keeps its
/// batches in a directory of its own in the spool.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Captures: pcap, pcapng or dnstap, optionally zstd-compressed, in chronological order.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Override a configuration key, as in capture.device=eth0 (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Argument>,
    /// Shift the captures in time so that they end now. Each such replay counts again.
    #[arg(long)]
    end_now: bool,
    /// Also send which records the responses served. The central must be of this release or a later one.
    #[arg(long)]
    served: bool,
    /// Send on behalf of this server instead of the configured one.
    #[arg(long, value_name = "NUMBER")]
    server_id: Option<u32>,
    /// Once everything is read, wait this many seconds for the central; forever if not given.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Replays and prints what was sent and what was lost. Fails if something could not be read, was
/// refused, or has not been delivered.
pub fn run(args: &Args, log: LogArgs) -> Result<ExitCode, Error> {
    let mut config = Config::load(&args.config, &args.set)?;
    log.start(&config.log);
    config.warn();
    if let Some(server_id) = args.server_id {
        if server_id == 0 {
            return Err(Error::Config { place: "--server-id".into(), detail: "0 is not a valid server ID".into() });
        }
        config.server_id = server_id;
    }
    let timeout = args.timeout.map(Duration::from_secs);
    let settings = Settings { files: args.files.clone(), end_now: args.end_now, served: args.served, timeout };
    let outcome = replay::run(&config, &settings)?;
    print(&outcome).map_err(Error::disk("write to", "standard output"))?;
    if outcome.waiting > 0 {
        tracing::error!(batches = outcome.waiting, dir = %outcome.dir.display(), "timed out; the next replay for this server delivers the remaining batches");
    }
    if outcome.without_raw + outcome.without_points > 0 {
        tracing::warn!(
            without_raw_points = outcome.without_raw,
            without_points = outcome.without_points,
            "the replayed data is older than the central's retention for this server: batches without raw points are in roll-ups \
                 and totals, batches without points in totals only (/api/v2/dns/aggregate without a time); raise the retention before a \
                 replay, or use --end-now"
        );
    }
    Ok(if outcome.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line per number: name, tab, value.
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
