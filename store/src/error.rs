//! What can go wrong, by what the caller can do about it.

use rocksdb::ErrorKind;
use std::path::{Path, PathBuf};
use zonepulse_model::BadSetting;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the store open: use that one, or end it.
    #[error("the store in {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The store was written by another version of the program.
    #[error(
        "the store has format {found}, this program reads format {known}: use the program version that wrote it, or start with an empty directory"
    )]
    Format {
        /// The store's format.
        found: u32,
        /// The format that this program reads.
        known: u32,
    },
    /// The files cannot be read as a store. No data in them were changed.
    #[error(
        "the store in {} is damaged, and its data were left as they are: {what}: restore the directory from a copy, or move it away and begin with an empty one, which probes fill with what they still hold",
        .path.display()
    )]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What was found, and in which file or under which key.
        what: String,
    },
    /// A value on disk says what cannot be. Run `zonepulse check`.
    #[error("damaged store: {what} under key {key}")]
    Damaged {
        /// Which kind of value, and which field of it.
        what: String,
        /// The key, in hexadecimal.
        key: String,
    },
    /// A name that must be unique is taken: choose another.
    #[error("the name {0:?} is taken")]
    NameTaken(String),
    /// A name that nobody could tell from another one: choose another.
    #[error("the name {0:?} looks like {1:?}, which is taken")]
    NameAlike(String, String),
    /// A setting, or another field, that cannot be so: choose another value.
    #[error("{setting}: {reason}")]
    BadSetting {
        /// Which one.
        setting: String,
        /// Why.
        reason: String,
    },
    /// There are as many as there may be: remove some first.
    #[error("there are {1} {0} already, and there can be no more")]
    TooMany(&'static str, usize),
    /// Nobody could change anything any more: make another administrator first.
    #[error("{0:?} is the last administrator; make another one first")]
    LastAdministrator(String),
    /// There is no such server or user.
    #[error("no {0} {1:?}")]
    Missing(&'static str, String),
    /// An intake that breaks a promise of its fields; the caller must check first.
    #[error("refused intake: {0}")]
    BadIntake(&'static str),
    /// A batch that comes so late that nobody knows whether it was taken before: it never is. Whoever has it keeps it.
    #[error(
        "batch {seq} of epoch {epoch:016x} comes too late: which batches that old were taken is not remembered any more, and it may be a copy; the coverage of its interval says whether it is in"
    )]
    TooLate {
        /// The run of the probe.
        epoch: u64,
        /// The number of the batch in that run.
        seq: u64,
    },
    /// The disk is nearly full: make room, then try again.
    #[error(
        "the disk is full or nearly full: {free_bytes} bytes are free, {min_free_bytes} are held back: try again when there is room"
    )]
    NoSpace {
        /// What is free.
        free_bytes: u64,
        /// What must be free for a batch to be taken.
        min_free_bytes: u64,
    },
    /// There was no memory for compressing or decompressing.
    #[error("no compression: {0}")]
    Compression(#[source] std::io::Error),
    /// A thread of the store could not be started.
    #[error("no thread for the upkeep of the store: {0}")]
    Thread(#[source] std::io::Error),
    /// The disk or the file system failed. Nothing of the write was taken; it may be tried again.
    #[error("the database failed: {0}")]
    Database(#[from] rocksdb::Error),
}

impl From<BadSetting> for Error {
    fn from(BadSetting { setting, reason }: BadSetting) -> Self {
        Error::bad_setting(setting, reason)
    }
}

impl Error {
    pub(crate) fn bad_setting(setting: &str, reason: impl Into<String>) -> Self {
        Error::BadSetting { setting: setting.to_owned(), reason: reason.into() }
    }

    /// What opening a store says of damage that it met.
    pub(crate) fn while_opening(self, path: &Path) -> Self {
        let what = match &self {
            Error::Database(error) if is_damage(error) => error.to_string(),
            Error::Damaged { .. } => self.to_string(),
            _ => return self,
        };
        Error::Unreadable { path: path.to_owned(), what }
    }

    pub(crate) fn damaged(what: impl Into<String>, key: &[u8]) -> Self {
        Error::Damaged { what: what.into(), key: key.iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

/// Whether the files are at fault, and not the disk or whoever may read them. A file that is named in another
/// and is not there is known by its words only.
fn is_damage(error: &rocksdb::Error) -> bool {
    match error.kind() {
        ErrorKind::Corruption | ErrorKind::NotFound => true,
        ErrorKind::IOError => error.as_ref().contains("No such file"),
        _ => false,
    }
}
