//! The probe's sign of life: every 30 seconds, whatever else works or does not.
//!
//! A task of its own makes and sends it; it waits neither for the capture nor for a disk or
//! a broker, and what it tells of other programs is looked up elsewhere, with a bound on
//! the time. The answer carries the central's settings, and shows how far the clocks are apart.
//!
//! A central that pulls asks for it ([`crate::pull`]). Should it cease to ask, the heartbeat
//! is sent again, if there is a way: so a node that nobody reaches any more can be told to
//! push, after all.

mod chaos;
mod clock;
mod components;
mod kea;
pub(crate) mod process;

use crate::central;
use crate::deliver;
use crate::settings::InForce;
use crate::spool::Spool;
use crate::status::{Status, count};
use crate::{Error, config};
use clock::Clock;
pub(crate) use components::DNS_SERVERS;
use components::Looker;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use zonepulse_net::http;
use zonepulse_wire::heartbeat::{HEARTBEAT_INTERVAL_S, MAX_HEARTBEAT_BYTES};
use zonepulse_wire::{Components, Heartbeat, HeartbeatAnswer, SpoolState};

const PATH: &str = "/api/v2/monitoring/heartbeat";
const INTERVAL: Duration = Duration::from_secs(HEARTBEAT_INTERVAL_S as u64);
/// How soon the central is told that other settings are in force.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A central that pulls asks several times in this time.
const PULL_PATIENCE: Duration = Duration::from_secs(120);
/// So long other programs are waited for; what was known of them before is told then.
const LOOK_PATIENCE: Duration = Duration::from_secs(4);

/// More of why settings are not followed is not told, characters: the central takes 1024 bytes.
const MAX_REFUSED: usize = 250;

/// Settings that the central gave, and whoever wants to know whether they are taken.
#[derive(Debug)]
pub struct Told {
    /// What it said.
    pub answer: HeartbeatAnswer,
    /// Told whether it is done, and if not, why.
    pub taken: Option<oneshot::Sender<Result<(), String>>>,
}

/// Makes heartbeats.
#[derive(Debug)]
pub struct Reporter {
    spool: Arc<Spool>,
    status: Arc<Status>,
    hostname: String,
    os: String,
    looker: Arc<Mutex<Looker>>,
    known: Mutex<Components>,
    /// When a central asked for one.
    asked: Mutex<Option<Instant>>,
}

impl Reporter {
    /// One that tells of these components.
    pub fn new(components: config::Components, spool: Arc<Spool>, status: Arc<Status>) -> Reporter {
        let looker = Looker::new(components, status.own_questions.clone());
        Reporter {
            spool,
            status,
            hostname: hostname(),
            os: os(),
            looker: Arc::new(Mutex::new(looker)),
            known: Mutex::default(),
            asked: Mutex::new(None),
        }
    }

    /// How the probe and its machine are at this moment.
    pub async fn heartbeat(&self) -> Heartbeat {
        let components = self.components().await;
        Heartbeat {
            sent_at_ms: now_ms(),
            epoch: self.status.epoch,
            probe_version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.status.uptime_s(),
            hostname: self.hostname.clone(),
            os: self.os.clone(),
            settings_version: self.status.settings_version(),
            settings_refused: self.status.settings_refused().map(|why| why.chars().take(MAX_REFUSED).collect()),
            components,
            capture: self.status.capture(),
            spool: SpoolState { batches: self.spool.len() as u64, size_bytes: self.spool.disk_bytes() },
        }
    }

    /// The same, for a central that pulls.
    pub async fn heartbeat_for_pull(&self) -> Heartbeat {
        *lock(&self.asked) = Some(Instant::now());
        self.heartbeat().await
    }

    fn is_asked(&self) -> bool {
        lock(&self.asked).is_some_and(|asked| asked.elapsed() < PULL_PATIENCE)
    }

    async fn components(&self) -> Components {
        let looker = self.looker.clone();
        // Where the last look still hangs, another would only hang, too.
        let look = spawn_blocking(move || looker.try_lock().ok().map(|mut looker| looker.look()));
        if let Ok(Ok(Some(components))) = tokio::time::timeout(LOOK_PATIENCE, look).await {
            *lock(&self.known) = components;
        }
        lock(&self.known).clone()
    }
}

/// Sends heartbeats until it is dropped.
pub async fn run(reporter: Arc<Reporter>, mut in_force: watch::Receiver<InForce>, told: mpsc::Sender<Told>) {
    let mut sender = Sender { reporter, told, ways: Vec::new(), first: 0, known: None, clock: Clock::default() };
    let mut pulled_since: Option<Instant> = None;
    loop {
        let now = in_force.borrow_and_update().clone();
        pulled_since = now.pull.is_some().then(|| pulled_since.unwrap_or_else(Instant::now));
        sender.follow(now.heartbeat);
        let until = tokio::time::Instant::now() + INTERVAL;
        // Whoever is to ask may take a while to begin.
        let begins = pulled_since.is_some_and(|since| since.elapsed() < PULL_PATIENCE);
        if pulled_since.is_none() || !begins && !sender.reporter.is_asked() {
            sender.send().await;
        }
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            Ok(()) = in_force.changed() => tokio::time::sleep(CONFIRM_AFTER).await,
        }
    }
}

