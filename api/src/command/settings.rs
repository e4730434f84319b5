//! `zonepulse settings`.

use super::{Overlay, Place};
use crate::Error;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use std::io::Write;
use std::process::ExitCode;
use zonepulse_central::accounts;
use zonepulse_central::servers::settings::{Patch, apply, shown, shown_override};
use zonepulse_private::Secret;
use zonepulse_store::{Server, Store};

/// Shows and changes settings.
#[derive(Debug, Subcommand)]
pub(super) enum Settings {
    /// Show the effective settings and where each value comes from, for all servers or for one
    Get {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        place: Place,
    },
    /// Change a setting, for all servers or for one
    Set {
        /// The setting's name, as `get` shows it
        key: String,
        /// The new value; without one, the setting is reset to its default, or for a server to the value for all servers
        value: Option<Secret>,
        /// Prompt for the value, or read a line from standard input; for secrets, because every user can see arguments
        #[arg(long, conflicts_with = "value")]
        value_stdin: bool,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        place: Place,
    },
}

/// Selects the settings of a server.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// The server, by name or id [default: all servers]
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
}

impl Settings {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let (Settings::Get { of, place } | Settings::Set { of, place, .. }) = self;
        let path = if of.server.is_some() { "/api/v2/pvservers/ID" } else { "/api/v2/settings" };
        match self {
            Settings::Get { .. } => {
                let lines = place.with_store(overlay, &format!("GET {path}"), |store, _| of.lines(store))?;
                let mut out = std::io::stdout().lock();
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            }
            Settings::Set { key, value, value_stdin, .. } => {
                let value = match value_stdin {
                    true => Some(zonepulse_private::secret_from_stdin(key)?),
                    false => value.clone(),
                };
                if !value_stdin && value.as_ref().is_some_and(|value| zonepulse_private::is_secret(key, value.reveal())) {
                    eprintln!(
                        "zonepulse: warning: every user of this machine can see {key} in the arguments: \
                         use --value-stdin; the next release will refuse it here"
                    );
                }
                place.with_store(overlay, &format!("PATCH {path}"), |store, _| {
                    of.set(store, key, value.as_ref().map(Secret::reveal))
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Of {
    fn server(&self, store: &Store) -> Result<Option<Server>, Error> {
        Ok(self.server.as_deref().map(|name| accounts::find_server(store, name)).transpose()?)
    }

    /// A line for each setting: name, value, and where the value comes from.
    fn lines(&self, store: &Store) -> Result<Vec<String>, Error> {
        let registry = store.registry();
        let server = self.server(store)?;
        let holds = match &server {
            Some(server) => registry.effective_settings(server.id)?,
            None => registry.global_settings()?,
        };
        let global = shown_override(&registry.global()?.settings)?;
        let own = server.map(|server| shown_override(&server.overrides)).transpose()?.unwrap_or_default();
        let from = |name: &str| match (own.contains_key(name), global.contains_key(name)) {
            (true, _) => "this server",
            (false, true) => "global",
            (false, false) => "default",
        };
        let holds = shown(&holds)?;
        Ok(["setting\tvalue\tfrom".to_owned()]
            .into_iter()
            .chain(holds.into_iter().map(|(name, value)| format!("{name}\t{value}\t{}", from(&name))))
            .collect())
    }

    fn set(&self, store: &Store, key: &str, value: Option<&str>) -> Result<(), Error> {
        let registry = accounts::here(store);
        let server = self.server(store)?;
        let value = value.map_or(Value::Null, written);
        let change = |over: &mut zonepulse_model::SettingsOverride| -> Result<(), Error> {
            let patch = |value: Value| Patch::from(Map::from_iter([(key.to_owned(), value)]));
            let mut changed = over.clone();
            let done = apply(&mut changed, &patch(value.clone()));
            // A text may look like a number.
            done.or_else(|error| match &value {
                Value::String(_) | Value::Null => Err(error),
                other => apply(&mut changed, &patch(other.to_string().into())).map_err(|_| error),
            })?;
            *over = changed;
            Ok(())
        };
        match server {
            Some(server) => {
                registry.change_server(server.id, "server.change", |server| change(&mut server.overrides))?;
            }
            None => {
                registry.change_global(change)?;
            }
        }
        Ok(())
    }
}

/// A value on the command line: a number, true or false, or otherwise text.
fn written(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Default::default()).unwrap();
        store.registry().add_server("ns1", false, None, 0).unwrap();
        (dir, store)
    }

    #[test]
    fn what_is_set_is_shown_with_where_it_is_from() {
        let (_dir, store) = store();
        let (all, one) = (Of { server: None }, Of { server: Some("ns1".to_owned()) });
        all.set(&store, "dns_interval_s", Some("30")).unwrap();
        all.set(&store, "verify_ca", Some("false")).unwrap();
        one.set(&store, "dns_interval_s", Some("15")).unwrap();
        let shown = one.lines(&store).unwrap();
        for line in ["dns_interval_s\t15\tthis server", "verify_ca\tfalse\tglobal", "system_interval_s\t5\tdefault"] {
            assert!(shown.iter().any(|shown| shown == line), "{line}: {shown:?}");
        }
        one.set(&store, "dns_interval_s", None).unwrap();
        assert!(one.lines(&store).unwrap().contains(&"dns_interval_s\t30\tglobal".to_owned()));
    }

    #[test]
    fn a_text_that_looks_like_a_number_is_a_text_where_one_is_meant() {
        let (_dir, store) = store();
        let all = Of { server: None };
        all.set(&store, "rabbitmq_user", Some("007")).unwrap();
        all.set(&store, "rabbitmq_password", Some("12345678")).unwrap();
        let settings = store.registry().global_settings().unwrap();
        assert_eq!((settings.rabbitmq_user.as_str(), settings.rabbitmq_password.as_str()), ("007", "12345678"));
        assert!(!all.lines(&store).unwrap().concat().contains("12345678"));
    }

    #[test]
    fn what_cannot_be_set_is_named() {
        let (_dir, store) = store();
        let refused = |key: &str, value: &str| Of { server: None }.set(&store, key, Some(value)).unwrap_err().to_string();
        assert!(refused("dns_interval", "30").starts_with("dns_interval: there is no such setting"));
        assert!(refused("dns_interval_s", "7").starts_with("dns_interval_s: must divide 300"));
        assert!(refused("verify_ca", "perhaps").starts_with("verify_ca: "));
    }
}
