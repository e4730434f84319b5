//! A connection for publishing messages to queues.

use super::{Address, Fault, Progress, connect};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The error while the broker is blocked.
pub const BLOCKED: &str = "the broker is low on memory or disk space and accepts nothing (connection.blocked)";
/// How often to check whether the broker is blocked.
const LOOK: Duration = Duration::from_millis(250);

/// A connection with a channel in confirm mode. Closed when dropped.
#[derive(Debug)]
pub struct Publisher {
    channel: Channel,
    connection: Connection,
}

impl Publisher {
    /// Connects; see [`connect`].
    pub async fn open(address: &Address, tls: Option<Arc<ClientConfig>>, name: &str) -> Result<Self, Fault> {
        let connection = connect(address, tls, name, &Progress::default()).await?;
        let channel = connection.create_channel().await.map_err(Fault::Broker)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(Fault::Broker)?;
        Ok(Publisher { channel, connection })
    }

    /// Publishes a message to a queue and waits for the confirmation. The message is mandatory: if
    /// there is no such queue, it is returned with the confirmation.
    pub async fn publish(&self, queue: &str, bytes: &[u8], properties: BasicProperties) -> lapin::Result<Confirmation> {
        let queue = ShortString::try_new(queue).map_err(|error| std::io::Error::other(error.to_string()))?;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        self.channel.basic_publish("".into(), queue, options, bytes, properties).await?.await
    }

    /// Whether it can publish, as far as is known.
    pub fn is_open(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Whether the broker reported that it is low on memory or disk space.
    pub fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Waits until it is.
    pub async fn blocked(&self) {
        while !self.is_blocked() {
            sleep(LOOK).await;
        }
    }
}
