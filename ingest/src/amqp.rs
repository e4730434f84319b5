//! Batches from RabbitMQ.
//!
//! The queue is a durable quorum queue. A message is acknowledged only when its
//! batch is on disk; at most `prefetch` are under way. What will never be taken
//! goes to `<queue>.dead` with the reason in its headers, confirmed by the
//! broker before it is acknowledged here, so that it is always in one of the
//! two places. Someone looks at it there, mends what is wrong, and moves it
//! back, its signature with it: whose batch a message is, its signature proves
//! (`origin`).
//!
//! The connection is made again whenever it ends, with growing pauses.

mod address;
pub(crate) mod origin;
pub mod publisher;
pub mod trial;

pub use address::{check_queue, check_url};

use crate::{Ingest, Trust};
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use lapin::Confirmation;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::runtime::default_runtime;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use origin::Fault;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use zonepulse_wire::MAC_HEADER;

/// Where batches come from.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS.
    pub url: String,
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
/// How long a batch that could not be taken now rests before the broker gets it back.
const REST: Duration = Duration::from_secs(1);
/// A connection that lived this long was a good one: the next pause is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(30);

impl std::fmt::Debug for Settings {
    /// Without the URL, which holds a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("trust", &self.trust).field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Takes batches from the queue until `shutdown` is ready; what was under way
/// is then finished and acknowledged.
pub async fn consume(ingest: Ingest, settings: Settings, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut pauses = pauses();
    let mut complained = false;
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            () = &mut shutdown => return,
            opened = open(&settings) => match opened {
                Err(error) => Err(error),
                Ok(link) => {
                    tracing::info!(queue = settings.queue, "taking batches from RabbitMQ");
                    complained = false;
                    link.consume(&ingest, &mut shutdown).await
                }
            },
        };
        match ended {
            Ok(()) => return,
            Err(error) if !complained => {
                complained = true;
                tracing::warn!(%error, queue = settings.queue, "no connection to RabbitMQ; trying until there is one");
            }
            Err(error) => tracing::debug!(%error, "no connection to RabbitMQ yet"),
        }
        if began.elapsed() > GOOD_CONNECTION {
            pauses = self::pauses();
        }
        let pause = pauses.next().unwrap_or(Duration::from_secs(15));
        tokio::select! {
            () = &mut shutdown => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    let builder =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(250)).with_max_delay(Duration::from_secs(15));
    builder.with_jitter().without_max_times().build()
}

/// An open connection, its channel and its consumer.
struct Link {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    dead_queue: ShortString,
}

async fn open(settings: &Settings) -> lapin::Result<Link> {
    let connection = connect(&settings.url, &settings.trust, "zonepulse central").await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.basic_qos(settings.prefetch.max(1), BasicQosOptions::default()).await?;
    let dead_queue = ShortString::from(format!("{}.dead", settings.queue));
    for queue in [ShortString::from(settings.queue.as_str()), dead_queue.clone()] {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(queue, QueueDeclareOptions::durable(), arguments).await?;
    }
    let consumer = channel
        .basic_consume(settings.queue.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    Ok(Link { connection, channel, consumer, dead_queue })
}

/// Opens a connection, through TLS when the URL says so.
async fn connect(url: &str, trust: &Trust, name: &str) -> lapin::Result<Connection> {
    let uri: AMQPUri = url.parse().map_err(other)?;
    let connector = match uri.scheme {
        AMQPScheme::AMQPS => Some(RustlsConnector::from(trust.client_config().map_err(|error| other(error.to_string()))?)),
        AMQPScheme::AMQP => None,
    };
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let open = async move |uri: AMQPUri, runtime| {
        let addresses = resolve(&uri.authority.host, uri.authority.port).await?;
        let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
        match &connector {
            Some(connector) => Ok(stream.into_rustls(connector, &uri.authority.host).await?),
            None => Ok(stream),
        }
    };
    Connection::connector(uri, default_runtime()?, open, properties).await
}

async fn resolve(address: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // An IPv6 address may be written as in a URL.
    let host = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
}

fn other(what: String) -> lapin::Error {
    lapin::ErrorKind::IOError(Arc::new(io::Error::other(what))).into()
}

impl Link {
    /// Ends well when told to shut down, and with an error when the connection ends.
    async fn consume(mut self, ingest: &Ingest, shutdown: &mut (impl Future<Output = ()> + Unpin)) -> lapin::Result<()> {
        // The prefetch bounds how many deliveries there are.
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = &mut *shutdown => break,
                Some(done) = under_way.next(), if !under_way.is_empty() => done?,
                delivery = self.consumer.next() => match delivery {
                    Some(delivery) => under_way.push(handle(ingest, &self.channel, &self.dead_queue, delivery?)),
                    None => return Err(other("the broker cancelled the consumer".to_owned())),
                },
            }
        }
        while let Some(done) = under_way.next().await {
            done?;
        }
        self.connection.close(200, "the central is stopping".into()).await
    }
}

