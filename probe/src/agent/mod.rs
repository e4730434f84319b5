//! The agent: listens, tallies, spools and delivers until it is told to stop.
//!
//! Each task has its own thread, so that none waits for another's resources:
//!
//! * *capture* reads the device and closes batches (`listen.rs`);
//! * *dnstap* does the same with messages that servers report (`tap.rs`); if both run, the
//!   configuration says which one is counted, and the other is compared with it (`comparison.rs`);
//! * *system* samples the machine (`machine.rs`), and with the help of *kea4*, *kea6* and *knot* the
//!   services on it ([`crate::services`]);
//! * *spool* writes batches to disk. A bounded queue precedes it, which discards the oldest batch
//!   if the disk cannot keep up and records the loss;
//! * the caller's thread delivers, sends a heartbeat every 30 s ([`crate::heartbeat`]), answers a
//!   central that pulls ([`crate::pull`]) and Prometheus ([`crate::metrics`]), and handles signals.
//!
//! Each thread keeps only the privileges it needs (`privileges.rs`).
//!
//! SIGTERM and SIGINT close the open interval, spool it, and try for a few seconds to deliver it.
//! SIGHUP reloads the configuration: what is monitored and how often, delivery, and the log level
//! change at once; everything else needs a restart. Settings from the central take precedence
//! ([`crate::settings`]).

mod comparison;
mod listen;
mod live_meter;
mod machine;
mod orders;
mod outlet;
mod privileges;
mod queue;
mod spooler;
mod tap;

use crate::config::{Config, Counted, Obedience};
use crate::deliver::{self, Counts};
use crate::diagnosis::{self, Diagnostician, Origin};
use crate::heartbeat::{self, Reporter, Told};
use crate::serve::Running;
use crate::settings::{self, InForce, Kept};
use crate::spool::Spool;
use crate::status::Status;
use crate::{Error, metrics, pull, sight};
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
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

