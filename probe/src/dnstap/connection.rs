//! A connected server: what it sends, and the few replies to it.

use super::stream::{Event, MAX_DATA_BYTES, Step, Stream, accept, finish};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Size of a read, bytes.
const BUFFER_BYTES: usize = 1 << 16;
/// Maximum length of a frame including its length field, bytes: a buffer never grows beyond it.
pub const MAX_BUFFER_BYTES: usize = MAX_DATA_BYTES + 4;
/// The absolute deadline for START after connecting.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);
/// The buffer before START, bytes: room for any control frame, and cheap for connections that never start.
const HANDSHAKE_BYTES: usize = 1 << 10;
/// Time limit for the rest of a frame.
const REST_OF_FRAME: Duration = Duration::from_secs(30);

/// A connection: its transport, and the incomplete frame received so far.
pub(super) struct Connection<S = Peer> {
    peer: S,
    stream: Stream,
    buffer: Vec<u8>,
    end: usize,
    /// Time limit for the writer to continue, if it must.
    deadline: Option<Instant>,
}

/// The transport.
pub(super) enum Peer {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// The state of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing to report.
    Open,
    /// The writer stopped, or never sent anything.
    Ended,
    /// The connection failed, with the reason.
    Broken(String),
}

impl<S: Read + Write> Connection<S> {
    pub(super) fn new(peer: S, now: Instant) -> Self {
        Connection { peer, stream: Stream::default(), buffer: Vec::new(), end: 0, deadline: Some(now + HANDSHAKE) }
    }

    /// Whether the writer has sent START, so that data frames may follow.
    pub(super) fn is_started(&self) -> bool {
        self.stream.is_started()
    }

    /// Reads once, and passes the content of every complete data frame to `each`.
    pub(super) fn read(&mut self, now: Instant, each: &mut impl FnMut(&[u8])) -> Standing {
        self.make_room();
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.peer.read(room) {
            Ok(0) if self.stream == Stream::default() && self.end == 0 => Standing::Ended,
            Ok(0) => Standing::Broken("closed without a STOP".to_owned()),
            Ok(count) => {
                self.end += count;
                self.take_frames(now, each)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Standing::Open,
            Err(error) => Standing::Broken(error.to_string()),
        }
    }

    /// Whether the writer exceeded its time limit.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline < now)
    }

    /// Grows the buffer only when it is full of received bytes, so that a large length alone costs
    /// no memory.
    fn make_room(&mut self) {
        let least = if self.is_started() { BUFFER_BYTES } else { HANDSHAKE_BYTES };
        if self.buffer.len() < least {
            self.buffer.resize(least, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.resize((self.end * 2).min(MAX_BUFFER_BYTES), 0);
        }
    }

    fn take_frames(&mut self, now: Instant, each: &mut impl FnMut(&[u8])) -> Standing {
        let mut at = 0;
        let standing = loop {
            let bytes = self.buffer.get(at..self.end).unwrap_or_default();
            let Step { event, taken } = match self.stream.step(bytes) {
                Ok(step) => step,
                Err(fault) => break Standing::Broken(fault.to_string()),
            };
            at += taken;
            match event {
                Event::Part(_) => break Standing::Open,
                Event::Data(data) => each(data),
                Event::Started => {}
                Event::Asked => {
                    if let Err(error) = self.peer.write_all(&accept()) {
                        break Standing::Broken(format!("cannot answer READY: {error}"));
                    }
                }
                Event::Stopped => {
                    if self.stream.asked() {
                        // The peer may be gone already, but everything it sent has been read.
                        let _ = self.peer.write_all(&finish());
                    }
                    break Standing::Ended;
                }
            }
        };
        self.buffer.copy_within(at..self.end, 0);
        self.end -= at;
        if self.is_started() {
            let waits_for = (self.end > 0).then_some(REST_OF_FRAME);
            self.deadline = match self.deadline {
                // Still the same frame as before.
                Some(deadline) if at == 0 => Some(deadline),
                _ => waits_for.map(|patience| now + patience),
            };
        }
        standing
    }
}

impl Connection {
    pub(super) fn descriptor(&self) -> RawFd {
        match &self.peer {
            Peer::Unix(stream) => stream.as_raw_fd(),
            Peer::Tcp(stream) => stream.as_raw_fd(),
        }
    }
}

impl Read for Peer {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Peer::Unix(stream) => stream.read(room),
            Peer::Tcp(stream) => stream.read(room),
        }
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Peer::Unix(stream) => stream.write(bytes),
            Peer::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
