//! The agent: listens, sums, spools and delivers until it is told to stop.
//!
//! Threads, so that none waits for what is not its own:
//!
//! * *capture* reads the device and closes batches (`listen.rs`);
//! * *dnstap* does the same with what servers tell (`tap.rs`); when both run, the
//!   configuration says which one is counted, and the other is compared with it
//!   (`comparison.rs`);
//! * *system* measures the machine (`machine.rs`);
//! * *spool* makes them safe on disk; before it is a bounded queue, which
//!   gives up the oldest batch when the disk does not keep up, and says so;
//! * the caller's delivers, and hears signals.
//!
//! Each has only the rights that it needs (`privileges.rs`).
//!
//! SIGTERM and SIGINT close the open interval, spool it, and try for a few
//! seconds to deliver it. SIGHUP reads the configuration again: what is
//! monitored and how often, delivery and the log's level follow it at once, the rest
//! needs a restart.

mod comparison;
mod listen;
mod machine;
mod orders;
mod outlet;
mod privileges;
mod queue;
mod spooler;
mod tap;

use crate::Error;
use crate::config::{Config, Counted};
use crate::deliver::{self, Counts};
use crate::spool::Spool;
use crate::status::Status;
use comparison::Comparison;
use listen::Listener;
use machine::Machine;
use orders::Orders;
use outlet::Outlet;
use queue::{Producer, Queue};
use spooler::Spooler;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tap::TapListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

pub use orders::Monitoring;

/// How long a stopping agent tries to deliver what it has.
const FAREWELL: Duration = Duration::from_secs(3);

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
    let orders = Arc::new(Orders::new(config.monitoring()));
    let status = Arc::new(Status::new(new_epoch()));
    let agent = Agent { config, spool, status, orders, settings: watch::Sender::new(delivery), reload };
    let result = runtime.block_on(agent.run());
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

struct Agent<F> {
    config: Config,
    spool: Arc<Spool>,
    status: Arc<Status>,
    orders: Arc<Orders>,
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
        sources.push(self.start_machine(queue.producer())?);
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
        self.orders.stop();
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
            _ => Outlet::Count(self.counted(queue.producer())),
        };
        let mut workers = Vec::new();
        if config.capture.enabled {
            let outlet = outlet(Counted::Capture);
            let listener = Listener { config: config.clone(), outlet, orders: self.orders.clone() };
            let run = move || {
                privileges::keep_for_capture();
                listener.run();
            };
            workers.push(Worker::start("capture", run)?);
        }
        if let Some(settings) = config.dnstap() {
            let outlet = outlet(Counted::Dnstap);
            let listener = TapListener { config: config.clone(), settings, outlet, orders: self.orders.clone() };
            let run = move || {
                privileges::keep_for_sockets();
                listener.run();
            };
            workers.push(Worker::start("dnstap", run)?);
        }
        Ok(workers)
    }

    fn start_spooler(&self, queue: &Arc<Queue>, comparison: Option<Arc<Comparison>>) -> Result<Worker, Error> {
        let spooler = Spooler {
            queue: queue.clone(),
            spool: self.spool.clone(),
            status: self.status.clone(),
            comparison,
            orders: self.orders.clone(),
        };
        Worker::start("spool", move || spooler.run())
    }

    fn start_machine(&self, producer: Producer) -> Result<Worker, Error> {
        let (server_id, batch_s) = (self.config.server_id, self.config.system.batch_s);
        let machine = Machine { server_id, batch_s, outlet: self.counted(producer), orders: self.orders.clone() };
        Worker::start("system", move || machine.run())
    }

    fn counted(&self, producer: Producer) -> outlet::Counted {
        outlet::Counted { producer, status: self.status.clone() }
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
        self.orders.give(config.monitoring());
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

/// A new epoch whenever listening begins, because numbering does; never one that was given before.
fn new_epoch() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let next = |last: u64| now.max(last.saturating_add(1));
    LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))).map_or(now, next)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
