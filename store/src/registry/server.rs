//! Servers: creating, changing, enrolling and removing them.
//!
//! A removed server loses all access. Its points stay until retention takes them, and then upkeep purges the rest; on
//! request, everything is purged at once. Its number is never reused.

use super::names::{check_name, check_unlike};
use super::{Change, Registry, all};
use crate::Error;
use crate::database::{Database, key};
use crate::registry::purge;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zonepulse_model::{Communication, ServerId, Settings, SettingsOverride, host, url};

pub(super) const SERVERS: &[u8] = b"server/";
/// The last state heard of each server.
const SEEN: &[u8] = b"seen/";
/// The largest number ever assigned to a server.
pub(crate) const LAST_ID: &[u8] = b"last_server_id";
/// Maximum number of servers, including removed ones.
const MOST_SERVERS: usize = 10_000;
/// Maximum length of an OS or service, bytes.
const LONGEST_WORD: usize = 255;
/// Maximum length of notes, bytes.
const LONGEST_NOTES: usize = 4096;
/// Maximum number of services.
const MOST_SERVICES: usize = 32;

/// A managed server. Its `Debug` output omits secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its number; not 0.
    pub id: ServerId,
    /// Its display name, unique among servers that are not removed.
    pub name: String,
    /// Whether its data is a sample rather than that of a real machine.
    pub sample: bool,
    /// The hash of its token, if it has one; the token itself is not stored.
    #[serde(with = "super::absent")]
    pub token_hash: Option<String>,
    /// When it was created, Unix milliseconds.
    pub created_ms: u64,
    /// Its operating system; empty if unspecified.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Its FQDN or IP address; empty if unspecified.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Free-form notes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Its services, such as `dns`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Settings of this server that override the global ones.
    #[serde(default)]
    pub overrides: SettingsOverride,
    /// The one-time token with which its probe can obtain a token of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrollment: Option<EnrollmentToken>,
    /// Where the central pulls from, and how it authenticates.
    #[serde(default)]
    pub pull: Pull,
    /// Whether its probe receives secrets. It does not if its token was created by someone who may not know them.
    #[serde(default = "trusted")]
    pub trusted: bool,
    /// When it was removed, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_ms: Option<u64>,
}

/// The default for servers written by earlier versions.
fn trusted() -> bool {
    true
}

/// Display names by id, of all servers, including removed ones.
pub type ServerNames = Arc<BTreeMap<ServerId, String>>;

/// A token for a single enrolment. Its `Debug` output omits the hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentToken {
    /// The hash of the token.
    pub hash: String,
    /// When it expires, Unix milliseconds.
    pub expires_ms: u64,
}

/// How the central pulls from a probe. Its `Debug` output omits the token.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The probe's address, `http://…` or `https://…`; empty if none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The token that the central presents to the probe. It is stored in plain text because the central has to send
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::absent")]
    pub token: Option<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("overrides", &self.overrides)
            .field("enrollment", &self.enrollment)
            .field("pull", &self.pull)
            .field("trusted", &self.trusted)
            .field("removed_ms", &self.removed_ms)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollmentToken").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Server {
    /// Whether it was removed: it is kept for its history only.
    pub fn is_removed(&self) -> bool {
        self.removed_ms.is_some()
    }

    /// Rejects invalid fields. Names and addresses that were valid in earlier versions may stay.
    fn check(&self, before: Option<&Server>) -> Result<(), Error> {
        if before.is_none_or(|before| before.name != self.name) {
            check_name("server", &self.name)?;
        }
        if before.is_none_or(|before| before.address != self.address)
            && !self.address.is_empty()
            && let Some(fault) = host::fault(&self.address)
        {
            return Err(Error::bad_setting("address", fault));
        }
        let bad = |field, reason| Err(Error::bad_setting(field, reason));
        if self.os.len() > LONGEST_WORD || self.os.chars().any(char::is_control) {
            return bad("os", "it has at most 255 bytes and no control characters");
        }
        if self.notes.len() > LONGEST_NOTES || self.notes.chars().any(|c| c.is_control() && c != '\n') {
            return bad("notes", "it has at most 4096 bytes, and no control characters but ends of lines");
        }
        let is_service = |text: &String| !text.is_empty() && text.len() <= LONGEST_WORD && !text.chars().any(char::is_control);
        if self.services.len() > MOST_SERVICES || !self.services.iter().all(is_service) {
            return bad("services", "at most 32, each of 1 to 255 bytes without control characters");
        }
        let is_bad = |token: &String| token.len() > LONGEST_WORD || token.chars().any(|c| !c.is_ascii_graphic());
        if self.pull.token.as_ref().is_some_and(is_bad) {
            return bad("pull_token", "it has at most 255 letters, digits and signs of ASCII");
        }
        let is_new = |url: &&str| !url.is_empty() && before.is_none_or(|before| before.pull.url != *url);
        if let Some(what) = Some(self.pull.url.as_str()).filter(is_new).and_then(url::fault) {
            return bad("pull_url", &format!("it {what}"));
        }
        Ok(self.overrides.check(before.map_or(&SettingsOverride::default(), |before| &before.overrides))?)
    }
}

