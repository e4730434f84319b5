//! `zonepulse server diagnose`.

use super::block_on;
use super::source::Running;
use crate::Error;
use clap::Args;
use serde::Deserialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};
use zonepulse_doctor::{About, Check, Report, Status, text};
use zonepulse_private::Prepared;
use zonepulse_tools::{Api, Method};

const JSON: &str = "application/json";
const SERVERS: &str = "/api/v2/pvservers";
/// How often to ask how far the run is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longer than a run can be open.
const LONGEST: Duration = Duration::from_secs(420);

/// Has a server's probe run diagnostics, waits for them, and prints what they found.
#[derive(Debug, Args)]
pub(super) struct Diagnose {
    /// The server's id
    #[arg(value_name = "ID")]
    server: u32,
    /// Also write the archive (tar, gzip) with the report and the files that explain it. An existing file is not overwritten
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the API's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    central: Running,
}

/// How far a run is, as the API says it.
#[derive(Debug, Deserialize)]
struct Run {
    run: u64,
    state: String,
    detail: Option<String>,
    probe_version: Option<String>,
    findings: Vec<Check>,
}

impl Run {
    fn is_open(&self) -> bool {
        ["requested", "running"].contains(&self.state.as_str())
    }
}

impl Diagnose {
    /// Exit code 1 if a check found an error, or there is no result.
    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        let file = self.output.as_deref().map(|path| Prepared::new(path, false)).transpose()?;
        let api = self.central.api()?;
        let path = format!("{SERVERS}/runDiagnostics/{}", self.server);
        let mut answer = block_on(api.call(Method::Post, &path, &[], None, JSON))?;
        let mut run: Run = parse(&answer)?;
        let began = Instant::now();
        let mut shown = String::new();
        while run.is_open() && began.elapsed() < LONGEST {
            if run.state != shown {
                eprintln!("zonepulse: run {}: {}", run.run, run.state);
                shown.clone_from(&run.state);
            }
            sleep(LOOK_EVERY);
            answer = block_on(api.call(Method::Get, &format!("{SERVERS}/diagnostics/{}", self.server), &[], None, JSON))?;
            run = parse(&answer)?;
        }
        if self.json {
            let mut out = std::io::stdout().lock();
            out.write_all(&answer)?;
            writeln!(out)?;
        }
        if run.state != "done" {
            let why = run.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            eprintln!("zonepulse: run {}: {}{why}", run.run, run.state);
            return Ok(ExitCode::FAILURE);
        }
        let worst = run.findings.iter().map(|check| check.status).max();
        if !self.json {
            self.print(run)?;
        }
        if let Some(file) = file {
            self.save(&api, file)?;
        }
        Ok(if worst == Some(Status::Error) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn print(&self, run: Run) -> Result<(), Error> {
        let about = About {
            program: "zonepulse-probe".into(),
            version: run.probe_version.unwrap_or_else(|| "of unknown version".to_owned()).into(),
            config: format!("run {}", run.run).into(),
            server_id: Some(self.server),
        };
        let checks = run.findings;
        let status = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
        std::io::stdout().lock().write_all(text(&Report { about, status, checks }).as_bytes())?;
        Ok(())
    }

    fn save(&self, api: &Api, file: Prepared) -> Result<(), Error> {
        let path = format!("{SERVERS}/downloaddebug/{}", self.server);
        let archive = block_on(api.call(Method::Get, &path, &[], None, "*/*"))?;
        let shown = file.path().display().to_string();
        file.write_bytes(&archive)?;
        eprintln!("zonepulse: {shown}: {} bytes", archive.len());
        Ok(())
    }
}

fn parse(answer: &[u8]) -> Result<Run, Error> {
    let unexpected = |error: serde_json::Error| zonepulse_tools::Error::Answer(error.to_string());
    Ok(serde_json::from_slice(answer).map_err(unexpected)?)
}
