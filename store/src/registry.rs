//! Servers and users: few, small, and read by people, so they are JSON.

use crate::database::Database;
use crate::retention::{Expiry, Horizon};
use crate::write::Writer;
use crate::{Error, Inner, Retention, key};
use parking_lot::MutexGuard;
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;
use zonepulse_codec::Malformed;

const SERVERS: &[u8] = b"server/";

/// A managed server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its number; not 0.
    pub id: u32,
    /// Its display name, unique.
    pub name: String,
    /// Whether its data is a sample to look at, not a machine's.
    pub sample: bool,
    /// What its token hashes to; the token itself is nowhere.
    pub token_hash: String,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// For how long its points are kept, where that is not what holds for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name to log in with, unique.
    pub name: String,
    /// What the password hashes to, in PHC string format.
    pub password_hash: String,
    /// Whether everything is allowed.
    pub administrator: bool,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
}

/// The servers and users of a store.
pub struct Registry<'a> {
    inner: &'a Inner,
}

impl<'a> Registry<'a> {
    pub(crate) fn new(inner: &'a Inner) -> Self {
        Registry { inner }
    }

    /// Held while something is looked up and written depending on it.
    fn alone(&self) -> MutexGuard<'a, Writer> {
        self.inner.writer.lock()
    }

    /// All servers, by id.
    pub fn servers(&self) -> Result<Vec<Server>, Error> {
        self.all(SERVERS)
    }

    /// A server by its id.
    pub fn server(&self, id: u32) -> Result<Option<Server>, Error> {
        self.one(&server_key(id))
    }

    /// Makes a server with the next free id.
    pub fn add_server(&self, name: &str, sample: bool, token_hash: String, created_ms: u64) -> Result<Server, Error> {
        let _alone = self.alone();
        let servers = self.servers()?;
        if servers.iter().any(|server| server.name == name) {
            return Err(Error::NameTaken(name.to_owned()));
        }
        let id = servers.iter().map(|server| server.id).max().unwrap_or(0) + 1;
        let server = Server { id, name: name.to_owned(), sample, token_hash, created_ms, retention: None };
        self.put(&server_key(id), &server)?;
        Ok(server)
    }

    /// Writes a server that exists. Its retention holds from the next question on.
    pub fn put_server(&self, server: &Server) -> Result<(), Error> {
        let _alone = self.alone();
        let servers = self.servers()?;
        if !servers.iter().any(|other| other.id == server.id) {
            return Err(Error::Missing("server", server.id.to_string()));
        }
        if servers.iter().any(|other| other.id != server.id && other.name == server.name) {
            return Err(Error::NameTaken(server.name.clone()));
        }
        self.put(&server_key(server.id), server)?;
        let mut expiry = self.inner.expiry.write();
        let of_server = &mut Arc::make_mut(&mut expiry).of_server;
        match server.retention {
            Some(retention) => of_server.insert(server.id, retention),
            None => of_server.remove(&server.id),
        };
        Ok(())
    }

    /// All users, by name.
    pub fn users(&self) -> Result<Vec<User>, Error> {
        self.all(b"user/")
    }

    /// A user by name.
    pub fn user(&self, name: &str) -> Result<Option<User>, Error> {
        self.one(&user_key(name))
    }

    /// Makes a user.
    pub fn add_user(&self, user: &User) -> Result<(), Error> {
        let _alone = self.alone();
        if self.user(&user.name)?.is_some() {
            return Err(Error::NameTaken(user.name.clone()));
        }
        self.put(&user_key(&user.name), user)
    }

    /// Writes a user, new or not.
    pub fn put_user(&self, user: &User) -> Result<(), Error> {
        let _alone = self.alone();
        self.put(&user_key(&user.name), user)
    }

    /// Removes a user.
    pub fn remove_user(&self, name: &str) -> Result<(), Error> {
        let _alone = self.alone();
        if self.user(name)?.is_none() {
            return Err(Error::Missing("user", name.to_owned()));
        }
        let mut batch = WriteBatch::default();
        batch.delete(user_key(name));
        self.inner.database.write(batch, true)
    }

    fn put<T: Serialize>(&self, key: &[u8], value: &T) -> Result<(), Error> {
        let json = serde_json::to_vec(value).map_err(|error| Error::damaged(error.to_string(), key))?;
        let mut batch = WriteBatch::default();
        batch.put(key, json);
        self.inner.database.write(batch, true)
    }

    fn one<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.inner.database.get("default", key)?.map(|value| parse(key, &value)).transpose()
    }

    fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        all(&self.inner.database, prefix, |key, value| {
            found.push(parse(key, value)?);
            Ok(())
        })?;
        Ok(found)
    }
}

/// The ids of all servers.
pub(crate) fn server_ids(database: &Database) -> Result<Vec<u32>, Error> {
    let mut ids = Vec::new();
    all(database, SERVERS, |key, _| {
        ids.extend(key.get(SERVERS.len()..).and_then(|id| key::u32_at(id, 0)));
        Ok(())
    })?;
    Ok(ids)
}

/// The settings of all servers, and their horizons.
pub(crate) fn expiry(database: &Database, default: Retention) -> Result<Expiry, Error> {
    let mut expiry = Expiry { default, ..Expiry::default() };
    let mut servers: Vec<Server> = Vec::new();
    all(database, SERVERS, |key, value| {
        servers.push(parse(key, value)?);
        Ok(())
    })?;
    expiry.of_server = servers.iter().filter_map(|server| server.retention.map(|retention| (server.id, retention))).collect();
    all(database, key::HORIZON, |key, value| {
        let server_id =
            key.get(key::HORIZON.len()..).and_then(|id| key::u32_at(id, 0)).ok_or_else(|| Error::damaged("horizon", key))?;
        let horizon = Horizon::decode(value).map_err(|Malformed(what)| Error::damaged(what, key))?;
        expiry.horizons.insert(server_id, horizon);
        Ok(())
    })?;
    Ok(expiry)
}

/// Visits the keys of the default family that begin so.
fn all(database: &Database, prefix: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
    database.visit("default", prefix, |key, value| {
        let ours = key.starts_with(prefix);
        if ours {
            each(key, value)?;
        }
        Ok(ours)
    })
}

fn parse<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| Error::damaged(error.to_string(), key))
}

fn server_key(id: u32) -> Vec<u8> {
    [SERVERS, &id.to_be_bytes()[..]].concat()
}

fn user_key(name: &str) -> Vec<u8> {
    [b"user/", name.as_bytes()].concat()
}
