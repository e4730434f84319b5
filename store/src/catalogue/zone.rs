//! Zones: creating, changing and removing them.
//!
//! A zone is stored as JSON, like servers and users, and changes are logged in the audit log in the same way. Imports
//! change only what they bring along: serial, number of resources, state.

use super::{Catalogue, UsageChange, keys};
use crate::database::key;
use crate::{Error, Inner};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use zonepulse_dns::name::is_canonical;
use zonepulse_model::{ServerId, ZoneId};

pub(crate) const ZONES: &[u8] = b"zone/";
/// The largest number ever assigned to a zone.
pub(crate) const LAST_ID: &[u8] = b"last_zone_id";
/// Maximum number of zones.
const MOST_ZONES: usize = if cfg!(test) { 20 } else { 10_000 };
/// Maximum length of a view's name, an address, or the name of an algorithm, bytes.
const LONGEST_WORD: usize = 255;
/// Maximum length of a path or secret, bytes.
const LONGEST_PATH: usize = 4096;
/// Maximum number of servers of a zone.
const MOST_SERVERS: usize = 10_000;
/// The view of zones that name none.
const DEFAULT_VIEW: &str = "default";

/// A zone of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Zone {
    /// Its number; not 0.
    pub id: ZoneId,
    /// Its apex, canonical text. It never changes.
    pub apex: String,
    /// Its view; an apex is in a view once.
    pub view: String,
    /// Where its resources come from.
    pub source: Source,
    /// The servers that serve it, ascending; empty for every server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerId>,
    /// Whether servers that are not ours serve it, too.
    #[serde(default)]
    pub others_serve_it: bool,
    /// Whether the operator accepts verdicts although others serve it.
    #[serde(default)]
    pub others_waived: bool,
    /// When it was created, Unix milliseconds.
    pub created_ms: u64,
    /// When its resources were last imported, Unix milliseconds.
    #[serde(default)]
    pub loaded_ms: Option<u64>,
    /// When its source was last checked, Unix milliseconds.
    #[serde(default)]
    pub checked_ms: Option<u64>,
    /// Serial of the imported SOA.
    #[serde(default)]
    pub serial: Option<u32>,
    /// Under which number its resources are stored.
    #[serde(default)]
    pub generation: u32,
    /// Rises with every import that changed a resource.
    #[serde(default)]
    pub revision: u64,
    /// Number of resources that are present.
    #[serde(default)]
    pub resources: u64,
    /// Number of resources that were removed; their ids return with them.
    #[serde(default)]
    pub removed: u64,
    /// What became of the last import.
    #[serde(default)]
    pub state: ZoneState,
    /// Why the last import failed or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the central remembers between refreshes.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub refresh: Value,
}

/// Where a zone's resources come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// Zone files that are uploaded.
    #[default]
    Upload,
    /// A zone file on the central's disk.
    File {
        /// Its path.
        path: String,
    },
    /// Transfers from a primary (RFC 5936, RFC 1995).
    Transfer {
        /// Address and port of the primary.
        primary: String,
        /// The key that signs requests and answers (RFC 8945).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tsig: Option<Tsig>,
    },
}

/// A TSIG key. Its `Debug` output and the audit log omit the secret, which is stored in plain text because the central
/// has to sign with it. It is never sent: a change of the primary does not disclose it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tsig {
    /// Name of the key, canonical text.
    pub name: String,
    /// Algorithm, such as `hmac-sha256`.
    pub algorithm: String,
    /// The secret, in base64.
    pub secret: String,
}

impl fmt::Debug for Tsig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tsig").field("name", &self.name).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// What became of a zone's last import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneState {
    /// Nothing was imported yet.
    #[default]
    Empty,
    /// The resources are those of the source.
    Loaded,
    /// An import would remove so much that it waits for confirmation; the resources are the previous ones.
    Waiting,
    /// The last import failed; the resources are the previous ones.
    Failed,
    /// The primary was not reached until the zone expired (RFC 1035 section 3.3.13); the resources are the previous ones.
    Expired,
}

