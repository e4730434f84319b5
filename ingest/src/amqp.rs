//! Batches from RabbitMQ.
//!
//! The queues are durable quorum queues whose arguments keep the broker from dropping anything (`queues`). A message is
//! acknowledged only when its batch is on disk; at most `prefetch` are under way. While the central can take none
//! (its disk is full, its clock has lost the time), nothing is taken from the queue, and nothing given back to it (`link`).
//!
//! What will never be taken goes to `<queue>.dead` with the reason in its headers, confirmed by the
//! broker before it is acknowledged here, so that it is always in one of the
//! two places. Someone looks at it there, mends what is wrong, and moves it
//! back, its signature with it: whose batch a message is, its signature proves
//! (`origin`). What the broker itself takes out of the queue comes to `<queue>.returned`, is counted, and taken from there.
//!
//! The connection is made again whenever it ends, with growing pauses. How all of it is, `state` says.

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

/// Where batches come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS.
    pub url: Secret,
    /// Whom to believe that they are the broker, with `amqps://`.
    pub trust: Trust,
    /// The queue.
    pub queue: String,
    /// Messages under way at once.
    pub prefetch: u16,
}

/// The queue that the programs use unless told otherwise.
pub const DEFAULT_QUEUE: &str = "zonepulse.batches";
/// Messages under way at once, unless told otherwise.
pub const DEFAULT_PREFETCH: u16 = 64;
/// For a connection to be made, and for the queues to be declared.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that lived this long was a good one: the next pause is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(30);
/// How often it is looked whether the central can take batches again.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pauses: while there is no broker, and while the central takes no batch although its disk has room.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Takes batches from the queue until `shutdown` is ready; what was under way
/// is then finished and acknowledged.
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
                // One that ends at once ends at once again, whatever it took meanwhile.
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

/// Waits while it is known that no batch can be taken.
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
    /// Where the broker is, and whom to believe if it is spoken to with TLS. Says what is wrong with them.
    fn way(&self) -> Result<(Address, Option<Arc<ClientConfig>>), String> {
        let address = Address::parse(&self.url).map_err(|what| format!("the broker's URL {what}"))?;
        let tls = address.is_encrypted().then(|| self.trust.client_config()).transpose();
        Ok((address, tls.map_err(|error| error.to_string())?.map(Arc::new)))
    }

    /// Opens a connection, through TLS when the URL says so. Says why there is none.
    async fn connect(&self, name: &str) -> Result<Connection, String> {
        let (address, tls) = self.way()?;
        let progress = Progress::default();
        connect(&address, tls, name, &progress).await.map_err(|fault| fault.to_string())
    }
}
