//! Users and their rights.

use super::Registry;
use super::names::{check_name, check_unlike};
use crate::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

const USERS: &[u8] = b"user/";
/// Maximum number of users.
const MOST_USERS: usize = 1000;
/// Maximum number of tokens per user.
const MOST_TOKENS: usize = 32;

/// A user. Its `Debug` output omits hashes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Unique login name.
    pub name: String,
    /// The hash of the password, in PHC string format.
    pub password_hash: String,
    /// Whether the user is an administrator, who has all rights.
    pub administrator: bool,
    /// When the user was created, Unix milliseconds.
    pub created_ms: u64,
    /// Rights of a user who is not an administrator.
    #[serde(default)]
    pub rights: Rights,
    /// Tokens with which the user's programs authenticate in place of the password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<UserToken>,
}

/// Rights of a user who is not an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Query the monitoring API.
    pub monitoring: bool,
    /// Create servers.
    pub server_create: bool,
    /// See how servers are configured.
    pub server_read: bool,
    /// Change servers.
    pub server_update: bool,
    /// Remove servers.
    pub server_delete: bool,
    /// Add, load, change and remove zones, and what is said of their resources.
    #[serde(default)]
    pub zones: bool,
    /// Plan the deletion of records.
    #[serde(default)]
    pub retirement: bool,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("administrator", &self.administrator)
            .field("rights", &self.rights)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserToken").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Rights {
    /// No rights.
    pub const NONE: Rights = Rights::each(false);
    /// All rights.
    pub const ALL: Rights = Rights::each(true);

    const fn each(given: bool) -> Rights {
        Rights {
            monitoring: given,
            server_create: given,
            server_read: given,
            server_update: given,
            server_delete: given,
            zones: given,
            retirement: given,
        }
    }
}

impl Default for Rights {
    /// Read access, which every user had before there were rights.
    fn default() -> Self {
        Rights { monitoring: true, server_read: true, ..Rights::NONE }
    }
}

/// A token of a user. Its `Debug` output omits the hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserToken {
    /// Its number among the user's tokens; not reused while a later token exists.
    pub id: u32,
    /// What it is for.
    pub name: String,
    /// The hash of the token.
    pub hash: String,
    /// When it was created, Unix milliseconds.
    pub created_ms: u64,
    /// When it expires, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

impl Registry<'_> {
    /// All users, by name.
    pub fn users(&self) -> Result<Vec<User>, Error> {
        self.all(USERS)
    }

    /// A user by name.
    pub fn user(&self, name: &str) -> Result<Option<User>, Error> {
        self.one(&user_key(name))
    }

    /// Creates a user.
    pub fn add_user(&self, user: &User) -> Result<(), Error> {
        let mut work = self.change();
        let users = self.users()?;
        check(user, None)?;
        check_unlike(&user.name, users.iter().map(|user| user.name.as_str()))?;
        if users.len() >= MOST_USERS {
            return Err(Error::TooMany("users", MOST_USERS));
        }
        work.put(&user_key(&user.name), user)?;
        work.audit("user.create", &title(&user.name), &Value::Null, user)?;
        work.commit()
    }

    /// Changes a user; `action` is its name in the audit log. The last administrator cannot be demoted.
    pub fn change_user<E: From<Error>>(
        &self,
        name: &str,
        action: &str,
        change: impl FnOnce(&mut User) -> Result<(), E>,
    ) -> Result<User, E> {
        let mut work = self.change();
        let before = self.user(name)?.ok_or_else(|| Error::Missing("user", name.to_owned()))?;
        let mut after = before.clone();
        change(&mut after)?;
        name.clone_into(&mut after.name);
        if after == before {
            return Ok(after);
        }
        check(&after, Some(&before))?;
        if before.administrator && !after.administrator {
            self.another_administrator(name)?;
        }
        work.put(&user_key(name), &after)?;
        work.audit(action, &title(name), &before, &after)?;
        work.commit()?;
        Ok(after)
    }

    /// Removes a user, unless it is the last administrator.
    pub fn remove_user(&self, name: &str) -> Result<(), Error> {
        let mut work = self.change();
        let user = self.user(name)?.ok_or_else(|| Error::Missing("user", name.to_owned()))?;
        if user.administrator {
            self.another_administrator(name)?;
        }
        work.batch.delete(user_key(name));
        work.audit("user.remove", &title(name), &user, &Value::Null)?;
        work.commit()
    }

    fn another_administrator(&self, name: &str) -> Result<(), Error> {
        let there = self.users()?.iter().any(|user| user.administrator && user.name != name);
        if there { Ok(()) } else { Err(Error::LastAdministrator(name.to_owned())) }
    }
}

/// Rejects invalid fields. Names that were valid in earlier versions may stay.
fn check(user: &User, before: Option<&User>) -> Result<(), Error> {
    if before.is_none() {
        check_name("user", &user.name)?;
    }
    if user.name.contains([':', '/']) {
        return Err(Error::bad_setting("user", "a colon would end it in HTTP Basic credentials, and a slash in an address"));
    }
    if user.tokens.len() > MOST_TOKENS {
        return Err(Error::TooMany("tokens of a user", MOST_TOKENS));
    }
    let known = |token: &UserToken| before.is_some_and(|before| before.tokens.contains(token));
    user.tokens.iter().filter(|token| !known(token)).try_for_each(|token| check_name("name", &token.name))
}

fn title(name: &str) -> String {
    format!("user {name:?}")
}

fn user_key(name: &str) -> Vec<u8> {
    [USERS, name.as_bytes()].concat()
}
