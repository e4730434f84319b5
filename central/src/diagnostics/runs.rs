//! The runs of all servers, and what becomes of them.

use crate::Error;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zonepulse_doctor::{Bundle, BundleError};
use zonepulse_ingest::pull::Diagnosed;
use zonepulse_wire::Heartbeat;

/// How long an order waits for a probe to hear it, milliseconds: several heartbeats.
const HEARD_WITHIN_MS: u64 = 150_000;
/// How long a run may take, milliseconds: longer than a probe takes at most.
const DONE_WITHIN_MS: u64 = 240_000;
/// How long a result is kept, milliseconds.
const KEPT_MS: u64 = 86_400_000;
/// Maximum size of all results, as sent, bytes.
const MOST_BYTES: usize = 64 << 20;

/// The runs of all servers.
#[derive(Debug, Default)]
pub struct Diagnostics {
    runs: Mutex<BTreeMap<u32, Run>>,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its number, which is not used again.
    pub id: u64,
    /// Who requested it.
    pub by: String,
    /// When, Unix milliseconds.
    pub requested_ms: u64,
    /// When the probe first got the order, Unix milliseconds.
    pub running_ms: Option<u64>,
    /// When it ended, Unix milliseconds.
    pub ended_ms: Option<u64>,
    /// How far it is.
    pub state: State,
    /// Why it ended without a result.
    pub detail: Option<String>,
    /// The version of the probe, as far as it is known.
    pub probe_version: Option<String>,
    /// The result.
    pub bundle: Option<Arc<Bundle>>,
    /// The size of the result as it was sent, bytes.
    size_bytes: usize,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The probe has not got the order yet.
    Requested,
    /// The probe has the order.
    Running,
    /// The result is here.
    Done,
    /// The probe cannot hand over a result.
    Failed,
    /// No result came in time, or it is no longer kept.
    Expired,
    /// The probe is of a version that does not know the order.
    Unsupported,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] =
        [State::Requested, State::Running, State::Done, State::Failed, State::Expired, State::Unsupported];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Requested => "requested",
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::Expired => "expired",
            State::Unsupported => "unsupported",
        }
    }

    /// Whether there may still be a result.
    pub const fn is_open(self) -> bool {
        matches!(self, State::Requested | State::Running)
    }
}

