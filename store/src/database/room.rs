//! Whether there is room on the disk.
//!
//! A database that finds the disk full in the middle of its work is hard to
//! bring back; so batches are refused before that. Whoever brought them keeps
//! them and tries again, and they are taken as soon as there is room.

use crate::Error;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The disk that a path is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Its size, bytes.
    pub total_bytes: u64,
    /// What this process could use of it.
    pub free_bytes: u64,
}

impl Disk {
    /// Of a path, or of the nearest directory above it that exists. Nothing when the file system does not say.
    pub fn of(path: &Path) -> Option<Disk> {
        path.ancestors().find_map(|path| {
            // What is above a relative path is where the program runs.
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let about = rustix::fs::statvfs(path).ok()?;
            let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
            Some(Disk { total_bytes: bytes(about.f_blocks), free_bytes: bytes(about.f_bavail) })
        })
    }
}

/// How long an answer of the file system counts.
const FRESH: Duration = Duration::from_millis(500);

/// What must be free, and what was found free when.
pub(crate) struct Room {
    min_free_bytes: AtomicU64,
    found: Mutex<Option<(Instant, Option<u64>)>>,
}

impl Room {
    pub(crate) fn new(min_free_bytes: u64) -> Self {
        Room { min_free_bytes: AtomicU64::new(min_free_bytes), found: Mutex::new(None) }
    }

    /// Fails while less is free on the disk of this path than must be. A file
    /// system that cannot say is taken to have room.
    pub(crate) fn check(&self, path: &Path, now: Instant) -> Result<(), Error> {
        match self.read(path, now) {
            Some((free_bytes, min_free_bytes)) if free_bytes < min_free_bytes => {
                Err(Error::NoSpace { free_bytes, min_free_bytes })
            }
            _ => Ok(()),
        }
    }

    /// What is free on the disk of this path, and what must be, bytes.
    pub(crate) fn read(&self, path: &Path, now: Instant) -> Option<(u64, u64)> {
        let mut found = self.found.lock();
        let free_bytes = match *found {
            Some((when, free_bytes)) if now.saturating_duration_since(when) < FRESH => free_bytes,
            _ => {
                let free_bytes = rustix::fs::statvfs(path).ok().map(|about| about.f_bavail.saturating_mul(about.f_frsize));
                *found = Some((now, free_bytes));
                free_bytes
            }
        };
        Some((free_bytes?, self.min_free_bytes.load(Ordering::Relaxed)))
    }

    /// What to say when the disk itself said that it is full.
    pub(crate) fn none(&self, path: &Path) -> Error {
        let free_bytes = rustix::fs::statvfs(path).map_or(0, |about| about.f_bavail.saturating_mul(about.f_frsize));
        Error::NoSpace { free_bytes, min_free_bytes: self.min_free_bytes.load(Ordering::Relaxed) }
    }

    #[cfg(test)]
    pub(crate) fn set_min_free(&self, bytes: u64) {
        self.min_free_bytes.store(bytes, Ordering::Relaxed);
    }
}
