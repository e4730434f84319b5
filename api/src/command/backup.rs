//! `zonepulse backup`.

use super::restore::Place;
use super::source::Running;
use super::{Overlay, block_on};
use crate::Error;
use crate::config::Settings;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use zonepulse_backup::age::Identity;
use zonepulse_backup::{Control, Manifest, find, verify_objects};
use zonepulse_central::time::{now_ms, text};
use zonepulse_private::Prepared;
use zonepulse_tools::{Api, Method};

const BACKUPS: &str = "/api/v2/backups";
const JSON: &str = "application/json";
/// How often to look how a backup fares.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Encrypted backups.
#[derive(Debug, Subcommand)]
pub(super) enum Backup {
    /// Make a backup of a running central, and wait until it is complete
    Now {
        /// Only start it
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        central: Running,
    },
    /// List the backups of a running central, newest first
    List {
        #[command(flatten)]
        central: Running,
    },
    /// Make a key: the private one goes into a file, to be kept elsewhere, and the public one into the configuration
    Keygen {
        /// The file for the private key, which must not exist
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Check a backup: compare the checksums of all its objects; with the private key, restore it for trial and check the store
    Verify(Box<Verify>),
}

/// A backup to be checked.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// The file with the private key (AGE-SECRET-KEY-1…); without it, only checksums are compared
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Where to restore it for trial: a directory with as much room as the store takes [default: the system's temporary directory]
    #[arg(long, value_name = "DIR", requires = "identity")]
    work: Option<PathBuf>,
}

impl Backup {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = Settings::read(None)?;
        overlay.start(&settings);
        match self {
            Backup::Now { no_wait, central } => now(&central.api()?, *no_wait),
            Backup::List { central } => list(&central.api()?),
            Backup::Keygen { output } => keygen(output),
            Backup::Verify(verify) => verify.run(&settings),
        }
    }
}

fn call(api: &Api, method: Method, path: &str) -> Result<Value, Error> {
    let answer = block_on(api.call(method, path, &[], None, JSON))?;
    serde_json::from_slice(&answer).map_err(|error| Error::Argument(format!("the central's answer is not JSON: {error}")))
}

/// A member of an answer as text.
fn word<'a>(row: &'a Value, member: &str) -> &'a str {
    row.get(member).and_then(Value::as_str).unwrap_or("-")
}

fn number(row: &Value, member: &str) -> String {
    row.get(member).and_then(Value::as_u64).map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn now(api: &Api, no_wait: bool) -> Result<ExitCode, Error> {
    let started = call(api, Method::Post, BACKUPS)?;
    let id = word(&started, "backup_id").to_owned();
    let mut out = io::stdout().lock();
    if no_wait {
        writeln!(out, "backup {id} was started")?;
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        std::thread::sleep(LOOK_EVERY);
        let row = call(api, Method::Get, &format!("{BACKUPS}/{id}"))?;
        match word(&row, "state") {
            "running" => {}
            "complete" => {
                let [size, new, took] = ["size_bytes", "new_bytes", "duration_ms"].map(|member| number(&row, member));
                let kind = word(&row, "kind");
                writeln!(out, "backup {id} is complete: {kind}, {size} bytes, of which {new} are new, in {took} ms")?;
                return Ok(ExitCode::SUCCESS);
            }
            _ => {
                writeln!(out, "backup {id} failed: {}", word(&row, "error"))?;
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}

fn list(api: &Api) -> Result<ExitCode, Error> {
    let rows = call(api, Method::Get, BACKUPS)?;
    let mut out = io::stdout().lock();
    writeln!(out, "backup_id\tstate\ttime\tkind\tsize_bytes\tnew_bytes\tverified\tdestination\terror")?;
    for row in rows.as_array().into_iter().flatten() {
        let [id, state, time, kind] = ["backup_id", "state", "time", "kind"].map(|member| word(row, member));
        let [size, new] = ["size_bytes", "new_bytes"].map(|member| number(row, member));
        let verified = row.get("verified").and_then(Value::as_bool).unwrap_or(false);
        let (destination, error) = (word(row, "destination"), word(row, "error"));
        writeln!(out, "{id}\t{state}\t{time}\t{kind}\t{size}\t{new}\t{verified}\t{destination}\t{error}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn keygen(output: &Path) -> Result<ExitCode, Error> {
    let random = |_| Error::Argument("the system yields no random numbers".to_owned());
    let identity = Identity::random().map_err(random)?;
    let secret = identity.reveal().map_err(|error| Error::Argument(error.to_string()))?;
    let (created, public) = (text(now_ms()), identity.recipient());
    let file = Prepared::new(output, false)?;
    file.write(&format!("# created: {created}\n# public key: {public}\n{}\n", secret.as_str()))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{public}")?;
    eprintln!(
        "the private key is in {}: move it to where backups are restored, and keep a copy; without it no backup can be read",
        output.display()
    );
    Ok(ExitCode::SUCCESS)
}

impl Verify {
    fn run(&self, settings: &Settings) -> Result<ExitCode, Error> {
        let target = self.place.open()?;
        let backup = find(target.as_ref(), &self.place.pick())?;
        let mut out = io::stdout().lock();
        let Some(identity) = &self.identity else {
            let faults = verify_objects(target.as_ref(), &backup, &Control::default())?;
            for fault in &faults {
                writeln!(out, "fault: {fault}")?;
            }
            return conclude(&mut out, &backup, faults.is_empty(), "the checksums of its objects are right");
        };
        let identities = super::restore::identities(identity)?;
        let parent = self.work.clone().unwrap_or_else(std::env::temp_dir);
        let folder = parent.join(format!("zonepulse-verify-{}-{}", backup.id, std::process::id()));
        let trial = super::restore::Trial::new(folder);
        let store = trial.restore(target.as_ref(), &backup, &identities, settings)?;
        let check = store.check()?;
        for fault in &check.faults {
            writeln!(out, "fault: {fault}")?;
        }
        store.close()?;
        conclude(&mut out, &backup, check.faults.is_empty(), "it was restored for trial, and its store is sound")
    }
}

fn conclude(out: &mut impl Write, backup: &Manifest, is_good: bool, what: &str) -> Result<ExitCode, Error> {
    let (id, time) = (&backup.id, text(backup.time_ms));
    if is_good {
        writeln!(out, "backup {id} of {time} is good: {what}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "backup {id} of {time} is not good: make another, and keep earlier ones")?;
    Ok(ExitCode::FAILURE)
}
