//! What was heard of the servers: their heartbeats of the last two minutes.
//!
//! In memory, a bounded number for each server that has a token. The last one of
//! each is written to the store now and then, without waiting for the disk, so that
//! after a restart the central still knows who was there when; what is lost of
//! that in a crash is heard anew half a minute later.

pub mod health;
pub mod places;
pub mod refusals;
pub mod watch;

use places::Places;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_model::ServerId;
use zonepulse_store::Store;
use zonepulse_wire::heartbeat::HEARTBEAT_INTERVAL_S;
use zonepulse_wire::{Heartbeat, SpoolState, State};

/// Heartbeats are counted over this time, milliseconds.
pub const WINDOW_MS: u64 = 120_000;
/// A probe sends one so often, milliseconds.
const EVERY_MS: u64 = HEARTBEAT_INTERVAL_S as u64 * 1000;
/// A heartbeat that is late by no more is not missing, milliseconds: probes ask other programs before they send one.
const GRACE_MS: u64 = 5000;
/// A heartbeat is missing when so much time has passed since the one before, milliseconds.
pub const LATE_MS: u64 = EVERY_MS + GRACE_MS;
/// So many come in that time when all is well.
const ALL: usize = (WINDOW_MS / EVERY_MS) as usize + 1;
/// So many of one server are counted at most.
const MOST: usize = 64;
/// What was waiting in a server's spool is remembered of so many heartbeats: ten minutes, two of the longest intervals.
const MOST_WAITING: usize = 21;
/// Probes of one server that are told apart at most; the one that was heard longest ago is forgotten.
const MOST_PROBES: usize = 8;
/// The log says again that there are two after this, milliseconds.
const LOG_AFTER_MS: u64 = 60_000;
/// A server's last heartbeat is written down again after so long, milliseconds.
const WRITE_AFTER_MS: u64 = 60_000;

/// The heartbeats of all servers.
pub struct Fleet {
    store: Store,
    /// When the central began to listen, Unix milliseconds.
    began_ms: u64,
    heard: Mutex<BTreeMap<u32, Heard>>,
}

/// What was heard of one server.
#[derive(Debug, Default)]
struct Heard {
    /// When heartbeats arrived, the oldest first.
    recent: VecDeque<u64>,
    last: Option<Last>,
    /// What was waiting in the spool, the oldest first.
    waiting: VecDeque<Waiting>,
    /// Who sent them.
    probes: Vec<Probe>,
    /// When the log said that there are two.
    logged_ms: u64,
    /// When the last one was written down.
    written_ms: u64,
}

/// A run of a probe that sent heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// When it began, in the numbering of its batches.
    pub epoch: u64,
    /// The name of its machine.
    pub hostname: String,
    /// Where its heartbeats come from; none where the central fetched them.
    pub address: Option<IpAddr>,
    /// When the first one of those arrived, Unix milliseconds.
    first_ms: u64,
    /// When the last one did.
    pub last_ms: u64,
}

impl Probe {
    /// Whether both were heard while the other one was: a run that follows another one is heard after it.
    fn is_beside(&self, other: &Probe) -> bool {
        self.epoch != other.epoch && self.first_ms < other.last_ms && other.first_ms < self.last_ms
    }
}

/// The last heartbeat of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// When it arrived, Unix milliseconds.
    pub received_ms: u64,
    /// What it said.
    pub heartbeat: Heartbeat,
    /// Where it came from; none where the central fetched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What was waiting in a spool when a heartbeat came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When it came, Unix milliseconds.
    pub at_ms: u64,
    /// Batches that were not confirmed.
    pub batches: u64,
    /// Their size, bytes.
    pub size_bytes: u64,
}

