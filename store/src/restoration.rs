//! What makes a store recognizable in backups, and what a restored store must do differently.
//!
//! A restored store has forgotten everything that happened after the backup, but others have not. So it continues with
//! numbers that cannot have been given meanwhile: ids of servers, zones, resources and plans, and the version of settings.
//! Batches that it has forgotten are new to it, and count once when they come again, because their markers are forgotten
//! with them. Time that none of them covers is a gap in the ledger, with the reason `restored`.

use crate::database::key;
use crate::registry::{self, Registry, SETTINGS};
use crate::{Error, Store, catalogue, ledger};
use serde::{Deserialize, Serialize};
use serde_json::json;

const IDENTITY: &[u8] = b"store_identity";
const RESTORATIONS: &[u8] = b"restorations";
/// Maximum number of restorations remembered; the oldest are forgotten.
const MOST_RESTORATIONS: usize = 100;

/// How many numbers are skipped: more than anybody gives between a backup and its restoration.
const SERVERS_SKIPPED: u32 = 10_000;
const ZONES_SKIPPED: u32 = 100_000;
const PLANS_SKIPPED: u32 = 100_000;
const RESOURCES_SKIPPED: u32 = 1 << 24;
const VERSIONS_SKIPPED: u64 = 1 << 20;

/// What a store is called in backups. Its `Debug` output omits the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreIdentity {
    /// Its identity, in hexadecimal. A restored store keeps it.
    pub id: String,
    /// A secret that names in backups are derived with.
    pub secret: [u8; 32],
}

impl std::fmt::Debug for StoreIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreIdentity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// That a store was restored from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// Its number; it increases with every restoration.
    pub number: u64,
    /// The name of the backup.
    pub backup: String,
    /// When the backup was made, Unix milliseconds.
    pub saved_ms: u64,
    /// When it was restored, Unix milliseconds.
    pub restored_ms: u64,
}

impl Store {
    /// What the store is called in backups: made by `make` the first time.
    pub fn identity(&self, make: impl FnOnce() -> StoreIdentity) -> Result<StoreIdentity, Error> {
        let registry = self.registry();
        let mut work = registry.change();
        if let Some(identity) = registry.one(IDENTITY)? {
            return Ok(identity);
        }
        let identity = make();
        work.put(IDENTITY, &identity)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true)?;
        Ok(identity)
    }

    /// The last restoration of the store, if there was one.
    pub fn restoration(&self) -> Result<Option<Restoration>, Error> {
        Ok(restorations(&self.registry())?.pop())
    }
}

fn restorations(registry: &Registry<'_>) -> Result<Vec<Restoration>, Error> {
    Ok(registry.one(RESTORATIONS)?.unwrap_or_default())
}

impl Registry<'_> {
    /// Notes that the store is a copy from a backup of this name and time, Unix milliseconds, and has been restored now.
    /// Called once, before it is used. One write.
    pub fn note_restored(&self, backup: &str, saved_ms: u64, restored_ms: u64) -> Result<Restoration, Error> {
        let mut work = self.change();
        let database = &self.inner.database;
        let mut all = restorations(self)?;
        let number = all.last().map_or(0, |last| last.number).saturating_add(1);
        let restoration = Restoration { number, backup: backup.to_owned(), saved_ms, restored_ms };
        all.push(restoration.clone());
        all.drain(..all.len().saturating_sub(MOST_RESTORATIONS));
        work.put(RESTORATIONS, &all)?;
        let servers = self.servers()?;
        for (last_id, highest, skipped) in [
            (registry::LAST_SERVER_ID, servers.iter().map(|server| server.id.get()).max(), SERVERS_SKIPPED),
            (catalogue::LAST_ZONE_ID, None, ZONES_SKIPPED),
            (catalogue::LAST_PLAN_ID, None, PLANS_SKIPPED),
            (catalogue::LAST_RESOURCE_ID, None, RESOURCES_SKIPPED),
        ] {
            let given = database.get("default", last_id)?.and_then(|value| key::u32_at(&value, 0));
            let last = given.max(highest).unwrap_or_default();
            work.batch.put(last_id, last.saturating_add(skipped).to_be_bytes());
        }
        let mut global = self.global()?;
        global.version = global.version.saturating_add(VERSIONS_SKIPPED);
        work.put(SETTINGS, &global)?;
        let present = servers.iter().filter(|server| !server.is_removed()).map(|server| server.id);
        ledger::restored::put(database, &mut work.batch, present.clone(), saved_ms..restored_ms)?;
        let after = json!({"backup": backup, "saved_ms": saved_ms, "restored_ms": restored_ms});
        work.audit("store.restore", &format!("the store, from backup {backup}"), &json!(null), &after)?;
        let (mut alone, batch) = work.into_parts();
        database.write(batch, true)?;
        for server_id in present.clone() {
            alone.ledger.forget(server_id);
        }
        self.inner.ledger.lock().changed(present);
        self.inner.generation.fetch_add(1, std::sync::atomic::Ordering::Release);
        Ok(restoration)
    }
}

#[cfg(test)]
#[path = "restoration_tests.rs"]
mod tests;