struct Sender {
    reporter: Arc<Reporter>,
    told: mpsc::Sender<Told>,
    ways: Vec<Way>,
    /// Which way worked last.
    first: usize,
    /// How it went last time: said when it is news.
    known: Option<Result<(), String>>,
    clock: Clock,
}

/// Why a heartbeat was not taken.
struct Failure {
    what: String,
    /// The central does not know the token.
    is_unauthorized: bool,
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Failure { what, is_unauthorized: false }
    }
}

/// One address of the central.
struct Way {
    settings: deliver::http::Settings,
    client: Result<Client, String>,
}

impl Sender {
    fn follow(&mut self, settings: Vec<deliver::http::Settings>) {
        if self.ways.iter().map(|way| &way.settings).eq(&settings) {
            return;
        }
        self.first = 0;
        self.ways = settings.into_iter().map(Way::new).collect();
    }

    /// To the first address that answers.
    async fn send(&mut self) {
        let (mut result, mut refused_token) = (None, None);
        for turn in 0..self.ways.len() {
            let at = (self.first + turn) % self.ways.len();
            let heartbeat = self.reporter.heartbeat().await;
            let Some(way) = self.ways.get(at) else { break };
            match way.send(&heartbeat).await {
                Ok((answer, round_trip)) => {
                    let status = &self.reporter.status;
                    self.clock.compare(heartbeat.sent_at_ms, answer.received_at_ms, round_trip, status);
                    // The agent takes one after the other; what does not fit comes again with the next answer.
                    let _ = self.told.try_send(Told { answer, taken: None });
                    self.first = at;
                    status.set_refused_token(None);
                    (result, refused_token) = (Some(Ok(())), None);
                    break;
                }
                Err(failure) => {
                    if failure.is_unauthorized {
                        refused_token = Some(way.settings.token.clone());
                    }
                    result = Some(Err(format!("{}: {}", way.settings.url, failure.what)));
                }
            }
        }
        // Whoever does not answer says nothing of the token.
        if refused_token.is_some() {
            self.reporter.status.set_refused_token(refused_token);
        }
        let Some(result) = result else { return };
        let counts = &self.reporter.status.counts;
        count(if result.is_ok() { &counts.heartbeats } else { &counts.heartbeats_failed }, 1);
        if self.known.as_ref() != Some(&result) {
            match &result {
                Ok(()) => tracing::info!("the central hears that this probe is alive"),
                Err(error) => {
                    tracing::warn!(error, "the central does not hear that this probe is alive; it is told again every 30 s")
                }
            }
            self.known = Some(result);
        }
    }
}

impl Way {
    fn new(settings: deliver::http::Settings) -> Way {
        let client = central::client(&settings.url, &settings.trust).map(|client| client.timeout(ANSWER_TIMEOUT));
        let client = client.and_then(central::build).map_err(|error: Error| error.to_string());
        Way { settings, client }
    }

    async fn send(&self, heartbeat: &Heartbeat) -> Result<(HeartbeatAnswer, Duration), Failure> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let body = serde_json::to_vec(heartbeat).map_err(|error| error.to_string())?;
        let request = client.post(http::address(&self.settings.url, PATH)).bearer_auth(self.settings.token.reveal());
        let began = Instant::now();
        let response = request.header(CONTENT_TYPE, "application/json").body(body).send().await;
        let response = response.map_err(|error| central::innermost(&error))?;
        let round_trip = began.elapsed();
        let status = response.status();
        if status.as_u16() == 404 {
            return Err("this central knows no heartbeats (404): is it older than this probe?".to_owned().into());
        }
        if !status.is_success() {
            let what = format!("{}: {}", status.as_u16(), central::read_problem(response).await);
            return Err(Failure { what, is_unauthorized: status.as_u16() == 401 });
        }
        let body = http::body(response, MAX_HEARTBEAT_BYTES).await;
        let body = body.map_err(|error| format!("the answer cannot be used: {error}"))?;
        let answer = serde_json::from_slice(&body).map_err(|error| format!("the answer is not a central's: {error}"))?;
        Ok((answer, round_trip))
    }
}

/// The machine's name.
pub(crate) fn hostname() -> String {
    sysinfo::System::host_name().unwrap_or_else(|| "unknown".into())
}

/// The operating system, as it calls itself (os-release(5)).
pub(crate) fn os() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let pretty = pretty.map(|name| name.trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty());
    pretty.or_else(sysinfo::System::long_os_version).unwrap_or_else(|| std::env::consts::OS.to_owned())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
