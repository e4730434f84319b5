//! Detects whether a running probe sees the DNS server's messages at all.
//!
//! A probe on the wrong port runs, loses nothing, and counts nothing. So the probe also checks
//! where the server accepts queries (`look.rs`, `judge.rs`), and whether the messages of the last
//! minute suggest that others are missing (`traffic.rs`). Each reason for doubt has a name, a
//! [`BlindReason`]. Heartbeats, the log and `/metrics` report it while it applies, and each batch
//! says for how much of its coverage one applied ([`Counter::BlindMs`]).
//!
//! A batch is judged once, when it closes. It therefore also counts as blind throughout if there
//! was no message at all up to then, although a heartbeat reports that only after an interval, or
//! if it has [`MIN_MESSAGES`] in one direction and none in the other.
//!
//! Only live sources are judged; there is nothing to doubt about a capture file.

mod judge;
mod look;
mod proc;
mod reasons;
mod spans;
mod traffic;

use crate::clock::now_ms;
use crate::config::{Config, Counted, ServerAddresses};
use crate::process::DNS_SERVERS;
use judge::{Mismatch, Observed};
use look::Found;
use spans::Spans;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use traffic::{MIN_MESSAGES, Traffic};
use zonepulse_dns::MessageKind;
use zonepulse_wire::{Batch, BlindReason, Blindness, Counter};

pub use look::Listener;
pub use reasons::name;
pub use traffic::Totals;

/// How often to look at the server's sockets.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Time within which a response should follow, milliseconds.
const ANSWER_MS: u64 = 1000;
/// Minimum time between two log messages about a reason.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What is observed, and the servers it should belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    source: Counted,
    /// Names of DNS server processes.
    servers: Vec<String>,
    observed: Observed,
}

/// The state of the detection, shared by all components; nobody waits for it.
#[derive(Debug, Default)]
pub struct Sight {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    settings: Option<Settings>,
    looked: Looked,
    /// Traffic since listening last began.
    traffic: Option<Traffic>,
    listens: bool,
    /// The length of an interval, once known: no message for this long is a reason.
    grace: Option<Duration>,
    /// When listening began, Unix milliseconds; unknown after a step of the clock.
    began_ms: Option<u64>,
    /// The source's counts at the last turn, and at the start of listening.
    totals: Totals,
    before: Totals,
    held: BTreeMap<BlindReason, Held>,
    over: Spans,
    said: BTreeMap<BlindReason, Said>,
}

/// A moment, by a steady clock and, if it is set, by the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Measures how long something has applied.
    pub steady: Instant,
    /// The time of day, Unix milliseconds.
    pub wall_ms: Option<u64>,
}

/// The result of a look at the server's sockets, and its time, Unix milliseconds.
#[derive(Debug, Default)]
struct Looked {
    found: Option<Found>,
    mismatch: Option<Mismatch>,
    /// The last look that found no problem.
    well_ms: u64,
}

/// A reason that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    since_ms: u64,
    detail: String,
}

/// What was last logged about a reason.
#[derive(Debug, Clone, Copy)]
struct Said {
    holds: bool,
    at: Instant,
}

impl Moment {
    /// The present moment, with the wall clock if it is plausible.
    pub(crate) fn now() -> Moment {
        Moment { steady: Instant::now(), wall_ms: Some(now_ms()) }
    }
}

impl Settings {
    /// The settings of a configuration. These parts of it change only with a restart.
    pub fn of(config: &Config) -> Settings {
        let capture = &config.capture;
        let observed = Observed {
            device: capture.device.clone(),
            ports: capture.ports.clone(),
            ignored: capture.ignored_ports.clone(),
            addresses: capture.addresses.clone(),
            local: Vec::new(),
        };
        let servers = config.components.dns.as_deref().map_or_else(|| DNS_SERVERS.to_vec(), |name| vec![name]);
        let servers = servers.into_iter().map(str::to_owned).collect();
        Settings { source: config.counted(), servers, observed }
    }

    /// Looks at the machine's present state; `None` if there is nothing to compare, or it cannot be
    /// determined.
    fn look(&self) -> Option<(Found, Option<Mismatch>)> {
        if self.source == Counted::Dnstap {
            return None;
        }
        let found = look::look(&self.servers)?;
        let local = match self.observed.addresses {
            ServerAddresses::Local => crate::capture::addresses::local_addresses().ok()?,
            ServerAddresses::Any | ServerAddresses::These(_) => Vec::new(),
        };
        let mismatch = judge::judge(&Observed { local, ..self.observed.clone() }, &found);
        Some((found, mismatch))
    }
}

/// The DNS servers of this machine, compared with what is observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The servers and where they listen; none if none of the known names runs.
    pub servers: Option<String>,
    /// The names by which servers are recognised.
    pub names: Vec<String>,
    /// What is wrong with the configured ports, addresses or device, and what to do.
    pub mismatch: Option<String>,
    /// Whether a server is observed in spite of that, but not everywhere.
    pub is_partial: bool,
    /// Whatever listens on the observed ports.
    pub listeners: Vec<Listener>,
}

/// Compares this machine's DNS servers at present with what is observed; `None` if there is nothing
/// to compare, or it cannot be determined.
pub fn compare(config: &Config) -> Option<Comparison> {
    let settings = Settings::of(config);
    let (found, mismatch) = settings.look()?;
    let is_partial = mismatch.as_ref().is_some_and(|mismatch| mismatch.is_partial);
    Some(Comparison {
        servers: judge::servers(&found),
        names: settings.servers,
        mismatch: mismatch.map(|mismatch| mismatch.detail),
        is_partial,
        listeners: look::listeners(&config.capture.ports),
    })
}

