//! Pulling batches: the central connects to the probes, for networks that allow no connections to the central.
//!
//! Every pulled server has its own task, which waits at the probe for batches (a long poll), commits them like any
//! other batch, and confirms only what is on disk. The probe sends unconfirmed batches again, and duplicates are
//! recognized by their marker. The heartbeat runs alongside: the central fetches the probe's heartbeat and posts its
//! answer, so a node needs no connection to the central at all.
//!
//! An unreachable probe is retried after growing pauses with some jitter, so that a thousand probes behind one
//! restored line are not contacted all at once. Waiting costs only a connection; the number of answers being read and
//! committed at the same time is limited.
//!
//! The list of servers is refreshed every few seconds. A server whose settings no longer say `pull` is told so before
//! it is dropped, because it may have no other way to find out.

mod probe;

use crate::{Error, Ingest, Sender};
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use probe::{Fault, Probe};
use reqwest::StatusCode;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use zonepulse_model::ServerId;
use zonepulse_net::Trust;
use zonepulse_private::Secret;
use zonepulse_wire::pull::{Confirmations, Confirmed, Refused};
use zonepulse_wire::{Heartbeat, HeartbeatAnswer};

/// Maximum batches of one answer that wait for the committer at the same time.
const COMMITS_AT_ONCE: usize = 64;
/// Minimum pause between requests to a probe that has nothing, however it handles `wait_s`.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Pause before the next request to a probe that has only batches ahead of the clock.
const EARLY_PAUSE: Duration = Duration::from_secs(10);
/// How often to retry telling a dropped probe its new settings.
const FAREWELL_EVERY: Duration = Duration::from_secs(5);
/// Delay before checking whether a probe has applied new settings.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);

/// A server to pull from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub server_id: ServerId,
    /// The address of its probe, such as `https://ns1.example:8054`.
    pub url: String,
    /// The token that the probe accepts.
    pub token: Secret,
    /// Which certificates to trust for the probe.
    pub trust: Trust,
    /// Timeout for connecting, including the TLS handshake if TLS is used.
    pub connect_timeout: Duration,
}

/// Provides the servers to pull from and the answers for their probes. Its functions may block.
pub trait Fleet: Send + Sync + 'static {
    /// The current list of servers to pull from.
    fn targets(&self) -> Result<Vec<Target>, Error>;

    /// Records a fetched heartbeat and returns the answer for the probe. An error is for the log: it says why there
    /// is no answer.
    fn heartbeat(&self, server_id: ServerId, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, String>;

    /// The run of diagnostics that was ordered of a server's probe and has no result yet.
    fn diagnosing(&self, server_id: ServerId) -> Option<u64>;

    /// Records what became of a run.
    fn diagnosed(&self, server_id: ServerId, run: u64, result: Diagnosed);
}

/// What became of diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnosed {
    /// The probe runs them.
    Running,
    /// Their result, as encoded by the probe.
    Result(Bytes),
    /// The probe does not know such an order.
    Unknown,
}

/// Limits on pulling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Maximum bytes to request from a probe at a time. A larger message comes alone.
    pub max_bytes: u32,
    /// Maximum answers being read and committed at the same time.
    pub max_concurrent: usize,
    /// How long a probe that has nothing may keep the central waiting, in seconds.
    pub wait_s: u64,
    /// How much longer than that a probe may be silent.
    pub patience: Duration,
    /// How often the list of servers is refreshed.
    pub look_every: Duration,
    /// How often heartbeats are fetched.
    pub heartbeat_every: Duration,
    /// How long to keep trying to tell a server that it is no longer pulled.
    pub farewell: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_bytes: 4 << 20,
            max_concurrent: 8,
            wait_s: 20,
            patience: Duration::from_secs(15),
            look_every: Duration::from_secs(2),
            heartbeat_every: Duration::from_secs(zonepulse_wire::heartbeat::HEARTBEAT_INTERVAL_S as u64),
            farewell: Duration::from_secs(600),
        }
    }
}

