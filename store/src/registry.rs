//! Servers and users: few, small, and read by people, so they are JSON.

use crate::Error;
use crate::database::Database;
use crate::write::Writer;
use parking_lot::Mutex;
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

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
    database: &'a Database,
    /// Held while something is looked up and written depending on it.
    writer: &'a Mutex<Writer>,
}

impl<'a> Registry<'a> {
    pub(crate) fn new(database: &'a Database, writer: &'a Mutex<Writer>) -> Self {
        Registry { database, writer }
    }

    /// All servers, by id.
    pub fn servers(&self) -> Result<Vec<Server>, Error> {
        self.all(b"server/")
    }

    /// A server by its id.
    pub fn server(&self, id: u32) -> Result<Option<Server>, Error> {
        self.one(&server_key(id))
    }

    /// Makes a server with the next free id.
    pub fn add_server(&self, name: &str, sample: bool, token_hash: String, created_ms: u64) -> Result<Server, Error> {
        let _alone = self.writer.lock();
        let servers = self.servers()?;
        if servers.iter().any(|server| server.name == name) {
            return Err(Error::NameTaken(name.to_owned()));
        }
        let id = servers.iter().map(|server| server.id).max().unwrap_or(0) + 1;
        let server = Server { id, name: name.to_owned(), sample, token_hash, created_ms };
        self.put(&server_key(id), &server)?;
        Ok(server)
    }

    /// Writes a server that exists.
    pub fn put_server(&self, server: &Server) -> Result<(), Error> {
        let _alone = self.writer.lock();
        let servers = self.servers()?;
        if !servers.iter().any(|other| other.id == server.id) {
            return Err(Error::Missing("server", server.id.to_string()));
        }
        if servers.iter().any(|other| other.id != server.id && other.name == server.name) {
            return Err(Error::NameTaken(server.name.clone()));
        }
        self.put(&server_key(server.id), server)
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
        let _alone = self.writer.lock();
        if self.user(&user.name)?.is_some() {
            return Err(Error::NameTaken(user.name.clone()));
        }
        self.put(&user_key(&user.name), user)
    }

    /// Writes a user, new or not.
    pub fn put_user(&self, user: &User) -> Result<(), Error> {
        let _alone = self.writer.lock();
        self.put(&user_key(&user.name), user)
    }

    /// Removes a user.
    pub fn remove_user(&self, name: &str) -> Result<(), Error> {
        let _alone = self.writer.lock();
        if self.user(name)?.is_none() {
            return Err(Error::Missing("user", name.to_owned()));
        }
        let mut batch = WriteBatch::default();
        batch.delete(user_key(name));
        self.database.write(batch, true)
    }

    fn put<T: Serialize>(&self, key: &[u8], value: &T) -> Result<(), Error> {
        let json = serde_json::to_vec(value).map_err(|error| Error::damaged(error.to_string(), key))?;
        let mut batch = WriteBatch::default();
        batch.put(key, json);
        self.database.write(batch, true)
    }

    fn one<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.database.get("default", key)?.map(|value| parse(key, &value)).transpose()
    }

    fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        self.database.visit("default", prefix, |key, value| {
            let ours = key.starts_with(prefix);
            if ours {
                all.push(parse(key, value)?);
            }
            Ok(ours)
        })?;
        Ok(all)
    }
}

fn parse<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| Error::damaged(error.to_string(), key))
}

fn server_key(id: u32) -> Vec<u8> {
    [b"server/", &id.to_be_bytes()[..]].concat()
}

fn user_key(name: &str) -> Vec<u8> {
    [b"user/", name.as_bytes()].concat()
}
