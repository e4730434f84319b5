//! What is remembered locally between backups: the checksums of files that cannot change, so that a backup reads only new
//! ones, and the names of objects that were found damaged. Without it, everything is read again.

use crate::hash::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Checksums of files, and damaged objects.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    files: BTreeMap<String, Digest>,
    #[serde(default)]
    damaged: BTreeSet<String>,
    /// The files of this run: only those are remembered.
    #[serde(skip)]
    seen: BTreeMap<String, Digest>,
}

impl Index {
    /// Reads it; empty if it cannot be read.
    pub(crate) fn read(path: &Path) -> Index {
        let Ok(bytes) = fs::read(path) else { return Index::default() };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "the index of backups is damaged: every file is read again");
            Index::default()
        })
    }

    /// Writes it, as a whole or not at all.
    pub(crate) fn write(&mut self, path: &Path) {
        if !self.seen.is_empty() {
            self.files = std::mem::take(&mut self.seen);
        }
        let new = path.with_extension("new");
        let written = serde_json::to_vec(&self).map_err(std::io::Error::other).and_then(|bytes| {
            let mut file = fs::File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, path)
        });
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "the index of backups was not written: the next one reads every file again");
        }
    }

    /// The checksum of an immutable file, if it is known.
    pub(crate) fn find(&mut self, about: &Metadata) -> Option<Digest> {
        let key = key(about);
        let digest = *self.files.get(&key)?;
        self.seen.insert(key, digest);
        Some(digest)
    }

    pub(crate) fn learn(&mut self, about: &Metadata, digest: Digest) {
        self.seen.insert(key(about), digest);
    }

    /// Remembers that an object must not be used again.
    pub(crate) fn is_damaged(&self, object: &str) -> bool {
        self.damaged.contains(object)
    }

    pub(crate) fn found_damaged(&mut self, object: &str) {
        self.damaged.insert(object.to_owned());
    }

    /// Forgets damaged objects that are gone.
    pub(crate) fn keep_damaged(&mut self, there: impl Fn(&str) -> bool) {
        self.damaged.retain(|object| there(object));
    }
}

/// Distinguishes files. A hard link has the key of what it links to.
fn key(about: &Metadata) -> String {
    format!("{}-{}-{}-{}.{:09}", about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec())
}
