//! The connection that publishes messages.
//!
//! It is separate from the one that consumes. A broker short of memory or disk stops reading from connections that
//! have published: acknowledgements on such a connection would be delayed, too, until the broker considers them
//! missing.

use super::publisher::{Published, Publisher};
use super::{OPEN_TIMEOUT, Settings};
use lapin::BasicProperties;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;
use zonepulse_net::amqp::BLOCKED;

const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to check whether the broker is blocking publishers while waiting for a confirmation.
const LOOK: Duration = Duration::from_millis(250);

/// Connects on first use.
pub(super) struct Writer {
    settings: Settings,
    publisher: Mutex<Option<Arc<Publisher>>>,
}

impl Writer {
    pub(super) fn new(settings: Settings) -> Self {
        Writer { settings, publisher: Mutex::new(None) }
    }

    /// Publishes a message and waits until the broker has it: for as long as the broker is short of resources, which
    /// is reported through `told`, and half a minute otherwise. Errors say why the broker does not have it.
    pub(super) async fn put(
        &self,
        queue: &str,
        bytes: &[u8],
        properties: BasicProperties,
        told: impl Fn(&str),
    ) -> Result<(), String> {
        let publisher = self.publisher().await?;
        // A message sent now would wait in memory. A new connection would be blocked as well, and this one can only
        // close once it is no longer blocked.
        while publisher.is_blocked() && publisher.is_open() {
            told(BLOCKED);
            tokio::time::sleep(LOOK).await;
        }
        let mut publishing = pin!(publisher.put(queue, bytes, properties));
        let mut waited = Duration::ZERO;
        let published = loop {
            match timeout(LOOK, &mut publishing).await {
                Ok(published) => break published,
                Err(_) if publisher.is_blocked() => told(BLOCKED),
                Err(_) if waited < CONFIRM_TIMEOUT => waited += LOOK,
                Err(_) => {
                    self.forget(&publisher).await;
                    return Err(format!("the broker did not confirm in {} s", CONFIRM_TIMEOUT.as_secs()));
                }
            }
        };
        match published {
            Ok(Published::Confirmed) => Ok(()),
            Ok(Published::NoQueue) => Err("it is not there".to_owned()),
            Ok(Published::NotTaken(_)) => Err("the broker refuses the message: the queue may be full".to_owned()),
            Err(error) => {
                self.forget(&publisher).await;
                Err(error.to_string())
            }
        }
    }

    async fn publisher(&self) -> Result<Arc<Publisher>, String> {
        let mut publisher = self.publisher.lock().await;
        if let Some(open) = publisher.as_ref().filter(|publisher| publisher.is_open()) {
            return Ok(open.clone());
        }
        *publisher = None;
        let opening = Publisher::open(&self.settings, "zonepulse central, writing");
        let opened = timeout(OPEN_TIMEOUT, opening).await.map_err(|_| "the broker does not answer".to_owned())?;
        Ok(publisher.insert(Arc::new(opened.map_err(|error| error.to_string())?)).clone())
    }

    async fn forget(&self, broken: &Arc<Publisher>) {
        let mut publisher = self.publisher.lock().await;
        if publisher.as_ref().is_some_and(|publisher| Arc::ptr_eq(publisher, broken)) {
            *publisher = None;
        }
    }
}
