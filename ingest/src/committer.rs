//! The one thread that writes: whatever waits goes into one write.

use crate::{Error, Outcome, Settings, translate};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use zonepulse_store::Store;
use zonepulse_wire::Message;

/// A write takes no further batch once it has so many points: what it keeps until it is on disk does not
/// grow with how many large batches wait.
const WRITE_POINTS: u64 = 1 << 20;

/// The way to the committer's thread.
#[derive(Clone)]
pub(crate) struct Committer {
    running: Arc<Running>,
    patience: Duration,
}

/// The thread ends when its queue is gone, so the queue goes first.
struct Running {
    queue: mpsc::Sender<Waiting>,
    written: Arc<Written>,
    _thread: Joined,
}

/// What was written since the start.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) points: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) took_us: AtomicU64,
}

/// A thread that is waited for: when the last committer is gone, so is the thread's hold on the store.
/// A store that is open while the process ends takes RocksDB's threads down with it, not in order.
struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // An error is the thread's panic, which has been reported.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

/// A batch and the one who waits for it.
struct Waiting {
    batch: Message,
    answer: oneshot::Sender<Result<Outcome, Error>>,
}

impl Committer {
    pub(crate) fn start(store: Store, settings: Settings) -> Result<Self, Error> {
        let (queue, waiting) = mpsc::channel(settings.queue_batches.max(1));
        let written = Arc::<Written>::default();
        let counted = written.clone();
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || run(&store, waiting, settings.group_batches.max(1), &counted))
            .map_err(|error| Error::Thread(Arc::new(error)))?;
        let running = Running { queue, written, _thread: Joined(Some(thread)) };
        Ok(Committer { running: Arc::new(running), patience: settings.patience })
    }

    /// Answers when the batch is on disk.
    pub(crate) async fn commit(&self, batch: Message) -> Result<Outcome, Error> {
        let (answer, answered) = oneshot::channel();
        match self.running.queue.send_timeout(Waiting { batch, answer }, self.patience).await {
            Ok(()) => answered.await.map_err(|_| Error::Closed)?,
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(Error::Busy),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Error::Closed),
        }
    }

    pub(crate) fn written(&self) -> &Written {
        &self.running.written
    }

    /// How many batches wait, and how many may.
    pub(crate) fn queue(&self) -> (u64, u64) {
        let most = self.running.queue.max_capacity();
        (most.saturating_sub(self.running.queue.capacity()) as u64, most as u64)
    }

    /// Whether its thread runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.running.queue.is_closed()
    }
}

/// Takes what waits, up to a bound, and writes it in one go, until nobody can send any more.
fn run(store: &Store, mut waiting: mpsc::Receiver<Waiting>, group_batches: usize, counted: &Written) {
    let mut group = Vec::with_capacity(group_batches);
    let mut full = false;
    while waiting.blocking_recv_many(&mut group, group_batches) > 0 {
        let mut group = group.drain(..).peekable();
        while group.peek().is_some() {
            let began = Instant::now();
            let written = write(store, &mut group, counted);
            counted.commits.fetch_add(1, Ordering::Relaxed);
            counted.took_us.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
            let was_full = std::mem::replace(&mut full, matches!(written, Err(Error::NoSpace)));
            match written {
                Ok(()) if was_full => tracing::info!("there is room on the disk: batches are taken again"),
                Err(Error::NoSpace) if was_full => {}
                Err(error) => tracing::error!(%error, "batches were not taken; their bringers will try again"),
                Ok(()) => {}
            }
        }
    }
}

/// Writes as many batches as are not too many points, and answers those who wait for them.
fn write(store: &Store, group: &mut impl Iterator<Item = Waiting>, counted: &Written) -> Result<(), Error> {
    let mut write = store.begin();
    let (mut points, mut left) = (0, WRITE_POINTS);
    let mut added = Vec::new();
    while left > 0
        && let Some(Waiting { batch, answer }) = group.next()
    {
        left = left.saturating_sub(size(&batch));
        let outcome = match write.is_known(&translate::identity(&batch), batch.start_s()) {
            // Before its names get numbers: a copy must not leave a trace.
            Ok(true) => Ok(Outcome::Duplicate),
            Ok(false) => {
                let size = size(&batch);
                translate::add(batch, &mut write)
                    .inspect(|outcome| points += if *outcome == Outcome::Committed { size } else { 0 })
            }
            Err(error) => Err(error),
        };
        added.push((answer, outcome.map_err(Error::from)));
    }
    // A copy of a batch in the same write is on disk only with it: nobody is answered before.
    let written = write.commit().map_err(Error::from);
    if written.is_ok() {
        counted.points.fetch_add(points, Ordering::Relaxed);
    }
    for (answer, outcome) in added {
        // Whoever went away finds the batch's marker when it comes again.
        let _ = answer.send(written.clone().and(outcome));
    }
    written
}

/// How many points a message has.
fn size(message: &Message) -> u64 {
    match message {
        Message::Dns(batch) => batch.rows.len() as u64,
        Message::System(batch) => batch.series.iter().map(|series| series.values.iter().flatten().count() as u64).sum(),
    }
}
