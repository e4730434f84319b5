//! An open connection that consumes batches from the queues.
//!
//! Individual messages are never returned to the queue: the broker counts how often it delivers each and drops it at
//! a limit. A message that cannot be accepted now is held unacknowledged while others are accepted (`held`). If the
//! central can accept none, or too many are held or for too long, the connection ends, and the messages wait in the
//! queue. A message that was nevertheless delivered several times (connections broke, the broker's acknowledgement
//! timeout expired) is requeued as new, so that its count starts at 0.

use super::headers::{self, failed_deliveries};
use super::held::Held;
use super::origin::{self, Fault, Untaken};
use super::queues::{self, Names};
use super::state::State;
use super::writer::Writer;
use super::{OPEN_TIMEOUT, Settings, Trouble};
use crate::{Error, Ingest, Sender, times};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, Consumer};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout, timeout_at};
use zonepulse_model::ServerId;

/// A message that came back this often is requeued as new. Policies can set arbitrarily low limits; RabbitMQ's own is
/// 20.
const RENEW_AT: u64 = 3;
/// How long a batch is held while too many others are waiting. Far below the broker's timeout, which is half an hour.
const HOLD: Duration = Duration::from_secs(60);
/// How long a message is held that the dead-letter queue does not accept.
const HOLD_REFUSED: Duration = Duration::from_secs(300);
/// Timeout for requeueing a message as new.
const RENEW_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two attempts with a held message.
const AGAIN: Duration = Duration::from_secs(1);
/// Maximum messages in flight from the queue of returned messages.
pub(super) const RETURNED_PREFETCH: u16 = 8;
/// Timeout for closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with its consumers.
pub(super) struct Link {
    connection: Connection,
    batches: Consumer,
    returned: Consumer,
    names: Names,
    prefetch: u16,
    /// Queues without protection.
    pub(super) unprotected: Vec<String>,
}

/// How the use of a connection ended without an error.
pub(super) enum End {
    /// Shutdown was requested.
    Shutdown,
    /// The central cannot accept batches, or is holding too many messages that it could not accept.
    Rest {
        /// The reason.
        why: String,
        /// Whether any batch was accepted before.
        took: bool,
    },
}

/// The outcome of a message.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Settled,
    /// The broker still owns it; it waits for this connection to end. Others may be accepted.
    Kept {
        why: String,
        is_returned: bool,
    },
    /// The broker still owns it, and no other can be accepted either.
    Unable(String),
}

fn fate(done: lapin::Result<Fate>) -> Result<Fate, Trouble> {
    done.map_err(Trouble::Ended)
}

impl Link {
    pub(super) async fn open(settings: &Settings) -> Result<Link, Trouble> {
        let names = Names::of(&settings.queue)?;
        let prefetch = settings.prefetch.max(1);
        let silent = |_| Trouble::Silent(OPEN_TIMEOUT.as_secs());
        let connecting = timeout(OPEN_TIMEOUT, settings.connect("zonepulse central"));
        let connection = connecting.await.map_err(silent)?.map_err(Trouble::Connect)?;
        let consuming = timeout(OPEN_TIMEOUT, async {
            let unprotected = queues::declare(&connection, &names).await?;
            let channel = connection.create_channel().await.map_err(Trouble::Ended)?;
            let batches = consumer(&channel, &names.batches, prefetch).await.map_err(Trouble::Ended)?;
            let returned = consumer(&channel, &names.returned, RETURNED_PREFETCH).await.map_err(Trouble::Ended)?;
            Ok::<_, Trouble>((unprotected, batches, returned))
        });
        let (unprotected, batches, returned) = consuming.await.map_err(silent)??;
        Ok(Link { connection, batches, returned, names, prefetch, unprotected })
    }

