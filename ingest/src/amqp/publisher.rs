//! The other end of the queue: batches on their way to the broker, for whoever plays a probe.

use super::{Settings, connect};
use crate::Error;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use zonepulse_wire::{MAC_HEADER, MacKey};

/// A message that the broker keeps on disk.
const PERSISTENT: u8 = 2;

/// Puts batches into a queue that the central takes them from. It must be there: the central makes it.
pub struct Publisher {
    channel: Channel,
    queue: String,
    /// Ends when it is dropped.
    _connection: Connection,
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
        let opened = async {
            let connection = connect(&settings.url, &settings.trust, connection_name).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>((connection, channel))
        };
        let (connection, channel) = opened.await.map_err(failed)?;
        Ok(Publisher { channel, queue: settings.queue.clone(), _connection: connection })
    }

    /// Signs an encoded batch with the token of its server, sends it, and waits until the broker says what
    /// became of it. Fails with [`Error::Broker`] when the connection ends.
    pub async fn publish(&self, batch: &[u8], token: &str) -> Result<Published, Error> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut headers = FieldTable::default();
        headers.insert(MAC_HEADER.into(), AMQPValue::LongString(MacKey::of_token(token).sign(batch)?.into()));
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/vnd.zonepulse.batch".into())
            .with_headers(headers);
        let published = self.channel.basic_publish("".into(), self.queue.as_str().into(), options, batch, properties);
        Ok(match published.await.map_err(failed)?.await.map_err(failed)? {
            Confirmation::Ack(None) => Published::Confirmed,
            // It comes back when no queue is there for it.
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Published::NoQueue,
            refused => Published::NotTaken(format!("{refused:?}")),
        })
    }
}

fn failed(error: lapin::Error) -> Error {
    Error::Broker(error.to_string())
}
