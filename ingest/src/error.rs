//! Why a batch was not accepted, by what its sender can do about it.

use std::sync::Arc;
use zonepulse_model::{Interval, ServerId};
use zonepulse_wire::Utc;

/// Why a batch was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The bytes are not a valid batch. It will never be accepted.
    #[error(transparent)]
    Malformed(zonepulse_wire::Error),
    /// The batch has a version that this program cannot read. Keep it and update the older side.
    #[error(transparent)]
    UnknownVersion(zonepulse_wire::Error),
    /// The batch is so late that it may be a copy of one already accepted. It will never be accepted: keep it for
    /// inspection.
    #[error("{0}")]
    TooLate(String),
    /// The batch covers a time in the future: one of the two clocks is wrong. Keep it, and try again once that time
    /// has come or the clock has been corrected.
    #[error(
        "the batch tells of a time {ahead_s} s ahead of the central's clock, and up to {max_ahead_s} s are taken: keep it and try again later; is NTP running on both machines?"
    )]
    Ahead {
        /// How far in the future its last interval begins, in seconds.
        ahead_s: u64,
        /// The maximum.
        max_ahead_s: u64,
    },
    /// The central's own clock is wrong, so it cannot judge the times in a batch: try again once the clock has been
    /// corrected.
    #[error("the central's clock is {behind_s} s behind what it has stored: is NTP running?")]
    Behind {
        /// The minimum difference, in seconds.
        behind_s: u64,
    },
    /// The batch covers a time so long ago that the clock it comes from, or the central's, must be wrong. It will not
    /// be accepted unless the bound is changed: keep it for inspection.
    #[error(
        "the batch tells of a time {age_days} days ago ({}), and up to {max_age_days} days are taken ([ingest] max_age_days): is the clock right that it was made with?", Utc(*.start_s)
    )]
    TooOld {
        /// When it begins, in Unix seconds.
        start_s: u64,
        /// How long ago that is, in days.
        age_days: u64,
        /// The maximum.
        max_age_days: u32,
    },
    /// The batch's interval does not divide 300 s. It will never be accepted.
    #[error("an interval of {0} s does not divide {max_s} s", max_s = Interval::MAX_S)]
    Interval(u32),
    /// Another run of a probe of the server already covers the same time, and the server's settings let each time
    /// count only once. It will never be accepted: keep it for inspection.
    #[error(
        "another probe uses the token of server {server_id}: the interval at {} counts from the run {first:016x}, so not from {epoch:016x} (the setting overlapping_probes is \"refuse\")", Utc(*.start_s)
    )]
    Overlaps {
        /// The server.
        server_id: ServerId,
        /// Start of the interval, in Unix seconds.
        start_s: u64,
        /// The run of the probe that sent this batch.
        epoch: u64,
        /// The run that counts.
        first: u64,
    },
    /// The batch belongs to a server that its sender may not send for.
    #[error("server {own} may not send for server {found}")]
    WrongServer {
        /// The server whose credentials were presented.
        own: ServerId,
        /// The server that the batch belongs to.
        found: ServerId,
    },
    /// The batch belongs to a server unknown to the central: add the server.
    #[error("no server has the id {0}")]
    UnknownServer(ServerId),
    /// Too many batches are already waiting: try again later.
    #[error("too many batches are waiting to be committed: try again later")]
    Busy,
    /// The central's disk is nearly full: try again when there is room.
    #[error(
        "the central's disk is nearly full: {free_bytes} bytes are free, {min_free_bytes} are needed ([store] min_free_bytes): try again later"
    )]
    NoSpace {
        /// Free space.
        free_bytes: u64,
        /// Free space required to accept a batch.
        min_free_bytes: u64,
    },
    /// The store failed. The batch was not accepted: try again later.
    #[error("the store could not take the batch: {0}")]
    Store(#[source] Arc<zonepulse_store::Error>),
    /// The central is stopping: try again later.
    #[error("the central is stopping: try again later")]
    Closed,
    /// There are no trusted certificates: correct the setting.
    #[error("TLS: {0}")]
    Trust(String),
    /// The broker cannot be reached, or closed the connection: try again later.
    #[error("the broker: {0}")]
    Broker(String),
    /// The committer thread could not be started.
    #[error("no thread for the committer: {0}")]
    Thread(#[source] Arc<std::io::Error>),
}

impl Error {
    /// Whether retrying with the same bytes is pointless.
    pub fn is_final(&self) -> bool {
        match self {
            Error::Malformed(_)
            | Error::UnknownVersion(_)
            | Error::TooLate(_)
            | Error::TooOld { .. }
            | Error::Interval(_)
            | Error::Overlaps { .. }
            | Error::WrongServer { .. } => true,
            Error::Ahead { .. }
            | Error::Behind { .. }
            | Error::UnknownServer(_)
            | Error::Busy
            | Error::NoSpace { .. }
            | Error::Store(_)
            | Error::Closed
            | Error::Trust(_)
            | Error::Broker(_)
            | Error::Thread(_) => false,
        }
    }

    /// A short identifier of the cause, the same for every batch rejected for that reason. Metrics and the log count
    /// by it.
    pub fn cause(&self) -> &'static str {
        match self {
            Error::Malformed(_) => "malformed",
            Error::UnknownVersion(_) => "unknown_version",
            Error::TooLate(_) => "too_late",
            Error::Ahead { .. } => "ahead",
            Error::Behind { .. } => "central_clock_behind",
            Error::TooOld { .. } => "too_old",
            Error::Interval(_) => "interval",
            Error::Overlaps { .. } => "overlaps",
            Error::WrongServer { .. } => "wrong_server",
            Error::UnknownServer(_) => "unknown_server",
            Error::Busy => "busy",
            Error::NoSpace { .. } => "no_space",
            Error::Store(_) => "store",
            Error::Closed => "closed",
            Error::Trust(_) => "trust",
            Error::Broker(_) => "broker",
            Error::Thread(_) => "thread",
        }
    }
}

impl From<zonepulse_store::Error> for Error {
    fn from(error: zonepulse_store::Error) -> Self {
        match error {
            // A batch that the store refuses for its content would be refused again.
            zonepulse_store::Error::BadIntake(what) => Error::Malformed(zonepulse_wire::Error::Malformed(what)),
            zonepulse_store::Error::TooLate { .. } => Error::TooLate(error.to_string()),
            zonepulse_store::Error::NoSpace { free_bytes, min_free_bytes } => Error::NoSpace { free_bytes, min_free_bytes },
            error => Error::Store(Arc::new(error)),
        }
    }
}

impl From<zonepulse_net::Error> for Error {
    fn from(error: zonepulse_net::Error) -> Self {
        Error::Trust(error.to_string())
    }
}

impl From<zonepulse_wire::Error> for Error {
    fn from(error: zonepulse_wire::Error) -> Self {
        match error {
            zonepulse_wire::Error::UnknownVersion { .. } => Error::UnknownVersion(error),
            error => Error::Malformed(error),
        }
    }
}
