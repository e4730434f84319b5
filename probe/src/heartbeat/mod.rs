//! The probe's heartbeat: sent every 30 seconds, whatever else may fail.
//!
//! A separate task creates and sends it, without waiting for capture, disk or broker. Information
//! on other programs is gathered elsewhere, with a time limit. The answer carries the central's
//! settings, and shows how far the clocks differ.
//!
//! A central that pulls fetches heartbeats ([`crate::pull`]). If it stops doing so, they are sent
//! again where possible, so that a node that can no longer be reached can be told to push.

mod chaos;
mod clock;
mod components;
mod kea;

use crate::central;
use crate::clock::now_ms;
use crate::deliver;
use crate::diagnosis::order::Order;
use crate::settings::InForce;
use crate::spool::Spool;
use crate::status::{Status, count};
use crate::version::version;
use crate::{Error, config};
use clock::Clock;
use components::Looker;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use zonepulse_net::http;
use zonepulse_wire::heartbeat::{HEARTBEAT_INTERVAL_S, MAX_HEARTBEAT_BYTES};
use zonepulse_wire::{Components, Heartbeat, HeartbeatAnswer, SpoolState};

const PATH: &str = "/api/v2/monitoring/heartbeat";
const INTERVAL: Duration = Duration::from_secs(HEARTBEAT_INTERVAL_S as u64);
/// How soon to tell the central that new settings are in force.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A central that pulls asks several times within this period.
const PULL_PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait for information on other programs; after that, the previous information is
/// used.
const LOOK_PATIENCE: Duration = Duration::from_secs(4);

/// Maximum length of the reason why settings are not applied, characters: the central accepts 1024
/// bytes.
const MAX_REFUSED: usize = 250;

/// Settings from the central, and a channel for those who want to know whether they were applied.
#[derive(Debug)]
pub struct Told {
    /// The central's answer.
    pub answer: HeartbeatAnswer,
    /// Receives the result: success, or the reason for the failure.
    pub taken: Option<oneshot::Sender<Result<(), String>>>,
}

/// Creates heartbeats.
#[derive(Debug)]
pub struct Reporter {
    spool: Arc<Spool>,
    status: Arc<Status>,
    hostname: String,
    os: String,
    looker: Arc<Mutex<Looker>>,
    known: Mutex<Components>,
    /// When a central last asked for a heartbeat.
    asked: Mutex<Option<Instant>>,
}

impl Reporter {
    /// Creates a reporter for these components.
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

    /// The present state of the probe and its machine.
    pub async fn heartbeat(&self) -> Heartbeat {
        let components = self.components().await;
        Heartbeat {
            sent_at_ms: now_ms(),
            epoch: self.status.epoch,
            probe_version: version().to_owned(),
            uptime_s: self.status.uptime_s(),
            hostname: self.hostname.clone(),
            os: self.os.clone(),
            settings_version: self.status.settings_version(),
            settings_refused: self.status.settings_refused().map(|why| why.chars().take(MAX_REFUSED).collect()),
            components,
            capture: self.status.capture(),
            spool: SpoolState { batches: self.spool.len() as u64, size_bytes: self.spool.disk_bytes() },
            diagnoses: true,
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
        // If the last look still hangs, another one would hang, too.
        let look = spawn_blocking(move || looker.try_lock().ok().map(|mut looker| looker.look()));
        if let Ok(Ok(Some(components))) = tokio::time::timeout(LOOK_PATIENCE, look).await {
            *lock(&self.known) = components;
        }
        lock(&self.known).clone()
    }
}

/// Sends heartbeats until dropped.
pub async fn run(
    reporter: Arc<Reporter>,
    mut in_force: watch::Receiver<InForce>,
    told: mpsc::Sender<Told>,
    orders: mpsc::Sender<Order>,
) {
    let mut sender = Sender { reporter, told, orders, ways: Vec::new(), first: 0, known: None, clock: Clock::default() };
    let mut pulled_since: Option<Instant> = None;
    loop {
        let now = in_force.borrow_and_update().clone();
        pulled_since = now.pull.is_some().then(|| pulled_since.unwrap_or_else(Instant::now));
        sender.follow(now.heartbeat);
        let until = tokio::time::Instant::now() + INTERVAL;
        // A central that is to pull may take a while to begin.
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
    /// Orders for diagnostics. One that does not fit comes again with the next answer.
    orders: mpsc::Sender<Order>,
    ways: Vec<Way>,
    /// The way that last worked.
    first: usize,
    /// The last result; only changes are logged.
    known: Option<Result<(), String>>,
    clock: Clock,
}

/// Why a heartbeat failed.
struct Failure {
    what: String,
    /// Whether the central rejected the token.
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

    /// Sends to the first address that answers.
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
                    if let Some(run) = answer.diagnose {
                        let _ = self.orders.try_send(Order { run, central: way.settings.clone() });
                    }
                    // The agent handles one at a time; what does not fit comes again with the next
                    // answer.
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
        // No answer says nothing about the token.
        if refused_token.is_some() {
            self.reporter.status.set_refused_token(refused_token);
        }
        let Some(result) = result else { return };
        let counts = &self.reporter.status.counts;
        count(if result.is_ok() { &counts.heartbeats } else { &counts.heartbeats_failed }, 1);
        if self.known.as_ref() != Some(&result) {
            match &result {
                Ok(()) => tracing::info!("the central receives heartbeats"),
                Err(error) => {
                    tracing::warn!(error, "the central does not receive heartbeats; retrying every 30 s")
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
            return Err("this central does not support heartbeats (404): is it older than this probe?".to_owned().into());
        }
        if !status.is_success() {
            let what = format!("{}: {}", status.as_u16(), central::read_problem(response).await);
            return Err(Failure { what, is_unauthorized: status.as_u16() == 401 });
        }
        let body = http::body(response, MAX_HEARTBEAT_BYTES).await;
        let body = body.map_err(|error| format!("cannot read the answer: {error}"))?;
        let answer = serde_json::from_slice(&body).map_err(|error| format!("unexpected answer: {error}"))?;
        Ok((answer, round_trip))
    }
}

/// The host name.
pub(crate) fn hostname() -> String {
    sysinfo::System::host_name().unwrap_or_else(|| "unknown".into())
}

/// The operating system's name (os-release(5)).
pub(crate) fn os() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let pretty = pretty.map(|name| name.trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty());
    pretty.or_else(sysinfo::System::long_os_version).unwrap_or_else(|| std::env::consts::OS.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
