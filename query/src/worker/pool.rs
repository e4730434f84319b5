//! Idle workers, and the number of statements running at a time.

use super::SqlWorkers;
use super::frame::{Frame, FrameReader, Kind};
use super::serve::{Begin, serve};
use super::socket::{self, FromWorker, ToWorker};
use super::threads::Threads;
use crate::reading::Here;
use crate::runtime::{Turns, limit, runtime};
use crate::{Error, SqlLimits};
use datafusion::execution::memory_pool::MemoryPool;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// Maximum time for a worker to start.
const LONGEST_START: Duration = Duration::from_secs(20);
/// Maximum time for a worker to return its memory.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// How long running statements may continue when the engine shuts down.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs statements. Clones share it.
#[derive(Clone)]
pub(crate) struct Statements {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) here: Here,
    pub(super) limits: SqlLimits,
    /// Memory of all statements' scans in this process.
    pub(super) scan_memory: Arc<dyn MemoryPool>,
    pub(super) scan_threads: Arc<Threads>,
    workers: SqlWorkers,
    threads: usize,
    /// The most recently used one is used next: it has its plans, and its memory is warm.
    idle: Mutex<Vec<Worker>>,
    turns: Arc<Semaphore>,
    max_turns: usize,
    /// The turns of each caller.
    shares: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// The deadline for all running statements at shutdown.
    pub(super) ending: watch::Sender<Option<Instant>>,
}

/// The right to run a statement.
pub(super) struct Turn {
    _share: Option<OwnedSemaphorePermit>,
    _turn: OwnedSemaphorePermit,
}

/// A worker, ended when this is dropped.
pub(super) struct Worker {
    pub(super) frames: FrameReader<FromWorker>,
    pub(super) to: ToWorker,
    /// None for a thread, which ends with its socket.
    process: Option<Child>,
}

impl Statements {
    pub(crate) fn new(here: Here, limits: SqlLimits, workers: SqlWorkers, threads: usize) -> Result<Self, Error> {
        let max_turns = limit(limits.max_concurrent);
        let shared = Shared {
            here,
            limits,
            scan_memory: runtime(limits.memory_bytes)?.memory_pool.clone(),
            scan_threads: Arc::default(),
            workers,
            threads,
            idle: Mutex::default(),
            turns: Arc::new(Semaphore::new(max_turns)),
            max_turns,
            shares: Mutex::default(),
            ending: watch::Sender::new(None),
        };
        Ok(Statements { shared: Arc::new(shared) })
    }

    /// The load.
    pub(crate) fn turns(&self) -> Turns {
        let Shared { turns, max_turns, scan_memory, .. } = self.shared.as_ref();
        let running = max_turns.saturating_sub(turns.available_permits()) as u64;
        Turns { running, limit: *max_turns as u64, memory_bytes: scan_memory.reserved() as u64 }
    }

    /// Starts a worker, so that the first statement need not wait for it.
    pub(crate) async fn warm(&self) -> Result<(), Error> {
        let worker = self.shared.start().await?;
        self.shared.idle.lock().push(worker);
        Ok(())
    }

    /// Accepts no more statements, and ends running ones soon.
    pub(crate) fn end(&self) {
        self.shared.turns.close();
        self.shared.ending.send_replace(Some(Instant::now() + FAREWELL));
        self.shared.idle.lock().clear();
    }

    /// Waits for a turn, up to the limit. One caller cannot have all turns.
    pub(super) async fn turn(&self, caller: Option<&str>, max_wait: Duration) -> Result<Turn, Error> {
        let until = Instant::now() + max_wait;
        let share = caller.map(|caller| self.shared.share(caller));
        let taken = async {
            let share = match share {
                Some(share) => Some(share.acquire_owned().await?),
                None => None,
            };
            Ok::<_, tokio::sync::AcquireError>(Turn { _share: share, _turn: self.shared.turns.clone().acquire_owned().await? })
        };
        // Semaphores are closed when the engine ends.
        timeout_at(until, taken).await.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)
    }
}

impl Shared {
    /// The turns that a caller may have: half of all.
    fn share(&self, caller: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(caller) {
            return share.clone();
        }
        // Shares that nobody holds or waits for are as good as new ones.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = Arc::new(Semaphore::new(self.max_turns.div_ceil(2)));
        shares.insert(caller.to_owned(), share.clone());
        share
    }

    /// An idle worker, or a new one.
    pub(super) async fn worker(self: &Arc<Self>) -> Result<Worker, Error> {
        loop {
            let Some(mut worker) = self.idle.lock().pop() else { return self.start().await };
            if worker.is_alive() {
                return Ok(worker);
            }
        }
    }