/// How a server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Heartbeats in the last two minutes.
    pub requests: usize,
    /// The same, and those that would be among them had they come without delay.
    pub in_time: usize,
    /// The last one, however old.
    pub last: Option<Last>,
    /// Probes that use the server's token at the same time, where there are several.
    pub several: Vec<Probe>,
    /// Runs of probes that were heard in the last two minutes, beside each other or one after the other.
    pub runs: usize,
    /// Since when heartbeats can have come: the later of the probe's start and the central's, Unix milliseconds.
    pub since_ms: u64,
    /// Whether that is the central's.
    pub is_since_central: bool,
    /// Heartbeats that should have come in the last two minutes, or since then.
    pub expected: usize,
    /// What was waiting in the spool at the last heartbeats, the oldest first.
    pub waiting: Vec<Waiting>,
}

impl Pulse {
    /// Whether heartbeats come as they should: one may be late.
    pub fn is_regular(&self) -> bool {
        self.last.is_some() && self.in_time + 1 >= self.expected
    }

    /// Whether so little time has passed that fewer than all heartbeats are all that can have come.
    pub fn is_starting(&self) -> bool {
        self.last.is_some() && self.expected < ALL
    }

    /// Whether anything was heard of it in the last two minutes.
    pub fn state(&self) -> State {
        if self.requests > 0 { State::Running } else { State::Stopped }
    }
}

impl Last {
    /// When the probe began by the central's clock, Unix milliseconds.
    fn began_ms(&self) -> u64 {
        self.received_ms.saturating_sub(self.heartbeat.uptime_s.saturating_mul(1000))
    }
}

impl Fleet {
    /// With what the store remembers, of a central that begins at this time.
    pub fn new(store: Store, began_ms: u64) -> Result<Self, zonepulse_store::Error> {
        let mut heard = BTreeMap::new();
        for (server_id, value) in store.registry().seen()? {
            // What another version wrote and this one cannot read is heard anew.
            let last: Option<Last> = serde_json::from_value(value).ok();
            let written_ms = last.as_ref().map_or(0, |last| last.received_ms);
            heard.insert(server_id.get(), Heard { last, written_ms, ..Heard::default() });
        }
        Ok(Fleet { store, began_ms, heard: Mutex::new(heard) })
    }

    /// Takes a heartbeat of a server that is known, from an address. Blocks for a moment when it writes.
    pub fn hear(
        &self,
        server_id: u32,
        heartbeat: Heartbeat,
        address: Option<IpAddr>,
        received_ms: u64,
    ) -> Result<(), zonepulse_store::Error> {
        let last = Last { received_ms, heartbeat, address };
        let write = {
            let mut all = self.lock();
            let heard = all.entry(server_id).or_default();
            heard.drop_old(received_ms);
            if heard.recent.len() >= MOST {
                heard.recent.pop_front();
            }
            heard.recent.push_back(received_ms);
            heard.hear(&last.heartbeat, address, received_ms);
            heard.wait(&last);
            heard.warn(server_id, received_ms);
            let write = received_ms.abs_diff(heard.written_ms) >= WRITE_AFTER_MS;
            heard.written_ms = if write { received_ms } else { heard.written_ms };
            heard.last = Some(last.clone());
            write
        };
        if write {
            self.write(server_id, &last)?;
        }
        Ok(())
    }

    /// How a server is at this time.
    pub fn pulse(&self, server_id: u32, now_ms: u64) -> Pulse {
        let mut all = self.lock();
        let Some(heard) = all.get_mut(&server_id) else { return Pulse::default() };
        heard.drop_old(now_ms);
        let last = heard.last.clone();
        let probe_ms = last.as_ref().map_or(0, Last::began_ms);
        let since_ms = self.began_ms.max(probe_ms);
        let passed = now_ms.saturating_sub(since_ms).saturating_sub(GRACE_MS) / EVERY_MS;
        let requests = heard.recent.iter().filter(|received_ms| now_ms.abs_diff(**received_ms) < WINDOW_MS).count();
        Pulse {
            requests,
            in_time: heard.recent.len(),
            last,
            several: heard.several(),
            runs: heard.probes.len(),
            since_ms,
            is_since_central: self.began_ms >= probe_ms,
            expected: usize::try_from(passed).unwrap_or(ALL).saturating_add(1).min(ALL),
            waiting: heard.waiting.iter().copied().collect(),
        }
    }

