//! Subcommands: arguments in, exit code out.

pub mod doctor;
pub mod enroll;
pub mod replay;
pub mod resend;
pub mod run;
pub mod tally;

use crate::Error;
use crate::config::Log;
use std::process::ExitCode;
use zonepulse_program::log::{self, Format, Level, Libraries};

/// Counts DNS queries and responses of this server by record, and sends the totals to Zonepulse.
#[derive(Debug, clap::Parser)]
#[command(name = "zonepulse-probe", version)]
pub struct Arguments {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(run::Args),
    Enroll(enroll::Args),
    Tally(tally::Args),
    Replay(replay::Args),
    Resend(resend::Args),
    Doctor(doctor::Args),
}

impl Arguments {
    /// Runs the command.
    pub fn run(&self) -> Result<ExitCode, Error> {
        match &self.command {
            Command::Run(args) => run::run(args, self.log),
            Command::Replay(args) => replay::run(args, self.log),
            Command::Resend(args) => resend::run(args, self.log),
            Command::Doctor(args) => doctor::run(args, self.log),
            Command::Enroll(args) => {
                self.log.start(&Default::default());
                enroll::run(args)
            }
            Command::Tally(args) => {
                self.log.start(&Default::default());
                tally::run(args)
            }
        }
    }
}

/// Options for the log; they override the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub struct LogArgs {
    /// Log level, on standard error
    #[arg(long, global = true, value_enum)]
    log_level: Option<Level>,
    /// Log format
    #[arg(long, global = true, value_enum)]
    log_format: Option<Format>,
}

impl LogArgs {
    /// Starts logging as the command line says, or else the configuration.
    pub fn start(&self, configured: &Log) -> log::Handle {
        log::start(self.level(configured), self.log_format.unwrap_or(configured.format), Libraries::Silent)
    }

    /// The effective log level.
    pub fn level(&self, configured: &Log) -> Level {
        self.log_level.unwrap_or(configured.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn a_port_is_from_1_to_65535() {
        let tally = |port: &str| Arguments::try_parse_from(["zonepulse-probe", "tally", "--port", port, "-"]);
        for port in ["0", "65536", "dns"] {
            let said = tally(port).unwrap_err().to_string();
            assert!(said.contains(&format!("'{port}'")) && said.contains("--port"), "{said}");
        }
        assert!(tally("1").is_ok() && tally("65535").is_ok());
    }
}
