//! A small HTTP server that nobody can make large.
//!
//! Connections are bounded in number and in time: one that says nothing, or does not read,
//! for [`IDLE`] ends, and none lives longer than [`LIFETIME`]. What is too much is refused at
//! once and counted. With a certificate it is HTTPS.

use crate::status::{Status, count};
use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use std::future::{Ready, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

/// Longer than a request may be waited for.
const IDLE: Duration = Duration::from_secs(60);
const LIFETIME: Duration = Duration::from_secs(3600);
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long requests may go on when the server is to end.
const FAREWELL: Duration = Duration::from_secs(3);

/// A server that listens.
pub(crate) struct Server {
    listener: TcpListener,
    handle: Handle<SocketAddr>,
}

/// Ends a server when it is dropped; what is being answered may finish.
pub(crate) struct Running(Handle<SocketAddr>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.graceful_shutdown(Some(FAREWELL));
    }
}

impl Server {
    /// Begins to listen.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Server { listener, handle: Handle::new() })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers, on a task of its own, until what this gives is dropped.
    pub(crate) fn start(
        self,
        app: Router,
        tls: Option<Arc<ServerConfig>>,
        max_connections: usize,
        status: Arc<Status>,
    ) -> io::Result<Running> {
        let running = Running(self.handle.clone());
        let door = Door { places: Arc::new(Semaphore::new(max_connections)), status };
        let server = axum_server::from_tcp(self.listener)?.handle(self.handle).http1_only();
        let app = app.into_make_service();
        match tls {
            None => drop(tokio::spawn(server.acceptor(door).serve(app))),
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(tls)).handshake_timeout(HANDSHAKE).acceptor(door);
                drop(tokio::spawn(server.acceptor(acceptor).serve(app)));
            }
        }
        Ok(running)
    }
}

/// Lets in as many as there are places.
#[derive(Clone)]
struct Door {
    places: Arc<Semaphore>,
    status: Arc<Status>,
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Guest;
    type Service = S;
    type Future = Ready<io::Result<(Guest, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(match self.places.clone().try_acquire_owned() {
            Ok(place) => Ok((Guest::new(stream, place), service)),
            Err(_) => {
                count(&self.status.counts.connections_refused, 1);
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        })
    }
}

/// A connection that has a place, for as long as something happens on it.
struct Guest {
    stream: TcpStream,
    until: Instant,
    alarm: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Guest {
        let now = Instant::now();
        Guest { stream, until: now + LIFETIME, alarm: Box::pin(sleep_until(now + IDLE)), _place: place }
    }

    /// What became of a try: progress puts the end off, waiting may be over.
    fn look<T>(&mut self, result: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(result) => {
                let until = self.until.min(Instant::now() + IDLE);
                self.alarm.as_mut().reset(until);
                Poll::Ready(result)
            }
            Poll::Pending => match self.alarm.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.look(result, context)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.look(result, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::io::{Read, Write};
    use std::sync::atomic::Ordering;

    fn ask(address: SocketAddr) -> io::Result<String> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    #[tokio::test]
    async fn who_finds_no_place_is_refused_and_counted() {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.address().unwrap();
        let status = Arc::new(Status::new(1));
        let app = Router::new().route("/", get(|| async { "here" }));
        let running = server.start(app, None, 2, status.clone()).unwrap();
        let asked = tokio::task::spawn_blocking(move || {
            assert!(ask(address).unwrap().ends_with("here"));
            let _idle: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            std::thread::sleep(Duration::from_millis(200));
            ask(address)
        });
        assert!(!asked.await.unwrap().unwrap_or_default().contains("here"));
        assert!(status.counts.connections_refused.load(Ordering::Relaxed) >= 1);
        drop(running);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(tokio::task::spawn_blocking(move || ask(address)).await.unwrap().is_err());
    }
}
