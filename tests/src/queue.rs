//! A queue of the broker, for messages that no probe would send.

use super::api::{BATCH, block_on};
use super::{RabbitMq, eventually};
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use std::collections::BTreeMap;
use std::time::Duration;
use zonepulse_wire::{MAC_HEADER, MacKey};

/// A connection and the name of a queue.
pub struct Queue {
    name: String,
    channel: Channel,
    _connection: Connection,
}

/// A message taken from a queue.
#[derive(Debug)]
pub struct Message {
    /// The body.
    pub body: Vec<u8>,
    /// Its headers as text.
    pub headers: BTreeMap<String, String>,
    /// 2 if it survives a restart of the broker.
    pub delivery_mode: Option<u8>,
}

impl Queue {
    /// Connects to the broker and waits for the queue, which the central declares.
    pub fn open(broker: &RabbitMq, name: &str) -> Self {
        let url = broker.url();
        let connection =
            block_on(Connection::connect(&url, ConnectionProperties::default())).expect("RabbitMQ takes connections");
        let channel = eventually(&format!("the queue {name} is there"), Duration::from_secs(20), || {
            block_on(async {
                // Checking for a queue that does not exist closes the channel.
                let channel = connection.create_channel().await.expect("RabbitMQ gives channels");
                let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                channel.queue_declare(name.into(), passive, FieldTable::default()).await.ok()?;
                channel.confirm_select(ConfirmSelectOptions::default()).await.expect("RabbitMQ confirms");
                Some(channel)
            })
        });
        Queue { name: name.to_owned(), channel, _connection: connection }
    }

    /// Declares a durable queue of a type without other arguments, as someone else might.
    pub fn declare(broker: &RabbitMq, name: &str, queue_type: &str) {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type.into()));
        block_on(async {
            let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await?;
            connection.close(200, "declared".into()).await
        })
        .expect("RabbitMQ takes queues");
    }

    /// Deletes the queue with its contents.
    pub fn delete(&self) {
        block_on(self.channel.queue_delete(self.short_name(), QueueDeleteOptions::default())).expect("the queue exists");
    }

    /// Number of messages waiting in it, excluding unacknowledged deliveries.
    pub fn waiting(&self) -> u32 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked = block_on(self.channel.queue_declare(self.short_name(), passive, FieldTable::default()));
        asked.expect("the queue exists").message_count()
    }

    /// Receives the waiting message this many times, and breaks the connection each time before
    /// acknowledging it.
    pub fn break_deliveries(&self, broker: &RabbitMq, times: u32) {
        for time in 0..times {
            eventually(&format!("{} has the message for the {time}. time", self.name), Duration::from_secs(10), || {
                block_on(async {
                    let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await?;
                    let channel = connection.create_channel().await?;
                    let got = channel.basic_get(self.short_name(), BasicGetOptions::default()).await?;
                    connection.close(200, "without an acknowledgement".into()).await?;
                    Ok::<_, lapin::Error>(got.is_some())
                })
                .expect("RabbitMQ gives messages")
                .then_some(())
            });
        }
    }

    /// Publishes a message to the queue, signed with a server's token as by a probe.
    pub fn publish(&self, body: &[u8], token: &str) {
        let mac = MacKey::of_token(token).sign(body).expect("it names a server");
        self.publish_with(body, Some(mac));
    }

    /// Publishes a message to the queue, which must exist, with this signature or none, and waits
    /// for the confirmation.
    pub fn publish_with(&self, body: &[u8], mac: Option<String>) {
        let mut headers = FieldTable::default();
        if let Some(mac) = mac {
            headers.insert(MAC_HEADER.into(), AMQPValue::LongString(mac.into()));
        }
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        // A newly declared queue may reject a message: retry, as a probe does.
        eventually(&format!("{} takes messages", self.name), Duration::from_secs(20), || {
            let properties = BasicProperties::default().with_content_type(BATCH.into()).with_delivery_mode(2);
            let properties = properties.with_headers(headers.clone());
            let confirmation = block_on(async {
                let confirm = self.channel.basic_publish("".into(), self.short_name(), options, body, properties).await?;
                confirm.await
            });
            match confirmation.expect("RabbitMQ confirms") {
                Confirmation::Ack(None) => Some(()),
                Confirmation::Nack(None) => None,
                other => panic!("{} does not take messages: {other:?}", self.name),
            }
        });
    }

    /// Takes the next message, if there is one.
    pub fn take(&self) -> Option<Message> {
        let got = block_on(self.channel.basic_get(self.short_name(), BasicGetOptions::default())).expect("the queue exists")?;
        block_on(got.delivery.acker.ack(BasicAckOptions::default())).expect("RabbitMQ takes acknowledgements");
        let delivery = got.delivery;
        let headers = delivery.properties.headers().as_ref().map(|table| table.inner().iter());
        let headers = headers.into_iter().flatten().map(|(name, value)| (name.to_string(), plain(value)));
        Some(Message { headers: headers.collect(), delivery_mode: *delivery.properties.delivery_mode(), body: delivery.data })
    }

    fn short_name(&self) -> ShortString {
        self.name.as_str().into()
    }
}

/// The value of a header as text.
fn plain(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::ShortString(text) => text.to_string(),
        other => format!("{other:?}"),
    }
}
