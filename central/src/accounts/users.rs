//! Changes to users: administrators may change anyone; other users only their own password and tokens.

use super::{NewUser, hashed, make_user};
use crate::credentials::token;
use crate::rights::Caller;
use crate::time::now_ms;
use crate::{Central, Error};
use zonepulse_private::Secret;
use zonepulse_store::{Rights, User, UserToken};

/// A day, milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Maximum lifetime of a token, days.
const MOST_DAYS: u32 = 3650;

/// Rights to grant or revoke; absent ones stay unchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RightsChange {
    /// Query the monitoring API.
    pub monitoring: Option<bool>,
    /// Create servers.
    pub server_create: Option<bool>,
    /// See server settings.
    pub server_read: Option<bool>,
    /// Change servers.
    pub server_update: Option<bool>,
    /// Remove servers.
    pub server_delete: Option<bool>,
    /// Add, load, change and remove zones.
    pub zones: Option<bool>,
    /// Plan the deletion of records.
    pub retirement: Option<bool>,
}

impl RightsChange {
    /// Applies the change.
    pub fn apply(self, rights: &mut Rights) {
        let set = |field: &mut bool, value: Option<bool>| *field = value.unwrap_or(*field);
        set(&mut rights.monitoring, self.monitoring);
        set(&mut rights.server_create, self.server_create);
        set(&mut rights.server_read, self.server_read);
        set(&mut rights.server_update, self.server_update);
        set(&mut rights.server_delete, self.server_delete);
        set(&mut rights.zones, self.zones);
        set(&mut rights.retirement, self.retirement);
    }
}

/// Changes to a user.
#[derive(Debug, Default)]
pub struct UserChange {
    /// A new password; an inner `None` asks for a generated one.
    pub password: Option<Option<Secret>>,
    /// Whether the user is an administrator.
    pub administrator: Option<bool>,
    /// Rights of a user who is not an administrator.
    pub rights: Option<RightsChange>,
}

/// A user who was created or changed, and the password if it was generated.
#[derive(Debug)]
pub struct Changed {
    /// The user.
    pub user: User,
    /// The generated password, shown only this once.
    pub made_up: Option<Secret>,
}

/// Finds a user by name.
pub fn find(central: &Central, name: &str) -> Result<User, Error> {
    let missing = || Error::Missing(format!("there is no user {name:?}"));
    central.store().registry().user(name)?.ok_or_else(missing)
}

/// Creates a user.
pub fn create(central: &Central, caller: &Caller, user: NewUser<'_>) -> Result<Changed, Error> {
    let (name, is_made_up, now_ms) = (user.name, user.password.is_none(), now_ms());
    let registry = central.store().registry().by(caller.actor(now_ms));
    let password = make_user(&registry, user, now_ms)?;
    Ok(Changed { user: find(central, name)?, made_up: is_made_up.then_some(password) })
}

/// Changes a user; the last administrator cannot be demoted.
pub fn change(central: &Central, caller: &Caller, name: &str, change: UserChange) -> Result<Changed, Error> {
    let UserChange { password, administrator, rights } = change;
    may_manage(caller, name)?;
    if administrator.is_some() || rights.is_some() {
        may_change_rights(caller)?;
    }
    let registry = central.store().registry().by(caller.actor(now_ms()));
    // Before locking the registry: hashing is slow.
    let hashed = password.map(hashed).transpose()?;
    let (made_up, hash) = hashed.map_or((None, None), |(made_up, hash)| (made_up, Some(hash)));
    let user = registry.change_user(name, "user.change", |user| {
        if let Some(hash) = hash {
            user.password_hash = hash;
        }
        user.administrator = administrator.unwrap_or(user.administrator);
        rights.unwrap_or_default().apply(&mut user.rights);
        Ok::<_, Error>(())
    })?;
    Ok(Changed { user, made_up })
}

/// Removes a user; the last administrator cannot be removed.
pub fn remove(central: &Central, caller: &Caller, name: &str) -> Result<(), Error> {
    Ok(central.store().registry().by(caller.actor(now_ms())).remove_user(name)?)
}

/// Creates a token for a user that expires after a number of days or never; returns the stored entry and the token.
pub fn add_token(
    central: &Central,
    caller: &Caller,
    user: &str,
    name: String,
    days: Option<u32>,
) -> Result<(UserToken, Secret), Error> {
    may_manage(caller, user)?;
    if days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(Error::bad_value("expires_days", format_args!("it has to be from 1 to {MOST_DAYS}")));
    }
    let secret = Secret::from(token::random()?);
    let created_ms = now_ms();
    let registry = central.store().registry().by(caller.actor(created_ms));
    let changed = registry.change_user(user, "user.token", |user| {
        let id = user.tokens.iter().map(|token| token.id).max().unwrap_or(0).saturating_add(1);
        let expires_ms = days.map(|days| created_ms + u64::from(days) * DAY_MS);
        user.tokens.push(UserToken { id, name, hash: token::hash(secret.reveal()), created_ms, expires_ms });
        Ok::<_, Error>(())
    })?;
    let token = changed.tokens.last().cloned();
    let token = token.ok_or_else(|| Error::Fault("a token that was made is not there".to_owned()))?;
    Ok((token, secret))
}

/// Revokes a user's token.
pub fn remove_token(central: &Central, caller: &Caller, user: &str, id: u32) -> Result<(), Error> {
    may_manage(caller, user)?;
    let registry = central.store().registry().by(caller.actor(now_ms()));
    registry.change_user(user, "user.token", |user| {
        let before = user.tokens.len();
        user.tokens.retain(|token| token.id != id);
        if user.tokens.len() == before {
            return Err(Error::Missing(format!("the user has no token {id}")));
        }
        Ok(())
    })?;
    Ok(())
}

/// Checks that the caller may manage a user: administrators may manage anyone, others only themselves. Other callers do
/// not learn which users exist.
pub fn may_manage(caller: &Caller, name: &str) -> Result<(), Error> {
    match caller.account() {
        Some(account) if account.administrator || account.name == name => Ok(()),
        _ => Err(Error::NotAllowed("only an administrator may do this for somebody else".to_owned())),
    }
}

/// Checks that the caller may change users' rights.
pub fn may_change_rights(caller: &Caller) -> Result<(), Error> {
    match caller.is_administrator() {
        true => Ok(()),
        false => Err(Error::NotAllowed("only an administrator may change what a user may do".to_owned())),
    }
}
