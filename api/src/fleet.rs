//! What was heard of the servers: their heartbeats of the last two minutes.
//!
//! In memory, a bounded number for each server that has a token. The last one of
//! each is written to the store now and then, without waiting for the disk, so that
//! after a restart the central still knows who was there when; what is lost of
//! that in a crash is heard anew half a minute later.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_ingest::fleet::{Heartbeat, State};
use zonepulse_store::Store;

/// Heartbeats are counted over this time, milliseconds.
pub const WINDOW_MS: u64 = 120_000;
/// So many in that time are good: one in 30 s, and one may be late.
pub const GOOD: usize = 4;
/// So many of one server are counted at most.
const MOST: usize = 64;
/// A server's last heartbeat is written down again after so long, milliseconds.
const WRITE_AFTER_MS: u64 = 60_000;

/// The heartbeats of all servers.
pub struct Fleet {
    store: Store,
    heard: Mutex<BTreeMap<u32, Heard>>,
}

/// What was heard of one server.
#[derive(Debug, Default)]
struct Heard {
    /// When heartbeats arrived, the oldest first.
    recent: VecDeque<u64>,
    last: Option<Last>,
    /// When the last one was written down.
    written_ms: u64,
}

/// The last heartbeat of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// When it arrived, Unix milliseconds.
    pub received_ms: u64,
    /// What it said.
    pub heartbeat: Heartbeat,
}

/// How a server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Heartbeats in the last two minutes.
    pub requests: usize,
    /// The last one, however old.
    pub last: Option<Last>,
}

impl Pulse {
    /// Whether anything was heard of it in the last two minutes.
    pub fn state(&self) -> State {
        if self.requests > 0 { State::Running } else { State::Stopped }
    }
}

impl Fleet {
    /// With what the store remembers.
    pub fn new(store: Store) -> Result<Self, zonepulse_store::Error> {
        let mut heard = BTreeMap::new();
        for (server_id, value) in store.registry().seen()? {
            // What another version wrote and this one cannot read is heard anew.
            let last: Option<Last> = serde_json::from_value(value).ok();
            let written_ms = last.as_ref().map_or(0, |last| last.received_ms);
            heard.insert(server_id, Heard { recent: VecDeque::new(), last, written_ms });
        }
        Ok(Fleet { store, heard: Mutex::new(heard) })
    }

    /// Takes a heartbeat of a server that is known. Blocks for a moment when it writes.
    pub fn hear(&self, server_id: u32, heartbeat: Heartbeat, received_ms: u64) -> Result<(), zonepulse_store::Error> {
        let last = Last { received_ms, heartbeat };
        let write = {
            let mut all = self.lock();
            let heard = all.entry(server_id).or_default();
            heard.drop_old(received_ms);
            if heard.recent.len() >= MOST {
                heard.recent.pop_front();
            }
            heard.recent.push_back(received_ms);
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
        Pulse { requests: heard.recent.len(), last: heard.last.clone() }
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
        self.recent.retain(|received_ms| now_ms.abs_diff(*received_ms) < WINDOW_MS);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use zonepulse_ingest::fleet::{CaptureState, Component, Components, SpoolState};
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
            capture: CaptureState { state: State::Running, detail: None },
            spool: SpoolState { batches: 1, size_bytes: 100 },
        }
    }

    fn fleet() -> (tempfile::TempDir, Store, Fleet) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        store.registry().add_server("ns1", false, String::new(), 0).unwrap();
        let fleet = Fleet::new(store.clone()).unwrap();
        (dir, store, fleet)
    }

    #[test]
    fn heartbeats_of_the_last_two_minutes_count() {
        let (_dir, _store, fleet) = fleet();
        assert_eq!(fleet.pulse(1, 1_000_000), Pulse::default());
        for n in 0..6 {
            fleet.hear(1, heartbeat(0), 1_000_000 + n * 30_000).unwrap();
        }
        let pulse = fleet.pulse(1, 1_150_000);
        assert_eq!((pulse.requests, pulse.state()), (4, State::Running));
        assert_eq!(fleet.pulse(1, 1_150_000 + WINDOW_MS - 1).requests, 1);
        let late = fleet.pulse(1, 1_150_000 + WINDOW_MS);
        assert_eq!((late.requests, late.state(), late.last.unwrap().received_ms), (0, State::Stopped, 1_150_000));
    }

    #[test]
    fn a_flood_of_heartbeats_takes_no_memory() {
        let (_dir, _store, fleet) = fleet();
        (0..1000).for_each(|n| fleet.hear(1, heartbeat(0), 1_000_000 + n).unwrap());
        assert_eq!(fleet.pulse(1, 1_001_000).requests, MOST);
    }

    #[test]
    fn after_a_restart_it_is_known_who_was_there() {
        let (_dir, store, fleet) = fleet();
        fleet.hear(1, heartbeat(5), 1_000_000).unwrap();
        fleet.hear(1, heartbeat(6), 1_030_000).unwrap();
        let seen = |store: &Store| Fleet::new(store.clone()).unwrap().pulse(1, 1_040_000).last.unwrap().received_ms;
        assert_eq!(seen(&store), 1_000_000, "written once a minute");
        fleet.write_all().unwrap();
        assert_eq!(seen(&store), 1_030_000);
        let pulse = Fleet::new(store).unwrap().pulse(1, 1_040_000);
        assert_eq!((pulse.requests, pulse.state()), (0, State::Stopped), "what was counted is not remembered");
    }

    #[test]
    fn a_server_that_is_gone_is_forgotten() {
        let (_dir, store, fleet) = fleet();
        fleet.hear(1, heartbeat(5), 1_000_000).unwrap();
        store.registry().remove_server(1, 1, false).unwrap();
        fleet.forget(1);
        assert_eq!(fleet.pulse(1, 1_000_001), Pulse::default());
        fleet.write_all().unwrap();
        assert_eq!(store.registry().seen().unwrap(), []);
    }
}
