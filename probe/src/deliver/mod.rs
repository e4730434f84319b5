//! From the spool to the central, until the central has confirmed.
//!
//! There are two ways, [`http`] straight to the central and [`amqp`] through
//! RabbitMQ, and one engine for both. (While the central fetches, the engine rests.) It claims the oldest batches of the
//! spool, has several on their way at once so that the other side can group
//! its fsyncs, and does with each what the answer says:
//!
//! | answer | the batch | the others |
//! | --- | --- | --- |
//! | confirmed | leaves the spool | go on |
//! | refused for good | is put aside, with the reason | go on |
//! | failed, perhaps because of this batch | is tried again later | go on |
//! | it tells of a time yet to come | waits, with all later ones | go on |
//! | 503, and it is ahead of this machine's clock | waits a minute, with all later ones | go on |
//! | the other side is not there, busy, or does not accept us | stays | wait, then one tries again |
//!
//! While the central refuses the token, nothing goes through RabbitMQ: the broker would take what the central then
//! refuses for good, since the token signs it.
//!
//! It never gives up. Waiting grows up to about ten seconds, with jitter, so
//! that a fleet does not come back in one moment. A change of state is logged
//! once, not every try.

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

/// No interval that has ended begins so much later than now, seconds.
const AHEAD_S: u64 = 60;
/// How long a batch waits that does.
const AHEAD_WAIT: Duration = Duration::from_secs(60);

/// How batches get to the central.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// Straight to the central.
    Http(http::Settings),
    /// Through RabbitMQ.
    Amqp(amqp::Settings),
    /// The central fetches: nothing is sent from here, see [`crate::pull`].
    Pull,
}

/// What became of the batches since the start.
#[derive(Debug, Default)]
pub struct Counts {
    delivered: AtomicU64,
    refused: AtomicU64,
    /// Of which the central answers roll-ups only, and of which totals only.
    without_raw: AtomicU64,
    without_points: AtomicU64,
    under_way: AtomicU64,
}

/// What the other side made of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has it, on disk.
    Confirmed,
    /// The same, and it says since when it answers points.
    Kept(KeptFrom),
    /// It will never take it, and says why.
    Refused(String),
    /// It did not take it; another batch may fare better.
    Failed(String),
    /// It takes batches, and this one when its time has come by the central's clock.
    NotYet(String),
    /// It takes none at the moment.
    Unavailable {
        reason: String,
        /// Whether a central said so itself, with 503: it may be about this batch.
        is_503: bool,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
}

#[derive(Debug)]
enum Way {
    Http(http::Courier),
    Amqp(Box<amqp::Courier>),
    Pull,
}

/// Delivers what is in the spool and what comes into it, until it is dropped.
///
/// A change of `settings` counts from the next batch on. Setting them anew ends
/// a wait, changed or not. What was on its way at the end stays in the spool.
/// Nothing is signed with a token that is `refused`. Batches on their way together are not larger than `max_in_flight_bytes`, but one
/// always may be on its way.
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
                Err(error) => tracing::error!(%error, "a delivery broke off; its batch is tried again after a restart"),
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
    /// Batches from this time on wait because it has not come, Unix seconds; none once one of them was taken.
    ahead_from_s: Option<u64>,
    /// The central refuses the token that would sign the batches.
    is_held: bool,
}

impl Engine {
    /// Sends nothing that a refused token would sign.
    fn hold(&mut self, refused: Option<&Secret>) {
        let is_held = matches!(&self.known, Settings::Amqp(amqp) if refused == Some(&amqp.token));
        match (self.is_held, is_held) {
            (false, true) => tracing::warn!(
                to = self.way.peer(),
                waiting = self.spool.len(),
                "the central refuses this probe's token, which signs batches: they stay in the spool; give the probe the \
                 server's new token (zonepulse-probe enroll --force, or deliver.http.token_file) and send it SIGHUP"
            ),
            (true, false) => tracing::info!(
                to = self.way.peer(),
                waiting = self.spool.len(),
                "the token is not refused any more: batches that waited for that are sent"
            ),
            _ => {}
        }
        self.is_held = is_held;
    }

