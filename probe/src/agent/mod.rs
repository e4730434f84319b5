//! The agent: listens, sums, spools and delivers until it is told to stop.
//!
//! Threads, so that none waits for what is not its own:
//!
//! * *capture* reads the device and closes batches (`listen.rs`);
//! * *dnstap* does the same with what servers tell (`tap.rs`); when both run, the
//!   configuration says which one is counted, and the other is compared with it
//!   (`comparison.rs`);
//! * *spool* makes them safe on disk; before it is a bounded queue, which
//!   gives up the oldest batch when the disk does not keep up, and says so;
//! * the caller's delivers, and hears signals.
//!
//! Each has only the rights that it needs (`privileges.rs`).
//!
//! SIGTERM and SIGINT close the open interval, spool it, and try for a few
//! seconds to deliver it. SIGHUP reads the configuration again: delivery and
//! the log's level follow it at once, the rest needs a restart.

mod comparison;
mod listen;
mod outlet;
mod privileges;
mod queue;
mod tap;

use crate::Error;
use crate::config::{Config, Counted};
use crate::deliver::{self, Counts};
use crate::spool::Spool;
use comparison::Comparison;
use listen::Listener;
use outlet::Outlet;
use queue::Queue;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tap::TapListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// How long a stopping agent tries to deliver what it has.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long a stopping agent tries to write to a disk that refuses.
const LAST_TRIES: Duration = Duration::from_secs(5);
const RETRY_DISK: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT. `reload` reads the configuration again.
///
/// Fails when the spool cannot be opened or delivery cannot be set up; a device
/// that cannot be opened only waits.
pub fn run(config: Config, reload: impl FnMut() -> Result<Config, Error>) -> Result<(), Error> {
    let delivery = config.delivery()?;
    // Before the spool is opened, so that a directory that is out of reach then shows now.
    privileges::restrict();
    let spool = Arc::new(Spool::open(config.spool())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::System)?;
    let agent = Agent { config, spool, stop: Arc::default(), settings: watch::Sender::new(delivery), reload };
    let result = runtime.block_on(agent.run());
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

struct Agent<F> {
    config: Config,
    spool: Arc<Spool>,
    stop: Arc<AtomicBool>,
    settings: watch::Sender<deliver::Settings>,
    reload: F,
}

/// The signals that an agent hears.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// A thread, and the news of its end.
struct Worker {
    name: &'static str,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl<F: FnMut() -> Result<Config, Error>> Agent<F> {
    async fn run(mut self) -> Result<(), Error> {
        let mut signals = Signals::new().map_err(Error::System)?;
        let queue = Arc::new(Queue::new(self.config.budget().queue_bytes));
        let comparison = self.config.compares().then(Arc::<Comparison>::default);
        let mut sources = self.start_sources(&queue, comparison.as_ref())?;
        privileges::drop_all();
        let mut spooler = self.start_spooler(&queue, comparison.clone())?;
        let counts = Arc::new(Counts::default());
        let in_flight_bytes = self.config.budget().in_flight_bytes;
        let delivery = deliver::run(self.spool.clone(), self.settings.subscribe(), counts.clone(), in_flight_bytes);
        tokio::pin!(delivery);
        loop {
            tokio::select! {
                ended = &mut delivery => return ended,
                name = any_ended(&mut sources) => return Err(Error::Thread(name)),
                _ = &mut spooler.ended => return Err(Error::Thread("spool")),
                _ = signals.hang_up.recv() => self.reconfigure(),
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
            }
        }
        tracing::info!("stopping: the open interval is closed and spooled");
        self.stop.store(true, Ordering::Relaxed);
        let farewell = async {
            // Whoever panicked has said so.
            for worker in sources.into_iter().chain([spooler]) {
                let _ = worker.ended.await;
                let _ = worker.thread.join();
            }
            // Ends a wait, so that there is one more try at least.
            self.settings.send_modify(|_| ());
            let delivered = async {
                while !self.spool.is_empty() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let _ = tokio::time::timeout(FAREWELL, delivered).await;
        };
        tokio::select! {
            ended = &mut delivery => return ended,
            () = farewell => {}
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
        }
        tracing::info!(delivered = counts.delivered(), refused = counts.refused(), left_in_spool = self.spool.len(), "stopped");
        Ok(())
    }

    fn start_sources(&self, queue: &Arc<Queue>, comparison: Option<&Arc<Comparison>>) -> Result<Vec<Worker>, Error> {
        let config = &self.config;
        let outlet = |source| match comparison {
            Some(comparison) if config.counted() != source => Outlet::Compare(comparison.clone()),
            _ => Outlet::Count(queue.clone()),
        };
        let mut workers = Vec::new();
        if config.capture.enabled {
            let outlet = outlet(Counted::Capture);
            let listener = Listener { config: config.clone(), outlet, stop: self.stop.clone() };
            let run = move || {
                privileges::keep_for_capture();
                listener.run();
            };
            workers.push(Worker::start("capture", run)?);
        }
        if let Some(settings) = config.dnstap() {
            let outlet = outlet(Counted::Dnstap);
            let listener = TapListener { config: config.clone(), settings, outlet, stop: self.stop.clone() };
            let run = move || {
                privileges::keep_for_sockets();
                listener.run();
            };
            workers.push(Worker::start("dnstap", run)?);
        }
        Ok(workers)
    }

    fn start_spooler(&self, queue: &Arc<Queue>, comparison: Option<Arc<Comparison>>) -> Result<Worker, Error> {
        let (queue, spool, stop) = (queue.clone(), self.spool.clone(), self.stop.clone());
        Worker::start("spool", move || spool_all(&queue, &spool, comparison.as_deref(), &stop))
    }

    fn reconfigure(&mut self) {
        let read = (self.reload)().and_then(|config| config.delivery().map(|delivery| (config, delivery)));
        let (config, delivery) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "the configuration was not taken; everything stays as it was");
                return;
            }
        };
        let changed = self.settings.send_if_modified(|settings| {
            let changed = *settings != delivery;
            *settings = delivery;
            changed
        });
        tracing::info!(delivery_changed = changed, level = ?config.log.level, "the configuration was read again");
        let waiting = self.config.needs_restart(&config);
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these settings changed; they wait for a restart");
        }
    }
}

