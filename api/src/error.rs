//! Errors outside of requests, by what the caller can do about them.

use std::fmt::Write;
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
    #[error("{}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A certificate or key is not usable for TLS: replace it.
    #[error("{}: {why}", .path.display())]
    Certificate {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No trusted certificate authority, or no client could be created: do what the message says.
    #[error(transparent)]
    Net(zonepulse_net::Error),
    /// A file or directory is accessible to other users or has another owner: do what the message says.
    #[error(transparent)]
    Private(zonepulse_private::Error),
    /// The data directory is in use by a running process: stop it first, or ask it.
    #[error("{} is in use by another process: a running `zonepulse serve` holds it; stop it first", .0.display())]
    InUse(PathBuf),
    /// The data directory is in use by a running central, which can do the same on request.
    #[error("{} is in use: a running `zonepulse serve` holds it; ask it ({call}), or stop it first", .data.display())]
    Serving {
        /// The data directory.
        data: PathBuf,
        /// The API call that does the same.
        call: String,
    },
    /// The address is not available: choose another.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// An argument is not valid.
    #[error("{0}")]
    Argument(String),
    /// A service did not do what was asked.
    #[error(transparent)]
    Central(zonepulse_central::Error),
    /// A backup was not read or restored.
    #[error(transparent)]
    Backup(#[from] zonepulse_backup::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] zonepulse_store::Error),
    /// Receiving batches could not be started.
    #[error("receiving batches")]
    Ingest(#[from] zonepulse_ingest::Error),
    /// The query engine could not be started.
    #[error("the query engine")]
    Query(#[from] zonepulse_query::Error),
    /// There is no plan, or a simulation or export did not finish.
    #[error(transparent)]
    Tools(#[from] zonepulse_tools::Error),
    /// A part of the central ended unexpectedly.
    #[error("a part of the central ended")]
    Ended(#[from] tokio::task::JoinError),
    /// Standard output or another stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<zonepulse_central::Error> for Error {
    fn from(error: zonepulse_central::Error) -> Self {
        match error {
            zonepulse_central::Error::Net(error) => error.into(),
            error => Error::Central(error),
        }
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

impl From<zonepulse_program::Error> for Error {
    fn from(error: zonepulse_program::Error) -> Self {
        match error {
            zonepulse_program::Error::Private(error) => error.into(),
            error => Error::Config(error.to_string()),
        }
    }
}

impl From<zonepulse_net::Error> for Error {
    fn from(error: zonepulse_net::Error) -> Self {
        match error {
            zonepulse_net::Error::File { path, source } => Error::File { path, source },
            zonepulse_net::Error::Certificate { path, why } => Error::Certificate { path, why },
            error => Error::Net(error),
        }
    }
}

/// An error with all its causes, on one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors already contain their cause.
        if !text.ends_with(&more) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_each_once() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let file = Error::File { path: PathBuf::from("/a"), source };
        assert_eq!(describe(&file), "/a: entity not found");
        let store = zonepulse_ingest::Error::Store(std::sync::Arc::new(zonepulse_store::Error::NameTaken("a".to_owned())));
        let text = describe(&Error::Ingest(store));
        assert_eq!(text, "receiving batches: the store could not take the batch: the name \"a\" is taken");
    }
}
