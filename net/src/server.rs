//! Accepts connections, and handles each from its first byte to its last.

use crate::limits::Limits;
use crate::pace::{Answer, Paced};
use crate::places::{Places, Seat, Visitor};
use crate::plain::{self, Opening};
use crate::stream::Stream;
use crate::throttle::Throttle;
use crate::tls::Acceptor;
use crate::{BoxError, address};
use bytes::Bytes;
use either::Either;
use http_body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Size of the kernel's send buffer, bytes: it bounds memory, and makes it apparent early whether
/// the client reads.
const SEND_BUFFER_BYTES: usize = 128 << 10;
/// How much to discard at a time after an early answer, bytes.
const DISCARD_BYTES: usize = 16 << 10;
/// Maximum length of a failed handshake's cause in the log, characters.
const LONGEST_CAUSE: usize = 200;
/// How long to wait if the system cannot accept connections.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// A listener and the limits on its connections.
pub struct Server {
    /// The listening socket.
    pub listener: TcpListener,
    /// TLS, if enabled.
    pub tls: Option<Acceptor>,
    /// Its places.
    pub places: Places,
    /// Limits on each connection.
    pub limits: Limits,
    /// Addresses of trusted proxies, which limit their own clients.
    pub proxies: Arc<[address::Block]>,
}

/// What every connection needs.
struct Setup<F> {
    tls: Option<Acceptor>,
    limits: Limits,
    http: http1::Builder,
    answer: F,
    failures: Throttle<String>,
}

impl Server {
    /// Answers requests until `ending`. Then idle connections are closed, requests in progress are
    /// completed, and the function returns. Dropping the future closes all connections at once.
    ///
    /// A request's extensions contain its [`Visitor`].
    pub async fn serve<F, A, B>(self, answer: F, ending: impl Future<Output = ()>)
    where
        F: Fn(Request<Paced>, SocketAddr) -> A + Send + Sync + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Server { listener, tls, places, limits, proxies } = self;
        let mut http = http1::Builder::new();
        http.max_header_size(limits.head_bytes).max_buf_size((2 * limits.head_bytes).max(16 << 10));
        let setup = Arc::new(Setup { tls, limits, http, answer, failures: Throttle::default() });
        let (end, ended) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut ending = pin!(ending);
        loop {
            tokio::select! {
                () = &mut ending => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => {
                        let is_proxy = is_among(address.ip(), &proxies);
                        let seat = places.enter(address.ip(), is_proxy);
                        connections.spawn(setup.clone().converse(stream, address, seat, places.clone(), ended.clone()));
                    }
                    Err(error) => not_accepted(&error, &places).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        // Fails if all connections have ended already.
        let _ = end.send(true);
        while connections.join_next().await.is_some() {}
    }
}

fn is_among(address: IpAddr, blocks: &[address::Block]) -> bool {
    blocks.iter().any(|block| block.contains(address))
}

/// A connection could not be accepted: its client is gone, or the system is at a limit.
async fn not_accepted(error: &io::Error, places: &Places) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection; closing another one to make room");
    places.make_room();
    tokio::time::sleep(ACCEPT_AGAIN).await;
}

