//! What was heard of the servers: their heartbeats of the last two minutes.
//!
//! In memory, a bounded number for each server that has a token. The last one of
//! each is written to the store now and then, without waiting for the disk, so that
//! after a restart the central still knows who was there when; what is lost of
//! that in a crash is heard anew half a minute later.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_ingest::fleet::{HEARTBEAT_INTERVAL_S, Heartbeat, SpoolState, State};
use zonepulse_store::Store;

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
            heard.insert(server_id, Heard { last, written_ms, ..Heard::default() });
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

    /// Where the last heartbeats came from, by server.
    pub fn addresses(&self) -> BTreeMap<u32, IpAddr> {
        self.lock().iter().filter_map(|(server_id, heard)| Some((*server_id, heard.last.as_ref()?.address?))).collect()
    }

    /// The server whose probe was last heard from this address, where there is just one.
    pub fn only_at(&self, address: IpAddr) -> Option<u32> {
        let address = address.to_canonical();
        let all = self.lock();
        let is_there =
            |heard: &Heard| heard.last.as_ref().and_then(|last| last.address).is_some_and(|at| at.to_canonical() == address);
        let mut there = all.iter().filter(|(_, heard)| is_there(heard)).map(|(server_id, _)| *server_id);
        there.next().filter(|_| there.next().is_none())
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
            Ok(value) => self.store.registry().put_seen(server_id, &value),
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
pub mod tests {
    use super::*;
    use zonepulse_ingest::fleet::{CaptureState, Component, Components};
    use zonepulse_store::Options;

    /// A heartbeat of a healthy probe, made at this time.
    pub fn heartbeat(sent_at_ms: u64) -> Heartbeat {
        let knot = Component {
            state: State::Running,
            version: Some("3.4.6".to_owned()),
            name: Some("knotd".to_owned()),
            identity: Some("ns1".to_owned()),
        };
        Heartbeat {
            sent_at_ms,
            epoch: 7,
            probe_version: "0.1.0".to_owned(),
            uptime_s: 60,
            hostname: "ns1".to_owned(),
            os: "Debian GNU/Linux 13".to_owned(),
            settings_version: Some(3),
            settings_refused: None,
            components: Components { dns: Some(knot), ..Components::default() },
            capture: CaptureState { state: State::Running, detail: None, blind: Vec::new() },
            spool: SpoolState { batches: 1, size_bytes: 100 },
        }
    }

    fn fleet() -> (tempfile::TempDir, Store, Fleet) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        store.registry().add_server("ns1", false, String::new(), 0).unwrap();
        let fleet = Fleet::new(store.clone(), 1_000_000).unwrap();
        (dir, store, fleet)
    }

    #[test]
    fn heartbeats_of_the_last_two_minutes_count() {
        let (_dir, _store, fleet) = fleet();
        assert_eq!(fleet.pulse(1, 1_000_000), Pulse::default());
        for n in 0..6 {
            fleet.hear(1, heartbeat(0), None, 1_000_000 + n * 30_000).unwrap();
        }
        let pulse = fleet.pulse(1, 1_150_000);
        assert_eq!((pulse.requests, pulse.state()), (4, State::Running));
        assert_eq!(fleet.pulse(1, 1_150_000 + WINDOW_MS - 1).requests, 1);
        let late = fleet.pulse(1, 1_150_000 + WINDOW_MS);
        assert_eq!((late.requests, late.state(), late.last.unwrap().received_ms), (0, State::Stopped, 1_150_000));
    }

    /// What is expected of a probe that began at this second and was heard at these, and whether it is regular and starting.
    fn expected(fleet: &Fleet, began_s: u64, heard_s: &[u64], now_s: u64) -> (usize, bool, bool) {
        for at_s in heard_s {
            let heartbeat = Heartbeat { uptime_s: at_s - began_s, ..heartbeat(0) };
            fleet.hear(1, heartbeat, None, 1_000_000 + at_s * 1000).unwrap();
        }
        let pulse = fleet.pulse(1, 1_000_000 + now_s * 1000);
        (pulse.expected, pulse.is_regular(), pulse.is_starting())
    }

    #[test]
    fn a_probe_that_has_just_begun_is_expected_to_have_sent_what_it_can() {
        let (_dir, _store, fleet) = fleet();
        assert_eq!(expected(&fleet, 1000, &[1000], 1001), (1, true, true));
        assert_eq!(expected(&fleet, 1000, &[1030], 1059), (2, true, true));
        assert_eq!(expected(&fleet, 1000, &[1060, 1090], 1119), (4, true, true));
        assert_eq!(expected(&fleet, 1000, &[1120], 1126), (5, true, false));
    }

    #[test]
    fn a_probe_that_falls_silent_after_its_start_is_not_regular() {
        let (_dir, _store, fleet) = fleet();
        assert_eq!(expected(&fleet, 1000, &[1000], 1064), (2, true, true));
        assert_eq!(expected(&fleet, 1000, &[], 1065), (3, false, true));
        assert_eq!(expected(&fleet, 1000, &[], 9000), (5, false, false));
    }

    #[test]
    fn a_central_that_has_just_begun_expects_what_can_have_come_since() {
        let (_dir, store, before) = fleet();
        before.hear(1, Heartbeat { uptime_s: 900_000, ..heartbeat(0) }, None, 1_000_000).unwrap();
        let fleet = Fleet::new(store, 2_000_000).unwrap();
        let at = |now_s: u64| {
            let pulse = fleet.pulse(1, 2_000_000 + now_s * 1000);
            (pulse.expected, pulse.is_regular(), pulse.is_starting())
        };
        assert_eq!((at(0), at(34), at(35)), ((1, true, true), (1, true, true), (2, false, true)));
        fleet.hear(1, Heartbeat { uptime_s: 901_035, ..heartbeat(0) }, None, 2_035_000).unwrap();
        assert_eq!(at(36), (2, true, true));
    }

    #[test]
    fn a_server_that_was_never_heard_is_neither_regular_nor_starting() {
        let (_dir, _store, fleet) = fleet();
        let pulse = fleet.pulse(1, 1_000_001);
        assert!(!pulse.is_regular() && !pulse.is_starting());
    }

    #[test]
    fn a_flood_of_heartbeats_takes_no_memory() {
        let (_dir, _store, fleet) = fleet();
        (0..1000).for_each(|n| fleet.hear(1, heartbeat(0), None, 1_000_000 + n).unwrap());
        let pulse = fleet.pulse(1, 1_001_000);
        assert_eq!((pulse.requests, pulse.waiting.len()), (MOST, MOST_WAITING));
    }

    #[test]
    fn an_address_tells_the_server_unless_several_are_there() {
        let (_dir, store, fleet) = fleet();
        for name in ["ns2", "ns3"] {
            store.registry().add_server(name, false, String::new(), 0).unwrap();
        }
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        for (server_id, last) in [(1, 1), (2, 2), (3, 2)] {
            fleet.hear(server_id, heartbeat(0), Some(address(last)), 1_000_000).unwrap();
        }
        assert_eq!([1, 2, 3].map(|last| fleet.only_at(address(last))), [Some(1), None, None]);
    }

    /// Heartbeats of runs of probes, each at a second.
    fn heard(fleet: &Fleet, all: &[(u64, u64)]) {
        for (epoch, at_s) in all {
            let heartbeat = Heartbeat { epoch: *epoch, hostname: format!("ns{epoch}"), ..heartbeat(0) };
            let address = IpAddr::from([192, 0, 2, *epoch as u8]);
            fleet.hear(1, heartbeat, Some(address), 1_000_000 + at_s * 1000).unwrap();
        }
    }

    fn several(fleet: &Fleet, at_s: u64) -> Vec<u64> {
        fleet.pulse(1, 1_000_000 + at_s * 1000).several.iter().map(|probe| probe.epoch).collect()
    }

    #[test]
    fn two_probes_with_one_token_are_told_apart_and_named() {
        let (_dir, _store, fleet) = fleet();
        heard(&fleet, &[(2, 0), (1, 10)]);
        assert_eq!(several(&fleet, 10), [0; 0], "the one may have replaced the other");
        heard(&fleet, &[(2, 30)]);
        assert_eq!(several(&fleet, 31), [1, 2]);
        heard(&fleet, &[(1, 40), (2, 60), (1, 70), (2, 90), (1, 100)]);
        let pulse = fleet.pulse(1, 1_101_000);
        assert_eq!(pulse.requests, 8);
        let said = conflict(&pulse.several);
        assert_eq!(said, "two probes use this server's token: ns1 (192.0.2.1), ns2 (192.0.2.2)");
    }

    #[test]
    fn they_are_two_until_one_was_silent_for_two_minutes() {
        let (_dir, _store, fleet) = fleet();
        heard(&fleet, &[(1, 0), (2, 10), (1, 30), (1, 60), (1, 90), (1, 120)]);
        assert_eq!(several(&fleet, 129), [1, 2]);
        assert_eq!(several(&fleet, 130), [0; 0]);
    }

    #[test]
    fn a_probe_that_is_started_again_and_again_is_one() {
        let (_dir, _store, fleet) = fleet();
        heard(&fleet, &[(1, 0), (1, 30), (2, 35), (3, 40), (3, 70), (4, 71)]);
        assert_eq!(several(&fleet, 72), [0; 0]);
    }

    #[test]
    fn probes_without_number_take_no_memory() {
        let (_dir, _store, fleet) = fleet();
        (0..1000).for_each(|epoch| heard(&fleet, &[(epoch, 0)]));
        assert_eq!(fleet.lock().get(&1).unwrap().probes.len(), MOST_PROBES);
    }

    #[test]
    fn after_a_restart_it_is_known_who_was_there() {
        let (_dir, store, fleet) = fleet();
        fleet.hear(1, heartbeat(5), None, 1_000_000).unwrap();
        fleet.hear(1, heartbeat(6), None, 1_030_000).unwrap();
        let seen = |store: &Store| Fleet::new(store.clone(), 1_040_000).unwrap().pulse(1, 1_040_000).last.unwrap().received_ms;
        assert_eq!(seen(&store), 1_000_000, "written once a minute");
        fleet.write_all().unwrap();
        assert_eq!(seen(&store), 1_030_000);
        let pulse = Fleet::new(store, 1_040_000).unwrap().pulse(1, 1_040_000);
        assert_eq!((pulse.requests, pulse.state()), (0, State::Stopped), "what was counted is not remembered");
    }

    #[test]
    fn a_server_that_is_gone_is_forgotten() {
        let (_dir, store, fleet) = fleet();
        fleet.hear(1, heartbeat(5), None, 1_000_000).unwrap();
        store.registry().remove_server(1, 1, false).unwrap();
        fleet.forget(1);
        assert_eq!(fleet.pulse(1, 1_000_001), Pulse::default());
        fleet.write_all().unwrap();
        assert_eq!(store.registry().seen().unwrap(), []);
    }
}
