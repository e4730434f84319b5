//! A connection that puts messages into queues.

use super::{Address, Fault, Progress, connect};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Why nothing can be published.
pub const BLOCKED: &str = "the broker is short of memory or disk and takes nothing (connection.blocked)";
/// How often it is looked whether the broker is short of something.
const LOOK: Duration = Duration::from_millis(250);

/// A connection with a channel on which the broker confirms what it has taken. It ends when this is dropped.
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

    /// Puts a message into a queue and waits for what the broker says of it. The message is mandatory: where there is no
    /// such queue, it comes back with the confirmation.
    pub async fn publish(&self, queue: &str, bytes: &[u8], properties: BasicProperties) -> lapin::Result<Confirmation> {
        let queue = ShortString::try_new(queue).map_err(|error| std::io::Error::other(error.to_string()))?;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        self.channel.basic_publish("".into(), queue, options, bytes, properties).await?.await
    }

    /// Whether it can publish, as far as is known.
    pub fn is_open(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Whether the broker said that it is short of memory or disk.
    pub fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Comes back when it is.
    pub async fn blocked(&self) {
        while !self.is_blocked() {
            sleep(LOOK).await;
        }
    }
}