/// How long a stopping agent tries to deliver the rest.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often to look for refused batches that are to be sent again.
const LOOK_FOR_OFFERED: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT. `reload` reads the configuration again.
///
/// Fails when the spool cannot be opened or delivery cannot be set up. A device that cannot be
/// opened is retried instead.
pub fn run(config: Config, origin: Origin, reload: impl FnMut() -> Result<Config, Error>) -> Result<(), Error> {
    config.restrict_key()?;
    let own = InForce::of_config(&config)?;
    // Drop privileges before opening the spool, so that an inaccessible directory fails now.
    privileges::restrict();
    let spool = Arc::new(Spool::open(config.spool())?);
    let kept = Kept::read(&spool, &config);
    let in_force = kept.as_ref().map_or(Ok(own.clone()), |kept| InForce::of_central(&config, kept)).unwrap_or_else(|error| {
        tracing::warn!(%error, "the central's last settings can no longer be applied; using the configuration");
        InForce { refused: Some(error.to_string()), ..own }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::System)?;
    let status = Arc::new(Status::new(new_epoch()));
    status.set_settings_version(in_force.version);
    status.set_settings_refused(in_force.refused.clone());
    status.sight.observe(sight::Settings::of(&config));
    in_force.warn();
    in_force.overridden.iter().for_each(|overridden| overridden.warn(config.server_id));
    let orders = Arc::new(Orders::new(in_force.monitoring));
    let delivery = watch::Sender::new(in_force.delivery.clone());
    let (kept, in_force) = (watch::Sender::new(kept), watch::Sender::new(in_force));
    let agent = Agent { config, origin, spool, status, orders, kept, in_force, delivery, refused: None, reload };
    let result = runtime.block_on(agent.run());
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

struct Agent<F> {
    config: Config,
    origin: Origin,
    spool: Arc<Spool>,
    status: Arc<Status>,
    orders: Arc<Orders>,
    /// The last settings from the central.
    kept: watch::Sender<Option<Kept>>,
    in_force: watch::Sender<InForce>,
    delivery: watch::Sender<deliver::Settings>,
    /// The last settings from the central that could not be applied.
    refused: Option<Kept>,
    reload: F,
}

/// Tasks besides delivery that talk to the central; dropping this ends them.
struct Company {
    told: mpsc::Receiver<Told>,
    _tasks: tokio::task::JoinSet<()>,
    _metrics: Option<Running>,
}

/// The signals that the agent handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// A thread, and a notification of its end.
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
        let delivery = deliver::run(
            self.spool.clone(),
            self.delivery.subscribe(),
            self.status.refused_token(),
            counts.clone(),
            in_flight_bytes,
        );
        tokio::pin!(delivery);
        let mut company = self.start_company(&counts);
        loop {
            tokio::select! {
                ended = &mut delivery => return ended,
                name = any_ended(&mut sources) => return Err(Error::Thread(name)),
                _ = &mut spooler.ended => return Err(Error::Thread("spool")),
                _ = signals.hang_up.recv() => self.reconfigure(),
                Some(told) = company.told.recv() => self.take_settings(told),
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
            }
        }
        tracing::info!("stopping: closing and spooling the open interval");
        self.orders.stop();
        let farewell = async {
            // A panic has already been reported.
            for worker in sources.into_iter().chain([spooler]) {
                let _ = worker.ended.await;
                let _ = worker.thread.join();
            }
            // Wake a delivery that is backing off, so that there is at least one more attempt.
            self.delivery.send_modify(|_| ());
            let delivered = async {
                // A batch leaves the spool before it is counted as delivered.
                while !self.spool.is_empty() || counts.under_way() > 0 {
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
            let listener =
                Listener { config: config.clone(), outlet, orders: self.orders.clone(), own: self.status.own_questions.clone() };
            let run = move || {
                privileges::keep_for_capture();
                listener.run();
            };
            workers.push(Worker::start("capture", run)?);
        }
        if let Some(settings) = config.dnstap() {
            let outlet = outlet(Counted::Dnstap);
            let listener = TapListener {
                config: config.clone(),
                settings,
                outlet,
                orders: self.orders.clone(),
                status: self.status.clone(),
            };
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
        let (outlet, orders, bounds) = (self.counted(producer), self.orders.clone(), self.config.bounds());
        let (sockets, services_interval_s) = (self.config.service_sockets(), self.config.services.interval_s);
        let machine = Machine { server_id, batch_s, sockets, services_interval_s, outlet, orders, bounds };
        Worker::start("system", move || machine.run())
    }

    fn counted(&self, producer: Producer) -> outlet::Counted {
        outlet::Counted { producer, status: self.status.clone() }
    }

    fn start_company(&self, counts: &Arc<Counts>) -> Company {
        let (tell, told) = mpsc::channel(4);
        let (spool, status, config) = (&self.spool, &self.status, &self.config);
        let reporter = Arc::new(Reporter::new(config.components_to_report(), spool.clone(), status.clone()));
        let mut tasks = tokio::task::JoinSet::new();
        let sources = diagnosis::Sources {
            status: status.clone(),
            spool: spool.clone(),
            counts: counts.clone(),
            reporter: reporter.clone(),
            in_force: self.in_force.subscribe(),
        };
        let diagnostician = Diagnostician::new(self.origin.clone(), sources);
        if config.central.heartbeat {
            let (order, orders) = mpsc::channel(1);
            tasks.spawn(diagnosis::run(diagnostician.clone(), orders));
            tasks.spawn(heartbeat::run(reporter.clone(), self.in_force.subscribe(), tell.clone(), order));
        }
        let sources = pull::Sources {
            server_id: config.server_id,
            spool: spool.clone(),
            reporter,
            told: tell,
            status: status.clone(),
            counts: counts.clone(),
            diagnostician,
            max_bytes: config.budget().in_flight_bytes,
        };
        tasks.spawn(pull::run(sources, self.in_force.subscribe()));
        tasks.spawn(sight::run(status.sight.clone(), sight::Settings::of(config)));
        tasks.spawn(keep(spool.clone(), self.kept.subscribe()));
        tasks.spawn(take_offered(spool.clone()));
        let sources = metrics::Sources { status: status.clone(), spool: spool.clone(), delivered: counts.clone() };
        let listening = config.metrics.listen.map(|address| (address, metrics::listen(address, sources)));
        let metrics = listening.and_then(|(address, listening)| {
            let failed = |error| tracing::error!(%error, %address, "no metrics: cannot listen on the address");
            listening.map_err(failed).ok()
        });
        Company { told, _tasks: tasks, _metrics: metrics }
    }

    /// Applies the central's settings if they are new and valid.
    fn take_settings(&mut self, told: Told) {
        if let Some(request) = told.answer.resend {
            let spool = self.spool.clone();
            drop(spawn_blocking(move || {
                if let Err(error) = spool.resend(&request) {
                    tracing::warn!(%error, "delivered batches that the central wants again cannot be taken back; will retry");
                }
            }));
        }
        let kept = Kept::of(self.config.server_id, told.answer);
        let result = self.follow_central(kept);
        if let Some(taken) = told.taken {
            // The requester may be gone.
            let _ = taken.send(result);
        }
    }

    fn follow_central(&mut self, kept: Kept) -> Result<(), String> {
        if self.config.central.settings == Obedience::Ignore || self.kept.borrow().as_ref() == Some(&kept) {
            return Ok(());
        }
        match InForce::of_central(&self.config, &kept) {
            Ok(in_force) => {
                settings::tell(&kept);
                self.refused = None;
                self.kept.send_replace(Some(kept));
                self.put_in_force(in_force);
                Ok(())
            }
            Err(error) => {
                let error = error.to_string();
                if self.refused.as_ref() != Some(&kept) {
                    tracing::error!(version = kept.version, error, "the central's settings were rejected; nothing changes");
                    self.refused = Some(kept);
                }
                self.status.set_settings_refused(Some(error.clone()));
                Err(error)
            }
        }
    }

    fn reconfigure(&mut self) {
        let read = (self.reload)().and_then(|config| {
            config.restrict_key()?;
            let kept = self.kept.borrow().clone().filter(|_| config.central.settings == Obedience::Apply);
            let in_force = match &kept {
                Some(kept) => InForce::of_central(&config, kept),
                None => InForce::of_config(&config),
            };
            in_force.map(|in_force| (config, kept, in_force))
        });
        let (config, kept, in_force) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "the configuration was rejected; nothing changes");
                return;
            }
        };
        // If the central's settings count again, it must resend them.
        self.kept.send_if_modified(|known| std::mem::replace(known, kept.clone()) != kept);
        let changed = self.put_in_force(in_force);
        tracing::info!(delivery_changed = changed, level = ?config.log.level, "configuration reloaded");
        let waiting = self.config.needs_restart(&config);
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these changed settings take effect after a restart");
        }
        // Settings that need a restart stay as they were. The rest becomes the base that the
        // central's settings override.
        self.config.follow(config);
    }

    /// Puts settings in force; returns whether delivery changed.
    fn put_in_force(&self, in_force: InForce) -> bool {
        let said = |in_force: &InForce| (in_force.refused.clone(), in_force.moved_to.clone());
        if said(&self.in_force.borrow()) != said(&in_force) {
            in_force.warn();
        }
        let known = self.in_force.borrow().overridden.clone();
        let news = in_force.overridden.iter().filter(|overridden| !known.contains(overridden));
        news.for_each(|overridden| overridden.warn(self.config.server_id));
        self.orders.give(in_force.monitoring);
        self.status.set_settings_version(in_force.version);
        self.status.set_settings_refused(in_force.refused.clone());
        let changed = self.delivery.send_if_modified(|delivery| {
            let changed = *delivery != in_force.delivery;
            delivery.clone_from(&in_force.delivery);
            changed
        });
        self.in_force.send_if_modified(|known| {
            let changed = *known != in_force;
            *known = in_force;
            changed
        });
        changed
    }
}

