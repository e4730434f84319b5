//! Monitors the health of every server: gathers the evidence from the parts of the central, and logs changes.
//!
//! Answers and metrics ask for one server at one moment. The log records changes: every few seconds all servers are
//! checked; a problem present at two consecutive checks is logged as a warning, and its end is logged as well. A
//! flapping state produces one line a minute.

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

/// Interval between the checks for the log.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The parts of the central that know something about servers.
pub struct Watch {
    store: Store,
    ingest: Ingest,
    fleet: Arc<Fleet>,
    refusals: Arc<Refusals>,
    pulled: pull::Progress,
    /// Problems by server. While this is held, only `lines` may be locked.
    known: Mutex<BTreeMap<u32, BTreeMap<ServerHealth, Known>>>,
    /// By problem, and by server unless the central itself is at fault.
    lines: Throttle<(Option<u32>, ServerHealth)>,
}

/// A problem found at the last check.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Time of the check that first found it, Unix milliseconds.
    since_ms: u64,
    /// Number of checks that found it.
    looks: u32,
    /// Whether it was logged, so that its end must be logged, too.
    told: bool,
}

/// The condition of a server at one moment.
pub struct Condition {
    /// Its heartbeats.
    pub pulse: Pulse,
    /// The message for several probes that use its token, if there are.
    pub conflict: Option<String>,
    /// The reasons that apply, worst first. Empty for a sample, which has no probe.
    pub reasons: Vec<Reason>,
}

impl Condition {
    /// The worst health that applies.
    pub fn health(&self) -> Option<ServerHealth> {
        self.reasons.first().map(|reason| reason.health)
    }

    /// Whether nothing is wrong and its probe has been heard from since the central started.
    pub fn is_good(&self) -> bool {
        matches!(self.health(), Some(ServerHealth::Ok | ServerHealth::Starting)) && self.pulse.requests > 0
    }
}

impl Watch {
    /// Built over the parts of a central.
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

    /// The condition of each server, except removed ones.
    pub fn all(&self, now_ms: u64) -> Result<Vec<(Server, Condition)>, Error> {
        self.those(|_| true, now_ms)
    }

    /// Like [`Watch::all`], for selected servers.
    pub fn those(&self, wanted: impl Fn(u32) -> bool, now_ms: u64) -> Result<Vec<(Server, Condition)>, Error> {
        let mut failures = self.pulled.statistics().servers;
        let mut servers = self.store.registry().servers()?;
        servers.retain(|server| !server.is_removed());
        // Servers that are not selected may share an address with one that is.
        let places = places(&servers, &self.fleet.places());
        let judged = servers.into_iter().filter(|server| wanted(server.id.get())).map(|server| {
            let condition = self.judged(&server, &places, failures.remove(&server.id).flatten(), now_ms)?;
            Ok((server, condition))
        });
        judged.collect()
    }

    /// Checks every server, and logs which problems have begun and ended.
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

    /// Updates a server's known problems after a check.
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

    /// Whether the log now has a line about it.
    fn tell(&self, server: &Server, reason: &Reason, condition: &Condition, now: Instant) -> bool {
        let (server_id, name, health) = (server.id.get(), &server.name, reason.health);
        // Several probes with one token and lost batches are logged where they are detected.
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

    /// Checks every few seconds until `shutdown` completes.
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

/// The addresses of servers, as far as known: where they were last heard from, or their configured address. A sample
/// has none.
fn places(servers: &[Server], heard: &Places) -> Places {
    let place = |server: &Server| heard.of(server.id.get()).or_else(|| server.address.parse().ok());
    let servers = servers.iter().filter(|server| !server.sample);
    servers.filter_map(|server| Some((server.id.get(), place(server)?))).collect()
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
