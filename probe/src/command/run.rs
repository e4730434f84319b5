//! `zonepulse-probe run`.

use super::LogArgs;
use crate::config::Config;
use crate::{Error, agent};
use std::path::PathBuf;
use std::process::ExitCode;

/// Listens, and sends what it counts, until SIGTERM or SIGINT.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration, TOML. Variables such as `ZONEPULSE_PROBE_SERVER_ID` or
    /// `ZONEPULSE_PROBE_DELIVER__HTTP__TOKEN` stand above it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the agent; SIGHUP reads the configuration again.
pub fn run(args: &Args, log: LogArgs) -> Result<ExitCode, Error> {
    let config = Config::load(&args.config)?;
    let handle = log.start(&config.log);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), server_id = config.server_id, config = %args.config.display(), "starting");
    agent::run(config, || {
        let config = Config::load(&args.config)?;
        handle.set(log.level(&config.log));
        Ok(config)
    })?;
    Ok(ExitCode::SUCCESS)
}
