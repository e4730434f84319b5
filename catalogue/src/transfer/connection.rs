//! A TCP connection to a primary: framing, timeouts and bounds (RFC 1035 section 4.2.2, RFC 7766).

use super::Primary;
use super::error::Error;
use super::sequence::{Asked, Item};
use super::stream::Stream;
use crate::Name;
use bytes::{Buf, BytesMut};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How much is asked from the socket at once, octets.
const READ_BYTES: usize = 32 * 1024;

/// One request and its answer, on a connection of its own.
///
/// Messages are read one by one and only when their records are wanted, so a slow reader slows the primary down through
/// TCP's flow control, and no more than one message and one read are in memory.
#[derive(Debug)]
pub(super) struct Connection {
    primary: Primary,
    socket: TcpStream,
    stream: Stream,
    received: BytesMut,
    size_bytes: u64,
    deadline: Instant,
    failed: bool,
}

impl Connection {
    /// Connects and sends a request.
    pub(super) async fn open(primary: &Primary, apex: &Name, asked: Asked) -> Result<Self, Error> {
        let deadline = after(primary.bounds.total_timeout);
        let key = primary.tsig.as_ref();
        let (request, stream) = Stream::request(apex, asked, key, primary.bounds.records, unix_s())?;
        let end = deadline.min(after(primary.bounds.connect_timeout));
        let address = primary.address;
        let sent = async {
            let mut socket = TcpStream::connect(address).await.map_err(|error| Error::Connect(address, error))?;
            let length = u16::try_from(request.len()).unwrap_or(u16::MAX);
            let framed = [&length.to_be_bytes()[..], &request].concat();
            socket.write_all(&framed).await.map_err(|error| Error::Connection(address, 0, error))?;
            Ok::<_, Error>(socket)
        };
        let socket = match timeout_at(end, sent).await {
            Ok(socket) => socket?,
            Err(_) => return Err(Error::Connect(address, std::io::ErrorKind::TimedOut.into())),
        };
        let received = BytesMut::with_capacity(READ_BYTES);
        Ok(Connection { primary: primary.clone(), socket, stream, received, size_bytes: 0, deadline, failed: false })
    }

    /// The next item of the answer; `None` once the whole answer has been received and verified. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Option<Item>, Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        loop {
            if let Some(item) = self.stream.next() {
                return Ok(Some(item));
            }
            if self.stream.is_complete() {
                return Ok(None);
            }
            if let Err(error) = self.receive().await {
                self.failed = true;
                return Err(error);
            }
        }
    }

    /// Whether nothing but a newer SOA has been received.
    pub(super) fn is_lone_soa(&self) -> bool {
        self.stream.is_lone_soa()
    }

    /// Number of records received.
    pub(super) fn records(&self) -> u64 {
        self.stream.records()
    }

    /// Receives the next message, and checks it.
    async fn receive(&mut self) -> Result<(), Error> {
        let patience = self.primary.bounds.message_timeout;
        let end = self.deadline.min(after(patience));
        let message = match timeout_at(end, self.frame()).await {
            Ok(message) => message?,
            Err(_) if Instant::now() >= self.deadline => return Err(Error::TooLong(self.primary.bounds.total_timeout)),
            Err(_) => return Err(Error::Stalled(self.primary.address, patience)),
        };
        self.size_bytes += message.len() as u64 + 2;
        if self.size_bytes > self.primary.bounds.size_bytes {
            return Err(Error::TooLarge(self.primary.bounds.size_bytes));
        }
        self.stream.message(message, unix_s())?;
        if self.stream.is_complete() && !self.received.is_empty() {
            return Err(self.stream.trailing());
        }
        Ok(())
    }

    /// The next message without its length. What was read stays in `received` if this is cancelled.
    async fn frame(&mut self) -> Result<Vec<u8>, Error> {
        let messages = self.stream.messages();
        loop {
            if let Some(message) = split_frame(&mut self.received) {
                return Ok(message);
            }
            self.received.reserve(READ_BYTES);
            match self.socket.read_buf(&mut self.received).await {
                Ok(0) => return Err(Error::Closed(self.primary.address, messages)),
                Ok(_) => {}
                Err(error) => return Err(Error::Connection(self.primary.address, messages, error)),
            }
        }
    }
}

/// Splits the first message off octets received, if it is complete.
pub(super) fn split_frame(received: &mut BytesMut) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(*received.first_chunk()?));
    let message = received.get(2..2 + length)?.to_vec();
    received.advance(2 + length);
    Some(message)
}

/// The time after this duration; after about thirty years at the latest, so that no duration overflows.
fn after(duration: Duration) -> Instant {
    Instant::now() + duration.min(Duration::from_secs(1_000_000_000))
}

/// The time of signatures.
fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
