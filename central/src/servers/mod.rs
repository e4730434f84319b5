//! Managed servers: creating, changing and removing them, and renewing their secrets.
//!
//! A new server, or one that gets a new token, is handed over with one secret ([`HandedOver`]): a one-time enrolment
//! token and the command to run on the machine, or, on request, the token itself and a configuration that contains it.
//! The secret is shown only this once.
//!
//! Users who are not administrators may also create servers and tokens, and then hold a token of the server. So its
//! probe is not *trusted* with the broker's password or the token for pulling until an administrator says so.

pub mod broker_trial;
pub mod bundle;
pub mod change;
pub mod probe_file;
pub mod push;
pub mod secret;
pub mod settings;

use crate::credentials::token;
use crate::rights::Caller;
use crate::time::now_ms;
use crate::{Central, Error};
use change::ServerChange;
use probe_file::ProbeFile;
use secret::{CA_FILE, Credential, Occasion, ServerSecret, enroll_command};
use std::path::PathBuf;
use zonepulse_model::{ServerId, Settings};
use zonepulse_private::Secret;
use zonepulse_store::Server;

/// A server and its effective settings.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The server.
    pub server: Server,
    /// The defaults, overlaid by the settings for all servers, overlaid by its own.
    pub settings: Settings,
}

/// A server with the secret its probe needs, shown only this once.
#[derive(Debug)]
pub struct HandedOver {
    /// The server.
    pub server: Effective,
    /// Its one secret, and how to use it.
    pub handover: Handover,
    /// The certificate authority that the probe must trust, in PEM, unless machines trust it anyway.
    pub ca: Option<String>,
}

/// A secret and how to use it.
#[derive(Debug)]
pub enum Handover {
    /// A token for one enrolment.
    Enrollment {
        /// The token.
        token: Secret,
        /// When it expires, Unix milliseconds.
        expires_ms: u64,
        /// The command to run on the machine.
        command: String,
    },
    /// The token that the probe sends with.
    Token {
        /// The token.
        token: Secret,
        /// A configuration file for the probe that contains the token.
        probe_config: Secret,
    },
}

/// Lists all servers by id; removed ones only on request.
pub fn list(central: &Central, removed: bool) -> Result<Vec<Effective>, Error> {
    let servers = central.store().registry().servers()?;
    servers.into_iter().filter(|server| removed || !server.is_removed()).map(|server| effective(central, server)).collect()
}

/// Finds a server, removed or not.
pub fn find(central: &Central, id: u32) -> Result<Effective, Error> {
    let server = central.store().registry().server(ServerId::new(id))?;
    effective(central, server.ok_or_else(|| Error::Missing(format!("there is no server {id}")))?)
}

/// Creates a server. `asked_at` is the host at which the caller reached this central, if known.
pub fn create(
    central: &Central,
    caller: &Caller,
    name: &str,
    change: ServerChange,
    credential: Credential,
    asked_at: Option<&str>,
) -> Result<HandedOver, Error> {
    change.check_allowed(caller)?;
    let now_ms = now_ms();
    let (secret, pull_token) = (ServerSecret::make(credential, now_ms)?, token::random()?);
    let registry = central.store().registry().by(caller.actor(now_ms)).entering(change.entered());
    let server = registry.make_server(name, |server| {
        server.created_ms = now_ms;
        secret.give(server, caller.is_administrator());
        change.apply(server, pull_token)
    })?;
    hand_over(central, server, &secret, Occasion::Made, asked_at)
}

/// Changes a server.
pub fn change(central: &Central, caller: &Caller, id: u32, change: ServerChange) -> Result<Effective, Error> {
    change.check_allowed(caller)?;
    let pull_token = token::random()?;
    let registry = central.store().registry().by(caller.actor(now_ms())).entering(change.entered());
    let server = registry.change_server(ServerId::new(id), "server.change", |server| change.apply(server, pull_token))?;
    effective(central, server)
}

/// Gives a server a new secret; the old ones stop working immediately.
pub fn renew(
    central: &Central,
    caller: &Caller,
    id: u32,
    credential: Credential,
    asked_at: Option<&str>,
) -> Result<HandedOver, Error> {
    let now_ms = now_ms();
    let secret = ServerSecret::make(credential, now_ms)?;
    let registry = central.store().registry().by(caller.actor(now_ms));
    let server = registry.change_server(ServerId::new(id), "server.token", |server| {
        secret.give(server, caller.is_administrator());
        Ok::<_, Error>(())
    })?;
    hand_over(central, server, &secret, Occasion::Renewed, asked_at)
}

/// Removes a server, and its history if `purge` is set.
pub fn remove(central: &Central, caller: &Caller, id: u32, purge: bool) -> Result<(), Error> {
    let now_ms = now_ms();
    central.store().registry().by(caller.actor(now_ms)).remove_server(ServerId::new(id), now_ms, purge)?;
    central.fleet().forget(id);
    central.diagnostics().forget(id);
    Ok(())
}

fn hand_over(
    central: &Central,
    server: Server,
    secret: &ServerSecret,
    occasion: Occasion,
    asked_at: Option<&str>,
) -> Result<HandedOver, Error> {
    let server = effective(central, server)?;
    let url = central.addresses().url(&server.settings, asked_at);
    let authority = central.addresses().authority(&url)?;
    let token = Secret::from(secret.reveal());
    let handover = match secret.credential() {
        Credential::EnrollmentToken => Handover::Enrollment {
            token,
            expires_ms: secret.expires_ms(),
            command: enroll_command(&url, authority.as_ref(), occasion),
        },
        Credential::Token => {
            let ca_file = authority.as_ref().map(|_| PathBuf::from(CA_FILE));
            let interval_s = server.settings.dns_interval_s;
            let file = ProbeFile { url, ca_file, interval_s, ..ProbeFile::default() };
            let probe_config = file.text(server.server.id.get(), &server.server.name, secret.reveal()).into();
            Handover::Token { token, probe_config }
        }
    };
    Ok(HandedOver { server, handover, ca: authority.map(|authority| authority.pem().to_owned()) })
}

fn effective(central: &Central, server: Server) -> Result<Effective, Error> {
    let settings = central.store().registry().effective_settings(server.id)?;
    Ok(Effective { server, settings })
}
