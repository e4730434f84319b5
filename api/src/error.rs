//! What can go wrong outside of requests, by what the caller can do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the central, or a command on its data, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong: correct it.
    #[error("configuration: {0}")]
    Config(String),
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data directory belongs to a running process: stop it first, or ask it.
    #[error("{} is in use by another process: a running `zonepulse serve` holds it; stop it first", .0.display())]
    InUse(PathBuf),
    /// The address cannot be listened on: choose another.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// An argument that cannot be meant so.
    #[error("{0}")]
    Argument(String),
    /// A password or token could not be made.
    #[error(transparent)]
    Password(#[from] crate::credentials::password::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] zonepulse_store::Error),
    /// Receiving batches failed to start.
    #[error("receiving batches: {0}")]
    Ingest(#[from] zonepulse_ingest::Error),
    /// The query engine failed to start.
    #[error("the query engine: {0}")]
    Query(#[from] zonepulse_query::Error),
    /// A part of the central ended that should not have.
    #[error("a part of the central ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
    /// Standard output or another stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// A store that was opened, or why not.
    pub(crate) fn opening(error: zonepulse_store::Error) -> Self {
        match error {
            zonepulse_store::Error::InUse(path) => Error::InUse(path),
            error => Error::Store(error),
        }
    }
}
