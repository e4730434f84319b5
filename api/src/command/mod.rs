//! The command line of `zonepulse`.
//!
//! `serve` is the central. Most other commands work on its data directory while `serve` is not running, since only one
//! process can open a store. Results go to standard output, the log to standard error.

mod backup;
mod check;
mod export;
mod plan;
mod probe_file;
mod rebuild;
mod renamed;
mod restore;
mod serve;
mod server;
mod settings;
mod simulate;
mod source;
mod sql_worker;
mod user;
mod verdicts;
mod zone;

use crate::Error;
use crate::config::{Log, Settings};
use crate::data::STORE;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};
use zonepulse_program::log;
use zonepulse_store::Store;

/// The central of Zonepulse: receives and stores what probes count, and serves the monitoring API
#[derive(Debug, Parser)]
#[command(name = "zonepulse", version, max_term_width = 100)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
    /// Minimum level of log messages, which go to standard error
    #[arg(long, value_enum, global = true, value_name = "LEVEL")]
    log_level: Option<log::Level>,
    /// Format of log messages
    #[arg(long, value_enum, global = true, value_name = "FORMAT")]
    log_format: Option<log::Format>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the central until SIGTERM or SIGINT; SIGHUP reloads log settings and the certificate
    Serve(serve::Serve),
    /// Manage users of the API
    #[command(subcommand)]
    User(user::User),
    /// Manage servers
    #[command(subcommand)]
    Server(server::Server),
    /// Show or change settings, for all servers or for one
    #[command(subcommand)]
    Settings(settings::Settings),
    /// Manage zones: which records there are
    #[command(subcommand)]
    Zone(zone::Zone),
    /// Report which records of the zones can be deleted, and why
    Verdicts(verdicts::Verdicts),
    /// Read the whole store and report whether it is consistent
    Check(check::Check),
    /// Make and check encrypted backups
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Restore a backup into an empty data directory
    Restore(restore::Restore),
    /// Recalculate first and last accesses from the stored points, and remove points with impossible times
    Rebuild(rebuild::Rebuild),
    /// Export completed hours as Parquet files, for other query engines and for archiving
    Export(export::Export),
    /// Simulate a fleet of servers that sends batches, to test a central under load
    Simulate(simulate::Simulate),
    /// Calculate the size of the machine that a fleet requires
    Plan(plan::PlanArguments),
    /// A worker process in which `serve` runs SQL statements
    #[command(name = sql_worker::NAME, hide = true)]
    SqlWorker,
}

impl Command {
    /// Parses the program's arguments; exits if they are invalid.
    pub fn of_arguments() -> Self {
        let renewed = renamed::Renewed::of(std::env::args_os())
            .unwrap_or_else(|both| Self::command().error(ErrorKind::ArgumentConflict, both).exit());
        for warning in &renewed.warnings {
            eprintln!("zonepulse: warning: {warning}");
        }
        Self::parse_from(renewed.arguments)
    }

    /// Runs the command. The exit code is 0 on success.
    pub fn run(self) -> Result<ExitCode, Error> {
        let overlay = Overlay { level: self.log_level, format: self.log_format };
        match self.action {
            Action::Serve(serve) => serve.run(overlay),
            Action::User(user) => user.run(overlay),
            Action::Server(server) => server.run(overlay),
            Action::Settings(settings) => settings.run(overlay),
            Action::Zone(zone) => zone.run(overlay),
            Action::Verdicts(verdicts) => verdicts.run(overlay),
            Action::Check(check) => check.run(overlay),
            Action::Backup(backup) => backup.run(overlay),
            Action::Restore(restore) => restore.run(overlay),
            Action::Rebuild(rebuild) => rebuild.run(overlay),
            Action::Export(export) => export.run(overlay),
            Action::Simulate(simulate) => simulate.run(overlay),
            Action::Plan(plan) => plan.run(overlay),
            Action::SqlWorker => sql_worker::run(),
        }
    }
}

/// Log settings on the command line, which override the configuration.
#[derive(Debug, Clone, Copy)]
struct Overlay {
    level: Option<log::Level>,
    format: Option<log::Format>,
}

impl Overlay {
    fn over(self, log: Log) -> Log {
        Log { level: self.level.unwrap_or(log.level), format: self.format.unwrap_or(log.format), ..log }
    }

    /// Starts logging, first of all warnings about what the next release will refuse of the configuration.
    fn start(self, settings: &Settings) -> log::Handle {
        let handle = self.over(settings.log).start();
        settings.warn();
        handle
    }
}

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text for people.
    Text,
    /// A JSON object.
    Json,
}

/// The data directory.
#[derive(Debug, Args)]
struct Place {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    fn settings(&self) -> Result<Settings, Error> {
        let mut settings = Settings::read(self.config.as_deref())?;
        if let Some(data) = &self.data {
            settings.set_data(data)?;
        }
        Ok(settings)
    }

    /// Opens the store, does something with it, and closes it. While `serve` holds it, `call`
    /// is how the API does the same.
    fn with_store<T>(
        &self,
        overlay: Overlay,
        call: &str,
        work: impl FnOnce(&Store, &Settings) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let settings = self.settings()?;
        overlay.start(&settings);
        let store = crate::data::open(&settings.data, &settings.store.into()).map_err(|error| match error {
            Error::InUse(data) => Error::Serving { data, call: call.to_owned() },
            error => error,
        })?;
        let result = work(&store, &settings)?;
        store.close()?;
        Ok(result)
    }
}

/// Waits for a call of a running central.
fn block_on<T>(call: impl Future<Output = Result<T, zonepulse_tools::Error>>) -> Result<T, Error> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(call)?)
}

/// Fails where a data directory has no store: opening would make one.
fn store_is_there(data: &Path) -> Result<(), Error> {
    let path = data.join(STORE);
    let entries =
        fs::read_dir(&path).and_then(|mut entries| entries.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())));
    entries.map(|_| ()).map_err(|source| Error::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_make_sense_together() {
        Command::command().debug_assert();
    }

    #[test]
    fn options_of_a_probe_need_its_file() {
        let refused = Command::try_parse_from(["zonepulse", "server", "add", "ns1", "--device", "eth0"]);
        assert!(refused.unwrap_err().to_string().contains("--probe-config"));
        assert!(Command::try_parse_from(["zonepulse", "server", "add", "ns1"]).is_ok());
    }

    #[test]
    fn the_command_line_wins_over_the_configuration() {
        let overlay = Overlay { level: Some(log::Level::Debug), format: None };
        let log = overlay.over(Log { level: log::Level::Warn, format: log::Format::Json, requests: false });
        assert_eq!(log, Log { level: log::Level::Debug, format: log::Format::Json, requests: false });
    }
}
