//! `zonepulse doctor`.

use super::{Overlay, sql_worker};
use crate::Error;
use crate::doctor::{self, Examined, Question};
use clap::Args;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use zonepulse_central::time::now_ms;
use zonepulse_doctor::{Report, Status, text};
use zonepulse_private::Prepared;
use zonepulse_program::log::{self, Level, Libraries};

/// Checks whatever the central needs, and says what is wrong and what to do about it.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on [default: that of the running central, or of the configuration]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write an archive (tar, gzip) for somebody who cannot log in here: the report, the configuration without secrets,
    /// the store's files by name, and the machine. An existing file is not overwritten
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

impl Doctor {
    /// Exit code 1 if a check found an error.
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        // What libraries of the central would log, a check says.
        log::start(overlay.level.unwrap_or(Level::Error), overlay.format.unwrap_or_default(), Libraries::Silent);
        let file = self.bundle.as_deref().map(|path| Prepared::new(path, false)).transpose()?;
        let question = Question {
            config: self.config.clone(),
            data: self.data.clone(),
            listen: self.listen,
            sql_workers: sql_worker::processes(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let examined = runtime.block_on(doctor::examine(&question));
        // Threads that still wait for a disk or a resolver must not delay the end.
        runtime.shutdown_background();
        print(&examined.report, self.json)?;
        let is_wrong = examined.report.status == Status::Error;
        if let Some(file) = file {
            self.write(file, examined)?;
        }
        Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn write(&self, file: Prepared, examined: Examined) -> Result<(), Error> {
        let archive = doctor::bundle(examined).archive("zonepulse-debug", now_ms() / 1000)?;
        let path = file.path().display().to_string();
        file.write_bytes(&archive)?;
        eprintln!("zonepulse: {path}: {} bytes, without secrets; look at it before you pass it on", archive.len());
        Ok(())
    }
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