/// Sees one message to its end.
async fn handle(ingest: &Ingest, channel: &Channel, dead_queue: &ShortString, delivery: Delivery) -> lapin::Result<()> {
    let Delivery { data, acker, properties, .. } = delivery;
    let (bytes, mac) = (Bytes::from(data), origin::signature(&properties));
    match take(ingest, &bytes, mac.as_deref()).await {
        Ok(()) => acker.ack(BasicAckOptions::default()).await?,
        Err(fault) if fault.is_final() => {
            let reason = fault.reason();
            if let Some(messages) = ingest.refusals.add(reason, Instant::now()) {
                tracing::warn!(%fault, reason, messages, queue = %dead_queue, "batches were refused; they are kept in the dead-letter queue");
            }
            bury(channel, dead_queue, &bytes, mac, &fault).await?;
            acker.ack(BasicAckOptions::default()).await?
        }
        Err(fault) => {
            tracing::warn!(%fault, "a batch was not taken now; it goes back to the queue");
            tokio::time::sleep(REST).await;
            acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await?
        }
    };
    Ok(())
}

/// Commits the batch of a message, when its server signed it.
async fn take(ingest: &Ingest, bytes: &Bytes, mac: Option<&str>) -> Result<(), Fault> {
    match origin::sender(&ingest.store, bytes, mac) {
        Ok(sender) => Ok(ingest.receive(bytes.clone(), sender).await.map(|_| ())?),
        Err(fault) => {
            ingest.counters.received_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let counter = if fault.is_final() { &ingest.counters.refused } else { &ingest.counters.postponed };
            counter.fetch_add(1, Ordering::Relaxed);
            Err(fault)
        }
    }
}

/// Puts a message into the dead-letter queue and waits until the broker has it.
async fn bury(
    channel: &Channel,
    dead_queue: &ShortString,
    bytes: &[u8],
    mac: Option<String>,
    fault: &Fault,
) -> lapin::Result<()> {
    let mut headers = FieldTable::default();
    headers.insert("x-zonepulse-error".into(), AMQPValue::LongString(LongString::from(fault.to_string())));
    if let Some(mac) = mac {
        headers.insert(MAC_HEADER.into(), AMQPValue::LongString(LongString::from(mac)));
    }
    if let Ok(identity) = zonepulse_wire::peek_identity(bytes) {
        let text = |number: u64| AMQPValue::LongString(LongString::from(number.to_string()));
        headers.insert("x-zonepulse-server".into(), text(u64::from(identity.server_id)));
        headers.insert("x-zonepulse-epoch".into(), text(identity.epoch));
        headers.insert("x-zonepulse-seq".into(), text(identity.seq));
    }
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/vnd.zonepulse.batch".into())
        .with_headers(headers);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = channel.basic_publish("".into(), dead_queue.clone(), options, bytes, properties).await?.await?;
    match confirm {
        Confirmation::Ack(None) => Ok(()),
        refused => Err(other(format!("the dead-letter queue did not take a message: {refused:?}"))),
    }
}
