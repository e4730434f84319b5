//! Batches on their way in: receive → translate → commit → acknowledge.
//!
//! Whatever brings a batch (an HTTP request, a message of RabbitMQ, a probe that is pulled) hands its
//! bytes to [`Ingest::receive`] and waits. The bytes are decoded and checked
//! where they arrived; one **committer** thread gives the records their
//! numbers and writes to the store, many batches in one fsync when many wait.
//! Only when a batch is on disk does `receive` answer, and only then may the
//! one who brought it acknowledge.
//!
//! This is the one crate that knows both the wire format and the store.

mod admission;
pub mod amqp;
mod committer;
mod deliveries;
mod error;
pub mod fleet;
mod losses;
pub mod pull;
mod times;
mod translate;
mod turns;
mod twins;
mod untold;

pub use admission::OnTheWay;
pub use deliveries::{Delivery, GivenUp, PutAside, Refused};
pub use error::Error;
pub use losses::Lost;
pub use times::BadTimes;
pub use twins::{LiveProbes, Overlaps};

use admission::{Admission, Bounds};
use bytes::Bytes;
use committer::{Committer, Told};
use deliveries::{Deliveries, Refusal};
use losses::Losses;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use untold::Untold;
use zonepulse_model::{Interval, NotAnInterval, ServerId};
use zonepulse_store::{Outcome, Store};
use zonepulse_wire::{Message, peek_version};

/// Past this many bytes a batch is decoded on a thread that may block.
const LARGE_BYTES: usize = 128 << 10;

/// Bounds of the way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Batches that may be on the way, of all servers together. A server may hold as many as it leaves free.
    pub queue_batches: usize,
    /// What those may take together, bytes, decoded. A server may hold as much as it leaves free.
    pub queue_bytes: usize,
    /// Batches in one write at most.
    pub group_batches: usize,
    /// How long a batch may wait for a place before [`Error::Busy`].
    pub patience: Duration,
    /// How far ahead of this machine's clock a batch may be before [`Error::Ahead`], seconds.
    pub max_ahead_s: u64,
    /// How long ago a batch may begin before [`Error::TooOld`], days.
    pub max_age_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            queue_batches: 256,
            queue_bytes: 256 << 20,
            group_batches: 64,
            patience: Duration::from_secs(5),
            max_ahead_s: times::DEFAULT_MAX_AHEAD_S,
            max_age_days: times::DEFAULT_MAX_AGE_DAYS,
        }
    }
}

/// Who made a batch, which decides whose batch it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Somebody with this server's token, shown or used to sign: batches of this server only.
    Server(ServerId),
    /// The same through a broker. Its probe does not learn that a message was refused. The registry has just been asked for
    /// the server and need not be read again; one that is removed meanwhile is refused by the store.
    Signed(ServerId),
}

/// What came in since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Batches that were committed.
    pub committed: u64,
    /// Batches that had been committed before.
    pub duplicates: u64,
    /// Batches that were refused for good.
    pub refused: u64,
    /// Batches that their bringers were asked to bring again.
    pub postponed: u64,
    /// Points of the batches that were committed.
    pub points: u64,
    /// Bytes of batches that came, whatever became of them.
    pub received_bytes: u64,
    /// Writes, each of one batch or more.
    pub commits: u64,
    /// How long those took together, microseconds.
    pub commit_us: u64,
    /// Batches that are on the way now: decoded, waiting for the committer or being written.
    pub waiting: u64,
    /// How many may be.
    pub max_waiting: u64,
}

/// The way in. Clones share it.
#[derive(Clone)]
pub struct Ingest {
    store: Store,
    committer: Committer,
    admission: Arc<Admission>,
    patience: Duration,
    times: times::Bounds,
    counters: Arc<Counters>,
    /// Servers for which two probes send.
    twins: Arc<twins::Twins>,
    bad_times: Arc<times::Tally>,
    losses: Arc<Losses>,
    deliveries: Arc<Deliveries>,
    untold: Arc<Untold>,
    /// Of messages from the broker.
    refusals: Arc<amqp::origin::Refusals>,
    broker: Arc<amqp::state::State>,
}

#[derive(Default)]
struct Counters {
    committed: AtomicU64,
    duplicates: AtomicU64,
    refused: AtomicU64,
    postponed: AtomicU64,
    received_bytes: AtomicU64,
}

