//! Operations on a spool's directory, each safe against a crash.

use super::Key;
use super::names::{DELIVERED, LOCK, REFUSED, is_own, is_spool_of_replay, is_temporary, temporary_name};
use crate::Error;
use crate::room::Room;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use zonepulse_private::Entry;

/// The block size of nearly all file systems.
const PIECE_BYTES: u64 = 4096;

#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    /// After this many steps the process "dies": every further step fails without effect.
    #[cfg(test)]
    pub(super) steps_left: std::sync::atomic::AtomicU64,
}

/// Files other than batches in a spool's directory.
#[derive(Debug, Default)]
pub(super) struct OtherFiles {
    /// Number of files that a crash left half written, and that were removed.
    pub(super) temporaries: usize,
    /// Files that do not belong to the spool.
    pub(super) foreign: Vec<PathBuf>,
}

/// Creates a spool's directory, or restricts an existing one to its owner.
pub(crate) fn restrict(dir: &Path) -> Result<(), Error> {
    let kind = |name: &str| match () {
        () if is_spool_of_replay(name) => Entry::Tolerated,
        () if is_own(name) || is_temporary(name) || Key::from_file_name(name).is_some() => Entry::Own,
        () => Entry::Foreign,
    };
    Ok(zonepulse_private::directory(dir, kind)?)
}

/// Disk space occupied by a file of this size, bytes.
pub(super) fn occupied(size_bytes: u64) -> u64 {
    size_bytes.next_multiple_of(PIECE_BYTES)
}

impl Disk {
    pub(super) fn open(dir: &Path) -> Result<Disk, Error> {
        restrict(dir)?;
        for inside in [REFUSED, DELIVERED] {
            zonepulse_private::directory(&dir.join(inside), |_| Entry::Foreign)?;
        }
        Ok(Disk {
            dir: dir.to_owned(),
            #[cfg(test)]
            steps_left: u64::MAX.into(),
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Locks the spool for as long as the file is open.
    pub(super) fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join(LOCK);
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(Error::disk("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::SpoolInUse(self.dir.clone())),
            Err(TryLockError::Error(error)) => Err(Error::disk("lock", path)(error)),
        }
    }

    /// Reads the directory: the batches and their sizes. Half-written files from a crash are
    /// removed.
    pub(super) fn read(&self) -> Result<(Vec<(Key, u64)>, OtherFiles), Error> {
        let mut batches = Vec::new();
        let mut files = OtherFiles::default();
        let listing = fs::read_dir(&self.dir).map_err(Error::disk("read the directory", &self.dir))?;
        for entry in listing {
            let entry = entry.map_err(Error::disk("read the directory", &self.dir))?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            if let Some(key) = Key::from_file_name(name) {
                let metadata = entry.metadata().map_err(Error::disk("look at", entry.path()))?;
                batches.push((key, metadata.len()));
            } else if is_temporary(name) {
                self.remove(name)?;
                files.temporaries += 1;
            } else if !is_own(name) && !is_spool_of_replay(name) {
                files.foreign.push(entry.path());
            }
        }
        Ok((batches, files))
    }

    /// Writes a file atomically. `name` is relative to the spool.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.dir.join(name);
        let temporary = path.with_file_name(temporary_name(&path));
        let written = self.write_and_rename(&temporary, &path, bytes);
        if written.is_err() {
            // If this fails, too, the next start removes it.
            let _ = self.step().and_then(|()| fs::remove_file(&temporary));
        }
        written.map_err(Error::disk("write", &path))?;
        self.sync_parent(&path)
    }

    fn write_and_rename(&self, temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
        let (one, other) = bytes.split_at(bytes.len() / 2);
        self.step()?;
        file.write_all(one)?;
        self.step()?;
        file.write_all(other)?;
        self.step()?;
        file.sync_all()?;
        self.step()?;
        fs::rename(temporary, path)
    }

    /// The contents of a file, if it exists.
    pub(super) fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::disk("read", path)(error)),
        }
    }

    /// Removes a file, if it exists.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        match self.step().and_then(|()| fs::remove_file(&path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::disk("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Renames a file, if it exists, durably.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (self.dir.join(from), self.dir.join(to));
        match self.step().and_then(|()| fs::rename(&from, &to)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::disk("rename", from)(error));
            }
            _ => self.sync_parent(&to)?,
        }
        if from.parent() == to.parent() { Ok(()) } else { self.sync_parent(&from) }
    }

    /// Renames a file without waiting for the disk, and gives it the current time.
    pub(super) fn set_aside(&self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (self.dir.join(from), self.dir.join(to));
        let moved = self.step().and_then(|()| fs::rename(&from, &to));
        moved.and_then(|()| File::open(&to)?.set_modified(SystemTime::now())).map_err(Error::disk("rename", from))
    }

    /// Makes previous removals durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.sync_parent(&self.dir.join(LOCK))
    }

    fn sync_parent(&self, path: &Path) -> Result<(), Error> {
        let dir = path.parent().unwrap_or(&self.dir);
        let synced = self.step().and_then(|()| File::open(dir)).and_then(|dir| dir.sync_all());
        synced.map_err(Error::disk("fsync the directory", dir))
    }

    /// Disk space available to this process, bytes.
    pub(super) fn free_bytes(&self) -> Result<u64, Error> {
        let room = Room::of(&self.dir).map_err(Error::disk("ask for the free space of", &self.dir))?;
        Ok(room.free_bytes)
    }

    /// A point at which the process may die.
    #[cfg(not(test))]
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let left = self.steps_left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("the process died here"))
    }
}