/// The name of the first of these workers that ends.
async fn any_ended(workers: &mut [Worker]) -> &'static str {
    poll_fn(|context| {
        let ended =
            workers.iter_mut().find_map(|worker| Pin::new(&mut worker.ended).poll(context).is_ready().then_some(worker.name));
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// A new epoch whenever listening begins, because numbering does.
fn new_epoch() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The spool's thread: batches from the queue to the disk until the queue is closed.
fn spool_all(queue: &Queue, spool: &Spool, comparison: Option<&Comparison>, stop: &AtomicBool) {
    while let Some(mut batch) = queue.pop() {
        if let Some(comparison) = comparison {
            comparison.complete(&mut batch);
        }
        let mut failing_since: Option<Instant> = None;
        let mut patience_until: Option<Instant> = None;
        while let Err(error) = spool.put(&batch) {
            if let Error::Encode(error) = error {
                tracing::error!(%error, start_s = batch.start_s, "a batch cannot be written; the next one reports its loss");
                spool.give_up(&batch);
                break;
            }
            if failing_since.is_none() {
                tracing::error!(%error, "the spool cannot be written to; it is tried again every second, and batches wait in memory");
            }
            failing_since.get_or_insert_with(Instant::now);
            if stop.load(Ordering::Relaxed) && *patience_until.get_or_insert_with(|| Instant::now() + LAST_TRIES) < Instant::now()
            {
                tracing::error!(
                    batches = 1 + queue.len(),
                    start_s = batch.start_s,
                    "batches are lost: the spool cannot be written to, and the probe must stop"
                );
                return;
            }
            std::thread::sleep(RETRY_DISK);
        }
        if let Some(since) = failing_since {
            tracing::info!(failed_for_s = since.elapsed().as_secs(), "the spool can be written to again");
        }
    }
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl Worker {
    fn start(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<Worker, Error> {
        let (end, ended) = oneshot::channel();
        let work = move || {
            // Dropped at the end of the thread, however it ends.
            let _end = end;
            work();
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(work).map_err(Error::System)?;
        Ok(Worker { name, thread, ended })
    }
}
