//! What a format's reader finds next: a packet, or why it stops.

use crate::Error;
use std::io;

/// Maximum packet length, octets; tcpdump's own limit is a quarter of it.
pub(super) const MAX_PACKET_OCTETS: usize = 1 << 20;

/// The next packet, as located by a format's reader.
pub(super) struct Found {
    pub(super) time_ns: u64,
    pub(super) link_type: u32,
    pub(super) length_on_wire: u32,
    /// Number of bytes to consume so that the packet ends there.
    pub(super) passed: usize,
    /// The packet's length as captured, octets.
    pub(super) captured: usize,
    /// Number of bytes between this packet and the next.
    pub(super) trailer: usize,
}

/// Why a format's reader stopped.
pub(super) enum Stop {
    /// A system error.
    Read(io::Error),
    /// Invalid contents.
    Damage(String),
    /// The file ends inside the named part.
    Truncated(&'static str),
}

impl Stop {
    #[cold]
    pub(super) fn error(self, file: &str, offset_bytes: u64) -> Error {
        let damaged = |what| Error::Damaged { file: file.to_owned(), offset_bytes, what };
        match self {
            Stop::Read(error) => Error::disk("read", file)(error),
            Stop::Damage(what) => damaged(what),
            Stop::Truncated(what) => damaged(format!("the file ends inside {what}")),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Read(error)
    }
}
