//! A look into a store that is not opened: another process may have it open, and nothing in it is changed.
//!
//! It shows what was last written to the disk, for diagnostics: the format, and what people and probes told the central.

use crate::database::format::{Header, open_to_read};
use crate::database::key;
use crate::registry::{self, GlobalSettings, Server};
use crate::{Error, FORMAT, Retention, Zone};
use rocksdb::DB;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use zonepulse_model::{ServerId, Settings};

/// Maximum number of values of a kind that are read.
const MOST: usize = 20_000;

/// What was found in a store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Peek {
    /// Its format; `None` if nothing was written yet.
    pub format: Option<u32>,
    /// The global settings.
    pub global: GlobalSettings,
    /// The servers, removed or not.
    pub servers: Vec<Server>,
    /// The last state heard of each server, as stored.
    pub seen: Vec<(ServerId, Value)>,
    /// The zones.
    pub zones: Vec<Zone>,
}

impl Peek {
    /// Looks into a store; `None` if there is none. Of a format that this version does not know, only the format is read.
    pub fn read(path: &Path) -> Result<Option<Peek>, Error> {
        // What may not be looked at is told by the attempt to open it.
        if matches!(path.join("CURRENT").try_exists(), Ok(false)) {
            return Ok(None);
        }
        let db = open_to_read(path, &[]).map_err(|error| error.while_opening(path))?;
        let format = Header::of(&db)?.format;
        let mut peek = Peek { format, ..Peek::default() };
        if format.is_some_and(|format| format > FORMAT) {
            return Ok(Some(peek));
        }
        peek.global = match db.get(registry::SETTINGS)? {
            Some(value) => registry::parse(registry::SETTINGS, &value)?,
            None => GlobalSettings::default(),
        };
        peek.servers = all(&db, registry::SERVERS)?.into_iter().map(|(_, server)| server).collect();
        peek.zones = all(&db, crate::catalogue::ZONES)?.into_iter().map(|(_, zone)| zone).collect();
        let seen = all::<Value>(&db, registry::SEEN)?.into_iter();
        peek.seen = seen.filter_map(|(id, value)| Some((key::server_at(&id, 0)?, value))).collect();
        Ok(Some(peek))
    }

    /// The settings in effect for a server, where the configuration has this retention.
    pub fn effective(&self, server: &Server, retention: Retention) -> Settings {
        Settings::effective(retention.defaults(), &[&self.global.settings, &server.overrides])
    }
}

/// All values under a prefix, with the rest of their keys.
fn all<T: DeserializeOwned>(db: &DB, prefix: &[u8]) -> Result<Vec<(Vec<u8>, T)>, Error> {
    let mut found = Vec::new();
    let mut iterator = db.raw_iterator();
    iterator.seek(prefix);
    while let Some((key, value)) = iterator.item() {
        let Some(rest) = key.strip_prefix(prefix).filter(|_| found.len() < MOST) else { break };
        found.push((rest.to_vec(), registry::parse(key, value)?));
        iterator.next();
    }
    iterator.status()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::format::FORMAT_KEY;
    use crate::{Options, Store};
    use rocksdb::Options as RocksOptions;
    use serde_json::json;

    #[test]
    fn an_open_store_can_be_looked_into_and_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Peek::read(dir.path()).unwrap(), None);
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let server = store.registry().add_server("ns1", false, None, 7).unwrap();
        store.registry().put_seen(server.id, &json!({"received_ms": 5})).unwrap();
        let zone = store.catalogue().add_zone("a.example.", 7, |_| Ok::<_, Error>(())).unwrap();
        let names = || {
            let entries = std::fs::read_dir(dir.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        let peek = Peek::read(dir.path()).unwrap().unwrap();
        assert_eq!((peek.format, peek.servers.as_slice()), (Some(FORMAT), std::slice::from_ref(&server)));
        assert_eq!(peek.seen, [(server.id, json!({"received_ms": 5}))]);
        assert_eq!(peek.zones, [zone]);
        assert_eq!(peek.effective(&server, Retention::default()), store.registry().effective_settings(server.id).unwrap());
        assert_eq!(names(), before);
        store.registry().add_server("ns2", false, None, 7).unwrap();
        assert_eq!(Peek::read(dir.path()).unwrap().unwrap().servers.len(), 2);
        store.close().unwrap();
        assert_eq!(Peek::read(dir.path()).unwrap().unwrap().servers.len(), 2);
    }

    #[test]
    fn of_a_later_format_only_the_format_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        store.registry().add_server("ns1", false, None, 7).unwrap();
        store.close().unwrap();
        drop(store);
        let db = DB::open_cf(&RocksOptions::default(), dir.path(), DB::list_cf(&RocksOptions::default(), dir.path()).unwrap());
        db.unwrap().put(FORMAT_KEY, (FORMAT + 1).to_be_bytes()).unwrap();
        let peek = Peek::read(dir.path()).unwrap().unwrap();
        assert_eq!(peek, Peek { format: Some(FORMAT + 1), ..Peek::default() });
    }
}
