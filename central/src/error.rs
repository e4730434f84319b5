//! Why a service did not do what was asked, by what whoever asked can do about it.
//!
//! It says nothing of how an endpoint tells it: that is decided there, for each endpoint once.

use crate::credentials::{Refusal, password};
use std::borrow::Cow;
use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value cannot be meant so: give another.
    #[error("{name}: {reason}")]
    BadValue {
        /// Which one.
        name: Cow<'static, str>,
        /// What is wrong with it.
        reason: String,
    },
    /// An argument of a command that cannot be meant so.
    #[error("{0}")]
    Argument(String),
    /// What it is about does not exist.
    #[error("{0}")]
    Missing(String),
    /// Whoever asks may not: an administrator can do it, or give the right.
    #[error("{0}")]
    NotAllowed(String),
    /// The credentials are nobody's, or cannot be checked now.
    #[error(transparent)]
    Credentials(#[from] Refusal),
    /// Others are before: try again.
    #[error("{what}")]
    Busy {
        /// What is being done for them.
        what: &'static str,
        /// When to try again.
        wait: Duration,
    },
    /// A password or token could not be made.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// A file could not be read or written.
    #[error("{}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is open to other users, or somebody else's: do what the message says.
    #[error(transparent)]
    Private(zonepulse_private::Error),
    /// An authority's certificate cannot be used: put in another.
    #[error(transparent)]
    Net(#[from] zonepulse_net::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] zonepulse_store::Error),
    /// What is stored, or was just written, is not what it has to be: a fault of the program.
    #[error("{0}")]
    Fault(String),
}

impl Error {
    /// A value is at fault: its name, and what is wrong with it.
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
