//! Errors, grouped by what the caller can do about them.

use crate::age::{BadKey, Undecryptable};
use std::io;
use std::path::{Path, PathBuf};

/// Why a backup was not made, checked or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The destination is not spelled like one.
    #[error("destination {0:?}: {1}")]
    BadDestination(String, String),
    /// A key is not one: give another.
    #[error("{0}: {1}")]
    BadKey(String, #[source] BadKey),
    /// The destination is full, or holds back what is free: free some space, or remove backups.
    #[error("{place} is full: {free_bytes} bytes are free, {needed_bytes} are needed; earlier backups are left as they are")]
    Full {
        /// The destination.
        place: String,
        /// Free space.
        free_bytes: u64,
        /// Space needed, with what is held back.
        needed_bytes: u64,
    },
    /// The destination does not answer, or refuses: do what the message says.
    #[error("{place}: {what}")]
    Destination {
        /// The destination.
        place: String,
        /// What failed, and why.
        what: String,
    },
    /// The destination holds the backups of another store: give each store its own.
    #[error(
        "{place} holds backups of another store ({found}, and this one is {own}): give each central a destination of its own"
    )]
    OtherStore {
        /// The destination.
        place: String,
        /// The identity of the store whose backups it holds.
        found: String,
        /// The identity of the store to be saved.
        own: String,
    },
    /// The destination holds no such backup.
    #[error("{place} holds {what}")]
    NoBackup {
        /// The destination.
        place: String,
        /// What was looked for and what there is.
        what: String,
    },
    /// A backup was made by a later version of the program: use that one.
    #[error("backup {id} has format {found}, this program reads format {known}: use the version of the program that made it")]
    Format {
        /// The backup.
        id: String,
        /// Its format.
        found: u32,
        /// The format this program reads.
        known: u32,
    },
    /// The backup is for another private key: give that one.
    #[error("{object} was encrypted for another key: give the identity of {recipients}")]
    WrongKey {
        /// The object that was tried.
        object: String,
        /// The public keys.
        recipients: String,
    },
    /// An object of a backup was changed: this backup cannot be restored, another may.
    #[error("object {object} of backup {id} is damaged: {what}")]
    Damaged {
        /// The backup.
        id: String,
        /// The object.
        object: String,
        /// How it differs.
        what: String,
    },
    /// An object of a backup is gone: this backup cannot be restored, another may.
    #[error("object {object} of backup {id} is missing")]
    Missing {
        /// The backup.
        id: String,
        /// The object.
        object: String,
    },
    /// A file changed while it was saved: try again.
    #[error("{} changed while it was being saved", .0.display())]
    Changed(PathBuf),
    /// A local file could not be read or written.
    #[error("{}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It was told to stop.
    #[error("{0}")]
    Stopped(String),
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::File { path: path.to_owned(), source }
    }

    pub(crate) fn destination(place: &str, what: impl ToString) -> Error {
        Error::Destination { place: place.to_owned(), what: what.to_string() }
    }

    pub(crate) fn damaged(id: &str, object: &str, what: impl ToString) -> Error {
        Error::Damaged { id: id.to_owned(), object: object.to_owned(), what: what.to_string() }
    }

    /// What decrypting an object of a backup failed for.
    pub(crate) fn undecryptable(id: &str, object: &str, recipients: &[String], error: Undecryptable) -> Error {
        match error {
            Undecryptable::WrongKey => Error::WrongKey { object: format!("backup {id}"), recipients: recipients.join(" or ") },
            error => Error::damaged(id, object, error),
        }
    }
}