/// Saves the central's last settings, on a thread that may wait for the disk.
async fn keep(spool: Arc<Spool>, mut kept: watch::Receiver<Option<Kept>>) {
    while kept.changed().await.is_ok() {
        let (latest, spool) = (kept.borrow_and_update().clone(), spool.clone());
        let Some(latest) = latest else { continue };
        if let Ok(Err(error)) = spawn_blocking(move || latest.write(&spool)).await {
            tracing::warn!(%error, "the central's settings are in force but could not be saved: a restart without the central loses them");
        }
    }
}

/// Periodically checks whether refused batches are to be sent again.
async fn take_offered(spool: Arc<Spool>) {
    let mut known = None;
    loop {
        tokio::time::sleep(LOOK_FOR_OFFERED).await;
        let spool = spool.clone();
        let error = match spawn_blocking(move || spool.take_offered()).await {
            Ok(Err(error)) => Some(error.to_string()),
            Ok(Ok(_)) | Err(_) => None,
        };
        if let Some(error) = error.as_ref().filter(|_| error != known) {
            tracing::warn!(error, "cannot take back refused batches that are to be sent again; will retry");
        }
        known = error;
    }
}

/// Waits for one of the workers to end, and returns its name.
async fn any_ended(workers: &mut [Worker]) -> &'static str {
    poll_fn(|context| {
        let ended =
            workers.iter_mut().find_map(|worker| Pin::new(&mut worker.ended).poll(context).is_ready().then_some(worker.name));
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// A new, never reused epoch. Needed whenever listening starts, because numbering restarts.
fn new_epoch() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let next = |last: u64| now.max(last.saturating_add(1));
    LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))).map_or(now, next)
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
            // Dropped when the thread ends, even by a panic.
            let _end = end;
            work();
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(work).map_err(Error::System)?;
        Ok(Worker { name, thread, ended })
    }
}
