//! The sending end of the queue: publishes batches to the broker, for anything that acts as a probe.

use super::{Settings, headers};
use crate::Error;
use lapin::{BasicProperties, Confirmation};
use zonepulse_net::amqp;
use zonepulse_wire::MacKey;

/// Publishes batches to a queue that the central consumes. The queue must exist: the central declares it.
pub struct Publisher {
    connection: amqp::Publisher,
    queue: String,
}

/// The outcome of publishing a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The broker has it on disk.
    Confirmed,
    /// The broker has no such queue.
    NoQueue,
    /// The broker did not accept it now, with the reason.
    NotTaken(String),
}

impl Publisher {
    /// Connects, with TLS if the URL asks for it. Fails with [`Error::Broker`].
    pub async fn open(settings: &Settings, connection_name: &str) -> Result<Self, Error> {
        let (address, tls) = settings.way().map_err(Error::Broker)?;
        let opened = amqp::Publisher::open(&address, tls, connection_name).await;
        let connection = opened.map_err(|fault| Error::Broker(fault.to_string()))?;
        Ok(Publisher { connection, queue: settings.queue.clone() })
    }

    /// Signs an encoded batch with its server's token, sends it, and waits for the broker's confirmation. Fails with
    /// [`Error::Broker`] if the connection ends.
    pub async fn publish(&self, batch: &[u8], token: &str) -> Result<Published, Error> {
        let mac = MacKey::of_token(token).sign(batch)?;
        self.put(&self.queue, batch, headers::of_batch(mac)).await
    }

    /// Publishes a message to a queue and waits for the broker's confirmation.
    pub(super) async fn put(&self, queue: &str, bytes: &[u8], properties: BasicProperties) -> Result<Published, Error> {
        let published = self.connection.publish(queue, bytes, properties).await;
        Ok(match published.map_err(|error| Error::Broker(error.to_string()))? {
            Confirmation::Ack(None) => Published::Confirmed,
            // The broker returns the message if the queue does not exist.
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Published::NoQueue,
            refused => Published::NotTaken(format!("{refused:?}")),
        })
    }

    /// Whether it can publish, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Whether the broker reported a shortage of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.is_blocked()
    }
}
