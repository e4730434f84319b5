//! Delivers batches from the spool until the central has confirmed them.
//!
//! There are two transports, [`http`] directly to the central and [`amqp`] through RabbitMQ, and
//! one engine for both, which pauses while the central pulls. It claims the oldest batches of the
//! spool, keeps several in flight so that the peer can group its fsyncs, and acts on each answer:
//!
//! | answer | this batch | other batches |
//! | --- | --- | --- |
//! | confirmed | leaves the spool | continue |
//! | refused for good | is set aside with the reason | continue |
//! | failed, perhaps because of this batch | is retried later | continue |
//! | lies in the future | waits, together with all later ones | continue |
//! | 503, and ahead of this machine's clock | waits a minute, together with all later ones | continue |
//! | peer unreachable, busy, or rejecting this probe | stays | wait, then one is retried |
//!
//! While the central rejects the token, nothing goes through RabbitMQ: batches are signed with the
//! token, so the broker would accept what the central then refuses for good.
//!
//! Delivery never gives up. Waits grow up to about ten seconds, with jitter so that a fleet does
//! not reconnect all at once. State changes are logged, individual attempts are not.

pub mod amqp;
mod health;
pub mod http;

use crate::Error;
use crate::clock::Reading;
use crate::spool::{Entry, Spool};
use health::Health;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use zonepulse_private::Secret;
use zonepulse_wire::{KeptFrom, Utc};

/// A finished interval cannot start later than this after now, seconds.
const AHEAD_S: u64 = 60;
/// How long a batch that does start later is put off.
const AHEAD_WAIT: Duration = Duration::from_secs(60);

/// How batches get to the central.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// Directly to the central.
    Http(http::Settings),
    /// Through RabbitMQ.
    Amqp(amqp::Settings),
    /// The central pulls, so nothing is sent from here; see [`crate::pull`].
    Pull,
}

/// Outcomes of batches since the start.
#[derive(Debug, Default)]
pub struct Counts {
    delivered: AtomicU64,
    refused: AtomicU64,
    /// Batches for which the central answers only roll-ups, and only totals.
    without_raw: AtomicU64,
    without_points: AtomicU64,
    under_way: AtomicU64,
}

/// The peer's answer to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The batch is on the peer's disk.
    Confirmed,
    /// Confirmed, with the time from which the central answers points.
    Kept(KeptFrom),
    /// Refused for good, with the reason.
    Refused(String),
    /// Failed; another batch may succeed.
    Failed(String),
    /// Put off: the batch lies in the future by the central's clock.
    NotYet(String),
    /// The peer accepts no batches at present.
    Unavailable {
        reason: String,
        /// Whether a central itself answered 503, which may concern only this batch.
        is_503: bool,
        /// How long to wait before the next attempt.
        retry_after: Option<Duration>,
    },
}

#[derive(Debug)]
enum Way {
    Http(http::Courier),
    Amqp(Box<amqp::Courier>),
    Pull,
}

/// Delivers what is in the spool and what is added to it, until dropped.
///
/// A change of `settings` applies from the next batch on. Setting them, even unchanged, ends a
/// wait. Batches in flight at the end stay in the spool. Nothing is signed with a token that is
/// `refused`. Batches in flight are limited to `max_in_flight_bytes` in total, but one is always
/// allowed.
pub async fn run(
    spool: Arc<Spool>,
    mut settings: watch::Receiver<Settings>,
    mut refused: watch::Receiver<Option<Secret>>,
    counts: Arc<Counts>,
    max_in_flight_bytes: u64,
) -> Result<(), Error> {
    let known = settings.borrow_and_update().clone();
    let way = Arc::new(Way::new(known.clone())?);
    let mut engine = Engine {
        spool,
        known,
        way,
        counts,
        flight: JoinSet::new(),
        flight_bytes: 0,
        max_in_flight_bytes,
        health: Health::default(),
        ahead_from_s: None,
        is_held: false,
    };
    loop {
        engine.hold(refused.borrow_and_update().as_ref());
        engine.launch();
        engine.counts.under_way.store(engine.flight.len() as u64, Ordering::Relaxed);
        let wake = engine.wake_at();
        tokio::select! {
            Some(landed) = engine.flight.join_next() => match landed {
                Ok((entry, answer)) => engine.settle(entry, answer),
                Err(error) => tracing::error!(%error, "a delivery task failed; its batch is retried after a restart"),
            },
            () = engine.spool.changed() => {}
            () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {}
            Ok(()) = refused.changed() => {}
            Ok(()) = settings.changed() => engine.follow(settings.borrow_and_update().clone())?,
        }
    }
}

struct Engine {
    spool: Arc<Spool>,
    known: Settings,
    way: Arc<Way>,
    counts: Arc<Counts>,
    flight: JoinSet<(Entry, Option<Answer>)>,
    flight_bytes: u64,
    max_in_flight_bytes: u64,
    health: Health,
    /// Batches that start at or after this time wait for it, Unix seconds; none once one of them
    /// was accepted.
    ahead_from_s: Option<u64>,
    /// Whether the central rejects the token that would sign the batches.
    is_held: bool,
}

