//! What can go wrong before a connection is made.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no connection, listener or client; each variant says who can help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read: correct its name or its permissions.
    #[error("{}: cannot be read: {source}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of certificates or of a key is not what TLS needs: put in another.
    #[error("{}: {why}", .path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There are no certificates to trust: name some, or install those of the system.
    #[error("{0}")]
    Trust(String),
    /// The libraries refuse what they were told: a defect of ours.
    #[error("TLS: {0}")]
    Setup(String),
}

impl Error {
    pub(crate) fn certificate(path: &Path, why: impl Into<String>) -> Self {
        Error::Certificate { path: path.to_owned(), why: why.into() }
    }

    pub(crate) fn setup(error: impl std::fmt::Display) -> Self {
        Error::Setup(error.to_string())
    }
}
