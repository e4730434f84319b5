//! The central's end of a worker's socket.
//!
//! A task that registers a socket for reading and writing wakes whenever the other side has read something. Each
//! frame that a worker reads would then cost it the processor for nothing, so the socket is registered for writing only when
//! it is full.

use super::frame::{Frame, FrameReader, Outgoing};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};

/// Both directions of a socket.
pub(super) fn split(socket: UnixStream) -> io::Result<(FrameReader<FromWorker>, ToWorker)> {
    socket.set_nonblocking(true)?;
    let from = socket.try_clone()?;
    // SAFETY: the descriptor is the socket's, which has it open, and the same one, until what registers it drops it.
    let from = unsafe { AsyncFd::register_with_interest(from, Interest::READABLE) }?;
    Ok((FrameReader::new(FromWorker(from)), ToWorker(socket)))
}

/// The incoming direction.
pub(super) struct FromWorker(AsyncFd<UnixStream>);

impl AsyncRead for FromWorker {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut readable = ready!(self.0.poll_read_ready(context))?;
            let wanted = to.initialize_unfilled();
            let room = wanted.len();
            match readable.try_io(|socket| socket.get_ref().read(wanted)) {
                Ok(Ok(bytes)) => {
                    // Nothing more was available: the next read need not find that out.
                    if bytes > 0 && bytes < room {
                        readable.clear_ready();
                    }
                    to.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_nothing_yet) => {}
            }
        }
    }
}

/// The outgoing direction.
pub(super) struct ToWorker(UnixStream);

impl ToWorker {
    /// Sends frames. After this is dropped halfway, no other frame can be sent.
    pub(super) async fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let mut outgoing = Outgoing::new(frames)?;
        loop {
            match outgoing.write_some(&mut &self.0) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.room().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the other side has read something.
    async fn room(&self) -> io::Result<()> {
        // SAFETY: the descriptor is borrowed from a socket that outlives this, and is no other meanwhile.
        let socket = unsafe { AsyncFd::register_with_interest(self.0.as_fd(), Interest::WRITABLE) }?;
        socket.writable().await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Kind;
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn frames_of_any_length_go_and_come() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut from, mut to) = split(ours).unwrap();
        let echo = std::thread::spawn(move || {
            let (mut input, mut output) = (theirs.try_clone().unwrap(), theirs);
            for _ in 0..5 {
                // Slowly, so that whoever sends has to wait for room.
                std::thread::sleep(Duration::from_millis(20));
                let frame = Frame::read_from(&mut input).unwrap();
                super::super::frame::write_all(&[frame], &mut output).unwrap();
            }
        });
        for length in [0, 1, 100, 3 << 20, 70_000] {
            let sent = Frame::new(Kind::Rows, 7, (0..length).map(|at| at as u8).collect());
            timeout(LONG, to.send(std::slice::from_ref(&sent))).await.unwrap().unwrap();
            assert_eq!(timeout(LONG, from.next()).await.unwrap().unwrap(), sent);
        }
        echo.join().unwrap();
        assert!(timeout(LONG, from.next()).await.unwrap().is_err(), "the other side has closed it");
    }

    #[tokio::test]
    async fn an_end_that_comes_with_the_last_bytes_is_seen() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut from, _to) = split(ours).unwrap();
        super::super::frame::write_all(&[Frame::new(Kind::End, 0, vec![1])], &mut theirs).unwrap();
        drop(theirs);
        assert_eq!(timeout(LONG, from.next()).await.unwrap().unwrap().kind, Kind::End);
        assert!(timeout(LONG, from.next()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn who_does_not_read_keeps_the_sender_waiting_and_nobody_else() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_from, mut to) = split(ours).unwrap();
        let large = [Frame::new(Kind::Rows, 1, vec![0; 8 << 20])];
        assert!(timeout(Duration::from_millis(50), to.send(&large)).await.is_err());
        drop(theirs);
        assert!(timeout(LONG, to.send(&large)).await.unwrap().is_err());
    }
}
