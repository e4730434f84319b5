//! Subcommands: arguments in, exit code out.

pub mod doctor;
pub mod enroll;
pub mod replay;
pub mod resend;
pub mod run;
pub mod tally;

use crate::config::Log;
use zonepulse_program::log::{self, Format, Level, Libraries};

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
