//! The other end of the queue: batches on their way to the broker, for whoever plays a probe.

use super::{Settings, headers};
use crate::Error;
use lapin::{BasicProperties, Confirmation};
use zonepulse_net::amqp;
use zonepulse_wire::MacKey;

/// Puts batches into a queue that the central takes them from. It must be there: the central makes it.
pub struct Publisher {
    connection: amqp::Publisher,
    queue: String,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The broker has it on disk.
    Confirmed,
    /// The broker has no such queue.
    NoQueue,
    /// The broker did not take it now, and why.
    NotTaken(String),
}

impl Publisher {
    /// Connects, through TLS when the URL says so. Fails with [`Error::Broker`].
    pub async fn open(settings: &Settings, connection_name: &str) -> Result<Self, Error> {
        let (address, tls) = settings.way().map_err(Error::Broker)?;
        let opened = amqp::Publisher::open(&address, tls, connection_name).await;
        let connection = opened.map_err(|fault| Error::Broker(fault.to_string()))?;
        Ok(Publisher { connection, queue: settings.queue.clone() })
    }

    /// Signs an encoded batch with the token of its server, sends it, and waits until the broker says what
    /// became of it. Fails with [`Error::Broker`] when the connection ends.
    pub async fn publish(&self, batch: &[u8], token: &str) -> Result<Published, Error> {
        let mac = MacKey::of_token(token).sign(batch)?;
        self.put(&self.queue, batch, headers::of_batch(mac)).await
    }

    /// Puts a message into a queue, and waits until the broker says what became of it.
    pub(super) async fn put(&self, queue: &str, bytes: &[u8], properties: BasicProperties) -> Result<Published, Error> {
        let published = self.connection.publish(queue, bytes, properties).await;
        Ok(match published.map_err(|error| Error::Broker(error.to_string()))? {
            Confirmation::Ack(None) => Published::Confirmed,
            // It comes back when no queue is there for it.
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Published::NoQueue,
            refused => Published::NotTaken(format!("{refused:?}")),
        })
    }

    /// Whether it can publish, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Whether the broker said that it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.is_blocked()
    }
}
