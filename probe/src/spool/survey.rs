//! A look at a spool that another process may be using. It locks nothing and changes nothing.

use super::Key;
use super::disk::occupied;
use super::names::{LOCK, NOTE, SETTINGS, TRIAL};
use super::note::Note;
use crate::Error;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use zonepulse_model::Evicted;
use zonepulse_wire::Message;

/// What a spool contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The directory.
    dir: PathBuf,
    /// Waiting batches, oldest first.
    waiting: Vec<Key>,
    /// Disk space occupied by them, bytes.
    pub disk_bytes: u64,
    /// When the one that waits longest was written.
    pub since: Option<SystemTime>,
    /// Batches that were evicted and that no batch has reported yet.
    pub evicted: Option<Evicted>,
}

impl Survey {
    /// Looks at a spool's directory.
    pub fn read(dir: &Path) -> Result<Survey, Error> {
        let mut survey = Survey { dir: dir.to_owned(), evicted: evicted(dir), ..Survey::default() };
        for entry in fs::read_dir(dir).map_err(Error::disk("read the directory", dir))? {
            let entry = entry.map_err(Error::disk("read the directory", dir))?;
            let Some(key) = entry.file_name().to_str().and_then(Key::from_file_name) else { continue };
            // It may have been delivered meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            survey.waiting.push(key);
            survey.disk_bytes += occupied(metadata.len());
            let written = metadata.modified().ok();
            survey.since = survey.since.into_iter().chain(written).min();
        }
        survey.waiting.sort_unstable();
        Ok(survey)
    }

    /// Number of waiting batches.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no batch waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The beginnings of the newest batches, newest first; those that are unreadable or gone are left
    /// out.
    pub fn newest(&self, most: usize) -> impl Iterator<Item = Message> + '_ {
        let head = |key: &Key| Message::decode_head(&fs::read(self.dir.join(key.file_name())).ok()?).ok();
        self.waiting.iter().rev().take(most).filter_map(head)
    }
}

/// The file that is locked by the process that uses the spool.
pub fn lock_file(dir: &Path) -> PathBuf {
    dir.join(LOCK)
}

/// The central's settings as saved in the spool, if there are any.
pub fn saved_settings(dir: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = dir.join(SETTINGS);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::disk("read", path)(error)),
    }
}

/// Writes some bytes to a file in the directory, and leaves no trace of it.
pub fn try_writing(dir: &Path) -> io::Result<()> {
    const BYTES: [u8; 4096] = [0; 4096];
    let mut open = fs::OpenOptions::new();
    open.write(true).mode(0o600);
    match open.custom_flags(libc::O_TMPFILE).open(dir) {
        Ok(mut file) => file.write_all(&BYTES),
        // Not every file system has files without a name.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT)) => {
            let path = dir.join(TRIAL);
            let mut file = open.custom_flags(0).create_new(true).open(&path)?;
            let written = file.write_all(&BYTES);
            fs::remove_file(&path)?;
            written
        }
        Err(error) => Err(error),
    }
}

/// What the note says; a damaged note is left to the process that uses the spool.
fn evicted(dir: &Path) -> Option<Evicted> {
    let note: Note = serde_json::from_slice(&fs::read(dir.join(NOTE)).ok()?).ok()?;
    note.pending.evicted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{self, Spool};
    use tempfile::TempDir;
    use zonepulse_model::{Identity, ServerId};
    use zonepulse_wire::{Batch, Counters, Coverage, Records};

    fn spool(dir: &TempDir) -> Spool {
        let settings = spool::Settings {
            dir: dir.path().into(),
            max_bytes: spool::MIN_BYTES,
            min_free_bytes: 0,
            max_refused_bytes: 0,
            max_delivered_bytes: 0,
        };
        Spool::open(settings).unwrap()
    }

    fn put(spool: &Spool, seq: u64) {
        let batch = Batch {
            identity: Identity { server_id: ServerId::new(7), epoch: 1, seq },
            start_s: 60 * seq,
            interval_s: 60,
            coverage: Coverage { from_ms: 60_000 * seq, until_ms: 60_000 * seq },
            counters: Counters::new(),
            evicted: None,
            records: Records::new(),
            rows: Vec::new(),
        };
        spool.put(&batch.into()).unwrap();
    }

    #[test]
    fn a_spool_in_use_is_surveyed_and_left_alone() {
        let dir = TempDir::new().unwrap();
        let spool = spool(&dir);
        (1..=3).for_each(|seq| put(&spool, seq));
        let survey = Survey::read(dir.path()).unwrap();
        assert_eq!((survey.len(), survey.disk_bytes, survey.evicted), (3, spool.disk_bytes(), None));
        assert!(survey.since.unwrap().elapsed().unwrap().as_secs() < 60);
        assert_eq!(survey.newest(2).map(|batch| batch.start_s()).collect::<Vec<_>>(), [180, 120]);
    }

    #[test]
    fn what_was_evicted_is_known_before_it_is_reported() {
        let dir = TempDir::new().unwrap();
        let spool = spool(&dir);
        put(&spool, 1);
        let lost = Survey::read(dir.path()).unwrap().newest(1).next().unwrap();
        spool.give_up(&lost);
        let evicted = Survey::read(dir.path()).unwrap().evicted.unwrap();
        assert_eq!((evicted.batches, evicted.from_s), (1, 60));
    }

    #[test]
    fn trying_to_write_leaves_no_trace() {
        let dir = TempDir::new().unwrap();
        try_writing(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(try_writing(Path::new("/nonexistent/spool")).is_err());
    }
}