    /// Consumes batches until shutdown is requested or none can be accepted, then finishes those in flight.
    pub(super) async fn run(
        self,
        ingest: &Ingest,
        writer: &Writer,
        shutdown: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<End, Trouble> {
        let Link { connection, mut batches, mut returned, names, prefetch, .. } = self;
        let mut held = Held::new(prefetch, RETURNED_PREFETCH);
        let hands = Hands::new(ingest, writer, names);
        // The prefetch bounds the number of deliveries.
        let mut under_way = FuturesUnordered::new();
        let mut end = loop {
            tokio::select! {
                () = &mut *shutdown => break End::Shutdown,
                Some(done) = under_way.next(), if !under_way.is_empty() => match fate(done)? {
                    Fate::Settled => {}
                    Fate::Unable(why) => break End::Rest { why, took: false },
                    Fate::Kept { why, is_returned } => {
                        if held.is_empty() {
                            let queue = hands.names.batches.as_str();
                            tracing::warn!(why, queue, "a message cannot be taken now; it is kept, and taken again later");
                        }
                        if held.add(is_returned, &why, Instant::now()) {
                            break End::Rest { why, took: false };
                        }
                    }
                },
                () = sleep_until(held.until().into()), if !held.is_empty() => {
                    break End::Rest { why: held.why().to_owned(), took: false };
                }
                next = batches.next() => under_way.push(hands.handle(delivered(next, &hands.names.batches)?, false)),
                next = returned.next() => under_way.push(hands.handle(delivered(next, &hands.names.returned)?, true)),
            }
        };
        hands.ending.send_replace(true);
        while let Some(done) = under_way.next().await {
            fate(done)?;
        }
        if let End::Rest { took, .. } = &mut end {
            *took = hands.took.load(Ordering::Relaxed);
        }
        // The broker requeues unacknowledged messages however the connection ends.
        if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, connection.close(200, "the central takes no more".into())).await {
            tracing::debug!(%error, "the connection to RabbitMQ did not end well");
        }
        Ok(end)
    }
}

async fn consumer(channel: &Channel, queue: &ShortString, prefetch: u16) -> lapin::Result<Consumer> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    channel.basic_consume(queue.clone(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await
}

fn delivered(next: Option<lapin::Result<Delivery>>, queue: &ShortString) -> Result<Delivery, Trouble> {
    next.ok_or_else(|| Trouble::Cancelled(queue.to_string()))?.map_err(Trouble::Ended)
}

/// Processes messages to completion.
struct Hands<'a> {
    ingest: &'a Ingest,
    writer: &'a Writer,
    names: Names,
    state: Arc<State>,
    /// A batch was accepted.
    took: AtomicBool,
    /// Set when messages must no longer be held.
    ending: watch::Sender<bool>,
}

impl<'a> Hands<'a> {
    fn new(ingest: &'a Ingest, writer: &'a Writer, names: Names) -> Self {
        let state = ingest.broker.clone();
        Hands { ingest, writer, names, state, took: AtomicBool::new(false), ending: watch::Sender::new(false) }
    }

    /// Processes one message to completion.
    async fn handle(&self, delivery: Delivery, is_returned: bool) -> lapin::Result<Fate> {
        let Delivery { data, acker, properties, .. } = delivery;
        let (bytes, mac) = (Bytes::from(data), headers::signature(&properties));
        let queue = if is_returned { &self.names.returned } else { &self.names.batches };
        let death = headers::death(&properties).filter(|_| is_returned);
        let mut restored = false;
        if failed_deliveries(&properties) < RENEW_AT || !self.renew(queue, &bytes, mac.as_deref()).await {
            match self.take(&bytes, mac.as_deref()).await {
                Ok(()) => {
                    self.took.store(true, Ordering::Relaxed);
                    restored = is_returned;
                }
                Err(untaken) if untaken.fault.is_final() => {
                    if let Err(why) = self.refuse(&bytes, mac.as_deref(), &untaken).await {
                        let dead = self.names.dead.as_str();
                        let why = format!("the dead-letter queue {dead:?} takes no message: {why}");
                        return Ok(Fate::Kept { why, is_returned });
                    }
                }
                Err(untaken) => {
                    return Ok(match self.ingest.can_take().await {
                        Ok(()) => Fate::Kept { why: untaken.fault.to_string(), is_returned },
                        Err(error) => Fate::Unable(error.to_string()),
                    });
                }
            }
        }
        // An unacknowledged message is redelivered.
        if acker.ack(BasicAckOptions::default()).await? {
            if restored {
                self.state.restored();
            }
            if let Some(reason) = death {
                self.count_returned(reason);
            }
        }
        Ok(Fate::Settled)
    }

    fn count_returned(&self, reason: &'static str) {
        if let Some(messages) = self.state.returned(reason) {
            tracing::warn!(
                reason, messages, queue = %self.names.batches,
                "the broker took messages out of the queue, because a policy or another release of it says so; they are taken all the same"
            );
        }
    }

    /// Commits the batch of a message; waits for a while if too many are ahead of it.
    async fn take(&self, bytes: &Bytes, mac: Option<&str>) -> Result<(), Untaken> {
        let until = Instant::now() + HOLD;
        loop {
            match take(self.ingest, bytes, mac).await {
                Err(Untaken { fault: Fault::Batch(Error::Busy), .. }) if self.holds_until(until).await => {}
                taken => return taken,
            }
        }
    }

