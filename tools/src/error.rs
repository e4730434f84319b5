//! Why a tool failed, by what the caller can do about it.

use std::io;
use std::path::PathBuf;

/// Why there is no plan, or a simulation or export did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The fleet was not observed, so no plan can be derived from it: wait for reports, or specify the fleet.
    #[error("{0}")]
    Unobserved(&'static str),
    /// The file is not a usable report of `make bench`: choose another.
    #[error("{0}")]
    Report(String),
    /// The file does not list the servers of a simulated fleet: correct it.
    #[error("configuration: {}: {why}", .path.display())]
    Fleet {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file exists that was not written by an export: move it, or export to another directory.
    #[error("{} exists, and no export has written it: move it away, or export elsewhere", .0.display())]
    Foreign(PathBuf),
    /// A file could not be read or written: correct its name or permissions, or make room.
    #[error("{}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Other users own or can access a file or directory: follow the message.
    #[error(transparent)]
    Private(#[from] zonepulse_private::Error),
    /// There is no trusted certificate, or no client can be created: follow the message.
    #[error(transparent)]
    Net(#[from] zonepulse_net::Error),
    /// The central refused and will refuse again: correct what it reports.
    #[error("the central: {0}")]
    Refused(String),
    /// The central cannot be reached, or the connection broke: try again later.
    #[error("the central")]
    Unreachable(#[source] reqwest::Error),
    /// The central did not accept a batch in time: try again later.
    #[error("the central: a batch was not taken in {after_s} s")]
    GaveUp {
        /// How long it was retried, in seconds.
        after_s: u64,
        /// Why the last attempt failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The response does not come from a compatible central: check the address and the central's version.
    #[error("the central: {0}")]
    Answer(String),
    /// The response is not a valid Arrow stream or was cut off: try again.
    #[error("the central")]
    Stream(#[source] arrow::error::ArrowError),
    /// The broker refused the connection or closed it: check its URL, or try again later.
    #[error("receiving batches")]
    Broker(#[from] zonepulse_ingest::Error),
    /// The local store cannot execute a statement.
    #[error("the query engine")]
    Query(#[from] zonepulse_query::Error),
    /// A Parquet file could not be written.
    #[error("Parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A simulated batch exceeds the limits of the format: simulate less.
    #[error("a batch cannot be made: {0}")]
    Batch(zonepulse_wire::Error),
    /// A task panicked, which is a bug.
    #[error("a part of the simulation ended")]
    Ended(#[from] tokio::task::JoinError),
    /// The progress of an export could not be written to the caller's output.
    #[error(transparent)]
    Io(#[from] io::Error),
}