    /// Where the last heartbeats of each server came from.
    pub fn places(&self) -> Places {
        let at = |(server_id, heard): (&u32, &Heard)| Some((*server_id, heard.last.as_ref()?.address?));
        self.lock().iter().filter_map(at).collect()
    }

    /// A server was removed.
    pub fn forget(&self, server_id: u32) {
        self.lock().remove(&server_id);
    }

    /// Writes down the last heartbeat of every server.
    pub fn write_all(&self) -> Result<(), zonepulse_store::Error> {
        let all: Vec<(u32, Last)> =
            self.lock().iter().filter_map(|(server_id, heard)| Some((*server_id, heard.last.clone()?))).collect();
        all.iter().try_for_each(|(server_id, last)| self.write(*server_id, last))
    }

    fn write(&self, server_id: u32, last: &Last) -> Result<(), zonepulse_store::Error> {
        match serde_json::to_value(last) {
            Ok(value) => self.store.registry().put_seen(ServerId::new(server_id), &value),
            Err(error) => {
                tracing::error!(server_id, %error, "a heartbeat cannot be written down");
                Ok(())
            }
        }
    }

    /// What this guards is whole after every statement.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// A clock that was set back makes what it called the future old, too.
    fn drop_old(&mut self, now_ms: u64) {
        self.recent.retain(|received_ms| now_ms.abs_diff(*received_ms) < WINDOW_MS + GRACE_MS);
        self.probes.retain(|probe| now_ms.abs_diff(probe.last_ms) < WINDOW_MS);
    }

    /// A heartbeat says what is waiting.
    fn wait(&mut self, last: &Last) {
        let SpoolState { batches, size_bytes } = last.heartbeat.spool;
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { at_ms: last.received_ms, batches, size_bytes });
    }

    /// A run of a probe was heard.
    fn hear(&mut self, heartbeat: &Heartbeat, address: Option<IpAddr>, received_ms: u64) {
        let Heartbeat { epoch, hostname, .. } = heartbeat;
        if let Some(known) = self.probes.iter_mut().find(|probe| probe.epoch == *epoch) {
            hostname.clone_into(&mut known.hostname);
            (known.address, known.last_ms) = (address, received_ms);
            return;
        }
        if self.probes.len() >= MOST_PROBES
            && let Some(oldest) = (0..self.probes.len()).min_by_key(|at| self.probes.get(*at).map(|probe| probe.last_ms))
        {
            self.probes.swap_remove(oldest);
        }
        let (epoch, hostname) = (*epoch, hostname.clone());
        self.probes.push(Probe { epoch, hostname, address, first_ms: received_ms, last_ms: received_ms });
    }

    /// Those that were heard beside another one, the one that began first before the others.
    fn several(&self) -> Vec<Probe> {
        let beside = |probe: &&Probe| self.probes.iter().any(|other| probe.is_beside(other));
        let mut several: Vec<Probe> = self.probes.iter().filter(beside).cloned().collect();
        several.sort_by_key(|probe| probe.epoch);
        several
    }

    fn warn(&mut self, server_id: u32, now_ms: u64) {
        let several = self.several();
        if several.is_empty() || now_ms.abs_diff(self.logged_ms) < LOG_AFTER_MS {
            return;
        }
        self.logged_ms = now_ms;
        tracing::warn!(server_id, "{}; give each a server of its own", conflict(&several));
    }
}

/// What there is to say of several probes that use one token.
pub fn conflict(several: &[Probe]) -> String {
    let each = several.iter().map(|probe| match probe.address {
        Some(address) => format!("{} ({address})", probe.hostname),
        None => probe.hostname.clone(),
    });
    let count = if several.len() == 2 { "two".to_owned() } else { several.len().to_string() };
    format!("{count} probes use this server's token: {}", each.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
pub mod tests;
