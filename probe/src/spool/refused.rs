//! Batches that the central refused, kept for inspection.
//!
//! To send one again, `zonepulse-probe resend` renames it from `NAME.batch` to `NAME.resend`. This
//! is atomic, whoever else uses the directory; the process that owns the spool picks it up from
//! there.

use super::Key;
use super::disk::Disk;
use super::names::REFUSED as DIR;
use crate::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const KEPT: &str = "batch";
const OFFERED: &str = "resend";

/// A batch that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its spool.
    pub spool: PathBuf,
    /// Its file name, without the extension.
    pub name: String,
    /// Start of its interval, Unix seconds.
    pub start_s: u64,
    /// Encoded size, bytes.
    pub size_bytes: u64,
    /// Why it was refused, in one line; empty if unknown.
    pub reason: String,
    /// Whether it is waiting to be sent again.
    pub is_offered: bool,
}

impl Refused {
    /// The refused batches of a spool, oldest first. The spool may be in use. The directory does
    /// not exist before the first run of a probe.
    pub fn read(spool: &Path) -> Result<Vec<Refused>, Error> {
        let dir = spool.join(DIR);
        let mut all = Vec::new();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(all),
            entries => entries.map_err(Error::disk("read the directory", &dir))?,
        };
        for entry in entries {
            let path = entry.map_err(Error::disk("read the directory", &dir))?.path();
            let is = |extension: &str| path.extension().is_some_and(|other| other == extension);
            let key = path.file_name().and_then(|name| key_of(name.to_str()?));
            let Some(key) = key.filter(|_| is(KEPT) || is(OFFERED)) else { continue };
            // It may have been picked up meanwhile.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let reason = fs::read_to_string(path.with_extension("reason")).unwrap_or_default();
            all.push(Refused {
                spool: spool.to_owned(),
                name: stem(key),
                start_s: key.start_s,
                size_bytes: metadata.len(),
                reason: reason.lines().next().unwrap_or_default().replace(char::is_control, " "),
                is_offered: is(OFFERED),
            });
        }
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Offers the batch to be sent again. Idempotent.
    pub fn offer(&self) -> Result<(), Error> {
        let file = |extension| self.spool.join(DIR).join(&self.name).with_extension(extension);
        let (from, to) = (file(KEPT), file(OFFERED));
        match fs::rename(&from, &to) {
            // Already offered, and perhaps picked up.
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::disk("rename", from)(error)),
            _ => Ok(()),
        }
    }
}

/// Batches to be sent again, and their sizes, bytes.
pub(super) fn offered(disk: &Disk) -> Result<Vec<(Key, u64)>, Error> {
    let mut all = Vec::new();
    let dir = disk.dir().join(DIR);
    for entry in fs::read_dir(&dir).map_err(Error::disk("read the directory", &dir))? {
        let entry = entry.map_err(Error::disk("read the directory", &dir))?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        if let Some(key) = key_of(name).filter(|_| is_offered(name)) {
            // It is no longer there.
            let Ok(metadata) = entry.metadata() else { continue };
            all.push((key, metadata.len()));
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// The file of a batch to be sent again, relative to the spool.
pub(super) fn offered_name(key: Key) -> String {
    format!("{DIR}/{}.{OFFERED}", stem(key))
}

/// Removes the reason, which is no longer needed.
pub(super) fn forget_reason(disk: &Disk, key: Key) -> Result<(), Error> {
    disk.remove(&format!("{DIR}/{}.reason", stem(key)))
}

fn is_offered(name: &str) -> bool {
    name.strip_suffix(OFFERED).is_some_and(|stem| stem.ends_with('.'))
}

/// Writes the reason. Called before the batch is moved, so that none is without a reason.
pub(super) fn write_reason(disk: &Disk, key: Key, reason: &str) -> Result<(), Error> {
    disk.write(&format!("{DIR}/{}.reason", stem(key)), format!("{}\n", reason.trim_end()).as_bytes())
}

/// Moves a batch from the spool to the refused ones.
pub(super) fn move_aside(disk: &Disk, key: Key) -> Result<(), Error> {
    let name = key.file_name();
    disk.rename(&name, &format!("{DIR}/{name}"))
}

/// Removes the oldest until all fit within the limit.
pub(super) fn bound(disk: &Disk, max_bytes: u64) -> Result<(), Error> {
    let dir = disk.dir().join(DIR);
    let mut kept = Vec::new();
    for entry in fs::read_dir(&dir).map_err(Error::disk("read the directory", &dir))? {
        let entry = entry.map_err(Error::disk("read the directory", &dir))?;
        // A file may be renamed at any time by `resend`.
        let Ok(metadata) = entry.metadata() else { continue };
        let size_bytes = metadata.len();
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let temporary = name.starts_with('.') && name.ends_with(".reason.tmp");
        if temporary || (key_of(name).is_some() && !is_offered(name)) {
            kept.push((name.to_owned(), super::disk::occupied(size_bytes)));
        }
    }
    kept.sort_unstable();
    let mut total: u64 = kept.iter().map(|(_, bytes)| bytes).sum();
    let mut dropped = 0;
    for (name, bytes) in kept {
        if total <= max_bytes {
            break;
        }
        disk.remove(&format!("{DIR}/{name}"))?;
        dropped += 1;
        total -= bytes;
    }
    if dropped > 0 {
        tracing::warn!(files = dropped, dir = %dir.display(), "too many refused batches: the oldest were removed");
    }
    Ok(())
}

fn key_of(name: &str) -> Option<Key> {
    let stem = Path::new(name).file_stem()?.to_str()?;
    Key::from_file_name(&format!("{stem}.batch"))
}

fn stem(key: Key) -> String {
    key.file_name().trim_end_matches(".batch").to_owned()
}

#[cfg(test)]
#[path = "refused_tests.rs"]
mod tests;