/// Rejects a server whose fields conflict with its settings.
pub(super) fn check_together(server: &Server, settings: &Settings) -> Result<(), Error> {
    settings.check()?;
    if settings.communication == Communication::Pull && server.pull.url.is_empty() {
        return Err(Error::bad_setting("pull_url", "communication by pull needs it: the address of the probe"));
    }
    Ok(())
}

impl Registry<'_> {
    /// All servers, by id, including removed ones, which still have history.
    pub fn servers(&self) -> Result<Vec<Server>, Error> {
        self.all(SERVERS)
    }

    /// The display names of all servers, by id. Every query needs them, so they are cached until something changes.
    pub fn server_names(&self) -> Result<ServerNames, Error> {
        // Read before the names: a change in the meantime causes a reload.
        let generation = self.generation();
        let mut kept = self.inner.server_names.lock();
        if let Some((_, names)) = kept.as_ref().filter(|(of, _)| *of == generation) {
            return Ok(names.clone());
        }
        let names: ServerNames = Arc::new(self.servers()?.into_iter().map(|server| (server.id, server.name)).collect());
        *kept = Some((generation, names.clone()));
        Ok(names)
    }

    /// A server by its id, removed or not.
    pub fn server(&self, id: ServerId) -> Result<Option<Server>, Error> {
        self.one(&server_key(id))
    }

    /// Creates a server with the next id.
    pub fn add_server(&self, name: &str, sample: bool, token_hash: Option<String>, created_ms: u64) -> Result<Server, Error> {
        self.make_server(name, |server| {
            (server.sample, server.token_hash, server.created_ms) = (sample, token_hash, created_ms);
            Ok(())
        })
    }

    /// Creates a server with the next id; `fill` receives it with its id and name set.
    pub fn make_server<E: From<Error>>(&self, name: &str, fill: impl FnOnce(&mut Server) -> Result<(), E>) -> Result<Server, E> {
        let mut work = self.change();
        let servers = self.servers()?;
        if servers.len() >= MOST_SERVERS {
            return Err(Error::TooMany("servers", MOST_SERVERS).into());
        }
        let given = self.inner.database.get("default", LAST_ID)?.and_then(|value| key::server_at(&value, 0)).unwrap_or_default();
        let last = servers.iter().map(|server| server.id).max().unwrap_or_default().max(given);
        let id = last.next().ok_or(Error::TooMany("numbers of servers", u32::MAX as usize))?;
        let mut server = Server {
            id,
            name: name.to_owned(),
            sample: false,
            token_hash: None,
            created_ms: 0,
            os: String::new(),
            address: String::new(),
            notes: String::new(),
            services: Vec::new(),
            overrides: SettingsOverride::default(),
            enrollment: None,
            pull: Pull::default(),
            trusted: true,
            removed_ms: None,
        };
        fill(&mut server)?;
        self.admit(&server, &servers)?;
        self.keep_server_secrets(None, &server)?;
        work.batch.put(LAST_ID, id.to_be_bytes());
        work.put(&server_key(id), &server)?;
        if server.overrides != SettingsOverride::default() {
            work.raise_version()?;
        }
        work.audit("server.create", &title(&server), &Value::Null, &server)?;
        work.commit()?;
        self.refresh_expiry()?;
        Ok(server)
    }

    /// Overwrites an existing server. Its retention applies from the next query on.
    pub fn put_server(&self, server: &Server) -> Result<(), Error> {
        self.change_server(server.id, "server.change", |current| {
            *current = server.clone();
            Ok::<_, Error>(())
        })?;
        Ok(())
    }

    /// Changes a server that is not removed; `action` is its name in the audit log. Refused if a secret would be sent
    /// elsewhere without having been entered again ([`Registry::entering`]).
    pub fn change_server<E: From<Error>>(
        &self,
        id: ServerId,
        action: &str,
        change: impl FnOnce(&mut Server) -> Result<(), E>,
    ) -> Result<Server, E> {
        let mut work = self.change();
        let servers = self.servers()?;
        let before = servers.iter().find(|server| server.id == id && !server.is_removed());
        let before = before.ok_or_else(|| Error::Missing("server", id.to_string()))?;
        let mut after = before.clone();
        change(&mut after)?;
        after.id = id;
        if after == *before {
            return Ok(after);
        }
        self.admit(&after, &servers)?;
        self.keep_server_secrets(Some(before), &after)?;
        work.put(&server_key(id), &after)?;
        if (&after.overrides, &after.pull, after.trusted) != (&before.overrides, &before.pull, before.trusted) {
            work.raise_version()?;
        }
        work.audit(action, &title(&after), before, &after)?;
        work.commit()?;
        self.refresh_expiry()?;
        Ok(after)
    }

    /// Spends an enrolment token, which is removed in the same write as `change`: if two probes present the same
    /// token, only one gets in. `None` if it is not this server's token, or has expired.
    pub fn enroll<E: From<Error>>(
        &self,
        id: ServerId,
        hash: &str,
        now_ms: u64,
        change: impl FnOnce(&mut Server) -> Result<(), E>,
    ) -> Result<Option<Server>, E> {
        let mut spent = false;
        let server = self.change_server(id, "server.enroll", |server| {
            spent = server.enrollment.take_if(|token| token.hash == hash && token.expires_ms > now_ms).is_some();
            if spent { change(server) } else { Ok(()) }
        })?;
        Ok(spent.then_some(server))
    }

    /// Removes a server. Its history stays until retention takes it, unless `purge` is set: then points, totals,
    /// reports, markers and everything else that only this server has are removed at once.
    pub fn remove_server(&self, id: ServerId, now_ms: u64, purge: bool) -> Result<(), Error> {
        let mut keeper = self.inner.keeper.lock();
        let mut work = self.change();
        let before = self.server(id)?.filter(|server| purge || !server.is_removed());
        let before = before.ok_or_else(|| Error::Missing("server", id.to_string()))?;
        let removed_ms = before.removed_ms.or(Some(now_ms));
        let after = Server { token_hash: None, enrollment: None, pull: Pull::default(), removed_ms, ..before.clone() };
        work.batch.delete(seen_key(id));
        if purge {
            work.audit("server.purge", &title(&before), &before, &Value::Null)?;
        } else {
            work.put(&server_key(id), &after)?;
            work.audit("server.remove", &title(&before), &before, &after)?;
        }
        let Change { alone: mut writer, mut batch, .. } = work;
        if purge {
            batch.delete(server_key(id));
            purge::purge(self.inner, &mut writer, batch, id)?;
            keeper.look_again();
        } else {
            self.inner.database.write(batch, true)?;
        }
        // Batches in flight will see this and be refused.
        writer.forbid(id);
        self.inner.generation.fetch_add(1, Ordering::Release);
        self.refresh_expiry()
    }

    /// Stores the last state heard of a server. Not synced: it may be lost, and will be heard again.
    pub fn put_seen(&self, server_id: ServerId, seen: &Value) -> Result<(), Error> {
        let _alone = self.inner.writer.lock();
        if self.server(server_id)?.is_none_or(|server| server.is_removed()) {
            return Ok(());
        }
        let key = seen_key(server_id);
        let mut batch = rocksdb::WriteBatch::default();
        batch.put(&key, serde_json::to_vec(seen).map_err(|error| Error::damaged(error.to_string(), &key))?);
        self.inner.database.write(batch, false)
    }

    /// The last state heard of each server, as stored.
    pub fn seen(&self) -> Result<Vec<(ServerId, Value)>, Error> {
        let mut found = Vec::new();
        all(&self.inner.database, SEEN, |key, value| {
            let id = key.get(SEEN.len()..).and_then(|id| key::server_at(id, 0)).ok_or_else(|| Error::damaged("seen", key))?;
            found.push((id, super::parse(key, value)?));
            Ok(())
        })?;
        Ok(found)
    }

    /// Rejects a server that conflicts with the others.
    fn admit(&self, server: &Server, others: &[Server]) -> Result<(), Error> {
        let before = others.iter().find(|other| other.id == server.id);
        server.check(before)?;
        let is_number = !server.name.is_empty() && server.name.chars().all(char::is_numeric);
        if is_number && before.is_none_or(|before| before.name != server.name) {
            return Err(Error::bad_setting("server", "a name of digits only would be taken for the id of a server"));
        }
        if before.is_none_or(|before| before.name != server.name) {
            let others = others.iter().filter(|other| other.id != server.id && !other.is_removed());
            check_unlike(&server.name, others.map(|other| other.name.as_str()))?;
        }
        check_together(server, &self.effective(&self.global()?.settings, Some(server)))
    }
}

/// The ids of all servers.
pub(crate) fn server_ids(database: &Database) -> Result<Vec<ServerId>, Error> {
    let mut ids = Vec::new();
    all(database, SERVERS, |key, _| {
        ids.extend(key.get(SERVERS.len()..).and_then(|id| key::server_at(id, 0)));
        Ok(())
    })?;
    Ok(ids)
}

/// Removed servers, and when they were removed, Unix milliseconds.
pub(crate) fn removed(database: &Database) -> Result<Vec<(ServerId, u64)>, Error> {
    let mut found = Vec::new();
    all(database, SERVERS, |key, value| {
        let server: Server = super::parse(key, value)?;
        found.extend(server.removed_ms.map(|removed_ms| (server.id, removed_ms)));
        Ok(())
    })?;
    Ok(found)
}

pub(super) fn title(server: &Server) -> String {
    format!("server {}, {:?}", server.id, server.name)
}

pub(crate) fn server_key(id: ServerId) -> Vec<u8> {
    [SERVERS, &id.to_be_bytes()[..]].concat()
}

fn seen_key(id: ServerId) -> Vec<u8> {
    [SEEN, &id.to_be_bytes()[..]].concat()
}