impl<F, A, B> Setup<F>
where
    F: Fn(Request<Paced>, SocketAddr) -> A + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Runs a connection until it ends, exceeds a deadline, is displaced, or is idle while the
    /// server shuts down.
    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        seat: Seat,
        places: Places,
        ended: watch::Receiver<bool>,
    ) {
        // Answers are written in one piece: Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
        let visitor = seat.visitor();
        let is_greeted = AtomicBool::new(self.tls.is_none());
        let failed = |cause: &str| {
            is_greeted.store(true, Ordering::Relaxed);
            places.handshake_failed();
            self.handshake_failed(address, cause);
        };
        let speak_securely = async |acceptor: TlsAcceptor, stream: TcpStream| {
            match plain::opening(&stream).await {
                // Port checks connect every few seconds without sending anything: count them, but
                // do not warn.
                Ok(Opening::Nothing) | Err(_) => {
                    is_greeted.store(true, Ordering::Relaxed);
                    return places.handshake_failed();
                }
                Ok(Opening::Http) => {
                    let answered = plain::answer(stream, visitor, &self.limits).await;
                    failed("plain HTTP at a port that speaks HTTPS");
                    if let Ok(stream) = answered {
                        linger(stream, self.limits.linger_bytes).await;
                    }
                    return;
                }
                Ok(Opening::Other) => {}
            }
            match acceptor.accept(stream).await {
                Ok(stream) => {
                    is_greeted.store(true, Ordering::Relaxed);
                    self.speak(stream, visitor, address, ended.clone()).await;
                }
                Err(error) => failed(&error.to_string()),
            }
        };
        let conversation = match &self.tls {
            None => Either::Left(self.speak(stream, visitor, address, ended.clone())),
            Some(acceptor) => Either::Right(speak_securely(acceptor.current(), stream)),
        };
        tokio::select! {
            () = conversation => {}
            () = visitor.overdue(&self.limits) => {
                if !is_greeted.load(Ordering::Relaxed) {
                    failed("the handshake took too long");
                }
                tracing::debug!(%address, "a connection was closed: its client was too slow");
            }
            () = visitor.displaced() => tracing::debug!(%address, "a connection was closed to make room"),
            () = without_request(visitor, ended.clone()) => {}
        }
    }

    /// Warns of a failed handshake. The client has not authenticated, so only its address is known.
    fn handshake_failed(&self, address: SocketAddr, cause: &str) {
        let cause: String = cause.chars().take(LONGEST_CAUSE).collect();
        if let Some(count) = self.failures.add(cause.clone(), Instant::now()) {
            tracing::warn!(peer = %address, cause, count, "TLS handshakes failed; count since the last line about this cause");
        }
    }

    /// Reads and answers requests.
    async fn speak<T>(&self, stream: T, visitor: &Visitor, address: SocketAddr, mut ended: watch::Receiver<bool>)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let stream = Stream::new(stream, visitor.clone(), &self.limits);
        let service = service_fn(|request| self.ask(request, visitor, address));
        let mut connection = self.http.serve_connection(TokioIo::new(stream), service);
        let mut is_ending = false;
        let result = loop {
            tokio::select! {
                result = poll_fn(|context| connection.poll_without_shutdown(context)) => break result,
                () = is_true(&mut ended), if !is_ending => {
                    is_ending = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%address, %error, "a connection ended");
        }
        let stream = connection.into_parts().io.into_inner();
        if !stream.timed_out() {
            visitor.leaves();
            linger(stream, self.limits.linger_bytes).await;
        }
    }

    /// Passes a request to the application.
    fn ask(&self, request: Request<Incoming>, visitor: &Visitor, address: SocketAddr) -> Answering<B> {
        visitor.asked();
        let whole = Arc::new(AtomicBool::new(false));
        let mut request = request.map(|body| Paced::new(body, &self.limits, whole.clone()));
        request.extensions_mut().insert(visitor.clone());
        let (answering, visitor) = ((self.answer)(request, address), visitor.clone());
        Box::pin(async move {
            let mut response = answering.await;
            if !whole.load(Ordering::Relaxed) || visitor.was_cut_off() {
                // The rest of the request must not be taken for the next one.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Answer { body, visitor }))
        })
    }
}

type Answering<B> = Pin<Box<dyn Future<Output = Result<Response<Answer<B>>, Infallible>> + Send>>;

/// Closes the sending side, and discards what the client still sends, so that it can read its
/// answer. The phase of the connection bounds the time.
async fn linger<T: AsyncRead + AsyncWrite + Unpin>(mut stream: Stream<T>, most_bytes: u64) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut stream = stream.into_inner();
    let mut discarded = vec![0; DISCARD_BYTES];
    let mut left = most_bytes;
    while left > 0 {
        match stream.read(&mut discarded).await {
            Ok(bytes) if bytes > 0 => left = left.saturating_sub(bytes as u64),
            _ => return,
        }
    }
}

/// Waits until the server shuts down and no request is in progress on this connection.
async fn without_request(visitor: &Visitor, mut ended: watch::Receiver<bool>) {
    is_true(&mut ended).await;
    if visitor.is_active() {
        std::future::pending::<()>().await;
    }
}

async fn is_true(ended: &mut watch::Receiver<bool>) {
    // An error means that the listener is gone, which ends it as well.
    let _ = ended.wait_for(|ended| *ended).await;
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