impl Engine {
    /// Stops sending if the token that would sign the batches was rejected.
    fn hold(&mut self, refused: Option<&Secret>) {
        let is_held = matches!(&self.known, Settings::Amqp(amqp) if refused == Some(&amqp.token));
        match (self.is_held, is_held) {
            (false, true) => tracing::warn!(
                to = self.way.peer(),
                waiting = self.spool.len(),
                "the central rejects this probe's token, which signs batches: they stay in the spool; give the probe the \
                 server's new token (zonepulse-probe enroll --force, or deliver.http.token_file) and send it SIGHUP"
            ),
            (true, false) => tracing::info!(
                to = self.way.peer(),
                waiting = self.spool.len(),
                "the token is no longer rejected: sending the batches that waited"
            ),
            _ => {}
        }
        self.is_held = is_held;
    }

    /// Sends the oldest batches, as many as may be in flight.
    fn launch(&mut self) {
        while self.has_room() {
            let claimed = if self.health.prefers_newest() { self.spool.claim_newest() } else { self.spool.claim() };
            let Some(entry) = claimed else { return };
            if !self.flight.is_empty() && self.flight_bytes + entry.size_bytes > self.max_in_flight_bytes {
                return self.spool.put_back(entry.key);
            }
            self.flight_bytes += entry.size_bytes;
            self.flight.spawn(attempt(self.spool.clone(), self.way.clone(), entry));
        }
    }

    /// When to check again even if nothing happens.
    fn wake_at(&self) -> Option<Instant> {
        match self.health.paused_until() {
            Some(until) => Some(until),
            None if self.has_room() => self.spool.next_due(),
            None => None,
        }
    }

    /// Whether another batch may be in flight.
    fn has_room(&self) -> bool {
        if self.is_held {
            return false;
        }
        let limit = self.health.window(self.way.window());
        self.flight.len() < limit && (self.flight.is_empty() || self.flight_bytes < self.max_in_flight_bytes)
    }

    fn follow(&mut self, settings: Settings) -> Result<(), Error> {
        if settings == self.known {
            self.health.end_wait();
            return Ok(());
        }
        self.way = Arc::new(Way::new(settings.clone())?);
        self.known = settings;
        self.health = Health::default();
        self.ahead_from_s = None;
        Ok(())
    }

    fn settle(&mut self, entry: Entry, answer: Option<Answer>) {
        self.flight_bytes = self.flight_bytes.saturating_sub(entry.size_bytes);
        let change = match answer {
            None => None,
            Some(answer @ (Answer::Confirmed | Answer::Kept(_))) => {
                self.counts.confirmed();
                self.ahead_from_s = self.ahead_from_s.filter(|from_s| entry.key.start_s < *from_s);
                if let Answer::Kept(kept_from) = answer {
                    self.counts.kept(entry.key.start_s, kept_from);
                }
                tracing::debug!(start = %Utc(entry.key.start_s), seq = entry.key.seq, "batch delivered");
                self.health.succeeded()
            }
            Some(Answer::Refused(_)) => {
                self.counts.was_refused();
                self.health.succeeded()
            }
            Some(Answer::Failed(reason)) => {
                self.defer(&entry, &reason);
                self.health.failed(&reason, entry.deferrals == 0, self.way.window())
            }
            Some(Answer::NotYet(reason)) => {
                self.wait_for_its_time(&entry, growing_wait(&entry), &reason);
                self.health.succeeded()
            }
            // The batch is from a clock that was ahead and no longer is. Why the central does not
            // accept it says nothing about other batches.
            Some(Answer::Unavailable { reason, is_503: true, .. }) if is_ahead(entry.key.start_s) => {
                self.wait_for_its_time(&entry, AHEAD_WAIT, &reason);
                None
            }
            Some(Answer::Unavailable { reason, retry_after, .. }) => {
                self.spool.release(entry.key);
                self.health.unavailable(&reason, retry_after)
            }
        };
        match change {
            Some(health::Change::Up) => tracing::info!(to = self.way.peer(), waiting = self.spool.len(), "delivery works"),
            Some(health::Change::Down(reason)) => {
                tracing::warn!(
                    to = self.way.peer(),
                    reason,
                    waiting = self.spool.len(),
                    "delivery is waiting: batches stay in the spool and are retried until it works"
                );
            }
            None => {}
        }
    }
}

/// Whether a batch starts later than the clock allows, Unix seconds.
fn is_ahead(start_s: u64) -> bool {
    start_s > Reading::now().wall_ms / 1000 + AHEAD_S
}