    /// Waits until a worker has returned its memory, and keeps it for the next statement.
    pub(super) async fn rest(&self, mut worker: Worker) {
        let ready = matches!(timeout(LONGEST_REST, worker.frames.next()).await, Ok(Ok(Frame { kind: Kind::Ready, .. })));
        if ready {
            self.keep(worker);
        }
    }

    /// Keeps a worker for the next statement.
    pub(super) fn keep(&self, worker: Worker) {
        if self.ending.borrow().is_none() {
            self.idle.lock().push(worker);
        }
    }

    /// Starts another worker if none is idle.
    pub(super) async fn replace(&self) {
        if !self.idle.lock().is_empty() || self.ending.borrow().is_some() {
            return;
        }
        match self.start().await {
            Ok(worker) => self.idle.lock().push(worker),
            Err(error) => tracing::warn!(%error, "a worker for SQL could not be started"),
        }
    }

    async fn start(&self) -> Result<Worker, Error> {
        start(&self.workers, &self.limits, self.threads).await
    }
}

/// Starts a worker as an engine would, and ends it again: whether statements can be run at all.
pub async fn try_worker(workers: &SqlWorkers, limits: &SqlLimits) -> Result<(), Error> {
    start(workers, limits, 1).await.map(drop)
}

async fn start(workers: &SqlWorkers, limits: &SqlLimits, threads: usize) -> Result<Worker, Error> {
    let failed = |error: io::Error| Error::Worker(format!("a worker for SQL could not be started: {error}"));
    let started = timeout(LONGEST_START, started(workers, limits, threads)).await;
    started.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(failed)
}

async fn started(workers: &SqlWorkers, limits: &SqlLimits, threads: usize) -> io::Result<Worker> {
    let (ours, theirs) = UnixStream::pair()?;
    let process = match workers {
        SqlWorkers::Threads => {
            std::thread::Builder::new().name("sql-worker".to_owned()).spawn(move || serve(theirs, false))?;
            None
        }
        SqlWorkers::Processes { program, arguments } => {
            let mut command = Command::new(program);
            // A process group of its own: Ctrl-C is for the central, which ends its workers. One arena, because each
            // takes address space, which is limited.
            command.args(arguments).env_clear().env("MALLOC_ARENA_MAX", "1").current_dir("/");
            command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
            Some(command.process_group(0).kill_on_drop(true).spawn()?)
        }
    };
    let (frames, to) = socket::split(ours)?;
    let mut worker = Worker { frames, to, process };
    let cpu_s = (limits.timeout_ms / 1000).saturating_add(2).saturating_mul(threads as u64);
    let begin = Begin { memory_bytes: limits.memory_bytes, threads, cpu_s };
    worker.to.send(&[Frame::new(Kind::Begin, 0, begin.encode())]).await?;
    match worker.frames.next().await?.kind {
        Kind::Ready => Ok(worker),
        _ => Err(io::Error::other("it does not speak as a worker does")),
    }
}

impl Worker {
    fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// The reason why it closed its socket.
    pub(super) async fn end(mut self, limits: SqlLimits) -> Error {
        let Some(mut process) = self.process.take() else { return Error::Worker("a worker for SQL has ended".to_owned()) };
        let _ = process.start_kill();
        match process.wait().await {
            Ok(status) => of_status(status, limits),
            Err(error) => Error::Worker(format!("a worker for SQL has ended: {error}")),
        }
    }
}

/// The reason why the kernel ended a worker.
fn of_status(status: ExitStatus, limits: SqlLimits) -> Error {
    match status.signal() {
        Some(libc::SIGXCPU) => Error::TooSlow(limits.timeout_ms),
        // A failed allocation or a stack overflow aborts; when the machine runs out of memory, the kernel kills.
        Some(libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS | libc::SIGKILL) => {
            let memory_mib = limits.memory_bytes >> 20;
            Error::TooLarge(format!("the statement needs more memory than one may use, {memory_mib} MiB"))
        }
        _ => Error::Worker(format!("a worker for SQL has ended: {status}")),
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_worker_that_has_answered_is_there_for_the_next_statement() {
        let content = crate::tests::small();
        let shared = &content.engine.statements().shared;
        for text in ["SELECT 1", "SELECT hits FROM dns_raw WHERE hits < 0", "SELECT host, hits FROM dns_raw ORDER BY 1, 2"] {
            let answer = content.engine.sql(text).await.unwrap();
            answer.batches.try_collect::<Vec<_>>().await.unwrap();
            assert!(!shared.idle.lock().is_empty(), "{text}");
        }
    }
}
