//! What is to be different of a server, and who may say so.

use super::settings::{self, Patch, for_administrators};
use crate::Error;
use crate::rights::Caller;
use zonepulse_private::Secret;
use zonepulse_store::{Entered, Server};

/// What is to be different of a server; what is absent stays as it is.
#[derive(Debug, Default)]
pub struct ServerChange {
    /// Its display name.
    pub name: Option<String>,
    /// Whether its data is a sample to look at.
    pub sample: Option<bool>,
    /// Its operating system.
    pub os: Option<String>,
    /// Its FQDN or IP address.
    pub address: Option<String>,
    /// What people want to remember about it.
    pub notes: Option<String>,
    /// What it is for.
    pub services: Option<Vec<String>>,
    /// Where the central collects from.
    pub pull_url: Option<String>,
    /// What the central shows there.
    pub pull_token: Option<Secret>,
    /// Whether its probe is given the secrets that it needs.
    pub trusted: Option<bool>,
    /// What is set for this server and not as for all.
    pub settings: Option<Patch>,
}

impl ServerChange {
    /// Refuses what only an administrator may say.
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

    /// Which secrets it enters.
    pub(super) fn entered(&self) -> Entered {
        let pull_token = self.pull_token.as_ref().is_some_and(|token| !token.is_empty());
        Entered { pull_token, ..self.settings.as_ref().map(settings::entered).unwrap_or_default() }
    }

    /// Puts it into a server. Who collects needs a token: `made` is taken where there is none.
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
        if !server.pull.url.is_empty() {
            server.pull.token.get_or_insert(made);
        }
        self.settings.map_or(Ok(()), |patch| settings::apply(&mut server.overrides, &patch))
    }
}
