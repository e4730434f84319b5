//! The bytes of a connection: enforces that answers are read, and limits the request line.

use crate::limits::{Limits, Patience};
use crate::places::Visitor;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

/// Completes a request whose request line was truncated.
const REST_OF_HEAD: &[u8] = b" HTTP/1.1\r\nhost: -\r\n\r\n";

/// A stream on which answers must proceed at the minimum rate.
pub(crate) struct Stream<T> {
    io: T,
    visitor: Visitor,
    patience: Patience,
    alarm: Option<Pin<Box<Sleep>>>,
    line: Line,
    target_bytes: usize,
    timed_out: bool,
}

/// The state of the request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// This many bytes of it have arrived, but not its end.
    Open(usize),
    Complete,
    /// It is too long. From this offset on, the replacement for the rest of the head is read, and
    /// nothing else.
    Cut(usize),
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream<T> {
    pub(crate) fn new(io: T, visitor: Visitor, limits: &Limits) -> Self {
        let patience = Patience::new(limits);
        Stream { io, visitor, patience, alarm: None, line: Line::Open(0), target_bytes: limits.target_bytes, timed_out: false }
    }

    /// Whether the client did not read its answer in time.
    pub(crate) fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// The inner stream; a truncated request line is forgotten.
    pub(crate) fn into_inner(self) -> T {
        self.io
    }

    /// Fails a write that has waited for too long.
    fn watch<R>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<R>>,
        bytes: impl FnOnce(&R) -> usize,
    ) -> Poll<io::Result<R>> {
        match polled {
            Poll::Ready(Ok(value)) => {
                self.alarm = None;
                self.patience.moved(bytes(&value), Instant::now());
                Poll::Ready(Ok(value))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let until = self.patience.wait(Instant::now());
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
                alarm.as_mut().poll(context).map(|()| {
                    self.timed_out = true;
                    self.visitor.did_not_read();
                    Err(io::ErrorKind::TimedOut.into())
                })
            }
        }
    }

    /// Looks for the end of the request line in received bytes; returns how many of them to use.
    fn look(&mut self, bytes: &[u8]) -> usize {
        if self.visitor.begins() {
            self.line = Line::Open(0);
        }
        let Line::Open(before) = self.line else { return bytes.len() };
        if !self.visitor.awaits_head() {
            return bytes.len();
        }
        let room = self.target_bytes.saturating_sub(before);
        if bytes.iter().take(room).any(|byte| *byte == b'\n') {
            self.line = Line::Complete;
        } else if bytes.len() > room {
            self.line = Line::Cut(0);
            self.visitor.cut_off();
            return room;
        } else {
            self.line = Line::Open(before + bytes.len());
        }
        bytes.len()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Line::Cut(given) = this.line {
            let rest = REST_OF_HEAD.get(given..).unwrap_or_default();
            let piece = rest.get(..rest.len().min(buffer.remaining())).unwrap_or_default();
            if piece.is_empty() {
                // The answer ends the connection; anything received until then is discarded
                // afterwards.
                return Poll::Pending;
            }
            buffer.put_slice(piece);
            this.line = Line::Cut(given + piece.len());
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(context, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) && buffer.filled().len() > before {
            let counted = this.look(buffer.filled().get(before..).unwrap_or_default());
            buffer.set_filled(before + counted);
            if counted == 0 {
                // An empty read would be taken for the end of the stream.
                return self.poll_read(context, buffer);
            }
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.io).poll_write(context, bytes);
        this.watch(context, polled, |written| *written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.io).poll_flush(context);
        this.watch(context, polled, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.io).poll_shutdown(context);
        this.watch(context, polled, |()| 0)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.io).poll_write_vectored(context, slices);
        this.watch(context, polled, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
