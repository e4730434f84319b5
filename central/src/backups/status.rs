//! What is known of backups.

use crate::Error;
use std::collections::VecDeque;
use std::sync::Arc;
use zonepulse_backup::{Control, Made, Manifest, Shelf};

/// Maximum number of failures remembered.
const MOST_FAILED: usize = 20;

/// What is known of backups.
#[derive(Clone, Default)]
pub struct Status {
    /// The one that is being made.
    pub running: Option<Running>,
    /// Those at the destination, oldest first.
    pub backups: Vec<Backup>,
    /// Those at the destination whose manifest cannot be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// The last ones that failed, oldest first.
    pub failed: VecDeque<Failed>,
    /// Number of failures since the start.
    pub failures: u64,
    /// Free space at the destination after the last backup, bytes, if it tells.
    pub free_bytes: Option<u64>,
    /// When the destination was last looked at, Unix milliseconds.
    pub looked_ms: Option<u64>,
}

/// A backup that is being made.
#[derive(Clone)]
pub struct Running {
    /// Its name.
    pub id: String,
    /// Since when, Unix milliseconds.
    pub began_ms: u64,
    pub(super) control: Arc<Control>,
}

impl Running {
    /// Bytes of files that are saved, and that are to be saved as far as is known.
    pub fn progress(&self) -> (u64, u64) {
        self.control.progress()
    }
}

/// A backup at the destination.
#[derive(Debug, Clone)]
pub struct Backup {
    /// What it consists of.
    pub manifest: Manifest,
    /// What is missing of it or has another size; `None` if it is complete.
    pub fault: Option<String>,
}

/// A backup that failed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Its name.
    pub id: String,
    /// When it began, Unix milliseconds.
    pub began_ms: u64,
    /// When it failed, Unix milliseconds.
    pub ended_ms: u64,
    /// Why.
    pub error: String,
}

impl Status {
    /// Notes what the destination holds.
    pub(super) fn shelf(&mut self, shelf: &Shelf) {
        let backup = |manifest: &Manifest| {
            let fault = shelf.faults(manifest).first().map(ToString::to_string);
            Backup { manifest: manifest.clone(), fault }
        };
        self.backups = shelf.backups.iter().map(backup).collect();
        self.unreadable.clone_from(&shelf.unreadable);
    }

    /// Notes how the running backup ended.
    pub(super) fn ended(&mut self, id: &str, result: Result<(Made, Option<u64>), Error>, now_ms: u64) {
        let began_ms = self.running.take().map_or(now_ms, |running| running.began_ms);
        match result {
            Ok((made, free_bytes)) => {
                self.shelf(&made.shelf);
                (self.free_bytes, self.looked_ms) = (free_bytes, Some(now_ms));
                tracing::info!(
                    backup = id,
                    kind = made.manifest.kind().as_str(),
                    size_bytes = made.manifest.size_bytes(),
                    new_bytes = made.manifest.new_bytes,
                    duration_ms = now_ms.saturating_sub(began_ms),
                    removed = made.removed.len(),
                    "a backup was made"
                );
                if let Some(error) = made.retention_failed {
                    tracing::warn!(error, "old backups could not be removed; the next backup tries again");
                }
            }
            Err(error) => {
                let error = match &error {
                    Error::Backup(zonepulse_backup::Error::File { path, source }) => format!("{}: {source}", path.display()),
                    error => error.to_string(),
                };
                tracing::error!(backup = id, error, "a backup failed; earlier ones are left as they are");
                self.failures += 1;
                self.failed.push_back(Failed { id: id.to_owned(), began_ms, ended_ms: now_ms, error });
                while self.failed.len() > MOST_FAILED {
                    self.failed.pop_front();
                }
            }
        }
    }
}
