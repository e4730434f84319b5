//! The batches that the central refused, kept for someone to look at.

use super::Key;
use super::disk::Disk;
use crate::Error;
use std::fs;
use std::path::Path;

pub(super) const DIR: &str = "refused";

/// Writes down why; before the batch moves, so that none lies there without a reason.
pub(super) fn write_reason(disk: &Disk, key: Key, reason: &str) -> Result<(), Error> {
    disk.write(&format!("{DIR}/{}.reason", stem(key)), format!("{}\n", reason.trim_end()).as_bytes())
}

/// Moves a batch from the spool to the refused ones.
pub(super) fn move_aside(disk: &Disk, key: Key) -> Result<(), Error> {
    let name = key.file_name();
    disk.rename(&name, &format!("{DIR}/{name}"))
}

/// Removes the oldest until all are within a bound.
pub(super) fn bound(disk: &Disk, max_bytes: u64) -> Result<(), Error> {
    let dir = disk.dir().join(DIR);
    let mut kept = Vec::new();
    for entry in fs::read_dir(&dir).map_err(Error::disk("read the directory", &dir))? {
        let entry = entry.map_err(Error::disk("read the directory", &dir))?;
        let size_bytes = entry.metadata().map_err(Error::disk("look at", entry.path()))?.len();
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let temporary = name.starts_with('.') && name.ends_with(".reason.tmp");
        if temporary || key_of(name).is_some() {
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
        tracing::warn!(files = dropped, dir = %dir.display(), "too much was refused: the oldest of it was removed");
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
