//! Free disk space.
//!
//! A database whose disk fills up in the middle of its work is hard to recover, so batches are refused before that
//! happens. The sender keeps them and retries, and they are accepted as soon as there is space again.

use crate::Error;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The disk that contains a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Total size, in bytes.
    pub total_bytes: u64,
    /// Space available to this process, in bytes.
    pub free_bytes: u64,
}

impl Disk {
    /// Returns the disk of a path, or of its nearest existing ancestor. Returns `None` if the file system does not
    /// report its size.
    pub fn of(path: &Path) -> Option<Disk> {
        path.ancestors().find_map(|path| {
            // The last ancestor of a relative path is the working directory.
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let about = rustix::fs::statvfs(path).ok()?;
            let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
            Some(Disk { total_bytes: bytes(about.f_blocks), free_bytes: bytes(about.f_bavail) })
        })
    }
}

/// How long a result from the file system remains valid.
const FRESH: Duration = Duration::from_millis(500);

/// Required free space, and the most recent measurement.
pub(crate) struct Room {
    min_free_bytes: AtomicU64,
    found: Mutex<Option<(Instant, Option<u64>)>>,
}

impl Room {
    pub(crate) fn new(min_free_bytes: u64) -> Self {
        Room { min_free_bytes: AtomicU64::new(min_free_bytes), found: Mutex::new(None) }
    }

    /// Fails if less space than required is free on the disk of this path. A file system that does not report its free
    /// space is assumed to have enough.
    pub(crate) fn check(&self, path: &Path, now: Instant) -> Result<(), Error> {
        match self.read(path, now) {
            Some((free_bytes, min_free_bytes)) if free_bytes < min_free_bytes => {
                Err(Error::NoSpace { free_bytes, min_free_bytes })
            }
            _ => Ok(()),
        }
    }

    /// Returns free and required space on the disk of this path, in bytes.
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

    /// The error to return when the disk itself reported that it is full.
    pub(crate) fn none(&self, path: &Path) -> Error {
        let free_bytes = rustix::fs::statvfs(path).map_or(0, |about| about.f_bavail.saturating_mul(about.f_frsize));
        Error::NoSpace { free_bytes, min_free_bytes: self.min_free_bytes.load(Ordering::Relaxed) }
    }

    #[cfg(test)]
    pub(crate) fn set_min_free(&self, bytes: u64) {
        self.min_free_bytes.store(bytes, Ordering::Relaxed);
    }
}
