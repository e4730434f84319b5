//! `zonepulse restore`.
//!
//! Everything is restored and checked in a directory beside, and then moved into place: whatever fails, the data directory
//! is as it was.

use super::Overlay;
use crate::Error;
use crate::config::{Settings, s3_options};
use crate::data::STORE;
use crate::time::read_ms;
use clap::Args;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_backup::age::Identity;
use zonepulse_backup::{Access, Control, Destination, Manifest, Pick, SshOptions, Target, find};
use zonepulse_central::accounts;
use zonepulse_central::time::{now_ms, text};
use zonepulse_store::Store;

/// Name of the directory, inside the data directory, where a backup is restored.
const RESTORING: &str = "restoring";
/// Beginning of the name of the directory, inside the data directory, for what was there before.
const REPLACED: &str = "replaced-";

/// A backup, and where it is.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Where the backups are: a directory, ssh://user@host[:port]/path or s3://bucket/prefix
    #[arg(long, value_name = "DESTINATION")]
    from: Destination,
    /// The name of the backup [default: the newest]
    #[arg(long, value_name = "ID")]
    backup: Option<String>,
    /// The newest backup that is not newer than this time: RFC 3339, a date (UTC), Unix seconds, or relative as in -30d
    #[arg(long, value_name = "TIME", value_parser = read_ms, allow_hyphen_values = true, conflicts_with = "backup")]
    at: Option<u64>,
    /// For ssh://: the private key of SSH [default: those that ssh finds]
    #[arg(long, value_name = "FILE")]
    ssh_identity_file: Option<PathBuf>,
    /// For ssh://: the known host keys [default: those of the user and the machine]
    #[arg(long, value_name = "FILE")]
    ssh_known_hosts_file: Option<PathBuf>,
    /// For s3://: the URL of the service [default: Amazon's]
    #[arg(long, value_name = "URL")]
    s3_endpoint: Option<String>,
    /// For s3://: the region
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    s3_region: String,
    /// For s3://: a private file with `access_key_id = "…"` and `secret_access_key = "…"`
    #[arg(long, value_name = "FILE")]
    s3_credentials: Option<PathBuf>,
    /// For s3://: the authorities whose certificate the service may show, in PEM [default: those that this machine trusts]
    #[arg(long, value_name = "FILE")]
    s3_ca_file: Option<PathBuf>,
}

impl Place {
    pub(super) fn open(&self) -> Result<Box<dyn Target>, Error> {
        let (identity_file, known_hosts_file) = (self.ssh_identity_file.clone(), self.ssh_known_hosts_file.clone());
        let s3 = s3_options(
            self.s3_endpoint.clone(),
            self.s3_region.clone(),
            self.s3_credentials.as_deref(),
            self.s3_ca_file.clone(),
        )?;
        Ok(self.from.open(&Access { ssh: SshOptions { identity_file, known_hosts_file }, s3 })?)
    }

    pub(super) fn pick(&self) -> Pick {
        match (&self.backup, self.at) {
            (Some(id), _) => Pick::Id(id.clone()),
            (None, Some(time_ms)) => Pick::At(time_ms),
            (None, None) => Pick::Latest,
        }
    }
}

/// Restores a backup.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    place: Place,
    /// The file with the private key (AGE-SECRET-KEY-1…), as `zonepulse backup keygen` and age-keygen write it
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// The data directory, which is empty or missing
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Restore although the data directory is not empty: what is there is moved into replaced-TIME inside it
    #[arg(long)]
    replace: bool,
}

/// The private keys in a file that only its owner may read.
pub(super) fn identities(file: &Path) -> Result<Vec<Identity>, Error> {
    let text = zonepulse_private::read(file)?.only_owner_or_root()?;
    let wrong = |error| zonepulse_backup::Error::BadKey(file.display().to_string(), error);
    Ok(Identity::read(&text).map_err(wrong)?)
}

/// A directory that a backup is restored in, and that is removed in the end.
pub(super) struct Trial(PathBuf);

impl Trial {
    pub(super) fn new(folder: PathBuf) -> Self {
        Trial(folder)
    }

