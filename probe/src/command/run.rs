//! `zonepulse-probe run`.

use super::LogArgs;
use crate::config::{Argument, Config};
use crate::settings::InForce;
use crate::{Error, agent, sight};
use std::path::PathBuf;
use std::process::ExitCode;

/// Listens, and sends what it counts, until SIGTERM or SIGINT.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration, TOML. Variables such as `ZONEPULSE_PROBE_SERVER_ID` or
    /// `ZONEPULSE_PROBE_DELIVER__HTTP__TOKEN` stand above it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A key of the configuration and its value, as in `capture.device=eth0`; above the file and
    /// the environment (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Argument>,
    /// Only say whether the configuration is sound, and the files that it names.
    #[arg(long)]
    check_config: bool,
}

/// Runs the agent; SIGHUP reads the configuration again.
pub fn run(args: &Args, log: LogArgs) -> Result<ExitCode, Error> {
    let config = Config::load(&args.config, &args.set)?;
    config.check_machine()?;
    let handle = log.start(&config.log);
    config.warn();
    if args.check_config {
        if let Some(warning) = config.check_disk()? {
            eprintln!("warning: {warning}");
        }
        if let Some(warning) = sight::check(&config) {
            eprintln!("warning: {warning}");
        }
        InForce::of_config(&config)?;
        println!("{}: sound, for server {}", args.config.display(), config.server_id);
        return Ok(ExitCode::SUCCESS);
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), server_id = config.server_id, config = %args.config.display(), "starting");
    agent::run(config, || {
        let config = Config::load(&args.config, &args.set)?;
        config.check_machine()?;
        handle.set(log.level(&config.log));
        config.warn();
        Ok(config)
    })?;
    Ok(ExitCode::SUCCESS)
}
