//! The single writer thread: all waiting batches go into one write, taken from each server in turn.

use crate::admission::Place;
use crate::deliveries::Deliveries;
use crate::losses::Losses;
use crate::times::{self, Bounds};
use crate::turns::{Group, Turns};
use crate::twins::{Pending, Twins};
use crate::untold::Untold;
use crate::{Error, Outcome, Settings, translate};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;
use zonepulse_model::{Evicted, ServerId};
use zonepulse_store::{Store, Write};
use zonepulse_wire::{Batch, Counter, Message, SystemBatch};

/// A write takes no further batch that would exceed this many points, so that neither the memory held until it is on
/// disk nor the wait for the next write grows with the number of large batches.
const WRITE_POINTS: u64 = 1 << 18;

/// A handle to the committer thread.
#[derive(Clone)]
pub(crate) struct Committer {
    running: Arc<Running>,
}

/// The thread ends when its queue is closed and empty.
struct Running {
    queue: Arc<Turns<Waiting>>,
    written: Arc<Written>,
    thread: Option<JoinHandle<()>>,
}

/// Counters of writes since startup.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) points: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) took_us: AtomicU64,
}

impl Drop for Running {
    /// Joins the thread, so that dropping the last committer also releases the thread's handle on the store. If the
    /// store is still open when the process exits, RocksDB's threads are torn down in no particular order.
    fn drop(&mut self) {
        self.queue.close();
        // An error is the thread's panic, which has been reported.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A batch, the channel for its result, and the place it holds until it is on disk.
struct Waiting {
    batch: Message,
    answer: oneshot::Sender<Result<Outcome, Error>>,
    place: Place,
}

/// Closes the queue when the thread ends, for whatever reason.
struct Closing(Arc<Turns<Waiting>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        // Dropping the waiting batches without a result tells their callers.
        while !self.0.take(Group { batches: usize::MAX, points: u64::MAX }).is_empty() {}
    }
}

impl Committer {
    pub(crate) fn start(store: Store, settings: Settings, times: Bounds, told: Told) -> Result<Self, Error> {
        let queue = Arc::new(Turns::new());
        let written = Arc::<Written>::default();
        let closing = Closing(queue.clone());
        let Told { untold, losses, deliveries, twins } = told;
        let writer = Writer { store, times, untold, losses, deliveries, twins, counted: written.clone() };
        let most = Group { batches: settings.group_batches.max(1), points: WRITE_POINTS };
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || writer.run(&closing.0, most))
            .map_err(|error| Error::Thread(Arc::new(error)))?;
        Ok(Committer { running: Arc::new(Running { queue, written, thread: Some(thread) }) })
    }

    /// Returns when the batch is on disk.
    pub(crate) async fn commit(&self, batch: Message, place: Place) -> Result<Outcome, Error> {
        let (answer, answered) = oneshot::channel();
        let (server_id, points) = (batch.identity().server_id, size(&batch));
        match self.running.queue.push(server_id, points, Waiting { batch, answer, place }) {
            Ok(()) => answered.await.map_err(|_| Error::Closed)?,
            Err(_) => Err(Error::Closed),
        }
    }

    pub(crate) fn written(&self) -> &Written {
        &self.running.written
    }

    /// Whether the thread is running.
    pub(crate) fn is_alive(&self) -> bool {
        !self.running.queue.is_closed()
    }
}

/// Where the information in batches other than points is recorded.
pub(crate) struct Told {
    pub(crate) untold: Arc<Untold>,
    pub(crate) losses: Arc<Losses>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) twins: Arc<Twins>,
}

/// What a batch in a write reports besides its points, recorded once it is on disk.
struct Besides {
    server_id: ServerId,
    /// Refused batches that its report includes.
    refused: u64,
    /// Batches that the probe gave up.
    evicted: Option<Evicted>,
}

/// Everything the thread needs for writing.
struct Writer {
    store: Store,
    times: Bounds,
    untold: Arc<Untold>,
    losses: Arc<Losses>,
    deliveries: Arc<Deliveries>,
    twins: Arc<Twins>,
    counted: Arc<Written>,
}

