//! Errors in setting up connections.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no connection, listener or client; each variant says who can help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is unreadable: correct its name or its permissions.
    #[error("{}: cannot be read: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A certificate or key file is unsuitable for TLS: replace it.
    #[error("{}: {why}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There are no trusted certificates: specify some, or install the system's.
    #[error("{0}")]
    Trust(String),
    /// A library rejected its parameters: a bug.
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