impl Zone {
    /// Rejects invalid fields.
    fn check(&self) -> Result<(), Error> {
        let bad = |field, reason: &str| Err(Error::bad_setting(field, reason));
        if !is_canonical(&self.apex) {
            return bad("zone", "it must be a domain name in canonical form, with a final dot");
        }
        let is_word = |text: &str| !text.is_empty() && text.len() <= LONGEST_WORD && text.chars().all(|c| c.is_ascii_graphic());
        if !is_word(&self.view) {
            return bad("view", "it has 1 to 255 letters, digits and signs of ASCII");
        }
        if self.servers.len() > MOST_SERVERS {
            return bad("servers", "at most 10000");
        }
        let is_path = |text: &str| !text.is_empty() && text.len() <= LONGEST_PATH && !text.chars().any(char::is_control);
        match &self.source {
            Source::Upload => Ok(()),
            Source::File { path } if !is_path(path) => bad("file", "a path has 1 to 4096 bytes and no control characters"),
            Source::File { .. } => Ok(()),
            Source::Transfer { primary, .. } if !is_word(primary) => bad("primary", "it has 1 to 255 characters of an address"),
            Source::Transfer { tsig: None, .. } => Ok(()),
            Source::Transfer { tsig: Some(tsig), .. } => {
                if !is_canonical(&tsig.name) {
                    return bad("tsig_name", "it must be a domain name in canonical form, with a final dot");
                }
                if !is_word(&tsig.algorithm) {
                    return bad("tsig_algorithm", "it has 1 to 255 letters, digits and signs of ASCII");
                }
                let is_secret = is_path(&tsig.secret) && tsig.secret.chars().all(|c| c.is_ascii_graphic());
                if is_secret { Ok(()) } else { bad("tsig_secret", "it has 1 to 4096 characters of base64") }
            }
        }
    }

    fn title(&self) -> String {
        format!("zone {}, {} ({})", self.id, self.apex, self.view)
    }
}

impl Catalogue<'_> {
    /// All zones, by id.
    pub fn zones(&self) -> Result<Vec<Zone>, Error> {
        self.registry.all(ZONES)
    }

    /// A zone by its id.
    pub fn zone(&self, id: ZoneId) -> Result<Option<Zone>, Error> {
        self.registry.one(&zone_key(id))
    }

    /// Creates a zone with the next id; `fill` receives it with its id, apex and creation time set.
    pub fn add_zone<E: From<Error>>(
        &self,
        apex: &str,
        created_ms: u64,
        fill: impl FnOnce(&mut Zone) -> Result<(), E>,
    ) -> Result<Zone, E> {
        let mut work = self.registry.change();
        let zones = self.zones()?;
        if zones.len() >= MOST_ZONES {
            return Err(Error::TooMany("zones", MOST_ZONES).into());
        }
        let last = self.inner.database.get("default", LAST_ID).map_err(E::from)?.and_then(|value| key::u32_at(&value, 0));
        let last = zones.iter().map(|zone| zone.id).max().unwrap_or_default().max(ZoneId::new(last.unwrap_or_default()));
        let id = last.next().ok_or(Error::TooMany("numbers of zones", u32::MAX as usize))?;
        let view = DEFAULT_VIEW.to_owned();
        let mut zone = Zone { id, apex: apex.to_owned(), view, created_ms, ..Zone::default() };
        fill(&mut zone)?;
        let zone = Zone { id, apex: apex.to_owned(), created_ms, generation: 0, resources: 0, removed: 0, ..zone };
        let zone = admit(zone, &zones)?;
        work.batch.put(LAST_ID, id.to_be_bytes());
        work.put(&zone_key(id), &zone)?;
        work.audit("zone.create", &zone.title(), &Value::Null, &zone)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true).map_err(E::from)?;
        self.inner.change_resources(|map| map.set_zone(zone.id, &zone.apex, &zone.servers));
        Ok(zone)
    }

    /// Changes a zone; `action` is its name in the audit log. What imports set, and the apex, stay as they are.
    pub fn change_zone<E: From<Error>>(
        &self,
        id: ZoneId,
        action: &str,
        change: impl FnOnce(&mut Zone) -> Result<(), E>,
    ) -> Result<Zone, E> {
        let mut work = self.registry.change();
        let zones = self.zones()?;
        let before = zones.iter().find(|zone| zone.id == id).ok_or_else(|| missing(id))?;
        let mut after = before.clone();
        change(&mut after)?;
        let after = admit(before.keep(after), &zones)?;
        if after == *before {
            return Ok(after);
        }
        work.put(&zone_key(id), &after)?;
        work.audit(action, &after.title(), before, &after)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true).map_err(E::from)?;
        self.inner.change_resources(|map| map.set_zone(after.id, &after.apex, &after.servers));
        Ok(after)
    }

    /// Notes what became of checking a zone's source: its state, error, `checked_ms` and what the central remembers. This is
    /// no operator's change, so the audit log says nothing of it.
    pub fn note_zone(&self, id: ZoneId, mut edit: impl FnMut(&mut Zone)) -> Result<Zone, Error> {
        let mut work = self.registry.change();
        let mut zone = self.zone(id)?.ok_or_else(|| missing(id))?;
        zone.edit(&mut edit);
        work.put(&zone_key(id), &zone)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true)?;
        Ok(zone)
    }

    /// Removes a zone with its resources, notes and frozen credits, in one write; `usage` is asked while no batch can
    /// be stored, and is part of the write, as in [`Import::usage`](super::Import::usage).
    pub fn remove_zone(&self, id: ZoneId, usage: &mut dyn FnMut() -> UsageChange) -> Result<Zone, Error> {
        let _importing = self.inner.importing.lock();
        let mut keeper = self.inner.keeper.lock();
        let mut work = self.registry.change();
        let zone = self.zone(id)?.ok_or_else(|| missing(id))?;
        work.batch.delete(zone_key(id));
        work.audit("zone.remove", &zone.title(), &zone, &Value::Null)?;
        let (_alone, mut batch) = work.into_parts();
        let map = self.inner.resources.read().clone();
        let is_of_zone = |id| map.place(id).is_some_and(|(of, _)| of == zone.id);
        let mut usage = usage();
        usage.credits.retain(|(id, _)| !is_of_zone(*id));
        self.put_usage(&mut batch, &usage)?;
        self.remove_notes(&mut batch, &is_of_zone)?;
        self.remove_credits(&mut batch, &is_of_zone)?;
        drop(map);
        remove_rows(self.inner, &mut batch, id, None);
        self.inner.database.write(batch, true)?;
        let mut gone = Vec::new();
        self.inner.change_resources(|map| {
            gone = map.remove_zone(id);
            usage.publish(map);
        });
        self.inner.unprotect(gone);
        keeper.look_again();
        drop_files(self.inner, id, None);
        Ok(zone)
    }
}