impl Writer {
    /// Writes waiting batches, up to `most` at a time, until the queue is closed and empty.
    fn run(&self, queue: &Turns<Waiting>, most: Group) {
        let mut full = false;
        loop {
            let group = queue.take(most);
            if group.is_empty() {
                return;
            }
            let began = Instant::now();
            let written = self.write(group);
            self.counted.commits.fetch_add(1, Ordering::Relaxed);
            self.counted.took_us.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
            let was_full = std::mem::replace(&mut full, matches!(written, Err(Error::NoSpace { .. })));
            match written {
                Ok(()) if was_full => tracing::info!("there is room on the disk: batches are taken again"),
                Err(Error::NoSpace { .. }) if was_full => {}
                Err(error) => tracing::error!(%error, "batches were not taken; their senders will try again"),
                Ok(()) => {}
            }
        }
    }

    /// Writes batches and sends the results to their callers.
    fn write(&self, group: Vec<Waiting>) -> Result<(), Error> {
        let mut write = self.store.begin();
        let (now_ms, began) = (times::now_ms(), Instant::now());
        let (mut points, mut pending) = (0, Pending::default());
        let mut added = Vec::with_capacity(group.len());
        let mut told = Vec::new();
        for Waiting { batch, answer, place } in group {
            let outcome = match write.is_known(&batch.identity(), batch.start_s()) {
                // This comes before its names are numbered: a copy must not leave a trace.
                Ok(true) => Ok(Outcome::Duplicate),
                Ok(false) => self.times.check(&batch, now_ms / 1000).and_then(|()| {
                    let size = size(&batch);
                    let outcome = self.add(batch, &mut write, &mut told, &mut pending, now_ms)?;
                    points += if outcome == Outcome::Committed { size } else { 0 };
                    Ok(outcome)
                }),
                Err(error) => Err(error.into()),
            };
            added.push((answer, place, outcome));
        }
        // A copy of a batch in the same write is on disk only with it: no caller gets a result before that.
        let written = write.commit().map_err(Error::from);
        match &written {
            Ok(()) => {
                self.counted.points.fetch_add(points, Ordering::Relaxed);
                self.twins.adopt(pending, now_ms);
                for Besides { server_id, evicted, .. } in told {
                    let Some(evicted) = evicted else { continue };
                    self.losses.evicted(server_id, evicted, began);
                    self.deliveries.given_up(server_id, evicted, now_ms);
                }
            }
            Err(_) => told.into_iter().for_each(|told| self.untold.add(told.server_id, told.refused)),
        }
        for (answer, place, outcome) in added {
            drop(place);
            // A caller that went away will find the batch's marker when it retries.
            let _ = answer.send(written.clone().and(outcome));
        }
        written
    }

    /// Adds a batch to a write, and includes the refused batches of its server in the report; those included are
    /// recorded in `told`.
    fn add(
        &self,
        mut batch: Message,
        write: &mut Write<'_>,
        told: &mut Vec<Besides>,
        pending: &mut Pending,
        now_ms: u64,
    ) -> Result<Outcome, Error> {
        let server_id = batch.identity().server_id;
        if let Message::Dns(Batch { evicted: Some(evicted), .. }) | Message::System(SystemBatch { evicted: Some(evicted), .. }) =
            &mut batch
        {
            self.times.cut(evicted, now_ms / 1000);
        }
        let evicted = batch.evicted();
        let refused = match &mut batch {
            Message::Dns(batch) => {
                let refused = self.untold.take(server_id);
                batch.counters.add(Counter::BatchesRefused, refused);
                refused
            }
            Message::System(_) => 0,
        };
        let overlap_ms = match &batch {
            Message::Dns(batch) => self.twins.admit(batch, &self.store, write, pending, now_ms),
            // If the same metric is sent twice, one value counts.
            Message::System(_) => Ok(0),
        };
        let added = overlap_ms.and_then(|overlap_ms| Ok(translate::add(batch, overlap_ms, write)?));
        match added {
            Ok(Outcome::Committed) => told.push(Besides { server_id, refused, evicted }),
            _ => self.untold.add(server_id, refused),
        }
        added
    }
}

/// The number of points in a message.
fn size(message: &Message) -> u64 {
    match message {
        Message::Dns(batch) => batch.rows.len() as u64,
        Message::System(batch) => batch.series.iter().map(|series| series.values.iter().flatten().count() as u64).sum(),
    }
}
