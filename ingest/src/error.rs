//! Why a batch was not taken, by what its bringer can do about it.

use std::sync::Arc;
use zonepulse_model::{Interval, ServerId};
use zonepulse_wire::Utc;

/// Why a batch was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The bytes are no batch, or a broken one. It will never be taken.
    #[error(transparent)]
    Malformed(zonepulse_wire::Error),
    /// The batch is of a version that this program does not read. Keep it and
    /// update the older side.
    #[error(transparent)]
    UnknownVersion(zonepulse_wire::Error),
    /// The batch comes so late that it may be a copy of one that was taken. It will never be taken: keep it
    /// for somebody to look at.
    #[error("{0}")]
    TooLate(String),
    /// The batch tells of a time that is yet to come: one of the two clocks is wrong. Keep it, and try again
    /// when the time has come or the clock was set.
    #[error(
        "the batch tells of a time {ahead_s} s ahead of the central's clock, and up to {max_ahead_s} s are taken: keep it and try again later; is NTP running on both machines?"
    )]
    Ahead {
        /// How far its last interval begins in the future, seconds.
        ahead_s: u64,
        /// How far it may.
        max_ahead_s: u64,
    },
    /// The central's own clock is wrong, so no time that a batch tells of can be judged by it: try again when it was set.
    #[error("the central's clock is {behind_s} s behind what it has stored: is NTP running?")]
    Behind {
        /// How far at least, seconds.
        behind_s: u64,
    },
    /// The batch tells of a time so long ago that the clock that it comes from, or the central's, is wrong. It will not be
    /// taken while the bound is what it is: keep it for somebody to look at.
    #[error(
        "the batch tells of a time {age_days} days ago ({}), and up to {max_age_days} days are taken ([ingest] max_age_days): is the clock right that it was made with?", Utc(*.start_s)
    )]
    TooOld {
        /// When it begins, Unix seconds.
        start_s: u64,
        /// How long ago that is, days.
        age_days: u64,
        /// How long ago it may be.
        max_age_days: u32,
    },
    /// The batch's interval does not divide 300 s. It will never be taken.
    #[error("an interval of {0} s does not divide {max_s} s", max_s = Interval::MAX_S)]
    Interval(u32),
    /// Another run of a probe of the server covers the same time already, and by the server's settings a time counts once. It
    /// will never be taken: keep it for somebody to look at.
    #[error(
        "another probe uses the token of server {server_id}: the interval at {} counts from the run {first:016x}, so not from {epoch:016x} (the setting overlapping_probes is \"refuse\")", Utc(*.start_s)
    )]
    Overlaps {
        /// The server.
        server_id: ServerId,
        /// Start of the interval, Unix seconds.
        start_s: u64,
        /// The run of the probe whose batch this is.
        epoch: u64,
        /// The run that counts.
        first: u64,
    },
    /// The batch is about another server than its bringer may speak for.
    #[error("server {own} may not send for server {found}")]
    WrongServer {
        /// Whose credentials were shown.
        own: ServerId,
        /// Whose batch it is.
        found: ServerId,
    },
    /// The batch is about a server that the central does not know: add the server.
    #[error("no server has the id {0}")]
    UnknownServer(ServerId),
    /// Too many batches wait already: try again later.
    #[error("too many batches are waiting to be committed: try again later")]
    Busy,
    /// The central's disk is nearly full: try again when there is room.
    #[error(
        "the central's disk is nearly full: {free_bytes} bytes are free, {min_free_bytes} are needed ([store] min_free_bytes): try again later"
    )]
    NoSpace {
        /// What is free.
        free_bytes: u64,
        /// What must be free for a batch to be taken.
        min_free_bytes: u64,
    },
    /// The store failed. The batch was not taken: try again later.
    #[error("the store could not take the batch: {0}")]
    Store(#[source] Arc<zonepulse_store::Error>),
    /// The central is stopping: try again later.
    #[error("the central is stopping: try again later")]
    Closed,
    /// There are no certificates to believe: correct the setting.
    #[error("TLS: {0}")]
    Trust(String),
    /// The broker cannot be reached, or ended the connection: try again later.
    #[error("the broker: {0}")]
    Broker(String),
    /// The committer's thread could not be started.
    #[error("no thread for the committer: {0}")]
    Thread(#[source] Arc<std::io::Error>),
}

impl Error {
    /// Whether trying again with the same bytes is in vain.
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

    /// A word for why, the same for every batch that is not taken for that reason: metrics and the log count by it.
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
            // What the store refuses for what it says will say the same when it comes again.
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
