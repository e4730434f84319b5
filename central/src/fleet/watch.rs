//! Watches how every server is: gathers what the parts know of it, and tells the log what begins and ends.
//!
//! Answers and metrics ask for one server at one moment. The log hears of changes: every few seconds all servers are looked at, a
//! trouble that holds at two looks in a row is a warning, and its end is told as well. A state that comes and goes
//! makes one line a minute.

use super::health::{self, Evidence, Reason, ServerHealth, Unauthenticated};
use super::places::Places;
use super::refusals::Refusals;
use super::{Fleet, Pulse};
use crate::time::now_ms;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zonepulse_ingest::{Ingest, pull};
use zonepulse_net::Throttle;
use zonepulse_store::{Error, Server, Store};

/// How often servers are looked at for the log.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Whoever knows something of servers.
pub struct Watch {
    store: Store,
    ingest: Ingest,
    fleet: Arc<Fleet>,
    refusals: Arc<Refusals>,
    pulled: pull::Progress,
    /// Troubles by server. Nothing is locked after it but the lines.
    known: Mutex<BTreeMap<u32, BTreeMap<ServerHealth, Known>>>,
    /// By server, where it is not the central's own fault, and trouble.
    lines: Throttle<(Option<u32>, ServerHealth)>,
}

/// A trouble that was there at the last look.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Since which look, Unix milliseconds.
    since_ms: u64,
    /// Looks.
    looks: u32,
    /// Whether the log has told of it, so that its end is to be told.
    told: bool,
}

/// How a server is at one moment.
pub struct Condition {
    /// Its heartbeats.
    pub pulse: Pulse,
    /// What there is to say where several probes use its token.
    pub conflict: Option<String>,
    /// What holds, the worst first. Empty for a sample, of which no probe sends.
    pub reasons: Vec<Reason>,
}

impl Condition {
    /// The worst that holds.
    pub fn health(&self) -> Option<ServerHealth> {
        self.reasons.first().map(|reason| reason.health)
    }

    /// Whether nothing is wrong, and its probe was heard since the central began.
    pub fn is_good(&self) -> bool {
        matches!(self.health(), Some(ServerHealth::Ok | ServerHealth::Starting)) && self.pulse.requests > 0
    }
}

impl Watch {
    /// Over the parts of a central.
    pub fn new(store: Store, ingest: Ingest, fleet: Arc<Fleet>, refusals: Arc<Refusals>, pulled: pull::Progress) -> Self {
        Watch { store, ingest, fleet, refusals, pulled, known: Mutex::default(), lines: Throttle::default() }
    }

    fn judged(&self, server: &Server, places: &Places, pull_failure: Option<String>, now_ms: u64) -> Result<Condition, Error> {
        let evidence = self.evidence(server, places, pull_failure, now_ms)?;
        let conflict = health::conflict(&evidence).map(|(_, said)| said);
        let mut reasons = if server.sample { Vec::new() } else { health::judge(&evidence, now_ms) };
        let known = self.known();
        let known = known.get(&server.id.get());
        for reason in &mut reasons {
            let seen_ms = known.and_then(|known| known.get(&reason.health)).map(|known| known.since_ms);
            reason.since_ms = reason.since_ms.or(seen_ms);
        }
        Ok(Condition { pulse: evidence.pulse, conflict, reasons })
    }

    fn evidence(&self, server: &Server, places: &Places, pull_failure: Option<String>, now_ms: u64) -> Result<Evidence, Error> {
        let pulse = self.fleet.pulse(server.id.get(), now_ms);
        let refused_at = |address| {
            let recent = self.refusals.probes_at(address, now_ms)?;
            Some(Unauthenticated { address, is_shared: places.is_shared(address), recent })
        };
        Ok(Evidence {
            twins: self.ingest.overlaps(server.id).live,
            delivery: self.ingest.delivery(server.id, now_ms),
            heartbeats: self.refusals.heartbeats_of(server.id.get(), now_ms),
            unauthenticated: places.of(server.id.get()).and_then(refused_at),
            pull_failure,
            enrollment_expires_ms: server.enrollment.as_ref().map(|token| token.expires_ms),
            settings: self.store.registry().effective_settings(server.id)?,
            pulse,
        })
    }