/// What is wrong with the configured ports, addresses or device, given this machine's DNS server at
/// present.
pub fn check(config: &Config) -> Option<String> {
    let (_, mismatch) = Settings::of(config).look()?;
    mismatch.map(|mismatch| mismatch.detail)
}

/// Looks at the server's sockets periodically, until dropped.
pub async fn run(sight: Arc<Sight>, settings: Settings) {
    loop {
        let settings = settings.clone();
        if let Ok(looked) = spawn_blocking(move || settings.look()).await {
            sight.looked(looked, Moment::now());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl Sight {
    /// Sets what is observed from now on.
    pub fn observe(&self, settings: Settings) {
        self.lock().settings = Some(settings);
    }

    /// The counted source has started or continues to listen.
    pub fn begin(&self, now: Moment) {
        let mut state = self.lock();
        if !state.listens {
            state.listens = true;
            state.traffic = Some(Traffic::new(now.steady));
            (state.began_ms, state.before) = (now.wall_ms, state.totals);
        }
    }

    /// The counted source has stopped listening.
    pub fn end(&self, now: Moment) {
        let mut state = self.lock();
        if std::mem::take(&mut state.listens) {
            state.hold(BTreeMap::new(), now.wall_ms);
        }
        // The next meter starts at zero; one that continues says so before it begins again.
        state.totals = Totals::default();
    }

    /// Takes the totals so far, several times a second; `elsewhere` returns the requests to
    /// unobserved ports since the last call.
    pub fn turn(&self, now: Moment, interval_s: u32, totals: Totals, elsewhere: impl FnOnce() -> Vec<(u16, u32)>) {
        let mut state = self.lock();
        state.totals = totals;
        state.grace = Some(Duration::from_secs(interval_s.into()));
        if !state.listens {
            return;
        }
        let totals = totals.since(state.before);
        let is_news = state.traffic.as_mut().is_some_and(|traffic| traffic.turn(now.steady, totals, elsewhere));
        if is_news {
            state.judge(now);
        }
    }

    /// The clock was set: by the new clock, it is unknown since when present reasons have applied.
    pub fn stepped(&self) {
        let mut state = self.lock();
        state.held.values_mut().for_each(|held| held.since_ms = 0);
        (state.over, state.began_ms, state.looked.well_ms) = (Spans::default(), None, 0);
    }

    fn looked(&self, looked: Option<(Found, Option<Mismatch>)>, now: Moment) {
        let mut state = self.lock();
        let (found, mismatch) = looked.map_or((None, None), |(found, mismatch)| (Some(found), mismatch));
        let well_ms = if mismatch.is_none() { now.wall_ms.unwrap_or_default() } else { state.looked.well_ms };
        state.looked = Looked { found, mismatch, well_ms };
        if state.listens {
            state.judge(now);
        }
    }

    /// Adds to a closing batch for how much of its coverage a reason applied.
    pub fn complete(&self, batch: &mut Batch) {
        let mut state = self.lock();
        let covered_ms = batch.coverage.until_ms.saturating_sub(batch.coverage.from_ms);
        if is_any_server_s(batch)
            && let Some(traffic) = &mut state.traffic
        {
            traffic.seen = true;
        }
        let is_deaf = state.traffic.as_ref().is_none_or(|traffic| !traffic.seen) || has_one_direction(batch);
        let held_ms = state.over.within(batch.coverage, state.held.values().map(|held| held.since_ms));
        state.over.forget(batch.coverage.from_ms);
        batch.counters.add(Counter::BlindMs, if is_deaf { covered_ms } else { held_ms });
    }

    /// The reasons that apply now.
    pub fn blind(&self) -> Vec<Blindness> {
        let state = self.lock();
        state.held.iter().map(|(reason, held)| Blindness { reason: *reason, detail: held.detail.clone() }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a batch has any message of the server, counted or not.
fn is_any_server_s(batch: &Batch) -> bool {
    let of = |counter| batch.counters.get(counter);
    let others = NOT_THE_SERVER_S.into_iter().map(of).fold(0, u64::saturating_add);
    of(Counter::MessagesSeen) > others
}

/// Messages that say nothing about those of the server.
pub(crate) const NOT_THE_SERVER_S: [Counter; 4] =
    [Counter::OwnMessages, Counter::NotTheServersOwn, Counter::NoMessage, Counter::WrongDirection];

/// Whether a batch has enough messages in one direction and none in the other, and not only at its
/// very end.
fn has_one_direction(batch: &Batch) -> bool {
    let sum = |request: bool| {
        let rows = batch.rows.iter().filter(|row| (row.kind == MessageKind::REQUEST) == request);
        rows.map(|row| row.hits).fold(0, u64::saturating_add)
    };
    let (requests, responses) = (sum(true), sum(false));
    let first_ms = batch.rows.iter().map(|row| u64::from(row.first_ms)).min().unwrap_or_default();
    let until_ms = batch.coverage.until_ms.saturating_sub(batch.start_ms());
    let is_old = first_ms.saturating_add(ANSWER_MS.min(batch.interval_ms() / 2)) <= until_ms;
    is_old && requests.min(responses) == 0 && requests.max(responses) >= MIN_MESSAGES
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
