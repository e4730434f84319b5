//! Through RabbitMQ (AMQP 0.9.1): a persistent message for each batch, to the
//! central's queue, with publisher confirms.
//!
//! The broker confirms a message when its quorum queue has it on disk; from
//! then on the batch is the broker's to keep. The messages are mandatory: as
//! long as the central has not made its queue, they come back, and the batches
//! stay in the spool.
//!
//! The broker does not know servers, so every message is signed with the server's token
//! ([`zonepulse_wire::MacKey`]), which itself stays here.
//!
//! `amqps://` is the same over TLS. The stream is made here and not by the library, so
//! that the same authorities are trusted as over HTTPS.

use super::{Answer, MEDIA_TYPE};
use crate::{Error, tls};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::tcp::{AMQPUriTcpExt, RustlsConnector};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use rustls::ClientConfig;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use zonepulse_private::Secret;
use zonepulse_wire::{MAC_HEADER, MacKey, broker_url_fault};

/// So many messages wait for the broker's confirmation at once.
pub const WINDOW: usize = 32;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is looked whether the broker is short of something while a confirmation is waited for.
const LOOK: Duration = Duration::from_millis(250);
const BLOCKED: &str = "the broker is short of memory or disk and takes nothing (connection.blocked)";
/// Delivery mode 2 (AMQP 0.9.1, basic class): the message survives the broker's restart.
const PERSISTENT: u8 = 2;
/// Seconds; a broker that is gone without a word is noticed after about two of them.
const HEARTBEAT_S: u16 = 15;

/// Where to send, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`.
    pub url: Secret,
    /// The central's queue.
    pub queue: String,
    /// The token that the central has given this server: it signs the batches.
    pub token: Secret,
    /// Whom to trust.
    pub tls: tls::Settings,
}

/// Says what is wrong with the address of a broker; never repeats it, for it
/// holds the password.
pub fn check_url(url: &Secret) -> Result<(), String> {
    parse(url).map(drop)
}

fn parse(url: &Secret) -> Result<AMQPUri, String> {
    if let Some(fault) = broker_url_fault(url.reveal()) {
        return Err(fault.to_owned());
    }
    let mut uri: AMQPUri =
        url.reveal().parse().map_err(|_| "is no URL of a broker; write amqps://user:password@host:port/vhost".to_owned())?;
    if uri.authority.port == 0 || uri.authority.host.is_empty() {
        return Err("has no host or no port; write amqps://user:password@host:port/vhost".to_owned());
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    Ok(uri)
}

#[derive(Debug)]
pub(super) struct Courier {
    settings: Settings,
    /// None where the connection is not encrypted.
    tls: Option<Arc<ClientConfig>>,
    peer: String,
    key: MacKey,
    link: Mutex<Option<Arc<Link>>>,
}

/// A connection that works, as far as is known.
#[derive(Debug)]
struct Link {
    connection: Connection,
    channel: Channel,
}

impl Courier {
    pub(super) fn new(settings: Settings) -> Result<Courier, Error> {
        let uri = parse(&settings.url).map_err(|detail| Error::Config { place: "deliver.amqp.url".into(), detail })?;
        let encrypted = uri.scheme == AMQPScheme::AMQPS;
        warn_if_unsafe(&uri, &settings.tls);
        let tls = if encrypted { Some(Arc::new(settings.tls.client()?)) } else { None };
        let scheme = if encrypted { "amqps" } else { "amqp" };
        let peer =
            format!("{scheme}://{}:{} vhost {} queue {}", uri.authority.host, uri.authority.port, uri.vhost, settings.queue);
        let key = MacKey::of_token(settings.token.reveal());
        Ok(Courier { peer, tls, key, settings, link: Mutex::new(None) })
    }

    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    pub(super) async fn send(&self, bytes: Vec<u8>) -> Answer {
        let mac = match self.key.sign(&bytes) {
            Ok(mac) => mac,
            Err(error) => return Answer::Refused(format!("it cannot be signed: {error}")),
        };
        let link = match self.link().await {
            Ok(link) => link,
            Err(reason) => return Answer::unavailable(reason),
        };
        // What was sent before would be sent once more with every try.
        if link.is_blocked() {
            return Answer::unavailable(BLOCKED);
        }
        let published = tokio::select! {
            published = timeout(CONFIRM_TIMEOUT, link.publish(&self.settings.queue, &bytes, mac)) => published,
            // The connection is kept: a new one would be blocked as well, and this one does not end while it is.
            () = link.blocked() => return Answer::unavailable(BLOCKED),
        };
        match published {
            Ok(Ok(confirmation)) => classify(confirmation, &self.settings.queue),
            Ok(Err(error)) => {
                self.forget(&link).await;
                Answer::unavailable(format!("the broker's connection broke off: {error}"))
            }
            Err(_) => {
                self.forget(&link).await;
                Answer::unavailable(format!("the broker does not confirm in {} s", CONFIRM_TIMEOUT.as_secs()))
            }
        }
    }

    /// The connection; made when there is none, by one while the others wait.
    async fn link(&self) -> Result<Arc<Link>, String> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| link.works()) {
            return Ok(link.clone());
        }
        *link = None;
        let uri = parse(&self.settings.url)?;
        let made = match timeout(CONNECT_TIMEOUT, Link::make(uri, self.tls.clone())).await {
            Ok(made) => made.map_err(|error| format!("cannot connect to the broker: {error}"))?,
            Err(_) => {
                return Err(format!("cannot connect to the broker: no answer in {} s", CONNECT_TIMEOUT.as_secs()));
            }
        };
        Ok(link.insert(Arc::new(made)).clone())
    }

    async fn forget(&self, broken: &Arc<Link>) {
        let mut link = self.link.lock().await;
        if link.as_ref().is_some_and(|link| Arc::ptr_eq(link, broken)) {
            *link = None;
        }
    }
}

