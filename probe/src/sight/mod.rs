//! Whether a running probe sees the DNS server's messages at all.
//!
//! A probe on the wrong port runs, loses nothing, and counts nothing. So beside what it counts there is a second account:
//! where the server waits for queries (`look.rs`, `judge.rs`), and what the messages of the last minute say about those
//! that should be there and are not (`traffic.rs`). Each reason for doubt has a name, a [`BlindReason`]; heartbeats, the log
//! and `/metrics` tell of it while it holds, and each batch for how long it held in the time that the batch covers
//! ([`Counter::BlindMs`]).
//!
//! A batch is judged when it closes and never after. So it also counts as blind from end to end when until then there was
//! no message at all, though a heartbeat waits an interval before it says so, and when it has [`MIN_MESSAGES`] of one
//! direction and none of the other itself.
//!
//! Only whoever counts live is judged. A capture file is what it is.

mod judge;
mod look;
mod proc;
mod reasons;
mod spans;
mod traffic;

use crate::config::{Config, Counted, ServerAddresses};
use crate::heartbeat::DNS_SERVERS;
use crate::status::Status;
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

pub use reasons::name;
pub use traffic::Totals;

/// How often the server's sockets are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Within this a response follows, milliseconds.
const ANSWER_MS: u64 = 1000;
/// At most one line in the log about a reason in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What is observed, and whom it should be of.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    source: Counted,
    /// Which processes are DNS servers.
    servers: Vec<String>,
    observed: Observed,
}

/// See the module. All parts share it; nobody waits for it.
#[derive(Debug, Default)]
pub struct Sight {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    settings: Option<Settings>,
    looked: Looked,
    /// Since listening began last.
    traffic: Option<Traffic>,
    listens: bool,
    /// How long an interval is, once anybody has said so: for so long no message is no reason yet.
    grace: Option<Duration>,
    /// When listening began, Unix milliseconds; unknown where the clock was set since.
    began_ms: Option<u64>,
    /// What the source had counted when it was asked last, and when listening began.
    totals: Totals,
    before: Totals,
    held: BTreeMap<BlindReason, Held>,
    over: Spans,
    said: BTreeMap<BlindReason, Said>,
}

/// A moment, by a clock that nobody sets and by the machine's, Unix milliseconds, if that is set.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For how long something holds.
    pub steady: Instant,
    /// When it held.
    pub wall_ms: Option<u64>,
}

/// What was found of the server's sockets, and when, Unix milliseconds.
#[derive(Debug, Default)]
struct Looked {
    found: Option<Found>,
    mismatch: Option<Mismatch>,
    /// Of the last look that found nothing wrong.
    well_ms: u64,
}

/// A reason that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    since_ms: u64,
    detail: String,
}

/// What the log said of a reason last.
#[derive(Debug, Clone, Copy)]
struct Said {
    holds: bool,
    at: Instant,
}

impl Moment {
    /// This one, where the machine's clock is believed.
    pub(crate) fn now() -> Moment {
        Moment { steady: Instant::now(), wall_ms: Some(crate::agent::now_ms()) }
    }
}

impl Settings {
    /// Those of a configuration; what of it is meant here changes only with a restart.
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

    /// Looks at the machine as it is now; `None` where there is nothing to compare, or it cannot be known.
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

/// What is wrong with the ports, addresses or the device of a configuration, as this machine's DNS server is now.
pub fn check(config: &Config) -> Option<String> {
    let (_, mismatch) = Settings::of(config).look()?;
    mismatch.map(|mismatch| mismatch.detail)
}

/// Looks at the server's sockets now and then until it is dropped.
pub async fn run(status: Arc<Status>, settings: Settings) {
    loop {
        let settings = settings.clone();
        if let Ok(looked) = spawn_blocking(move || settings.look()).await {
            status.sight.looked(looked, Moment::now());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl Sight {
    /// This is what is observed from now on.
    pub fn observe(&self, settings: Settings) {
        self.lock().settings = Some(settings);
    }

    /// Whoever counts has begun to listen, or goes on.
    pub fn begin(&self, now: Moment) {
        let mut state = self.lock();
        if !state.listens {
            state.listens = true;
            state.traffic = Some(Traffic::new(now.steady));
            (state.began_ms, state.before) = (now.wall_ms, state.totals);
        }
    }

    /// Nobody listens.
    pub fn end(&self, now: Moment) {
        let mut state = self.lock();
        if std::mem::take(&mut state.listens) {
            state.hold(BTreeMap::new(), now.wall_ms);
        }
        // The next meter begins anew; one that goes on says so before the next beginning.
        state.totals = Totals::default();
    }

    /// Takes what was counted so far, several times a second; `elsewhere` gives the requests to ports that are not
    /// observed since it was called last.
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

    /// The clock was set: what holds has held, by the new one, since nobody knows when.
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

    /// Adds to a batch that closes for how long something held in the time that it covers.
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

    /// What holds at this moment.
    pub fn blind(&self) -> Vec<Blindness> {
        let state = self.lock();
        state.held.iter().map(|(reason, held)| Blindness { reason: *reason, detail: held.detail.clone() }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a batch has a message that is the server's own, counted or not.
fn is_any_server_s(batch: &Batch) -> bool {
    let of = |counter| batch.counters.get(counter);
    let others = NOT_THE_SERVER_S.into_iter().map(of).fold(0, u64::saturating_add);
    of(Counter::MessagesSeen) > others
}

/// Messages that tell nothing of those of the server.
pub(crate) const NOT_THE_SERVER_S: [Counter; 4] =
    [Counter::OwnMessages, Counter::NotTheServersOwn, Counter::NoMessage, Counter::WrongDirection];

/// Whether a batch has enough of one direction and none of the other, and did not only just begin to.
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
