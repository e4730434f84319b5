//! Batches from RabbitMQ.
//!
//! The queues are durable quorum queues whose arguments keep the broker from dropping anything (`queues`). A message
//! is acknowledged only once its batch is on disk; at most `prefetch` messages are in flight. While the central
//! cannot accept batches (its disk is full, its clock has lost the time), it takes nothing from the queue and returns
//! nothing to it (`link`).
//!
//! A message that will never be accepted goes to `<queue>.dead` with the reason in its headers. The broker confirms
//! it there before it is acknowledged here, so it is always in one of the two places. An operator inspects it, fixes
//! the cause, and moves it back together with its signature, which proves which server the batch belongs to
//! (`origin`). Messages that the broker itself removes from the queue go to `<queue>.returned`, and are counted and
//! consumed from there.
//!
//! Whenever the connection ends, it is re-established with growing pauses. `state` reports its status.

mod headers;
mod held;
mod link;
pub(crate) mod origin;
pub mod publisher;
mod queues;
pub(crate) mod state;
pub mod trial;
mod trouble;
mod writer;

pub use state::Status;

use crate::Ingest;
use backon::{BackoffBuilder, ExponentialBuilder};
use lapin::Connection;
use link::{End, Link};
use rustls::ClientConfig;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trouble::Trouble;
use writer::Writer;
use zonepulse_net::Trust;
use zonepulse_net::amqp::{Address, Progress, connect};
use zonepulse_private::Secret;

/// A source of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS.
    pub url: Secret,
    /// Which certificates to trust for the broker, with `amqps://`.
    pub trust: Trust,
    /// The name of the queue.
    pub queue: String,
    /// Maximum messages in flight.
    pub prefetch: u16,
}

/// The default queue name.
pub const DEFAULT_QUEUE: &str = "zonepulse.batches";
/// Default maximum of messages in flight.
pub const DEFAULT_PREFETCH: u16 = 64;
/// Timeout for connecting and for declaring the queues.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that lasted at least this long resets the pause before the next one.
const GOOD_CONNECTION: Duration = Duration::from_secs(30);
/// How often to check whether the central can accept batches again.
const LOOK: Duration = Duration::from_secs(1);
/// Maximum pause while there is no broker, or while the central accepts no batch although its disk has room.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Takes batches from the queue until `shutdown` is ready, then finishes and acknowledges those in flight.
pub async fn consume(ingest: Ingest, settings: Settings, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let (state, writer) = (ingest.broker.clone(), Writer::new(settings.clone()));
    state.starting();
    let mut pauses = growing(Duration::from_millis(250), LONGEST_PAUSE);
    let mut rests = growing(LOOK, LONGEST_REST);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            () = until_able(&ingest, &settings.queue) => {}
        }
        let began = Instant::now();
        let ended = tokio::select! {
            () = &mut shutdown => return,
            opened = Link::open(&settings) => match opened {
                Err(trouble) => Err(trouble),
                Ok(link) => {
                    tracing::info!(queue = settings.queue, "taking batches from RabbitMQ");
                    warn_of_unprotected(&state.consuming(link.unprotected.clone()), &settings);
                    link.run(&ingest, &writer, &mut shutdown).await
                }
            },
        };
        let pause = match ended {
            Ok(End::Shutdown) => return,
            Ok(End::Rest { why, took }) => {
                rest(&ingest, &settings.queue, &why);
                // A connection that fails quickly will do so again, whatever it accepted in between.
                if took && began.elapsed() > GOOD_CONNECTION {
                    rests = growing(LOOK, LONGEST_REST);
                }
                rests.next().unwrap_or(LONGEST_REST)
            }
            Err(trouble) => {
                if state.unusable(&trouble) {
                    tracing::warn!(%trouble, queue = settings.queue, "RabbitMQ cannot be used; trying until it can");
                }
                if began.elapsed() > GOOD_CONNECTION {
                    pauses = growing(Duration::from_millis(250), LONGEST_PAUSE);
                }
                pauses.next().unwrap_or(LONGEST_PAUSE)
            }
        };
        tokio::select! {
            () = &mut shutdown => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Waits while it is known that no batch can be accepted.
async fn until_able(ingest: &Ingest, queue: &str) {
    while let Err(error) = ingest.can_take().await {
        rest(ingest, queue, &error.to_string());
        tokio::time::sleep(LOOK).await;
    }
}

fn rest(ingest: &Ingest, queue: &str, why: &str) {
    if ingest.broker.resting(why) {
        tracing::warn!(why, queue, "no batches are taken from RabbitMQ for now; they stay in the queue");
    }
}

fn warn_of_unprotected(unprotected: &[String], settings: &Settings) {
    if unprotected.is_empty() {
        return;
    }
    let policy = queues::Names::of(&settings.queue).map(|names| queues::policy(&names)).unwrap_or_default();
    tracing::warn!(
        queues = unprotected.join(", "),
        policy,
        "queues were declared by an earlier release and do not keep the broker from dropping messages that came back too \
         often; a policy of the broker does the same for them, or delete them when they are empty"
    );
}

fn growing(from: Duration, to: Duration) -> impl Iterator<Item = Duration> {
    let builder = ExponentialBuilder::default().with_min_delay(from).with_max_delay(to);
    builder.with_jitter().without_max_times().build()
}

impl Settings {
    /// The broker's address, and its TLS configuration if TLS is used. Errors say what is wrong with them.
    fn way(&self) -> Result<(Address, Option<Arc<ClientConfig>>), String> {
        let address = Address::parse(&self.url).map_err(|what| format!("the broker's URL {what}"))?;
        let tls = address.is_encrypted().then(|| self.trust.client_config()).transpose();
        Ok((address, tls.map_err(|error| error.to_string())?.map(Arc::new)))
    }

    /// Opens a connection, with TLS if the URL asks for it. Errors say why there is none.
    async fn connect(&self, name: &str) -> Result<Connection, String> {
        let (address, tls) = self.way()?;
        let progress = Progress::default();
        connect(&address, tls, name, &progress).await.map_err(|fault| fault.to_string())
    }
}
