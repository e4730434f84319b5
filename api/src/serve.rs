//! The running central: opened, listening, and ended in order.
//!
//! The end has an order too: no new connections, then no new batches from a
//! broker, then what was accepted is answered, then the store writes down what
//! it only has in memory.

use crate::Error;
use crate::accounts::{self, Administrator};
use crate::addresses::Addresses;
use crate::app::{self, App};
use crate::config::{Amqp, Query, Settings};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::fs::DirBuilder;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};
use zonepulse_ingest::{Counter, Ingest, amqp};
use zonepulse_query::Engine;
use zonepulse_store::{Store, Upkeep};

/// The store's place in the data directory.
pub const STORE: &str = "store";
/// How long a connection may say nothing, beyond the time that a request may take.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// How long a store that is in use is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// A central that is listening.
pub struct Serving {
    address: SocketAddr,
    administrator: Administrator,
    running: JoinHandle<Result<(), Error>>,
}

impl Serving {
    /// Where it listens; with port 0 in the settings, the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the start found of the first administrator.
    pub fn administrator(&self) -> &Administrator {
        &self.administrator
    }

    /// Waits until it has ended, and everything is on disk.
    pub async fn finished(self) -> Result<(), Error> {
        self.running.await?
    }
}

/// Opens the store, listens, and serves until `shutdown`.
///
/// Comes back as soon as connections are accepted. Fails with
/// [`Error::InUse`] when another process has the data directory, and with
/// [`Error::Listen`] when the address cannot be had.
pub async fn serve(settings: &Settings, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<Serving, Error> {
    // First the address: it is quickly told that it is taken.
    let listen = |source| Error::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let (data, options) = (settings.data.clone(), settings.store.into());
    let opening = tokio::task::spawn_blocking(move || {
        let store = open(&data, &options)?;
        let administrator = accounts::administrator(&store, &data)?;
        Ok::<_, Error>((store, administrator))
    });
    let (store, administrator) = opening.await??;
    let ingest = Ingest::start(store.clone(), zonepulse_ingest::Settings::default())?;
    let upkeep = Upkeep::start(store.clone())?;
    let engine = Engine::new(store.clone(), query_options(settings))?;
    let addresses = Addresses { listen: address, public_urls: settings.public_urls.clone(), scheme: "http" };
    let app = App::new(store.clone(), engine, ingest.clone(), settings.limits, addresses)?;
    let heard = app.clone();

    let (end, ending) = watch::channel(false);
    let consumer = settings.amqp.url.as_ref().map(|url| consume(url.reveal(), &settings.amqp, ingest.clone(), ending.clone()));
    let listener = Bounded {
        listener,
        connections: Arc::new(Semaphore::new(settings.limits.max_connections as usize)),
        longest_silence: Duration::from_secs(settings.limits.request_timeout_s).saturating_add(LONGEST_SILENCE),
    };
    let service = app::router(app).into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(listener, service).with_graceful_shutdown(ended(ending)).into_future();
    let longest = Duration::from_secs(settings.limits.shutdown_s);
    let running = tokio::spawn(async move {
        let too_long = async {
            shutdown.await;
            tracing::info!("ending");
            // Whoever listened may have failed and be gone.
            let _ = end.send(true);
            tokio::time::sleep(longest).await;
        };
        tokio::select! {
            result = server => result?,
            () = too_long => tracing::warn!("some requests did not finish in {} s", longest.as_secs()),
        }
        drop(end);
        if let Some(consumer) = consumer {
            consumer.await?;
        }
        // The last of the committer waits for its thread.
        let closing = move || {
            if let Err(error) = heard.fleet().write_all() {
                tracing::warn!(%error, "the last heartbeats were not written down");
            }
            drop(heard);
            drop(ingest);
            drop(upkeep);
            store.close()
        };
        tokio::task::spawn_blocking(closing).await??;
        tracing::info!("ended");
        Ok(())
    });
    Ok(Serving { address, administrator, running })
}

/// Opens the store of a data directory, which is made if need be, for its owner only.
pub fn open(data: &Path, options: &zonepulse_store::Options) -> Result<Store, Error> {
    let failed = |source| Error::File { path: data.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
    let path = data.join(STORE);
    let waiting = std::time::Instant::now();
    loop {
        match Store::open(&path, options) {
            // Whoever had it may be about to let go.
            Err(zonepulse_store::Error::InUse(_)) if waiting.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 20),
            Err(zonepulse_store::Error::InUse(_)) => return Err(Error::InUse(data.to_owned())),
            opened => return Ok(opened?),
        }
    }
}

fn query_options(settings: &Settings) -> zonepulse_query::Options {
    let Query { memory_bytes, threads, max_concurrent, max_wait_ms } = settings.query;
    let defaults = zonepulse_query::Options::default();
    let threads = if threads == 0 { defaults.threads } else { threads };
    zonepulse_query::Options {
        memory_bytes,
        threads,
        max_concurrent,
        max_wait_ms,
        sql: settings.sql.into(),
        counter_names: Counter::ALL.iter().map(|counter| (counter.number(), counter.as_str())).collect(),
        not_counted: Counter::NOT_COUNTED.iter().map(|counter| counter.number()).collect(),
    }
}

fn consume(url: &str, settings: &Amqp, ingest: Ingest, ending: watch::Receiver<bool>) -> JoinHandle<()> {
    let settings = amqp::Settings { url: url.to_owned(), queue: settings.queue.clone(), prefetch: settings.prefetch };
    tokio::spawn(amqp::consume(ingest, settings, ended(ending)))
}

async fn ended(mut ending: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is an end as well.
    let _ = ending.wait_for(|ending| *ending).await;
}

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Peer(*stream.remote_addr())
    }
}

/// A listener that accepts a connection only when there is room for it.
pub struct Bounded {
    listener: TcpListener,
    connections: Arc<Semaphore>,
    longest_silence: Duration,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Never closed, so a permit comes when a connection goes.
        let permit = self.connections.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are written whole: waiting for more of them only takes time.
        let _ = stream.set_nodelay(true);
        let silence = Box::pin(tokio::time::sleep(self.longest_silence));
        (Connection { stream, silence, longest_silence: self.longest_silence, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, which ends when its peer is silent for too long, and then gives its place back.
pub struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    longest_silence: Duration,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let ready @ Poll::Ready(_) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            let until = Instant::now() + self.longest_silence;
            self.silence.as_mut().reset(until);
            return ready;
        }
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