    /// How each server is, removed ones left out.
    pub fn all(&self, now_ms: u64) -> Result<Vec<(Server, Condition)>, Error> {
        self.those(|_| true, now_ms)
    }

    /// The same of those that are wanted.
    pub fn those(&self, wanted: impl Fn(u32) -> bool, now_ms: u64) -> Result<Vec<(Server, Condition)>, Error> {
        let mut failures = self.pulled.statistics().servers;
        let mut servers = self.store.registry().servers()?;
        servers.retain(|server| !server.is_removed());
        // Those that are not wanted may share an address with one that is.
        let places = places(&servers, &self.fleet.places());
        let judged = servers.into_iter().filter(|server| wanted(server.id.get())).map(|server| {
            let condition = self.judged(&server, &places, failures.remove(&server.id).flatten(), now_ms)?;
            Ok((server, condition))
        });
        judged.collect()
    }

    /// Looks at every server, and tells the log what has begun and ended.
    pub fn look(&self, now_ms: u64, now: Instant) -> Result<(), Error> {
        let all = self.all(now_ms)?;
        let mut known = self.known();
        known.retain(|server_id, _| all.iter().any(|(server, _)| server.id.get() == *server_id));
        for (server, condition) in &all {
            let before = known.remove(&server.id.get()).unwrap_or_default();
            let after = self.compare(server, condition, before, (now_ms, now));
            if !after.is_empty() {
                known.insert(server.id.get(), after);
            }
        }
        Ok(())
    }

    /// What is known of a server's troubles after a look.
    fn compare(
        &self,
        server: &Server,
        condition: &Condition,
        mut before: BTreeMap<ServerHealth, Known>,
        (now_ms, now): (u64, Instant),
    ) -> BTreeMap<ServerHealth, Known> {
        let mut after = BTreeMap::new();
        for reason in condition.reasons.iter().filter(|reason| reason.health.is_trouble()) {
            let health = reason.health;
            if after.contains_key(&health) {
                continue;
            }
            let Known { since_ms, looks, told } =
                before.remove(&health).unwrap_or(Known { since_ms: now_ms, looks: 0, told: false });
            let told = told || looks > 0 && self.tell(server, reason, condition, now);
            after.insert(health, Known { since_ms, looks: looks.saturating_add(1), told });
        }
        for (health, Known { since_ms, .. }) in before.into_iter().filter(|(_, known)| known.told) {
            let (server_id, name, for_s) = (server.id.get(), &server.name, now_ms.saturating_sub(since_ms) / 1000);
            let now = condition.health().map_or("sample", ServerHealth::as_str);
            tracing::info!(server_id, server = name, ended = health.as_str(), for_s, health = now, "the server is better");
        }
        after
    }

    /// Whether the log has a line about it now.
    fn tell(&self, server: &Server, reason: &Reason, condition: &Condition, now: Instant) -> bool {
        let (server_id, name, health) = (server.id.get(), &server.name, reason.health);
        // Several probes with one token and lost batches have lines of their own, when they are found.
        if matches!(health, ServerHealth::Conflict | ServerHealth::Lost) {
            return true;
        }
        let of_server = (!reason.of_central).then_some(server_id);
        if self.lines.add((of_server, health), now).is_none() {
            return false;
        }
        let texts = condition.reasons.iter().filter(|other| other.health == health).map(|reason| reason.text.as_str());
        let reason = texts.collect::<Vec<_>>().join("; ");
        tracing::warn!(server_id, server = name, health = health.as_str(), reason, "a server needs attention");
        true
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u32, BTreeMap<ServerHealth, Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks every few seconds, until `shutdown` is ready.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let watch = self.clone();
            match tokio::task::spawn_blocking(move || watch.look(now_ms(), Instant::now())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "how the servers are is not known"),
                Err(error) => tracing::error!(%error, "how the servers are is not known"),
            }
        }
    }
}

/// Where servers are, as far as that is known: where they were heard last, or where they are said to be. A sample is nowhere.
fn places(servers: &[Server], heard: &Places) -> Places {
    let place = |server: &Server| heard.of(server.id.get()).or_else(|| server.address.parse().ok());
    let servers = servers.iter().filter(|server| !server.sample);
    servers.filter_map(|server| Some((server.id.get(), place(server)?))).collect()
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