    /// Sends as many of the oldest batches as may be on their way.
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

    /// When to look again although nothing happened.
    fn wake_at(&self) -> Option<Instant> {
        match self.health.paused_until() {
            Some(until) => Some(until),
            None if self.has_room() => self.spool.next_due(),
            None => None,
        }
    }

    /// Whether one more may be on its way.
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
            // A batch of a clock that was ahead, and is not any more. What keeps the central from taking it
            // says nothing of the others.
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
                    "delivery waits: batches stay in the spool, tried again until it works"
                );
            }
            None => {}
        }
    }
}

/// Whether a batch begins later than the clock says, Unix seconds.
fn is_ahead(start_s: u64) -> bool {
    start_s > Reading::now().wall_ms / 1000 + AHEAD_S
}

impl Engine {
    /// Tries a batch again later whose time has not come, and no later one before: it would fare no better.
    fn wait_for_its_time(&mut self, entry: &Entry, wait: Duration, reason: &str) {
        let (start_s, seq, until) = (entry.key.start_s, entry.key.seq, Instant::now() + wait);
        self.spool.defer(entry.key, until);
        self.spool.defer_from(start_s, until);
        if self.ahead_from_s.is_none() {
            tracing::warn!(
                start = %Utc(start_s),
                seq,
                reason,
                "a batch of a time that has not come is not taken; it waits in the spool, and so do later ones"
            );
        }
        self.ahead_from_s = Some(self.ahead_from_s.map_or(start_s, |from_s| from_s.min(start_s)));
    }

    /// Tries a batch again later, and later still each time.
    fn defer(&self, entry: &Entry, reason: &str) {
        self.spool.defer(entry.key, Instant::now() + growing_wait(entry));
        if entry.deferrals == 0 {
            let (start, seq) = (Utc(entry.key.start_s), entry.key.seq);
            tracing::warn!(%start, seq, reason, "a batch was not taken; it is tried again later");
        }
    }
}

/// How long a batch waits that was put off so often.
fn growing_wait(entry: &Entry) -> Duration {
    Duration::from_secs(1 << entry.deferrals.min(6))
}

/// One try with one batch; no answer when it was evicted before. What the answer
/// says about the batch is done to the spool here, away from the thread that
/// everybody waits for.
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
                tracing::error!(%error, "a delivered batch stays in the spool, and is delivered again after a restart; it counts once");
            }
            (entry, Some(answer))
        }
        Answer::Refused(reason) => {
            tracing::warn!(
                start = %Utc(key.start_s),
                seq = key.seq,
                reason,
                "the central refused a batch for good; it is kept in the spool's refused/"
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

    /// The other side, for the log.
    fn peer(&self) -> &str {
        match self {
            Way::Http(courier) => courier.peer(),
            Way::Amqp(courier) => courier.peer(),
            Way::Pull => "whoever pulls",
        }
    }

    async fn send(&self, bytes: Vec<u8>) -> Answer {
        match self {
            Way::Http(courier) => courier.send(bytes).await,
            Way::Amqp(courier) => courier.send(bytes).await,
            Way::Pull => Answer::unavailable("the central fetches"),
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

    /// Batches that have left, or are about to, and are not counted yet.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// The central has confirmed a batch.
    pub(crate) fn confirmed(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Confirmed batches that are older than the raw points that the central keeps, and not older than its roll-ups.
    pub fn without_raw(&self) -> u64 {
        self.without_raw.load(Ordering::Relaxed)
    }

    /// Confirmed batches that are older than all points that the central keeps: they count in totals.
    pub fn without_points(&self) -> u64 {
        self.without_points.load(Ordering::Relaxed)
    }

    /// A confirmed batch that begins then is of a central that answers points since these times.
    fn kept(&self, start_s: u64, kept_from: KeptFrom) {
        if start_s < kept_from.aggregated_s {
            self.without_points.fetch_add(1, Ordering::Relaxed);
        } else if start_s < kept_from.raw_s {
            self.without_raw.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The central has refused a batch for good.
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