    /// Restores a backup, and opens its store.
    pub(super) fn restore(
        &self,
        target: &dyn Target,
        backup: &Manifest,
        identities: &[Identity],
        settings: &Settings,
    ) -> Result<Store, Error> {
        match fs::remove_dir_all(&self.0) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(Error::File { path: self.0.clone(), source }),
            _ => {}
        }
        zonepulse_backup::restore(target, backup, identities, &self.0, &Control::default())?;
        // No batch is refused for lack of room here.
        let options = zonepulse_store::Options { min_free_bytes: 0, ..settings.store.into() };
        Ok(Store::open(&self.0.join(STORE), &options)?)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What is left is removed by the next trial.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Restore {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let mut settings = Settings::read(None)?;
        overlay.start(&settings);
        settings.set_data(&self.data)?;
        let data = settings.data.clone();
        let identities = identities(&self.identity)?;
        let present = self.present(&data, &settings)?;
        let target = self.place.open()?;
        let backup = find(target.as_ref(), &self.place.pick())?;
        crate::data::restrict(&data)?;
        let trial = Trial::new(data.join(RESTORING));
        let store = trial.restore(target.as_ref(), &backup, &identities, &settings)?;
        let restored_ms = now_ms();
        accounts::here(&store).note_restored(&backup.id, backup.time_ms, restored_ms)?;
        let faults = store.check()?.faults;
        store.close()?;
        drop(store);
        let mut out = io::stdout().lock();
        if !faults.is_empty() {
            for fault in &faults {
                writeln!(out, "fault: {fault}")?;
            }
            writeln!(out, "backup {} is not sound, and nothing was restored: try an earlier one", backup.id)?;
            return Ok(ExitCode::FAILURE);
        }
        let replaced = set_aside(&data, &present, restored_ms)?;
        for entry in entries(&trial.0)? {
            rename(&trial.0.join(&entry), &data.join(&entry))?;
        }
        sync(&data)?;
        let (id, time) = (&backup.id, text(backup.time_ms));
        writeln!(out, "backup {id} of {time} was restored into {}, and its store is sound", data.display())?;
        if let Some(replaced) = replaced {
            writeln!(out, "what was there before is in {}", replaced.display())?;
        }
        writeln!(
            out,
            "Servers, users, tokens and settings are as they were then: what was changed or revoked since must be done again."
        )?;
        writeln!(out, "Start the central: probes send again what they still have, and the rest is a gap named `restored`.")?;
        Ok(ExitCode::SUCCESS)
    }

    /// What is in the data directory. Fails if it must be empty, or if a central uses it.
    fn present(&self, data: &Path, settings: &Settings) -> Result<Vec<String>, Error> {
        // The last one is what an empty disk has.
        let is_own = |name: &String| name != RESTORING && !name.starts_with(REPLACED) && name != "lost+found";
        let present: Vec<String> = match entries(data) {
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
            entries => entries?.into_iter().filter(is_own).collect(),
        };
        if present.is_empty() {
            return Ok(present);
        }
        if !self.replace {
            return Err(Error::Argument(format!(
                "{} is not empty ({}): give an empty directory, or --replace to move what is there aside",
                data.display(),
                present.join(", ")
            )));
        }
        if data.join(STORE).exists() {
            // A store that cannot be opened otherwise may well be why another one is restored.
            match crate::data::open(data, &settings.store.into()) {
                Err(error @ Error::InUse(_)) => return Err(error),
                opened => drop(opened),
            }
        }
        Ok(present)
    }
}

/// Moves what is in a data directory into one inside it.
fn set_aside(data: &Path, present: &[String], now_ms: u64) -> Result<Option<PathBuf>, Error> {
    if present.is_empty() {
        return Ok(None);
    }
    let aside = data.join(format!("{REPLACED}{}", text(now_ms).replace(':', "")));
    fs::create_dir(&aside).map_err(|source| Error::File { path: aside.clone(), source })?;
    for name in present {
        rename(&data.join(name), &aside.join(name))?;
    }
    Ok(Some(aside))
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|source| Error::File { path: from.to_owned(), source })
}

fn sync(directory: &Path) -> Result<(), Error> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(|source| Error::File { path: directory.to_owned(), source })
}

/// The names in a directory, sorted.
fn entries(directory: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::File { path: directory.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}
