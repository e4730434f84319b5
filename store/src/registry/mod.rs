//! Servers, users, settings, and who changed them. They are few and small, and people read them, so they are stored
//! as JSON.
//!
//! Callers that make changes identify themselves ([`Registry::by`]); the state before and after is then written to
//! the audit log in the same write. Callers that cache registry data check [`Registry::generation`].

mod absent;
mod audit;
mod names;
pub(crate) mod purge;
mod rebuild;
mod secrets;
mod server;
mod user;

pub use audit::{Actor, AuditEntry};
pub use names::are_alike;
pub use secrets::Entered;
pub use server::{EnrollmentToken, Pull, Server, ServerNames};
pub use user::{Rights, User, UserToken};

use crate::database::{Database, key};
use crate::lock::MutexGuard;
use crate::retention::{Expiry, Horizon};
use crate::write::writer::Writer;
use crate::{Error, Inner, Retention};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zonepulse_codec::Malformed;
use zonepulse_model::{ServerId, Settings, SettingsOverride};

pub(crate) use server::LAST_ID as LAST_SERVER_ID;
pub(crate) use server::{SEEN, SERVERS, removed, server_ids, server_key};

pub(crate) const SETTINGS: &[u8] = b"settings";

/// Global settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalSettings {
    /// Incremented by every change of any setting, global or of a server.
    pub version: u64,
    /// The settings.
    pub settings: SettingsOverride,
}

/// The servers, users and settings of a store.
pub struct Registry<'a> {
    pub(crate) inner: &'a Inner,
    actor: Option<Actor>,
    /// Secrets that were entered; `None` if none have to be.
    entered: Option<Entered>,
}

impl<'a> Registry<'a> {
    pub(crate) fn new(inner: &'a Inner) -> Self {
        Registry { inner, actor: None, entered: Some(Entered::default()) }
    }

    /// The same registry, with all changes logged in the audit log under this actor.
    pub fn by(self, actor: Actor) -> Self {
        Registry { actor: Some(actor), ..self }
    }

    /// Incremented by every change: data read at an earlier generation may be out of date.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }

    /// The global settings.
    pub fn global(&self) -> Result<GlobalSettings, Error> {
        global(&self.inner.database)
    }

    /// Changes the global settings. Retention applies from the next query on.
    ///
    /// Refused if the result is invalid, globally or for any server, or if a secret would be sent elsewhere without
    /// having been entered again ([`Registry::entering`]); `change` may refuse as well.
    pub fn change_global<E: From<Error>>(
        &self,
        change: impl FnOnce(&mut SettingsOverride) -> Result<(), E>,
    ) -> Result<GlobalSettings, E> {
        let mut work = self.change();
        let before = self.global()?;
        let mut after = before.clone();
        change(&mut after.settings)?;
        if after.settings == before.settings {
            return Ok(before);
        }
        let checked = after.settings.check(&before.settings);
        checked.and_then(|()| self.effective(&after.settings, None).check()).map_err(Error::from)?;
        for server in self.servers()?.iter().filter(|server| !server.is_removed()) {
            let together = self.effective(&after.settings, Some(server));
            let named = |reason: String| format!("{reason} (server {}, {:?})", server.id, server.name);
            server::check_together(server, &together).map_err(|error| match error {
                Error::BadSetting { setting, reason } => Error::BadSetting { setting, reason: named(reason) },
                other => other,
            })?;
        }
        self.keep_global_secrets(&before, &after)?;
        after.version += 1;
        work.put(SETTINGS, &after)?;
        work.audit("settings.change", "global settings", &before.settings, &after.settings)?;
        work.commit()?;
        self.refresh_expiry()?;
        Ok(after)
    }

    /// The effective settings of a server; the global ones if there is no such server.
    pub fn effective_settings(&self, server_id: ServerId) -> Result<Settings, Error> {
        let global = self.global()?;
        Ok(self.effective(&global.settings, self.server(server_id)?.as_ref()))
    }

    /// The effective settings where a server has no overrides.
    pub fn global_settings(&self) -> Result<Settings, Error> {
        Ok(self.effective(&self.global()?.settings, None))
    }

    fn effective(&self, global: &SettingsOverride, server: Option<&Server>) -> Settings {
        let layers: Vec<&SettingsOverride> = [global].into_iter().chain(server.map(|server| &server.overrides)).collect();
        Settings::effective(self.inner.retention.defaults(), &layers)
    }