    /// Publishes a message to its queue again as new. Returns whether the queue has it.
    async fn renew(&self, queue: &ShortString, bytes: &[u8], mac: Option<&str>) -> bool {
        // A duplicate that the broker accepts later is recognized by its batch.
        let put = self.writer.put(queue.as_str(), bytes, headers::anew(mac), |_| {});
        let put = tokio::select! {
            put = timeout(RENEW_TIMEOUT, put) => put.unwrap_or_else(|_| Err("the broker does not take it".to_owned())),
            () = self.told_to_end() => Err("the connection is ending".to_owned()),
        };
        match put {
            Ok(()) => self.state.renewed(),
            Err(ref error) => tracing::debug!(error, "a message that came back often was not put into its queue anew"),
        }
        put.is_ok()
    }

    /// Puts a permanently refused message into the dead-letter queue with the reason, retrying for a while.
    async fn refuse(&self, bytes: &[u8], mac: Option<&str>, untaken: &Untaken) -> Result<(), String> {
        let (fault, queue) = (&untaken.fault, self.names.dead.as_str());
        let told = |why: &str| {
            if self.state.dead_letter_failed(why) {
                tracing::warn!(why, queue, "the dead-letter queue takes no message; what belongs there stays in its queue");
            }
        };
        let until = Instant::now() + HOLD_REFUSED;
        loop {
            let put = self.writer.put(queue, bytes, headers::refused(mac, bytes, fault), told);
            let put = tokio::select! {
                put = timeout_at(until.into(), put) => put,
                () = self.told_to_end() => return Err("the connection is ending".to_owned()),
            };
            let why = match put {
                Ok(Ok(())) => {
                    self.state.dead_letter_worked();
                    self.count_refused(untaken);
                    return Ok(());
                }
                Ok(Err(why)) => why,
                Err(_) => return Err(format!("not in {} s", HOLD_REFUSED.as_secs())),
            };
            told(&why);
            if !self.holds_until(until).await {
                return Err(why);
            }
        }
    }

    /// Counts a message that is in the dead-letter queue. Not earlier, because until then it may be redelivered many
    /// times.
    fn count_refused(&self, Untaken { fault, signed_by, claimed }: &Untaken) {
        let (reason, queue) = (fault.reason(), self.names.dead.as_str());
        if let Some(messages) = self.ingest.refusals.add(reason, Instant::now()) {
            let server_id = signed_by.map(ServerId::get);
            tracing::warn!(server_id, %fault, reason, messages, queue, "batches were refused; they are kept in the dead-letter queue");
        }
        if let Some(server_id) = *signed_by {
            self.ingest.untold.add(server_id, 1);
            self.ingest.deliveries.put_aside(server_id, times::now_ms());
        } else if let Some(server_id) = *claimed {
            self.ingest.deliveries.put_aside_unproven(server_id, times::now_ms());
        }
    }

    /// Waits briefly. Returns whether a message may be held any longer.
    async fn holds_until(&self, until: Instant) -> bool {
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => Instant::now() < until,
            () = self.told_to_end() => false,
        }
    }

    async fn told_to_end(&self) {
        // An error would mean that the sender is gone, but `self` owns it.
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
    }
}

/// Commits the batch of a message if its server signed it.
async fn take(ingest: &Ingest, bytes: &Bytes, mac: Option<&str>) -> Result<(), Untaken> {
    match origin::sender(&ingest.store, bytes, mac) {
        Ok(server_id) => {
            let error = match ingest.receive(bytes.clone(), Sender::Signed(server_id)).await {
                Ok(_) => return Ok(()),
                // The batch may be right and the central wrong, which is no reason to put the batch aside.
                Err(error @ Error::Ahead { .. }) => ingest.check_clock().await.err().unwrap_or(error),
                Err(error) => error,
            };
            Err(Untaken { fault: error.into(), signed_by: Some(server_id), claimed: None })
        }
        Err(fault) => {
            ingest.counters.received_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let counter = if fault.is_final() { &ingest.counters.refused } else { &ingest.counters.postponed };
            counter.fetch_add(1, Ordering::Relaxed);
            let claimed = fault.claimed(bytes);
            if let Some(server_id) = claimed {
                ingest.unproven(server_id, bytes, fault.reason(), &fault);
            }
            Err(Untaken { fault, signed_by: None, claimed })
        }
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
