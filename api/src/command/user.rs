//! `zonepulse user`.

use super::{Overlay, Place};
use crate::{Error, accounts, time};
use clap::{Args, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Users.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Make a user; prints a random password unless one is given
    Add {
        /// The name to log in with
        name: String,
        /// Allow everything
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
    /// Give a user another password; prints a random one unless one is given
    Password {
        /// The user's name
        name: String,
        #[command(flatten)]
        password: Password,
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

/// Where a password comes from. Not from an argument: other users of the machine can see those.
#[derive(Debug, Args)]
pub(super) struct Password {
    /// Read the password from standard input, one line
    #[arg(long)]
    password_stdin: bool,
}

impl Password {
    fn read(&self) -> Result<Option<String>, Error> {
        if !self.password_stdin {
            return Ok(None);
        }
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Shows a password that was made up.
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
                let made = place.with_store(overlay, |store, _| accounts::add_user(store, name, *administrator, given))?;
                password.show(name, &made)?;
            }
            User::List { place } => {
                let users = place.with_store(overlay, |store, _| Ok(store.registry().users()?))?;
                let mut out = std::io::stdout().lock();
                writeln!(out, "name\tadministrator\tcreated")?;
                for user in users {
                    let administrator = if user.administrator { "yes" } else { "no" };
                    writeln!(out, "{}\t{administrator}\t{}", user.name, time::text(user.created_ms))?;
                }
            }
            User::Password { name, password, place } => {
                let given = password.read()?;
                let made =
                    place.with_store(overlay, |store, settings| accounts::set_password(store, &settings.data, name, given))?;
                password.show(name, &made)?;
            }
            User::Remove { name, place } => {
                place.with_store(overlay, |store, settings| accounts::remove_user(store, &settings.data, name))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