    /// Notes in the audit log what was done to something that is not stored here.
    pub fn note(&self, action: &str, what: &str, told: &impl Serialize) -> Result<(), Error> {
        let mut work = self.change();
        work.audit(action, what, &Value::Null, told)?;
        work.commit()
    }

    /// Begins a change: all other changes and commits wait until it is dropped.
    pub(crate) fn change(&self) -> Change<'_> {
        Change { registry: self, alone: self.inner.writer.lock(), batch: WriteBatch::default() }
    }

    /// Reloads the retention settings; they apply from the next query on.
    fn refresh_expiry(&self) -> Result<(), Error> {
        let settings = retentions(&self.inner.database, self.inner.retention)?;
        let mut expiry = self.inner.expiry.write();
        let expiry = Arc::make_mut(&mut expiry);
        (expiry.default, expiry.of_server) = (settings.default, settings.of_server);
        Ok(())
    }

    pub(crate) fn one<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.inner.database.get("default", key)?.map(|value| parse(key, &value)).transpose()
    }

    pub(crate) fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        all(&self.inner.database, prefix, |key, value| {
            found.push(parse(key, value)?);
            Ok(())
        })?;
        Ok(found)
    }
}

/// One atomic, fsynced change of the registry.
pub(crate) struct Change<'a> {
    registry: &'a Registry<'a>,
    /// Held from the first lookup until the write that depends on it.
    alone: MutexGuard<'a, Writer>,
    pub(crate) batch: WriteBatch,
}

impl<'a> Change<'a> {
    pub(crate) fn put<T: Serialize>(&mut self, key: &[u8], value: &T) -> Result<(), Error> {
        let json = serde_json::to_vec(value).map_err(|error| Error::damaged(error.to_string(), key))?;
        self.batch.put(key, json);
        Ok(())
    }

    /// Raises the version because a setting has changed.
    fn raise_version(&mut self) -> Result<(), Error> {
        let mut global = self.registry.global()?;
        global.version += 1;
        self.put(SETTINGS, &global)
    }

    /// What the change consists of, for a caller that writes it. Nothing else can be written until the guard is dropped.
    pub(crate) fn into_parts(self) -> (MutexGuard<'a, Writer>, WriteBatch) {
        (self.alone, self.batch)
    }

    fn commit(self) -> Result<(), Error> {
        let inner = self.registry.inner;
        inner.database.write(self.batch, true)?;
        inner.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// The retention settings and horizons of all servers.
pub(crate) fn expiry(database: &Database, default: Retention) -> Result<Expiry, Error> {
    let mut expiry = retentions(database, default)?;
    all(database, key::HORIZON, |key, value| {
        let server_id =
            key.get(key::HORIZON.len()..).and_then(|id| key::server_at(id, 0)).ok_or_else(|| Error::damaged("horizon", key))?;
        let horizon = Horizon::decode(value).map_err(|Malformed(what)| Error::damaged(what, key))?;
        expiry.horizons.insert(server_id, horizon);
        Ok(())
    })?;
    Ok(expiry)
}

/// The retention of all servers: the global one, and those of servers with a setting of their own.
fn retentions(database: &Database, default: Retention) -> Result<Expiry, Error> {
    let global = global(database)?.settings;
    let retention = |layers: &[&SettingsOverride]| Retention::from(&Settings::effective(default.defaults(), layers));
    let of_all = retention(&[&global]);
    let mut expiry = Expiry { default: of_all, ..Expiry::default() };
    all(database, server::SERVERS, |key, value| {
        let server: Server = parse(key, value)?;
        let own = retention(&[&global, &server.overrides]);
        if own != of_all {
            expiry.of_server.insert(server.id, own);
        }
        Ok(())
    })?;
    Ok(expiry)
}

fn global(database: &Database) -> Result<GlobalSettings, Error> {
    let found = database.get("default", SETTINGS)?;
    found.map_or_else(|| Ok(GlobalSettings::default()), |value| parse(SETTINGS, &value))
}

/// Visits all keys of the default family with this prefix.
pub(crate) fn all(
    database: &Database,
    prefix: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    database.visit("default", prefix, |key, value| {
        let ours = key.starts_with(prefix);
        if ours {
            each(key, value)?;
        }
        Ok(ours)
    })
}

pub(crate) fn parse<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| Error::damaged(error.to_string(), key))
}

#[cfg(test)]
mod tests;
