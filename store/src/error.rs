//! Errors, grouped by what the caller can do about them.

use rocksdb::ErrorKind;
use std::path::{Path, PathBuf};
use zonepulse_model::BadSetting;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the store open: use that process or stop it.
    #[error("the store in {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The store has a format that this version does not read. Nothing in it was changed.
    #[error("{}", crate::database::format::refusal(.path, .found, .written_by.as_deref()))]
    Format {
        /// The directory.
        path: PathBuf,
        /// The format of the store.
        found: u32,
        /// The version that wrote it, if it is known.
        written_by: Option<String>,
    },
    /// The files cannot be read as a store. No data in them was changed.
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
    /// A value on disk is invalid. Run `zonepulse check`.
    #[error("damaged store: {what} under key {key}")]
    Damaged {
        /// The kind of value, and the field within it.
        what: String,
        /// The key, in hexadecimal.
        key: String,
    },
    /// A name that must be unique is taken: choose another.
    #[error("the name {0:?} is taken")]
    NameTaken(String),
    /// The name is visually indistinguishable from an existing one: choose another.
    #[error("the name {0:?} looks like {1:?}, which is taken")]
    NameAlike(String, String),
    /// A setting or other field has an invalid value: choose another.
    #[error("{setting}: {reason}")]
    BadSetting {
        /// The setting or field.
        setting: String,
        /// The reason.
        reason: String,
    },
    /// The limit on their number has been reached: remove some first.
    #[error("there are {1} {0} already, and there can be no more")]
    TooMany(&'static str, usize),
    /// No one could make changes any more: appoint another administrator first.
    #[error("{0:?} is the last administrator; make another one first")]
    LastAdministrator(String),
    /// An import would remove a large part of a zone: confirm it, or correct its source.
    #[error(
        "the import would remove {removed} of the {resources} resources of zone {zone} ({examples}, …): confirm it if that is intended, or correct the source of the zone"
    )]
    MassRemoval {
        /// The apex of the zone.
        zone: String,
        /// Number of resources that would be removed.
        removed: u64,
        /// Number of resources of the zone.
        resources: u64,
        /// The first few that would be removed: owners and types.
        examples: String,
    },
    /// There is no such server, user, zone, resource or plan.
    #[error("no {0} {1:?}")]
    Missing(&'static str, String),
    /// The intake violates an invariant of its fields; the caller must check first.
    #[error("refused intake: {0}")]
    BadIntake(&'static str),
    /// A batch too old to tell whether it was already stored. It will never be accepted; the probe keeps it.
    #[error(
        "batch {seq} of epoch {epoch:016x} comes too late: which batches that old were taken is not remembered any more, and it may be a copy; the coverage of its interval says whether it is in"
    )]
    TooLate {
        /// The probe's epoch.
        epoch: u64,
        /// The batch's sequence number within that epoch.
        seq: u64,
    },
    /// The disk is nearly full: free some space, then retry.
    #[error(
        "the disk is full or nearly full: {free_bytes} bytes are free, {min_free_bytes} are held back: try again when there is room"
    )]
    NoSpace {
        /// Free space.
        free_bytes: u64,
        /// Free space required to accept a batch.
        min_free_bytes: u64,
    },
    /// Out of memory for compression or decompression.
    #[error("no compression: {0}")]
    Compression(#[source] std::io::Error),
    /// A thread of the store could not be started.
    #[error("no thread for the upkeep of the store: {0}")]
    Thread(#[source] std::io::Error),
    /// The disk or the file system failed. Nothing was written; the write may be retried.
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

    pub(crate) fn unreadable(path: &Path, what: String) -> Self {
        Error::Unreadable { path: path.to_owned(), what }
    }

    /// Turns corruption found while opening a store into [`Error::Unreadable`].
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

/// Whether the error means damaged files rather than a failing disk or missing permissions. A file that is referenced
/// by another file but missing can only be recognised by the error message.
fn is_damage(error: &rocksdb::Error) -> bool {
    match error.kind() {
        ErrorKind::Corruption | ErrorKind::NotFound => true,
        ErrorKind::IOError => error.as_ref().contains("No such file"),
        _ => false,
    }
}