impl Ingest {
    /// Starts the committer. It ends when the last clone is dropped and what
    /// was waiting is committed.
    pub fn start(store: Store, settings: Settings) -> Result<Self, Error> {
        let (twins, untold) = (Arc::<twins::Twins>::default(), Arc::<Untold>::default());
        let (losses, deliveries) = (Arc::<Losses>::default(), Arc::<Deliveries>::default());
        let Settings { queue_batches, queue_bytes, patience, max_ahead_s, max_age_days, .. } = settings;
        let times = times::Bounds { max_ahead_s, max_age_days };
        let told = Told { untold: untold.clone(), losses: losses.clone(), deliveries: deliveries.clone(), twins: twins.clone() };
        let committer = Committer::start(store.clone(), settings, times, told)?;
        let admission = Arc::new(Admission::new(Bounds { batches: queue_batches, bytes: queue_bytes }));
        Ok(Ingest {
            store,
            committer,
            admission,
            patience,
            times,
            counters: Arc::default(),
            twins,
            bad_times: Arc::default(),
            losses,
            deliveries,
            untold,
            refusals: Arc::default(),
            broker: Arc::default(),
        })
    }

    /// Takes an encoded batch and answers when it is on disk, or was before.
    pub async fn receive(&self, bytes: Bytes, sender: Sender) -> Result<Outcome, Error> {
        self.counters.received_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let (Sender::Server(own) | Sender::Signed(own)) = sender;
        let kind = peek_version(&bytes);
        let outcome = self.take(bytes, sender).await;
        let counter = match &outcome {
            Ok(Outcome::Committed) => &self.counters.committed,
            Ok(Outcome::Duplicate) => &self.counters.duplicates,
            Err(error) if error.is_final() => &self.counters.refused,
            Err(_) => &self.counters.postponed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if outcome.as_ref().is_err_and(Error::is_final) {
            self.losses.refused(own);
        }
        match &outcome {
            Ok(_) => self.deliveries.accepted(own, kind, times::now_ms()),
            // Of a server that is gone nothing is kept.
            Err(Error::UnknownServer(_)) => {}
            Err(error) => self.note_refusal(sender, kind, error),
        }
        outcome
    }

    async fn take(&self, bytes: Bytes, sender: Sender) -> Result<Outcome, Error> {
        let identity = zonepulse_wire::peek_identity(&bytes)?;
        let (Sender::Server(own) | Sender::Signed(own)) = sender;
        if own != identity.server_id {
            return Err(Error::WrongServer { own, found: identity.server_id });
        }
        if matches!(sender, Sender::Server(_)) && self.store.registry().server(own)?.is_none_or(|server| server.is_removed()) {
            return Err(Error::UnknownServer(own));
        }
        let mut place = self.admission.enter(identity.server_id, bytes.len(), self.patience).await?;
        let (batch, place) = if bytes.len() > LARGE_BYTES {
            let decode = move || {
                // The place is held for as long as this takes, whether or not anybody waits.
                let batch = Message::decode(&bytes)?;
                place.decoded(size_bytes(&batch));
                Ok::<_, Error>((batch, place))
            };
            tokio::task::spawn_blocking(decode).await.map_err(|_| Error::Closed)??
        } else {
            let batch = Message::decode(&bytes)?;
            place.decoded(size_bytes(&batch));
            (batch, place)
        };
        let interval_s = match &batch {
            Message::Dns(batch) => batch.interval_s,
            Message::System(batch) => batch.interval_s,
        };
        Interval::new(interval_s).map_err(|NotAnInterval(seconds)| Error::Interval(seconds))?;
        let server_id = identity.server_id;
        let outcome = self.committer.commit(batch, place).await;
        outcome.inspect_err(|error| self.bad_times.add(server_id, error, Instant::now()))
    }

    fn note_refusal(&self, sender: Sender, kind: u8, error: &Error) {
        let (Sender::Server(own) | Sender::Signed(own)) = sender;
        let now_ms = times::now_ms();
        if let Some(refusal) = Refusal::of(error) {
            self.deliveries.refused(own, kind, &refusal, now_ms);
        }
        // With the token of another server it is kept, and sent again. What came through a broker is aside when it is in the
        // dead-letter queue.
        if error.is_final() && !matches!(error, Error::WrongServer { .. }) && matches!(sender, Sender::Server(_)) {
            self.deliveries.put_aside(own, now_ms);
        }
    }

    /// A batch of a server was refused for good before it came here, for this cause: such as one that is too large.
    pub fn refused_at_the_door(&self, server_id: ServerId, cause: &'static str, detail: &str) {
        let refusal = Refusal { cause, detail: &detail, of_central: false };
        // Of which kind it was is not known. Any batch that is taken shows that the way is open.
        self.deliveries.refused(server_id, deliveries::ANY, &refusal, times::now_ms());
        self.deliveries.put_aside(server_id, times::now_ms());
    }

    /// A message from the broker says that it is of a server, and is refused because it does not prove it. A probe with an old
    /// token sends such messages; so can whoever has the broker's password, which makes the server look worse than it is: refused
    /// until its next batch is taken, and for an hour as if batches were lost, which are told to be claims.
    pub(crate) fn unproven(&self, server_id: ServerId, bytes: &[u8], cause: &'static str, detail: &dyn std::fmt::Display) {
        let refusal = Refusal { cause, detail, of_central: false };
        self.deliveries.refused(server_id, peek_version(bytes), &refusal, times::now_ms());
    }

    /// How the delivery of a server's batches goes at this time.
    pub fn delivery(&self, server_id: ServerId, now_ms: u64) -> Delivery {
        self.deliveries.of(server_id, now_ms)
    }

    /// What a server has on the way in, and how often it was asked to come again.
    pub fn on_the_way(&self, server_id: ServerId) -> OnTheWay {
        self.admission.of(server_id)
    }

    /// How batches of a server cover time that others cover, too.
    pub fn overlaps(&self, server_id: ServerId) -> Overlaps {
        self.twins.of(server_id, times::now_ms())
    }

    /// One more batch of a server that was refused for this cause ([`Error::cause`]): how many there were since the log had the
    /// last line about it, when it is time for one.
    pub(crate) fn refusal_is_due(&self, server_id: ServerId, error: &Error) -> Option<u64> {
        self.losses.refusal_is_due(server_id, error.cause(), Instant::now())
    }

    /// Batches of a server that are lost or were refused.
    pub fn lost(&self, server_id: ServerId) -> Lost {
        self.losses.of(server_id)
    }

    /// What of a server was not taken because of its times.
    pub fn bad_times(&self, server_id: ServerId) -> BadTimes {
        self.bad_times.of(server_id)
    }

    /// What came in since the start.
    pub fn statistics(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let written = self.committer.written();
        let (waiting, max_waiting) = self.admission.batches();
        Statistics {
            committed: read(&self.counters.committed),
            duplicates: read(&self.counters.duplicates),
            refused: read(&self.counters.refused),
            postponed: read(&self.counters.postponed),
            points: read(&written.points),
            received_bytes: read(&self.counters.received_bytes),
            commits: read(&written.commits),
            commit_us: read(&written.took_us),
            waiting,
            max_waiting,
        }
    }

    /// Messages from the broker that were refused since the start, by reason.
    pub fn broker_refusals(&self) -> Vec<(&'static str, u64)> {
        self.refusals.counts()
    }

    /// How the way through the broker is; none when no broker is configured.
    pub fn broker(&self) -> Option<amqp::Status> {
        self.broker.status()
    }

    /// Fails while it is known that no batch can be taken, with the reason.
    async fn can_take(&self) -> Result<(), Error> {
        if !self.is_alive() {
            return Err(Error::Closed);
        }
        self.check_clock().await?;
        let store = self.store.clone();
        // A disk that hangs must not hold up others.
        Ok(tokio::task::spawn_blocking(move || store.has_room()).await.map_err(|_| Error::Closed)??)
    }

    /// Fails while this machine's clock must be wrong.
    async fn check_clock(&self) -> Result<(), Error> {
        let (store, times) = (self.store.clone(), self.times);
        let check = move || times.check_clock(&store.registry().servers()?, times::now_ms() / 1000);
        tokio::task::spawn_blocking(check).await.map_err(|_| Error::Closed)?
    }

    /// Whether batches can be committed: the committer's thread runs.
    pub fn is_alive(&self) -> bool {
        self.committer.is_alive()
    }
}

/// What a message takes in memory, bytes.
fn size_bytes(message: &Message) -> usize {
    match message {
        Message::Dns(batch) => batch.size_bytes(),
        Message::System(batch) => {
            let of = |series: &zonepulse_wire::Series| {
                size_of_val(series) + series.metric.len() + series.label.len() + size_of_val(&*series.values)
            };
            batch.series.iter().map(of).sum()
        }
    }
}

#[cfg(test)]
mod tests;
