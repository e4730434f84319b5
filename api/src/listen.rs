//! Connections: how many, how long they may be silent, and TLS.
//!
//! A connection is accepted only when there is room for it, and gives its place
//! back when it ends. With TLS, the handshake is part of the connection's first
//! read: it happens in the task of that connection, so whoever is slow in it
//! holds up nobody, and the place that it takes is bounded in time.

use crate::tls::Certificate;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

/// How long a TLS handshake may take.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(10);

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Peer(*stream.remote_addr())
    }
}

/// What a listener counts. Clones share it.
#[derive(Debug, Clone)]
pub struct Connections {
    places: Arc<Semaphore>,
    most: usize,
    failed_handshakes: Arc<AtomicU64>,
}

impl Connections {
    /// None yet, and never more than so many.
    pub fn at_most(most: usize) -> Self {
        Connections { places: Arc::new(Semaphore::new(most)), most, failed_handshakes: Arc::default() }
    }

    /// Those there are.
    pub fn open(&self) -> usize {
        self.most.saturating_sub(self.places.available_permits())
    }

    /// As many as there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// TLS handshakes that ended without a connection.
    pub fn failed_handshakes(&self) -> u64 {
        self.failed_handshakes.load(Ordering::Relaxed)
    }
}

/// A listener that accepts a connection only when there is room for it.
pub struct Bounded {
    /// Where it listens.
    pub listener: TcpListener,
    /// With what it speaks TLS, if it does.
    pub certificate: Option<Certificate>,
    /// Room.
    pub connections: Connections,
    /// How long a connection may say nothing.
    pub longest_silence: Duration,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Never closed, so a permit comes when a connection goes.
        let permit = self.connections.places.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are written whole: waiting for more of them only takes time.
        let _ = stream.set_nodelay(true);
        let (transport, first) = match &self.certificate {
            Some(certificate) => (
                Transport::Handshake(Box::new(certificate.acceptor().accept(stream))),
                self.longest_silence.min(LONGEST_HANDSHAKE),
            ),
            None => (Transport::Plain(stream), self.longest_silence),
        };
        let silence = Box::pin(tokio::time::sleep(first));
        let failed_handshakes = self.connections.failed_handshakes.clone();
        let connection =
            Connection { transport, silence, longest_silence: self.longest_silence, failed_handshakes, _permit: permit };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, which ends when its peer is silent for too long, and then gives its place back.
pub struct Connection {
    transport: Transport,
    silence: Pin<Box<Sleep>>,
    longest_silence: Duration,
    failed_handshakes: Arc<AtomicU64>,
    _permit: Option<OwnedSemaphorePermit>,
}

enum Transport {
    Plain(TcpStream),
    Handshake(Box<Accept<TcpStream>>),
    Secure(Box<TlsStream<TcpStream>>),
    /// A handshake that failed.
    Failed,
}

/// What bytes can be read from and written to.
trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Connection {
    /// The stream, once there is one.
    fn poll_stream(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Stream>>> {
        if let Transport::Handshake(handshake) = &mut self.transport {
            let shaken = match Pin::new(handshake).poll(context) {
                Poll::Ready(shaken) => shaken,
                Poll::Pending => {
                    // Not reset by what arrives meanwhile: it bounds the handshake as a whole.
                    ready!(self.silence.as_mut().poll(context));
                    Err(io::ErrorKind::TimedOut.into())
                }
            };
            match shaken {
                Ok(stream) => {
                    self.transport = Transport::Secure(Box::new(stream));
                    self.spoke();
                }
                Err(error) => {
                    self.transport = Transport::Failed;
                    self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%error, "a TLS handshake failed");
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.transport {
            Transport::Plain(stream) => Ok(Pin::new(stream)),
            Transport::Secure(stream) => Ok(Pin::new(stream.as_mut())),
            Transport::Handshake(_) | Transport::Failed => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    fn spoke(&mut self) {
        let until = Instant::now() + self.longest_silence;
        self.silence.as_mut().reset(until);
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = ready!(self.poll_stream(context))?;
        if let ready @ Poll::Ready(_) = stream.poll_read(context, buffer) {
            self.spoke();
            return ready;
        }
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_stream(context))?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_stream(context))?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever never spoke TLS gets no farewell in it.
        if let Transport::Handshake(_) | Transport::Failed = self.transport {
            self.transport = Transport::Failed;
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_stream(context))?.poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_stream(context))?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Secure(stream) => stream.is_write_vectored(),
            // Asked once at the beginning: what takes slices takes bytes as well.
            Transport::Handshake(_) => true,
            Transport::Failed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_handshake_that_takes_too_long_gives_its_place_back() {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let tls = Tls { certificate: Some(dir.path().join("crt")), key: Some(dir.path().join("key")) };
        std::fs::write(dir.path().join("crt"), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key"), made.signing_key.serialize_pem()).unwrap();
        let connections = Connections::at_most(1);
        let mut listener = Bounded {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            certificate: Certificate::read(&tls).unwrap(),
            connections: connections.clone(),
            longest_silence: Duration::from_millis(100),
        };
        let _silent = TcpStream::connect(listener.listener.local_addr().unwrap()).await.unwrap();
        let (mut connection, _) = Listener::accept(&mut listener).await;
        assert_eq!(connections.open(), 1);
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!((error.kind(), connections.failed_handshakes()), (io::ErrorKind::TimedOut, 1));
        drop(connection);
        assert_eq!(connections.open(), 0);
    }
}
