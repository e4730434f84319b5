//! Changes to a server, and who may make them.

use super::settings::{self, Patch, for_administrators};
use crate::Error;
use crate::rights::Caller;
use zonepulse_private::Secret;
use zonepulse_store::{Entered, Server};

/// Changes to a server; absent ones leave the value unchanged.
#[derive(Debug, Default)]
pub struct ServerChange {
    /// Its display name.
    pub name: Option<String>,
    /// Whether it holds sample data.
    pub sample: Option<bool>,
    /// Its operating system.
    pub os: Option<String>,
    /// Its FQDN or IP address.
    pub address: Option<String>,
    /// Free-form notes.
    pub notes: Option<String>,
    /// Its purposes.
    pub services: Option<Vec<String>>,
    /// The URL that the central pulls from.
    pub pull_url: Option<String>,
    /// The token that the central presents there.
    pub pull_token: Option<Secret>,
    /// Whether its probe is given the secrets it needs.
    pub trusted: Option<bool>,
    /// The newest version of the probe that is installed on it; empty for no limit.
    pub max_version: Option<String>,
    /// Settings of this server that override those for all servers.
    pub settings: Option<Patch>,
}

impl ServerChange {
    /// Rejects changes that only an administrator may make.
    pub fn check_allowed(&self, caller: &Caller) -> Result<(), Error> {
        if caller.is_administrator() {
            return Ok(());
        }
        let said = [
            ("pull_url", self.pull_url.is_some()),
            ("pull_token", self.pull_token.is_some()),
            ("trusted", self.trusted.is_some()),
        ];
        match said.into_iter().find(|(_, said)| *said) {
            Some((name, _)) => Err(for_administrators(name)),
            None => self.settings.as_ref().map_or(Ok(()), settings::check_allowed),
        }
    }

    /// Which secrets the change contains.
    pub(super) fn entered(&self) -> Entered {
        let pull_token = self.pull_token.as_ref().is_some_and(|token| !token.is_empty());
        Entered { pull_token, ..self.settings.as_ref().map(settings::entered).unwrap_or_default() }
    }

    /// Applies the change to a server. Pulling needs a token: `made` is used if there is none.
    pub(super) fn apply(self, server: &mut Server, made: String) -> Result<(), Error> {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut server.name, self.name);
        set(&mut server.sample, self.sample);
        set(&mut server.os, self.os);
        set(&mut server.address, self.address);
        set(&mut server.notes, self.notes);
        set(&mut server.services, self.services);
        set(&mut server.pull.url, self.pull_url);
        if let Some(token) = self.pull_token {
            server.pull.token = (!token.is_empty()).then(|| token.reveal().to_owned());
        }
        set(&mut server.trusted, self.trusted);
        if let Some(version) = self.max_version {
            let version = Some(version).filter(|version| !version.is_empty());
            server.max_version = version.map(|version| checked(&version)).transpose()?;
        }
        if !server.pull.url.is_empty() {
            server.pull.token.get_or_insert(made);
        }
        self.settings.map_or(Ok(()), |patch| settings::apply(&mut server.overrides, &patch))
    }
}

/// A version as it is written, or why it is none.
fn checked(version: &str) -> Result<String, Error> {
    let parsed: Result<semver::Version, _> = version.parse();
    let wrong = |error| Error::bad_value("max_version", format_args!("{version:?} is no version such as 0.1.0: {error}"));
    Ok(parsed.map_err(wrong)?.to_string())
}
