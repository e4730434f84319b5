//! Delivery through RabbitMQ (AMQP 0.9.1): a persistent message per batch to the central's queue,
//! with publisher confirms.
//!
//! The broker confirms a message once its quorum queue has it on disk; from then on the broker is
//! responsible for the batch. Messages are mandatory: as long as the central has not declared its
//! queue, they are returned, and the batches stay in the spool.
//!
//! The broker does not know servers, so every message is signed with the server's token
//! ([`zonepulse_wire::MacKey`]). The token itself is not sent.
//!
//! `amqps://` is the same over TLS.

use super::Answer;
use crate::Error;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use rustls::ClientConfig;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;
use zonepulse_net::Trust;
use zonepulse_net::amqp::{Address, BLOCKED, Publisher};
use zonepulse_private::Secret;
use zonepulse_wire::{MAC_HEADER, MEDIA_TYPE, MacKey};

/// Maximum number of unconfirmed messages.
pub const WINDOW: usize = 32;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// Delivery mode 2 (AMQP 0.9.1, basic class): the message survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// Where to send, and with which credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`.
    pub url: Secret,
    /// The central's queue.
    pub queue: String,
    /// The server's token from the central, which signs the batches.
    pub token: Secret,
    /// Whom to trust.
    pub trust: Trust,
}

#[derive(Debug)]
pub(super) struct Courier {
    address: Address,
    queue: String,
    /// None if the connection is not encrypted.
    tls: Option<Arc<ClientConfig>>,
    peer: String,
    key: MacKey,
    /// The current connection, as long as it is believed to work.
    link: Mutex<Option<Arc<Publisher>>>,
}

impl Courier {
    pub(super) fn new(settings: Settings) -> Result<Courier, Error> {
        let Settings { url, queue, token, trust } = settings;
        let address = Address::parse(&url)
            .map_err(|detail| Error::Config { place: "deliver.rabbitmq.url".into(), detail: detail.to_owned() })?;
        warn_if_unsafe(&address, &trust);
        let tls = if address.is_encrypted() { Some(Arc::new(trust.client_config()?)) } else { None };
        let peer = format!("{address} queue {queue}");
        Ok(Courier { peer, tls, key: MacKey::of_token(token.reveal()), address, queue, link: Mutex::new(None) })
    }

    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    pub(super) async fn send(&self, bytes: Vec<u8>) -> Answer {
        let mac = match self.key.sign(&bytes) {
            Ok(mac) => mac,
            Err(error) => return Answer::Refused(format!("cannot sign the batch: {error}")),
        };
        let link = match self.link().await {
            Ok(link) => link,
            Err(reason) => return Answer::unavailable(reason),
        };
        // Retrying while blocked would send every batch again each time.
        if link.is_blocked() {
            return Answer::unavailable(BLOCKED);
        }
        let published = tokio::select! {
            published = timeout(CONFIRM_TIMEOUT, link.publish(&self.queue, &bytes, signed(mac))) => published,
            // Keep the connection: a new one would be blocked as well, and this one does not time
            // out while blocked.
            () = link.blocked() => return Answer::unavailable(BLOCKED),
        };
        match published {
            Ok(Ok(confirmation)) => classify(confirmation, &self.queue),
            Ok(Err(error)) => {
                self.forget(&link).await;
                Answer::unavailable(format!("lost the connection to the broker: {error}"))
            }
            Err(_) => {
                self.forget(&link).await;
                Answer::unavailable(format!("no confirmation from the broker within {} s", CONFIRM_TIMEOUT.as_secs()))
            }
        }
    }

    /// Returns the connection, or makes one while other callers wait for it.
    async fn link(&self) -> Result<Arc<Publisher>, String> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| link.is_open()) {
            return Ok(link.clone());
        }
        *link = None;
        let opening = Publisher::open(&self.address, self.tls.clone(), "zonepulse-probe");
        let made = match timeout(CONNECT_TIMEOUT, opening).await {
            Ok(made) => made.map_err(|error| format!("cannot connect to the broker: {error}"))?,
            Err(_) => {
                return Err(format!("cannot connect to the broker: no answer within {} s", CONNECT_TIMEOUT.as_secs()));
            }
        };
        Ok(link.insert(Arc::new(made)).clone())
    }

    async fn forget(&self, broken: &Arc<Publisher>) {
        let mut link = self.link.lock().await;
        if link.as_ref().is_some_and(|link| Arc::ptr_eq(link, broken)) {
            *link = None;
        }
    }
}

/// The properties of a message.
fn signed(mac: String) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(MAC_HEADER.into(), AMQPValue::LongString(mac.into()));
    BasicProperties::default().with_delivery_mode(PERSISTENT).with_content_type(MEDIA_TYPE.into()).with_headers(headers)
}

/// Logs warnings about insecure settings.
fn warn_if_unsafe(address: &Address, trust: &Trust) {
    let (host, port) = (address.host(), address.port());
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    if address.is_encrypted() && !trust.verifies() {
        tracing::warn!(
            host,
            port,
            "the broker's certificate is NOT verified (verify_ca is off): anyone on the path can read the password and the data"
        );
    } else if !address.is_encrypted() && !is_loopback {
        tracing::warn!(host, port, "the broker's password crosses the network as PLAIN TEXT: use amqps://");
    }
}

fn classify(confirmation: Confirmation, queue: &str) -> Answer {
    match confirmation {
        Confirmation::Ack(None) => Answer::Confirmed,
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
            Answer::unavailable(format!("the broker has no queue {queue:?}; the central declares it when it starts"))
        }
        Confirmation::Nack(None) => {
            Answer::Failed(format!("the broker rejected the message (nack); queue {queue:?} may be full"))
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
    fn the_log_names_the_broker_without_the_password() {
        let (url, token) = (Secret::new("amqp://me:secret@broker.example:5673/zonepulse"), Secret::new("secret"));
        let settings = Settings { url, queue: "zonepulse.batches".into(), token, trust: Trust::System };
        let courier = Courier::new(settings).unwrap();
        assert_eq!(courier.peer(), "amqp://broker.example:5673 vhost zonepulse queue zonepulse.batches");
        assert!(!format!("{courier:?}").contains("secret"));
    }
}
