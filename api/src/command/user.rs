//! `zonepulse user`.

use super::{Overlay, Place};
use crate::Error;
use clap::{Args, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use zonepulse_central::{accounts, time};
use zonepulse_private::Secret;

/// Manages users.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Create a user; prints a random password unless one is given
    Add {
        /// The name to log in with
        name: String,
        /// Make the user an administrator, who may do everything
        #[arg(long)]
        administrator: bool,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        place: Place,
    },
    /// List the users
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Change a user's password; prints a random one unless one is given
    Password {
        /// The user's name
        name: String,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        place: Place,
    },
    /// Grant rights to a user or revoke them; without options, show them
    Rights {
        /// The user's name
        name: String,
        #[command(flatten)]
        change: RightsChange,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a user
    Remove {
        /// The user's name
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// A user's rights.
#[derive(Debug, Args)]
pub(super) struct RightsChange {
    /// Whether the user is an administrator, who may do everything
    #[arg(long, value_name = "BOOL")]
    administrator: Option<bool>,
    /// Use the monitoring API
    #[arg(long, value_name = "BOOL")]
    monitoring: Option<bool>,
    /// Create servers
    #[arg(long, value_name = "BOOL")]
    server_create: Option<bool>,
    /// See the configuration of servers
    #[arg(long, value_name = "BOOL")]
    server_read: Option<bool>,
    /// Change servers
    #[arg(long, value_name = "BOOL")]
    server_update: Option<bool>,
    /// Remove servers
    #[arg(long, value_name = "BOOL")]
    server_delete: Option<bool>,
    /// Add, load, change and remove zones, and what is said of their resources
    #[arg(long, value_name = "BOOL")]
    zones: Option<bool>,
    /// Plan the deletion of records
    #[arg(long, value_name = "BOOL")]
    retirement: Option<bool>,
}

impl RightsChange {
    fn apply(&self, user: &mut zonepulse_store::User) {
        let set = |field: &mut bool, value: Option<bool>| *field = value.unwrap_or(*field);
        set(&mut user.administrator, self.administrator);
        set(&mut user.rights.monitoring, self.monitoring);
        set(&mut user.rights.server_create, self.server_create);
        set(&mut user.rights.server_read, self.server_read);
        set(&mut user.rights.server_update, self.server_update);
        set(&mut user.rights.server_delete, self.server_delete);
        set(&mut user.rights.zones, self.zones);
        set(&mut user.rights.retirement, self.retirement);
    }
}

/// Where a password comes from. Not from an argument, which other users of the machine could see.
#[derive(Debug, Args)]
pub(super) struct Password {
    /// Read the password from a line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl Password {
    fn read(&self) -> Result<Option<Secret>, Error> {
        if !self.password_stdin {
            return Ok(None);
        }
        Ok(Some(zonepulse_private::secret_from_stdin("Password")?))
    }

    /// Shows a generated password.
    fn show(&self, name: &str, password: &str) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "user = {}", serde_json::json!(name))?;
        if !self.password_stdin {
            writeln!(out, "password = {}", serde_json::json!(password))?;
        }
        Ok(())
    }
}

impl User {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        match self {
            User::Add { name, administrator, password, place } => {
                let given = password.read()?;
                let (made, is_there, comes) = place.with_store(overlay, "POST /api/v2/users", |store, _| {
                    let made = accounts::add_user(store, name, *administrator, given)?;
                    Ok((made, accounts::has_administrator(store)?, accounts::makes_administrator(store)?))
                })?;
                password.show(name, made.reveal())?;
                if comes {
                    eprintln!(
                        "zonepulse: there is no administrator yet: the next `zonepulse serve` makes one, {}; \
                         or give this user the right: zonepulse user rights {name} --administrator true",
                        accounts::ADMINISTRATOR
                    );
                } else if !is_there {
                    eprintln!(
                        "zonepulse: there is no administrator yet; give this user the right: \
                         zonepulse user rights {name} --administrator true"
                    );
                }
            }
            User::List { place } => {
                let users = place.with_store(overlay, "GET /api/v2/users", |store, _| Ok(store.registry().users()?))?;
                let mut out = std::io::stdout().lock();
                writeln!(out, "user\tadministrator\tcreated")?;
                for user in users {
                    let administrator = if user.administrator { "yes" } else { "no" };
                    writeln!(out, "{}\t{administrator}\t{}", user.name, time::text(user.created_ms))?;
                }
            }
            User::Password { name, password, place } => {
                let given = password.read()?;
                let made = place.with_store(overlay, &call("PATCH", name), |store, settings| {
                    Ok(accounts::set_password(store, &settings.data, name, given)?)
                })?;
                password.show(name, made.reveal())?;
            }
            User::Rights { name, change, place } => {
                let changed = |store: &_, _: &_| Ok(accounts::change_user(store, name, |user| change.apply(user))?);
                let user = place.with_store(overlay, &call("PATCH", name), changed)?;
                let mut out = std::io::stdout().lock();
                writeln!(out, "user = {}", serde_json::json!(user.name))?;
                writeln!(out, "administrator = {}", user.administrator)?;
                let zonepulse_store::Rights {
                    monitoring,
                    server_create,
                    server_read,
                    server_update,
                    server_delete,
                    zones,
                    retirement,
                } = user.rights;
                writeln!(out, "monitoring = {monitoring}\nserver_create = {server_create}\nserver_read = {server_read}")?;
                writeln!(out, "server_update = {server_update}\nserver_delete = {server_delete}")?;
                writeln!(out, "zones = {zones}\nretirement = {retirement}")?;
            }
            User::Remove { name, place } => {
                place.with_store(overlay, &call("DELETE", name), |store, settings| {
                    Ok(accounts::remove_user(store, &settings.data, name)?)
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The equivalent call of the API.
fn call(method: &str, name: &str) -> String {
    format!("{method} /api/v2/users/{name}")
}
