//! `zonepulse plan`.

use super::{Format, Overlay};
use crate::Error;
use crate::config::Settings;
use crate::logging;
use crate::plan::{Constants, Plan, Wanted};
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use zonepulse_store::Retention;

/// How large a machine must be.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// Servers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    servers: u32,
    /// Records of each server
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    records: u32,
    /// How many of them are asked for in an interval, about
    #[arg(long, value_name = "N")]
    active: u32,
    /// The length of an interval, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=300))]
    interval: u32,
    /// Series of metrics of each server, measured every 5 s; a small machine has about 50, and 4 more for each core
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=4096))]
    metrics: u32,
    /// How long raw points are kept, minutes
    #[arg(long, value_name = "MINUTES", default_value_t = Retention::default().raw_minutes)]
    raw_minutes: u32,
    /// How long roll-ups are kept, days
    #[arg(long, value_name = "DAYS", default_value_t = Retention::default().aggregated_days)]
    aggregate_days: u32,
    /// What `make bench` measured on the machine in question [default: .run/bench/bench-report.json if it is there, otherwise what docs/BENCHMARKS.md says]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How to tell it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl PlanArguments {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        logging::start(overlay.over(Settings::default().log));
        let Self { servers, records, active, interval: interval_s, metrics, raw_minutes, aggregate_days, .. } = *self;
        if active == 0 || active > records {
            return Err(Error::Argument(format!("--active: {active} is not from 1 to the {records} of --records")));
        }
        let (constants, from) = Constants::read(self.report.as_deref())?;
        let wanted = Wanted { servers, records, active, interval_s, metrics, raw_minutes, aggregate_days };
        let plan = Plan::new(wanted, constants, from);
        let text = match self.format {
            Format::Text => plan.text(),
            Format::Json => serde_json::to_string_pretty(&plan).map_err(io::Error::from)? + "\n",
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