/// Why a result is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Unwanted {
    /// Nobody waits for it.
    #[error("run {0} of the diagnostics is not expected: it was not ordered, has expired, or has a result")]
    Run(u64),
    /// It cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl Diagnostics {
    /// Begins a run, unless one is under way. `last` is the last heartbeat of the server, if there was one.
    pub fn begin(&self, server_id: u32, by: &str, last: Option<Heartbeat>, now_ms: u64) -> Result<Run, Error> {
        let mut runs = self.lock();
        let before = runs.get_mut(&server_id);
        if let Some(run) = before {
            run.expire(now_ms);
            if run.state.is_open() {
                let what = format!("run {} of the diagnostics of this server is under way: wait for its end", run.id);
                return Err(Error::Conflict(what));
            }
        }
        let newest = runs.values().map(|run| run.id).max().unwrap_or(0);
        let mut run = Run {
            id: now_ms.max(newest + 1),
            by: by.to_owned(),
            requested_ms: now_ms,
            running_ms: None,
            ended_ms: None,
            state: State::Requested,
            detail: None,
            probe_version: last.as_ref().map(|last| last.probe_version.clone()),
            bundle: None,
            size_bytes: 0,
        };
        if let Some(last) = last.filter(|last| !last.diagnoses) {
            run.is_unsupported(&last.probe_version, now_ms);
        }
        runs.insert(server_id, run.clone());
        Ok(run)
    }

    /// The last run of a server.
    pub fn find(&self, server_id: u32, now_ms: u64) -> Option<Run> {
        let mut runs = self.lock();
        let run = runs.get_mut(&server_id)?;
        run.expire(now_ms);
        Some(run.clone())
    }

    /// The order for a probe that sent this heartbeat, if there is one.
    pub fn order(&self, server_id: u32, heartbeat: &Heartbeat, now_ms: u64) -> Option<u64> {
        let mut runs = self.lock();
        let run = runs.get_mut(&server_id)?;
        run.expire(now_ms);
        if !run.state.is_open() {
            return None;
        }
        if !heartbeat.diagnoses {
            run.is_unsupported(&heartbeat.probe_version, now_ms);
            return None;
        }
        run.probe_version = Some(heartbeat.probe_version.clone());
        run.is_running(now_ms);
        Some(run.id)
    }

    /// The run to ask a probe for that is pulled from.
    pub fn to_pull(&self, server_id: u32, now_ms: u64) -> Option<u64> {
        let run = self.find(server_id, now_ms)?;
        run.state.is_open().then_some(run.id)
    }

    /// Records what a probe that is pulled from answered.
    pub fn pulled(&self, server_id: u32, id: u64, diagnosed: Diagnosed, now_ms: u64) {
        if let Diagnosed::Result(bytes) = diagnosed {
            if let Err(error) = self.receive(server_id, id, &bytes, now_ms) {
                tracing::warn!(server_id, run = id, %error, "the result of diagnostics was refused");
            }
            return;
        }
        let mut runs = self.lock();
        let Some(run) = runs.get_mut(&server_id).filter(|run| run.id == id && run.state.is_open()) else { return };
        match diagnosed {
            Diagnosed::Unknown => {
                let version = run.probe_version.clone().unwrap_or_default();
                run.is_unsupported(&version, now_ms);
            }
            Diagnosed::Running | Diagnosed::Result(_) => run.is_running(now_ms),
        }
    }

    /// Records the result that a probe sent.
    pub fn receive(&self, server_id: u32, id: u64, bytes: &[u8], now_ms: u64) -> Result<(), Unwanted> {
        let is_expected = |runs: &BTreeMap<u32, Run>| runs.get(&server_id).is_some_and(|run| run.id == id && run.state.is_open());
        if !is_expected(&self.lock()) {
            return Err(Unwanted::Run(id));
        }
        // Without the lock: it takes a while.
        let bundle = Bundle::decode(bytes);
        let mut runs = self.lock();
        let Some(run) = runs.get_mut(&server_id).filter(|run| run.id == id && run.state.is_open()) else {
            return Err(Unwanted::Run(id));
        };
        match bundle {
            Ok(bundle) => {
                run.end(State::Done, None, now_ms);
                (run.bundle, run.size_bytes) = (Some(Arc::new(bundle)), bytes.len());
                make_room(&mut runs, server_id);
                Ok(())
            }
            Err(error) => {
                run.end(State::Failed, Some(format!("the probe's result is not acceptable: {error}")), now_ms);
                Err(error.into())
            }
        }
    }

    /// Records that a result was refused before it was read.
    pub fn refuse(&self, server_id: u32, id: u64, why: &str, now_ms: u64) {
        let mut runs = self.lock();
        if let Some(run) = runs.get_mut(&server_id).filter(|run| run.id == id && run.state.is_open()) {
            run.end(State::Failed, Some(format!("the probe's result is not acceptable: {why}")), now_ms);
        }
    }

    /// Forgets a removed server.
    pub fn forget(&self, server_id: u32) {
        self.lock().remove(&server_id);
    }

    /// The guarded data is consistent after every statement.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the oldest results until there is room; not that of this server.
fn make_room(runs: &mut BTreeMap<u32, Run>, but: u32) {
    let total = |runs: &BTreeMap<u32, Run>| runs.values().map(|run| run.size_bytes).sum::<usize>();
    while total(runs) > MOST_BYTES {
        let held = runs.iter_mut().filter(|(id, run)| **id != but && run.bundle.is_some());
        let Some((_, oldest)) = held.min_by_key(|(_, run)| run.ended_ms) else { return };
        oldest.drop_result("its result made room for newer ones");
    }
}

impl Run {
    fn is_running(&mut self, now_ms: u64) {
        self.state = State::Running;
        self.running_ms.get_or_insert(now_ms);
    }

    fn is_unsupported(&mut self, version: &str, now_ms: u64) {
        let what =
            format!("the probe, of version {version}, does not know this order: update it, or run zonepulse-probe doctor there");
        self.end(State::Unsupported, Some(what), now_ms);
    }

    fn end(&mut self, state: State, detail: Option<String>, now_ms: u64) {
        (self.state, self.detail, self.ended_ms) = (state, detail, Some(now_ms));
    }

    fn drop_result(&mut self, why: &str) {
        (self.state, self.detail) = (State::Expired, Some(why.to_owned()));
        (self.bundle, self.size_bytes) = (None, 0);
    }

    /// Ends it if it has waited for too long.
    fn expire(&mut self, now_ms: u64) {
        let age_ms = |since_ms: Option<u64>| now_ms.saturating_sub(since_ms.unwrap_or(self.requested_ms));
        match self.state {
            State::Requested if age_ms(None) > HEARD_WITHIN_MS => {
                let what = "the probe did not hear the order: no heartbeat arrived, and it could not be asked; is it running?";
                self.end(State::Expired, Some(what.to_owned()), now_ms);
            }
            State::Running if age_ms(self.running_ms) > DONE_WITHIN_MS => {
                let what = "the probe has the order, and its result did not arrive; see the probe's log";
                self.end(State::Expired, Some(what.to_owned()), now_ms);
            }
            State::Done if age_ms(self.ended_ms) > KEPT_MS => self.drop_result("results are kept for a day"),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
