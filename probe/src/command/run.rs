//! `zonepulse-probe run`.

use super::LogArgs;
use crate::config::{Argument, Config};
use crate::diagnosis::Origin;
use crate::settings::InForce;
use crate::{Error, agent, sight};
use std::path::PathBuf;
use std::process::ExitCode;

/// Listen and send counts until SIGTERM or SIGINT.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file (TOML). Environment variables such as `ZONEPULSE_PROBE_SERVER_ID` or
    /// `ZONEPULSE_PROBE_DELIVER__HTTP__TOKEN` override it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Set a configuration key, as in `capture.device=eth0`; overrides the file and the environment
    /// (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Argument>,
    /// Only check the configuration, and the files it refers to.
    #[arg(long)]
    check_config: bool,
}

/// Runs the agent; SIGHUP reloads the configuration.
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
        println!("{}: valid, for server {}", args.config.display(), config.server_id);
        return Ok(ExitCode::SUCCESS);
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), server_id = config.server_id, config = %args.config.display(), "starting");
    let origin = Origin { config: args.config.clone(), arguments: args.set.clone() };
    agent::run(config, origin, || {
        let config = Config::load(&args.config, &args.set)?;
        config.check_machine()?;
        handle.set(log.level(&config.log));
        config.warn();
        Ok(config)
    })?;
    Ok(ExitCode::SUCCESS)
}
