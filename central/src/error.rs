//! Errors of the services, by what the caller can do about them.
//!
//! They know nothing of protocols: each endpoint maps them in one place.

use crate::credentials::{Refusal, password};
use std::borrow::Cow;
use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value is not valid: give another.
    #[error("{name}: {reason}")]
    BadValue {
        /// The name of the value.
        name: Cow<'static, str>,
        /// What is wrong with it.
        reason: String,
    },
    /// A command's argument is not valid.
    #[error("{0}")]
    Argument(String),
    /// The object of the request does not exist.
    #[error("{0}")]
    Missing(String),
    /// The caller is not allowed: an administrator can do it or grant the right.
    #[error("{0}")]
    NotAllowed(String),
    /// The credentials are not valid, or cannot be checked now.
    #[error(transparent)]
    Credentials(#[from] Refusal),
    /// The service is busy with other callers: try again.
    #[error("{what}")]
    Busy {
        /// What it is busy with.
        what: &'static str,
        /// When to try again.
        wait: Duration,
    },
    /// A password or token could not be created.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// A file could not be read or written.
    #[error("{}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is accessible to other users or has another owner: do what the message says.
    #[error(transparent)]
    Private(zonepulse_private::Error),
    /// A certificate authority's certificate cannot be used: replace it.
    #[error(transparent)]
    Net(#[from] zonepulse_net::Error),
    /// It is not possible as things are: do what the message says first.
    #[error("{0}")]
    Conflict(String),
    /// A backup was not made or read.
    #[error(transparent)]
    Backup(#[from] zonepulse_backup::Error),
    /// The store refused the operation or failed.
    #[error(transparent)]
    Store(#[from] zonepulse_store::Error),
    /// Stored or just written data is inconsistent: a bug.
    #[error("{0}")]
    Fault(String),
}

impl Error {
    /// A value is not valid: its name and the reason.
    pub fn bad_value(name: impl Into<Cow<'static, str>>, reason: impl Display) -> Self {
        Error::BadValue { name: name.into(), reason: reason.to_string() }
    }
}

impl From<zonepulse_private::Error> for Error {
    fn from(error: zonepulse_private::Error) -> Self {
        match error {
            zonepulse_private::Error::File { path, source } => Error::File { path, source },
            error => Error::Private(error),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::Fault(error.to_string())
    }
}
