//! The epochs of a server, and which of them are remembered.
//!
//! A probe begins a new epoch every time it starts to listen, and each epoch has a marker. An ordinary server takes
//! years to reach a few thousand; a probe that invents them must not fill the store. So a server has at most
//! [`MAX_EPOCHS`] markers: past that, an eighth of them is forgotten at once, starting with those whose latest batch
//! is oldest. If too many have a batch from the last day, those of them with the fewest batches go first: thousands
//! of invented epochs do not displace the epoch of the running probe. Batches stored under forgotten markers must not
//! be counted again, so the end of those markers becomes the server's **floor**: a batch of an epoch without a marker
//! is refused permanently if it starts before the floor. An epoch that continues after that may be a forgotten one:
//! its marker keeps the floor from the moment it began, and batches that start before that floor are refused as long
//! as the marker lives. When that marker is forgotten in turn, the server's floor is at least as late. All of this is
//! per server: invented epochs of one server never move another server's floor.
//!
//! The floor is stored in the markers' column family under the server's number alone:
//! `version u8 = 1 · floor_s · batches that were taken under forgotten markers`.
//!
//! Markers of version 1 do not record the time of their latest batch: they are neither counted nor forgotten.

use crate::Error;
use crate::database::{Database, key};
use crate::write::marker::Marker;
use rocksdb::WriteBatch;
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_model::ServerId;

const VERSION: u8 = 1;
/// Maximum number of epochs per server.
pub(crate) const MAX_EPOCHS: usize = if cfg!(test) { 16 } else { 4096 };

/// An epoch whose latest batch is at most this much older than the server's latest may still continue, seconds.
const RECENT_S: u64 = 86_400;

/// The epochs of all servers.
#[derive(Debug, Default)]
pub(crate) struct Epochs(BTreeMap<ServerId, OfServer>);

#[derive(Debug, Default, Clone, Copy)]
struct OfServer {
    /// Number of markers that record the time of their latest batch.
    count: usize,
    forgotten: Forgotten,
}

/// What remains of forgotten markers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// A batch of an unknown epoch that starts before this may be a copy, Unix seconds.
    pub(crate) floor_s: u64,
    /// Number of batches stored under them.
    pub(crate) batches: u64,
}

impl Forgotten {
    fn encode(self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.floor_s);
        put(&mut out, self.batches);
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (&version, rest) = value.split_first().ok_or(Malformed("floor version"))?;
        if version != VERSION {
            return Err(Malformed("floor version"));
        }
        let mut reader = Reader::new(rest);
        let forgotten = Forgotten { floor_s: reader.number("floor")?, batches: reader.number("batches")? };
        if reader.is_empty() { Ok(forgotten) } else { Err(Malformed("floor")) }
    }
}

/// Changes that a write makes to epochs, other than writing their markers.
#[derive(Default)]
pub(crate) struct Changes {
    forgotten: Vec<(ServerId, u64)>,
    of_server: BTreeMap<ServerId, OfServer>,
}

impl Epochs {
    pub(crate) fn load(database: &Database) -> Result<Self, Error> {
        let mut epochs = Epochs::default();
        database.visit(key::MARKERS, &[], |found, value| {
            if let Some(server_id) = key::parse_floor(found) {
                let forgotten = Forgotten::decode(value).map_err(|Malformed(what)| Error::damaged(what, found))?;
                epochs.0.entry(server_id).or_default().forgotten = forgotten;
            } else if let Some((server_id, _)) = key::parse_marker(found)
                && Marker::decode(value).is_ok_and(|marker| marker.latest_start_s().is_some())
            {
                // An unreadable marker is reported when a batch of its epoch arrives, and by `check`.
                epochs.0.entry(server_id).or_default().count += 1;
            }
            Ok(true)
        })?;
        Ok(epochs)
    }

    pub(super) fn floor_s(&self, server_id: ServerId) -> u64 {
        self.0.get(&server_id).map_or(0, |of_server| of_server.forgotten.floor_s)
    }

    /// Forgets a removed server.
    pub(crate) fn forget(&mut self, server_id: ServerId) {
        self.0.remove(&server_id);
    }

    /// Applies what is now on disk; returns the epochs that were forgotten.
    pub(crate) fn adopt(&mut self, changes: Changes) -> Vec<(ServerId, u64)> {
        self.0.extend(changes.of_server);
        changes.forgotten
    }

    /// Adds markers to a batch, and forgets some of servers that exceed the limit with the epochs beginning in it.
    pub(crate) fn put(
        &self,
        database: &Database,
        batch: &mut WriteBatch,
        markers: &BTreeMap<(ServerId, u64), Marker>,
        begun: &BTreeSet<(ServerId, u64)>,
    ) -> Result<Changes, Error> {
        let family = database.family(key::MARKERS);
        for ((server_id, epoch), marker) in markers {
            batch.put_cf(family, key::marker(*server_id, *epoch), marker.encode());
        }
        let mut changes = Changes::default();
        for (server_id, _) in begun {
            let known = self.0.get(server_id).copied().unwrap_or_default();
            changes.of_server.entry(*server_id).or_insert(known).count += 1;
        }
        for (server_id, of_server) in &mut changes.of_server {
            if of_server.count <= MAX_EPOCHS {
                continue;
            }
            let forget = of_server.count - (MAX_EPOCHS - MAX_EPOCHS / 8);
            for (epoch, latest_s, batches) in dispensable(database, *server_id, forget, markers)? {
                batch.delete_cf(family, key::marker(*server_id, epoch));
                let Forgotten { floor_s, batches: before } = of_server.forgotten;
                of_server.forgotten =
                    Forgotten { floor_s: floor_s.max(latest_s.saturating_add(1)), batches: before.saturating_add(batches) };
                of_server.count -= 1;
                changes.forgotten.push((*server_id, epoch));
            }
            batch.put_cf(family, key::floor(*server_id), of_server.forgotten.encode());
        }
        Ok(changes)
    }
}

/// The epochs of a server to forget first, with the times of their latest batches and their numbers of batches;
/// excludes those being written.
fn dispensable(
    database: &Database,
    server_id: ServerId,
    count: usize,
    written: &BTreeMap<(ServerId, u64), Marker>,
) -> Result<Vec<(u64, u64, u64)>, Error> {
    let of_server = written.range((server_id, 0)..=(server_id, u64::MAX));
    let mut newest_s = of_server.filter_map(|(_, marker)| marker.latest_start_s()).max().unwrap_or_default();
    let mut all = Vec::new();
    database.visit(key::MARKERS, &server_id.to_be_bytes(), |found, value| {
        if !found.starts_with(&server_id.to_be_bytes()) {
            return Ok(false);
        }
        if let Some((_, epoch)) = key::parse_marker(found)
            && !written.contains_key(&(server_id, epoch))
            && let Ok(marker) = Marker::decode(value)
            && let Some(latest_s) = marker.latest_start_s()
        {
            newest_s = newest_s.max(latest_s);
            all.push((epoch, latest_s, marker.batches()));
        }
        Ok(true)
    })?;
    all.sort_unstable_by_key(|(epoch, latest_s, batches)| {
        let recent = newest_s.saturating_sub(*latest_s) <= RECENT_S;
        (recent, if recent { *batches } else { 0 }, *latest_s, *epoch)
    });
    all.truncate(count);
    Ok(all)
}

#[cfg(test)]
#[path = "epochs_tests.rs"]
mod tests;