/// The progress of pulling, for monitoring. Clones share state.
#[derive(Clone, Default)]
pub struct Progress {
    inner: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    servers: Mutex<BTreeMap<ServerId, Option<String>>>,
    confirmed: AtomicU64,
    refused: AtomicU64,
    failures: AtomicU64,
}

impl Progress {
    /// The current statistics.
    pub fn statistics(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counted { confirmed, refused, failures, .. } = &*self.inner;
        let servers = self.servers().clone();
        Statistics { servers, confirmed: read(confirmed), refused: read(refused), failures: read(failures) }
    }

    fn servers(&self) -> MutexGuard<'_, BTreeMap<ServerId, Option<String>>> {
        self.inner.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Statistics on pulling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Servers being pulled, with the reason for the last failure of those that cannot be reached.
    pub servers: BTreeMap<ServerId, Option<String>>,
    /// Batches fetched and confirmed since startup.
    pub confirmed: u64,
    /// Batches fetched and permanently refused since startup.
    pub refused: u64,
    /// Failed attempts since startup.
    pub failures: u64,
}

/// Pulls batches from all servers of a fleet.
pub struct Puller {
    shared: Arc<Shared>,
}

struct Shared {
    ingest: Ingest,
    fleet: Arc<dyn Fleet>,
    settings: Settings,
    clients: probe::Clients,
    turns: Semaphore,
    progress: Progress,
}

/// What the answer to a heartbeat meant to a probe.
enum Told {
    /// The settings it already had.
    Nothing,
    /// New settings.
    News,
}

/// The task of a server.
struct Follower {
    target: Target,
    /// Signals that the server is to be dropped.
    leave: watch::Sender<bool>,
    task: AbortHandle,
}

impl Puller {
    /// Creates a puller that commits to `ingest` and reports to `progress`. It does not pull yet.
    pub fn new(ingest: Ingest, fleet: Arc<dyn Fleet>, settings: Settings, progress: Progress) -> Self {
        let clients = probe::Clients::new(settings);
        let turns = Semaphore::new(settings.max_concurrent.max(1));
        Puller { shared: Arc::new(Shared { ingest, fleet, settings, clients, turns, progress }) }
    }

    /// Pulls until `shutdown` is ready. Probes send again whatever was fetched but not confirmed by then.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut followers: BTreeMap<ServerId, Follower> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        loop {
            let fleet = self.shared.fleet.clone();
            match tokio::task::spawn_blocking(move || fleet.targets()).await {
                Ok(Ok(targets)) => self.follow(targets, &mut followers, &mut tasks),
                Ok(Err(error)) => tracing::error!(%error, "which servers to pull from is not known; trying again"),
                Err(error) => tracing::error!(%error, "which servers to pull from is not known; trying again"),
            }
            tokio::select! {
                () = &mut shutdown => break,
                () = tokio::time::sleep(self.shared.settings.look_every) => {}
            }
            while tasks.try_join_next().is_some() {}
        }
        // Aborted tasks end immediately: a batch being committed still gets committed, and is sent again.
        tasks.shutdown().await;
    }

    /// Makes the running tasks match the current list of servers.
    fn follow(&self, targets: Vec<Target>, followers: &mut BTreeMap<ServerId, Follower>, tasks: &mut JoinSet<()>) {
        let mut wanted: BTreeMap<ServerId, Target> = targets.into_iter().map(|target| (target.server_id, target)).collect();
        followers.retain(|id, follower| {
            let ended = follower.task.is_finished();
            match wanted.get(id) {
                Some(target) if *target == follower.target && !ended && !*follower.leave.borrow() => {
                    wanted.remove(id);
                    true
                }
                // Restart it: its address or token has changed, or it came back while being dropped.
                Some(_) => {
                    follower.task.abort();
                    false
                }
                None => {
                    follower.leave.send_replace(true);
                    !ended
                }
            }
        });
        self.shared.progress.servers().retain(|id, _| followers.contains_key(id) || wanted.contains_key(id));
        for (id, target) in wanted {
            let (leave, leaving) = watch::channel(false);
            self.shared.progress.servers().entry(id).or_default();
            let task = tasks.spawn(self.shared.clone().server(target.clone(), leaving));
            followers.insert(id, Follower { target, leave, task });
        }
    }
}