impl Zone {
    /// A changed zone, with the fields that only imports may change as they were.
    fn keep(&self, changed: Zone) -> Zone {
        Zone {
            id: self.id,
            apex: self.apex.clone(),
            created_ms: self.created_ms,
            generation: self.generation,
            revision: self.revision,
            resources: self.resources,
            removed: self.removed,
            ..changed
        }
    }

    /// After an import: the same, but for what the import has set.
    pub(super) fn edit(&mut self, edit: &mut dyn FnMut(&mut Zone)) {
        let mut changed = self.clone();
        edit(&mut changed);
        let changed = self.keep(changed);
        // Sources, servers and the like are changed with an entry in the audit log only.
        let (view, source, servers) = (self.view.clone(), self.source.clone(), self.servers.clone());
        let (others_serve_it, others_waived) = (self.others_serve_it, self.others_waived);
        *self = Zone { view, source, servers, others_serve_it, others_waived, ..changed };
    }
}

/// Checks a new or changed zone, also against the others.
fn admit(mut zone: Zone, others: &[Zone]) -> Result<Zone, Error> {
    zone.servers.sort_unstable();
    zone.servers.dedup();
    zone.check()?;
    let is_same = |other: &&Zone| other.id != zone.id && (&other.apex, &other.view) == (&zone.apex, &zone.view);
    match others.iter().find(is_same) {
        Some(other) => Err(Error::NameTaken(format!("{} in view {}", other.apex, other.view))),
        None => Ok(zone),
    }
}

/// Adds the removal of a zone's rows to a batch: of one generation, or of all.
pub(super) fn remove_rows(inner: &Inner, batch: &mut WriteBatch, id: ZoneId, generation: Option<u32>) {
    let (from, until) = keys::range(id, generation);
    batch.delete_range_cf(inner.database.family(key::RESOURCES), from, until);
}

/// Frees the space of rows that were removed.
pub(super) fn drop_files(inner: &Inner, id: ZoneId, generation: Option<u32>) {
    let (from, until) = keys::range(id, generation);
    if let Err(error) = inner.database.delete_files(key::RESOURCES, &from, &until) {
        tracing::warn!(%error, "the space of removed resources is freed later");
    }
}

impl Inner {
    /// Changes the map of resources. The caller holds `writer`.
    pub(super) fn change_resources(&self, change: impl FnOnce(&mut super::ResourceMap)) {
        // A copy shares nearly everything, and no reader waits for the change.
        let mut map = super::ResourceMap::clone(&self.resources.read().clone());
        change(&mut map);
        map.changed();
        *self.resources.write() = Arc::new(map);
    }

    /// Makes records ordinary ones, which may be swept. The caller holds `writer`.
    pub(super) fn unprotect(&self, records: Vec<zonepulse_model::RecordId>) {
        let cost = {
            let mut dictionary = self.dictionary.write();
            records.into_iter().map(|record_id| dictionary.unprotect(record_id)).sum()
        };
        self.names.lock().keep(cost);
    }
}

pub(super) fn missing(id: ZoneId) -> Error {
    Error::Missing("zone", id.to_string())
}

pub(super) fn zone_key(id: ZoneId) -> Vec<u8> {
    [ZONES, &id.to_be_bytes()[..]].concat()
}