impl Engine {
    /// Puts off a batch that lies in the future, and all later ones, which would fare no better.
    fn wait_for_its_time(&mut self, entry: &Entry, wait: Duration, reason: &str) {
        let (start_s, seq, until) = (entry.key.start_s, entry.key.seq, Instant::now() + wait);
        self.spool.defer(entry.key, until);
        self.spool.defer_from(start_s, until);
        if self.ahead_from_s.is_none() {
            tracing::warn!(
                start = %Utc(start_s),
                seq,
                reason,
                "a batch that lies in the future was not accepted; it waits in the spool together with later ones"
            );
        }
        self.ahead_from_s = Some(self.ahead_from_s.map_or(start_s, |from_s| from_s.min(start_s)));
    }

    /// Retries a batch later, with a growing delay.
    fn defer(&self, entry: &Entry, reason: &str) {
        self.spool.defer(entry.key, Instant::now() + growing_wait(entry));
        if entry.deferrals == 0 {
            let (start, seq) = (Utc(entry.key.start_s), entry.key.seq);
            tracing::warn!(%start, seq, reason, "a batch was not accepted; it will be retried");
        }
    }
}

/// The wait for a batch, which grows each time it is put off.
fn growing_wait(entry: &Entry) -> Duration {
    Duration::from_secs(1 << entry.deferrals.min(6))
}

/// Attempts to deliver one batch; no answer if it was evicted before. The spool is updated here,
/// off the thread that everything else waits for.
async fn attempt(spool: Arc<Spool>, way: Arc<Way>, entry: Entry) -> (Entry, Option<Answer>) {
    let key = entry.key;
    let reader = spool.clone();
    let answer = match spawn_blocking(move || reader.read(key)).await {
        Ok(Ok(Some(bytes))) => way.send(bytes).await,
        Ok(Ok(None)) => return (entry, None),
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Err(error) => Answer::Failed(error.to_string()),
    };
    match answer {
        Answer::Confirmed | Answer::Kept(_) => {
            if let Ok(Err(error)) = spawn_blocking(move || spool.remove(key)).await {
                tracing::error!(%error, "a delivered batch cannot be removed from the spool and is delivered again after a restart; it counts once");
            }
            (entry, Some(answer))
        }
        Answer::Refused(reason) => {
            tracing::warn!(
                start = %Utc(key.start_s),
                seq = key.seq,
                reason,
                "the central refused a batch for good; it is kept in refused/ in the spool"
            );
            let text = reason.clone();
            match spawn_blocking(move || spool.refuse(key, &text)).await {
                Ok(Err(error)) => (entry, Some(Answer::Failed(error.to_string()))),
                _ => (entry, Some(Answer::Refused(reason))),
            }
        }
        Answer::Failed(_) | Answer::NotYet(_) | Answer::Unavailable { .. } => (entry, Some(answer)),
    }
}

impl Way {
    fn new(settings: Settings) -> Result<Way, Error> {
        match settings {
            Settings::Http(settings) => http::Courier::new(settings).map(Way::Http),
            Settings::Amqp(settings) => amqp::Courier::new(settings).map(|courier| Way::Amqp(Box::new(courier))),
            Settings::Pull => Ok(Way::Pull),
        }
    }

    fn window(&self) -> usize {
        match self {
            Way::Http(_) => http::WINDOW,
            Way::Amqp(_) => amqp::WINDOW,
            Way::Pull => 0,
        }
    }

    /// The peer's name in the log.
    fn peer(&self) -> &str {
        match self {
            Way::Http(courier) => courier.peer(),
            Way::Amqp(courier) => courier.peer(),
            Way::Pull => "the pulling central",
        }
    }

    async fn send(&self, bytes: Vec<u8>) -> Answer {
        match self {
            Way::Http(courier) => courier.send(bytes).await,
            Way::Amqp(courier) => courier.send(bytes).await,
            Way::Pull => Answer::unavailable("the central pulls"),
        }
    }
}

impl Counts {
    /// Batches that the central confirmed.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Batches that the central refused for good.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Batches that are leaving the spool and are not counted yet.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Counts a confirmed batch.
    pub(crate) fn confirmed(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Confirmed batches older than the central's raw points, but not than its roll-ups.
    pub fn without_raw(&self) -> u64 {
        self.without_raw.load(Ordering::Relaxed)
    }

    /// Confirmed batches older than all points of the central; they count in totals only.
    pub fn without_points(&self) -> u64 {
        self.without_points.load(Ordering::Relaxed)
    }

    /// Compares a confirmed batch with the times from which the central answers points.
    fn kept(&self, start_s: u64, kept_from: KeptFrom) {
        if start_s < kept_from.aggregated_s {
            self.without_points.fetch_add(1, Ordering::Relaxed);
        } else if start_s < kept_from.raw_s {
            self.without_raw.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a batch refused for good.
    pub(crate) fn was_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Answer {
    pub(crate) fn unavailable(reason: impl Into<String>) -> Answer {
        Answer::Unavailable { reason: reason.into(), is_503: false, retry_after: None }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tls_tests;
