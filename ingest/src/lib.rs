//! Batches on their way in: receive → translate → commit → acknowledge.
//!
//! Every source of batches (an HTTP request, a RabbitMQ message, a pulled probe) passes the encoded bytes to
//! [`Ingest::receive`] and waits. The calling task decodes and checks them; a single **committer** thread assigns
//! record numbers and writes to the store, grouping many waiting batches into one fsync. `receive` returns only once
//! the batch is on disk, and only then may the source acknowledge it.
//!
//! This is the only crate that knows both the wire format and the store.

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
mod unobserved;
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

/// Batches larger than this are decoded on a blocking thread.
const LARGE_BYTES: usize = 128 << 10;

/// Limits on ingestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Maximum batches in progress across all servers. A single server may hold as many as it leaves free.
    pub queue_batches: usize,
    /// Maximum decoded size of the batches in progress, in bytes. A single server may hold as much as it leaves free.
    pub queue_bytes: usize,
    /// Maximum batches per write.
    pub group_batches: usize,
    /// How long a batch may wait for a place before it fails with [`Error::Busy`].
    pub patience: Duration,
    /// How far ahead of this machine's clock a batch may be before it fails with [`Error::Ahead`], in seconds.
    pub max_ahead_s: u64,
    /// How long ago a batch may begin before it fails with [`Error::TooOld`], in days.
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

/// The sender of a batch, which decides which server the batch may belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A sender that presented this server's token or signed with it: only batches of this server are accepted.
    Server(ServerId),
    /// The same, but through a broker. The probe does not learn that a message was refused. The registry has just
    /// been queried for the server and need not be read again; if the server is removed in the meantime, the store
    /// refuses the batch.
    Signed(ServerId),
}

/// Counters since startup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Committed batches.
    pub committed: u64,
    /// Batches that had already been committed.
    pub duplicates: u64,
    /// Batches refused permanently.
    pub refused: u64,
    /// Batches whose sender was asked to retry.
    pub postponed: u64,
    /// Points in committed batches.
    pub points: u64,
    /// Bytes of all batches received, whatever their outcome.
    pub received_bytes: u64,
    /// Writes, each of one or more batches.
    pub commits: u64,
    /// Total duration of those writes, in microseconds.
    pub commit_us: u64,
    /// Batches currently in progress: decoded, waiting for the committer or being written.
    pub waiting: u64,
    /// Maximum for `waiting`.
    pub max_waiting: u64,
}

/// The entry point for batches. Clones share state.
#[derive(Clone)]
pub struct Ingest {
    store: Store,
    committer: Committer,
    admission: Arc<Admission>,
    patience: Duration,
    times: times::Bounds,
    counters: Arc<Counters>,
    /// Servers that have two probes sending for them.
    twins: Arc<twins::Twins>,
    bad_times: Arc<times::Tally>,
    losses: Arc<Losses>,
    deliveries: Arc<Deliveries>,
    untold: Arc<Untold>,
    /// Refusals of messages from the broker.
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
    /// Starts the committer. It stops once the last clone is dropped and all waiting batches are committed.
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

    /// Takes an encoded batch and returns once it is on disk, or if it already was.
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
            // Nothing is recorded for a removed server.
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
                // The place is held until decoding ends, even if the caller has gone away.
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
        // With the token of another server, the probe keeps the batch and sends it again. A batch from a broker is
        // put aside only once it is in the dead-letter queue.
        if error.is_final() && !matches!(error, Error::WrongServer { .. }) && matches!(sender, Sender::Server(_)) {
            self.deliveries.put_aside(own, now_ms);
        }
    }

    /// Records that a batch was permanently refused before it reached [`Ingest::receive`], for example because it was
    /// too large.
    pub fn refused_at_the_door(&self, server_id: ServerId, cause: &'static str, detail: &str) {
        let refusal = Refusal { cause, detail: &detail, of_central: false };
        // The kind of batch is unknown. Accepting any batch shows that delivery works again.
        self.deliveries.refused(server_id, deliveries::ANY, &refusal, times::now_ms());
        self.deliveries.put_aside(server_id, times::now_ms());
    }

    /// Records that a message from the broker was refused because it names a server without proving that it came from
    /// it. A probe with an old token sends such messages, but so can anyone with the broker's password, making the
    /// server look worse than it is: it appears refused until its next batch is accepted, and for an hour it appears
    /// to lose batches, which are reported as mere claims.
    pub(crate) fn unproven(&self, server_id: ServerId, bytes: &[u8], cause: &'static str, detail: &dyn std::fmt::Display) {
        let refusal = Refusal { cause, detail, of_central: false };
        self.deliveries.refused(server_id, peek_version(bytes), &refusal, times::now_ms());
    }

    /// The state of batch delivery for a server at `now_ms`.
    pub fn delivery(&self, server_id: ServerId, now_ms: u64) -> Delivery {
        self.deliveries.of(server_id, now_ms)
    }

    /// A server's batches in progress, and how often it was asked to retry.
    pub fn on_the_way(&self, server_id: ServerId) -> OnTheWay {
        self.admission.of(server_id)
    }

    /// How a server's batches overlap in time.
    pub fn overlaps(&self, server_id: ServerId) -> Overlaps {
        self.twins.of(server_id, times::now_ms())
    }

    /// Counts a refused batch of a server by its cause ([`Error::cause`]). If a log line is due, returns the number
    /// of refusals since the last one.
    pub(crate) fn refusal_is_due(&self, server_id: ServerId, error: &Error) -> Option<u64> {
        self.losses.refusal_is_due(server_id, error.cause(), Instant::now())
    }

    /// A server's lost or refused batches.
    pub fn lost(&self, server_id: ServerId) -> Lost {
        self.losses.of(server_id)
    }

    /// A server's batches that were rejected because of their times.
    pub fn bad_times(&self, server_id: ServerId) -> BadTimes {
        self.bad_times.of(server_id)
    }

    /// Counters since startup.
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

    /// Messages from the broker refused since startup, by reason.
    pub fn broker_refusals(&self) -> Vec<(&'static str, u64)> {
        self.refusals.counts()
    }

    /// The status of the broker connection; `None` if no broker is configured.
    pub fn broker(&self) -> Option<amqp::Status> {
        self.broker.status()
    }

    /// Fails with the reason while ingestion is known to be impossible.
    async fn can_take(&self) -> Result<(), Error> {
        if !self.is_alive() {
            return Err(Error::Closed);
        }
        self.check_clock().await?;
        let store = self.store.clone();
        // A hanging disk must not block other tasks.
        Ok(tokio::task::spawn_blocking(move || store.has_room()).await.map_err(|_| Error::Closed)??)
    }

    /// Fails while this machine's clock must be wrong.
    async fn check_clock(&self) -> Result<(), Error> {
        let (store, times) = (self.store.clone(), self.times);
        let check = move || times.check_clock(&store.registry().servers()?, times::now_ms() / 1000);
        tokio::task::spawn_blocking(check).await.map_err(|_| Error::Closed)?
    }

    /// Whether batches can be committed, that is, whether the committer thread is running.
    pub fn is_alive(&self) -> bool {
        self.committer.is_alive()
    }
}

/// The memory a message occupies, in bytes.
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
