//! Heartbeats received from the servers in the last two minutes.
//!
//! Kept in memory, bounded per server that has a token. The last heartbeat of each is written to the store from time to
//! time, without waiting for the disk, so that after a restart the central still knows when it last heard from whom;
//! anything lost in a crash is replaced by new heartbeats half a minute later.

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

/// The window over which heartbeats are counted, milliseconds.
pub const WINDOW_MS: u64 = 120_000;
/// Interval between a probe's heartbeats, milliseconds.
const EVERY_MS: u64 = HEARTBEAT_INTERVAL_S as u64 * 1000;
/// Grace period before a late heartbeat counts as missing, milliseconds: probes run other programs before sending one.
const GRACE_MS: u64 = 5000;
/// Time after the previous heartbeat at which the next counts as missing, milliseconds.
pub const LATE_MS: u64 = EVERY_MS + GRACE_MS;
/// Number of heartbeats in the window when all is well.
const ALL: usize = (WINDOW_MS / EVERY_MS) as usize + 1;
/// Maximum number of heartbeats counted per server.
const MOST: usize = 64;
/// Number of heartbeats for which the spool size is remembered: ten minutes, or two of the longest intervals.
const MOST_WAITING: usize = 21;
/// Maximum number of probes distinguished per server; the one heard from longest ago is dropped.
const MOST_PROBES: usize = 8;
/// How often the log repeats that there are two probes, milliseconds.
const LOG_AFTER_MS: u64 = 60_000;
/// How often a server's last heartbeat is written to the store, milliseconds.
const WRITE_AFTER_MS: u64 = 60_000;

/// The heartbeats of all servers.
pub struct Fleet {
    store: Store,
    /// When the central started listening, Unix milliseconds.
    began_ms: u64,
    heard: Mutex<BTreeMap<u32, Heard>>,
}

/// What was heard from one server.
#[derive(Debug, Default)]
struct Heard {
    /// Arrival times of heartbeats, oldest first.
    recent: VecDeque<u64>,
    last: Option<Last>,
    /// Spool sizes, oldest first.
    waiting: VecDeque<Waiting>,
    /// The probes that sent them.
    probes: Vec<Probe>,
    /// When the log last reported two probes.
    logged_ms: u64,
    /// When the last heartbeat was last written to the store.
    written_ms: u64,
}

/// A run of a probe that sent heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// When the run began, in the numbering of its batches.
    pub epoch: u64,
    /// The hostname of its machine.
    pub hostname: String,
    /// The source address of its heartbeats; `None` if the central fetched them.
    pub address: Option<IpAddr>,
    /// When its first heartbeat arrived, Unix milliseconds.
    first_ms: u64,
    /// When its last heartbeat arrived, Unix milliseconds.
    pub last_ms: u64,
}

impl Probe {
    /// Whether the two runs overlap: a run that merely follows another is heard only after it.
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
    /// Its source address; `None` if the central fetched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// The backlog in a spool when a heartbeat arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When the heartbeat arrived, Unix milliseconds.
    pub at_ms: u64,
    /// Unconfirmed batches.
    pub batches: u64,
    /// Their size, bytes.
    pub size_bytes: u64,
}

/// State of a server's heartbeats.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Heartbeats in the last two minutes.
    pub requests: usize,
    /// The same, plus those that would count had they not been delayed.
    pub in_time: usize,
    /// The last one, however old.
    pub last: Option<Last>,
    /// Probes that use the server's token at the same time, if there are several.
    pub several: Vec<Probe>,
    /// Runs of probes heard in the last two minutes, overlapping or consecutive.
    pub runs: usize,
    /// The time from which heartbeats are expected: the later of the probe's start and the central's, Unix
    /// milliseconds.
    pub since_ms: u64,
    /// Whether that is the central's start.
    pub is_since_central: bool,
    /// Heartbeats expected in the last two minutes, or since that start.
    pub expected: usize,
    /// The backlog in the spool at the last heartbeats, oldest first.
    pub waiting: Vec<Waiting>,
}

impl Pulse {
    /// Whether heartbeats arrive as expected: one may be late.
    pub fn is_regular(&self) -> bool {
        self.last.is_some() && self.in_time + 1 >= self.expected
    }

    /// Whether too little time has passed for the full number of heartbeats.
    pub fn is_starting(&self) -> bool {
        self.last.is_some() && self.expected < ALL
    }

    /// Whether the server was heard from in the last two minutes.
    pub fn state(&self) -> State {
        if self.requests > 0 { State::Running } else { State::Stopped }
    }
}

impl Last {
    /// When the probe started, by the central's clock, Unix milliseconds.
    fn began_ms(&self) -> u64 {
        self.received_ms.saturating_sub(self.heartbeat.uptime_s.saturating_mul(1000))
    }
}

impl Fleet {
    /// Restores what the store remembers, for a central that starts at this time.
    pub fn new(store: Store, began_ms: u64) -> Result<Self, zonepulse_store::Error> {
        let mut heard = BTreeMap::new();
        for (server_id, value) in store.registry().seen()? {
            // A value that another version wrote and this one cannot read is replaced by the next heartbeat.
            let last: Option<Last> = serde_json::from_value(value).ok();
            let written_ms = last.as_ref().map_or(0, |last| last.received_ms);
            heard.insert(server_id.get(), Heard { last, written_ms, ..Heard::default() });
        }
        Ok(Fleet { store, began_ms, heard: Mutex::new(heard) })
    }

    /// Records a heartbeat of a known server. Blocks briefly when it writes to the store.
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

    /// The state of a server's heartbeats at this time.
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

    /// The source addresses of each server's last heartbeats.
    pub fn places(&self) -> Places {
        let at = |(server_id, heard): (&u32, &Heard)| Some((*server_id, heard.last.as_ref()?.address?));
        self.lock().iter().filter_map(at).collect()
    }

    /// Forgets a removed server.
    pub fn forget(&self, server_id: u32) {
        self.lock().remove(&server_id);
    }

    /// Writes the last heartbeat of every server to the store.
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

    /// The guarded data is consistent after every statement.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// If the clock was set back, entries from what is now the future are dropped, too.
    fn drop_old(&mut self, now_ms: u64) {
        self.recent.retain(|received_ms| now_ms.abs_diff(*received_ms) < WINDOW_MS + GRACE_MS);
        self.probes.retain(|probe| now_ms.abs_diff(probe.last_ms) < WINDOW_MS);
    }

    /// Records the backlog that a heartbeat reports.
    fn wait(&mut self, last: &Last) {
        let SpoolState { batches, size_bytes } = last.heartbeat.spool;
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { at_ms: last.received_ms, batches, size_bytes });
    }

    /// Records a heartbeat from a run of a probe.
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

    /// Probes that overlap with another one, in order of their start.
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

/// The message for several probes that use one token.
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