impl Link {
    async fn make(uri: AMQPUri, tls: Option<Arc<ClientConfig>>) -> lapin::Result<Link> {
        let properties = ConnectionProperties::default().with_connection_name("zonepulse-probe".into());
        let connect = async move |uri: AMQPUri, runtime| {
            let host = uri.authority.host.trim_matches(['[', ']']).to_owned();
            let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri }.connect_async(&runtime).await?;
            Ok(match &tls {
                Some(tls) => plain.into_rustls(&RustlsConnector::from(tls.clone()), &host).await?,
                None => plain,
            })
        };
        let connection = Connection::connector(uri, lapin::runtime::default_runtime()?, connect, properties).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Link { connection, channel })
    }

    fn works(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Whether the broker said that it is short of memory or disk.
    fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    async fn blocked(&self) {
        while !self.is_blocked() {
            sleep(LOOK).await;
        }
    }

    async fn publish(&self, queue: &str, bytes: &[u8], mac: String) -> lapin::Result<Confirmation> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut headers = FieldTable::default();
        headers.insert(MAC_HEADER.into(), AMQPValue::LongString(mac.into()));
        let properties =
            BasicProperties::default().with_delivery_mode(PERSISTENT).with_content_type(MEDIA_TYPE.into()).with_headers(headers);
        self.channel.basic_publish("".into(), queue.into(), options, bytes, properties).await?.await
    }
}

/// Says loudly what is not as safe as it should be.
fn warn_if_unsafe(uri: &AMQPUri, tls: &tls::Settings) {
    let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
    let is_loopback = host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    if uri.scheme == AMQPScheme::AMQPS && !tls.verify {
        tracing::warn!(
            host,
            port,
            "the broker's certificate is NOT verified (verify_ca is off): anyone in between can read the password and the data"
        );
    } else if uri.scheme == AMQPScheme::AMQP && !is_loopback {
        tracing::warn!(host, port, "the broker's password goes over the network as PLAIN TEXT: use amqps://");
    }
}

fn classify(confirmation: Confirmation, queue: &str) -> Answer {
    match confirmation {
        Confirmation::Ack(None) => Answer::Confirmed,
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
            Answer::unavailable(format!("the broker has no queue {queue:?}; the central makes it when it starts"))
        }
        Confirmation::Nack(None) => {
            Answer::Failed(format!("the broker did not take the message (nack); queue {queue:?} may be full"))
        }
        Confirmation::NotRequested => Answer::unavailable("the broker does not confirm messages"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_acknowledged_message_that_reached_a_queue_is_confirmed() {
        assert_eq!(classify(Confirmation::Ack(None), "q"), Answer::Confirmed);
        assert!(matches!(classify(Confirmation::Nack(None), "q"), Answer::Failed(_)));
        assert!(matches!(classify(Confirmation::NotRequested, "q"), Answer::Unavailable { .. }));
    }

    #[test]
    fn an_address_that_cannot_work_is_found_before_it_is_used_and_never_repeated() {
        for good in ["amqp://127.0.0.1:5672/%2f", "amqp://me:secret@broker.example", "amqp://[::1]/zonepulse"] {
            assert_eq!(check_url(&Secret::new(good)), Ok(()), "{good}");
        }
        for bad in ["", "me:secret@x", "http://me:secret@x"] {
            let error = check_url(&Secret::new(bad)).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_log_names_the_broker_without_the_password() {
        let (url, token) = (Secret::new("amqp://me:secret@broker.example:5673/zonepulse"), Secret::new("secret"));
        let settings = Settings { url, queue: "zonepulse.batches".into(), token, tls: tls::Settings::default() };
        let courier = Courier::new(settings).unwrap();
        assert_eq!(courier.peer(), "amqp://broker.example:5673 vhost zonepulse queue zonepulse.batches");
        assert!(!format!("{courier:?}").contains("secret"));
    }
}