/// What happened to the messages of one answer.
struct Collected {
    /// Confirmed or permanently refused.
    settled: usize,
    /// Ahead of the clock: the probe keeps them.
    early: usize,
}

impl Shared {
    /// Does everything for one server until it is dropped.
    async fn server(self: Arc<Self>, target: Target, mut leaving: watch::Receiver<bool>) {
        let server_id = target.server_id;
        let probe = match self.clients.probe(target) {
            Ok(probe) => probe,
            Err(error) => return self.failed(server_id, &Fault::Setting(error.to_string())),
        };
        let left = async {
            // An error means that the sender is gone, which also ends the task.
            let _ = leaving.wait_for(|leave| *leave).await;
            self.farewell(&probe).await;
        };
        tokio::select! {
            () = self.batches(&probe) => {}
            () = self.heartbeats(&probe) => {}
            () = self.diagnostics(&probe) => {}
            () = left => tracing::info!(server_id = server_id.get(), "no longer pulling"),
        }
    }

    /// Fetches, commits and confirms forever.
    async fn batches(&self, probe: &Probe) {
        let mut pauses = pauses();
        loop {
            let began = Instant::now();
            let pause = match self.collect(probe).await {
                Ok(Collected { settled, early }) => {
                    self.reached(probe.server_id());
                    pauses = self::pauses();
                    match (settled, early) {
                        (0, 0) => LEAST_PAUSE.saturating_sub(began.elapsed()),
                        (0, _) => EARLY_PAUSE,
                        _ => Duration::ZERO,
                    }
                }
                Err(fault) => {
                    self.failed(probe.server_id(), &fault);
                    pauses.next().unwrap_or(LONGEST_PAUSE)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn refused(&self, server_id: ServerId, error: &Error) {
        if let Some(count) = self.ingest.refusal_is_due(server_id, error) {
            let cause = error.cause();
            tracing::warn!(%error, server_id = server_id.get(), cause, count, "batches were refused; the probe keeps them aside");
        }
    }

    /// Processes one answer of the probe.
    async fn collect(&self, probe: &Probe) -> Result<Collected, Fault> {
        let answer = probe.batches().await?;
        // From here on, messages are in memory. The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let messages = answer.read().await?;
        let mut collected = Collected { settled: messages.whole.len(), early: 0 };
        let outcomes = stream::iter(messages.whole).map(|bytes| async {
            let identity = zonepulse_wire::peek_identity(&bytes);
            (identity, self.ingest.receive(bytes, Sender::Server(probe.server_id())).await)
        });
        let mut outcomes = outcomes.buffered(COMMITS_AT_ONCE);
        let mut done = Confirmations::default();
        let mut kept = None;
        while let Some((identity, outcome)) = outcomes.next().await {
            match (identity, outcome) {
                (Ok(identity), Ok(_)) => done.confirmed.push(Confirmed { epoch: identity.epoch, seq: identity.seq }),
                // The probe of another server is a configuration mistake: its batches are valid.
                (Ok(identity), Err(error)) if error.is_final() && !matches!(error, Error::WrongServer { .. }) => {
                    self.refused(probe.server_id(), &error);
                    done.refused.push(Refused { epoch: identity.epoch, seq: identity.seq, reason: error.to_string() });
                }
                // The probe keeps it. Delivery itself works.
                (_, Err(Error::Ahead { .. })) => {
                    collected.settled -= 1;
                    collected.early += 1;
                }
                (_, Err(error)) => kept = Some(error),
                (Err(error), Ok(_)) => kept = Some(error.into()),
            }
        }
        if !done.confirmed.is_empty() || !done.refused.is_empty() {
            probe.confirm(&done).await?;
            self.progress.inner.confirmed.fetch_add(done.confirmed.len() as u64, Ordering::Relaxed);
            self.progress.inner.refused.fetch_add(done.refused.len() as u64, Ordering::Relaxed);
        }
        match kept {
            Some(error) => Err(Fault::NotTaken(error.to_string())),
            None if messages.broken_off => Err(Fault::Answer("its batches break off".to_owned())),
            None => Ok(collected),
        }
    }

    /// Fetches heartbeats forever.
    async fn heartbeats(&self, probe: &Probe) {
        let mut ticks = tokio::time::interval(self.settings.heartbeat_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut told = self.heartbeat(probe).await;
            if matches!(told, Ok(Told::News)) {
                tokio::time::sleep(CONFIRM_AFTER).await;
                told = self.heartbeat(probe).await;
            }
            if let Err(fault) = told {
                // Unreachable probes are already reported by the task that fetches batches.
                tracing::debug!(%fault, server_id = probe.server_id().get(), "no heartbeat");
            }
        }
    }

    /// Has the probe run diagnostics whenever they are ordered, and fetches the result.
    async fn diagnostics(&self, probe: &Probe) {
        let server_id = probe.server_id();
        loop {
            tokio::time::sleep(self.settings.look_every).await;
            let Some(run) = self.fleet.diagnosing(server_id) else { continue };
            let diagnosed = match probe.diagnose(run).await {
                Ok(Some(bytes)) => Diagnosed::Result(bytes),
                Ok(None) => Diagnosed::Running,
                Err(Fault::Status { status: StatusCode::NOT_FOUND, .. }) => Diagnosed::Unknown,
                // Asked for again until they are not ordered any more.
                Err(fault) => {
                    tracing::debug!(%fault, server_id = server_id.get(), "no diagnostics");
                    continue;
                }
            };
            let fleet = self.fleet.clone();
            let recording = tokio::task::spawn_blocking(move || fleet.diagnosed(server_id, run, diagnosed));
            if let Err(error) = recording.await {
                tracing::error!(%error, server_id = server_id.get(), "diagnostics could not be recorded");
            }
        }
    }

    /// Fetches a heartbeat and sends the probe the answer.
    async fn heartbeat(&self, probe: &Probe) -> Result<Told, Fault> {
        let heartbeat = probe.heartbeat().await?;
        let in_force = heartbeat.settings_version;
        let (fleet, server_id) = (self.fleet.clone(), probe.server_id());
        let answered = tokio::task::spawn_blocking(move || fleet.heartbeat(server_id, heartbeat)).await;
        let answer = answered.map_err(|error| Fault::NotTaken(error.to_string()))?.map_err(Fault::NotTaken)?;
        probe.settings(&answer).await?;
        Ok(if in_force == Some(answer.settings_version) { Told::Nothing } else { Told::News })
    }

    /// Tells a probe that is being dropped its settings, which say how to continue.
    async fn farewell(&self, probe: &Probe) {
        let until = Instant::now() + self.settings.farewell;
        while let Err(fault) = self.heartbeat(probe).await {
            // A removed server no longer belongs to anyone.
            if Instant::now() > until || matches!(fault, Fault::NotTaken(_)) {
                return tracing::warn!(%fault, server_id = probe.server_id().get(), "left without a word");
            }
            tokio::time::sleep(FAREWELL_EVERY).await;
        }
    }

    fn reached(&self, server_id: ServerId) {
        if let Some(fault) = self.progress.servers().get_mut(&server_id).and_then(Option::take) {
            tracing::info!(server_id = server_id.get(), before = fault, "pulling again");
        }
    }

    fn failed(&self, server_id: ServerId, fault: &Fault) {
        self.progress.inner.failures.fetch_add(1, Ordering::Relaxed);
        let text = fault.to_string();
        let mut servers = self.progress.servers();
        let Some(state) = servers.get_mut(&server_id) else { return };
        if state.as_ref() == Some(&text) {
            tracing::debug!(server_id = server_id.get(), fault = text, "pulling still fails");
        } else {
            tracing::warn!(server_id = server_id.get(), fault = text, "pulling fails; trying until it does not");
            *state = Some(text);
        }
    }
}

/// Maximum pause after a failed attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

fn pauses() -> impl Iterator<Item = Duration> {
    let builder = ExponentialBuilder::default().with_min_delay(Duration::from_secs(1)).with_max_delay(LONGEST_PAUSE);
    builder.with_jitter().without_max_times().build()
}

#[cfg(test)]
mod tests;
