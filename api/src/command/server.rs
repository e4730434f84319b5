//! `zonepulse server`.

use super::image::Image;
use super::probe_file::ProbeArguments;
use super::push::{Push, Setup};
use super::{Overlay, Place};
use crate::Error;
use crate::config::Settings;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;
use zonepulse_central::push::Kind;
use zonepulse_central::servers::probe_file::ProbeFile;
use zonepulse_central::servers::secret::{self, CA_FILE, Occasion, ServerSecret, enroll_command};
use zonepulse_central::{accounts, time};
use zonepulse_store::Store;

/// Manages servers.
#[derive(Debug, Subcommand)]
pub(super) enum Server {
    /// Create a server; prints its id and a secret, which is shown only once: a one-time token for enrolling its probe
    Add {
        /// The server's display name
        name: String,
        /// Its data is sample data, not that of a machine
        #[arg(long)]
        sample: bool,
        #[command(flatten)]
        handing_over: HandingOver,
        #[command(flatten)]
        place: Place,
    },
    /// List the servers
    List {
        /// Include removed servers that still have history
        #[arg(long)]
        removed: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show a server's configuration
    Show {
        /// The server's name or id
        server: String,
        #[command(flatten)]
        place: Place,
    },
    /// Replace a server's token; the old one is refused from now on. Prints the same as `add`
    Token {
        /// The server's name or id
        server: String,
        #[command(flatten)]
        handing_over: HandingOver,
        #[command(flatten)]
        place: Place,
    },
    /// Have a server's probe run diagnostics, wait for them, and print what they found. Asks a running central
    Diagnose(super::diagnose::Diagnose),
    /// Remove a server; its history remains until retention removes it
    Remove {
        /// The server's name or id
        server: String,
        /// Delete its history, too, at once
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Download the setup bundle of a server from a running central: everything that installs its probe
    Setup(Setup),
    /// Install probes over SSH, and wait until they are heard of
    Install(Box<Push>),
    /// Update probes over SSH; a version that is not heard of is replaced by the one before
    Update(Box<Push>),
    /// Manage the probe's programs that a running central hands out
    #[command(subcommand)]
    Image(Image),
}

impl Server {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        match self {
            Server::Add { name, sample, handing_over, place } => {
                let prepared = handing_over.prepare()?;
                let handover = place.with_store(overlay, "POST /api/v2/pvservers", |store, settings| {
                    let server = accounts::make_server(store, name, *sample, &prepared.secret)?;
                    handing_over.complete(store, settings, server, prepared, Occasion::Made)
                })?;
                handover.hand_out()?;
            }
            Server::List { removed, place } => {
                let servers = place.with_store(overlay, "GET /api/v2/pvservers", |store, _| Ok(store.registry().servers()?))?;
                list(servers.into_iter().filter(|server| *removed || !server.is_removed()))?;
            }
            Server::Show { server, place } => {
                let call = "GET /api/v2/pvservers/ID";
                let server = place.with_store(overlay, call, |store, _| Ok(accounts::find_server(store, server)?))?;
                show(&server)?;
            }
            Server::Token { server, handing_over, place } => {
                let prepared = handing_over.prepare()?;
                let handover = place.with_store(overlay, "POST /api/v2/pvservers/ID/token", |store, settings| {
                    let server = accounts::renew_secret(store, server, &prepared.secret)?;
                    handing_over.complete(store, settings, server, prepared, Occasion::Renewed)
                })?;
                handover.hand_out()?;
            }
            Server::Diagnose(diagnose) => {
                overlay.start(&Settings::read(None)?);
                return diagnose.run();
            }
            Server::Remove { server, purge, place } => {
                place.with_store(overlay, "DELETE /api/v2/pvservers/ID", |store, _| {
                    let id = accounts::find_server(store, server)?.id;
                    Ok(accounts::here(store).remove_server(id, time::now_ms(), *purge)?)
                })?;
            }
            Server::Setup(_) | Server::Install(_) | Server::Update(_) | Server::Image(_) => return self.run_remotely(overlay),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Server {
    /// What a running central is asked for.
    fn run_remotely(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        overlay.start(&Settings::read(None)?);
        match self {
            Server::Setup(setup) => setup.run(),
            Server::Install(push) => push.run(Kind::Install),
            Server::Update(push) => push.run(Kind::Update),
            Server::Image(image) => image.run(),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

fn list(servers: impl Iterator<Item = zonepulse_store::Server>) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "server_id\tserver\tsample\tcreated\taddress\tremoved")?;
    for server in servers {
        let sample = if server.sample { "yes" } else { "no" };
        let address = if server.address.is_empty() { "-" } else { &server.address };
        let removed = server.removed_ms.map_or_else(|| "-".to_owned(), time::text);
        writeln!(out, "{}\t{}\t{sample}\t{}\t{address}\t{removed}", server.id, server.name, time::text(server.created_ms))?;
    }
    Ok(())
}

/// A server as lines of TOML. `zonepulse settings get --server` shows its settings.
fn show(server: &zonepulse_store::Server) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "server_id = {}", server.id)?;
    writeln!(out, "server = {}", json!(server.name))?;
    writeln!(out, "sample = {}", server.sample)?;
    writeln!(out, "created = {}", time::text(server.created_ms))?;
    if let Some(removed_ms) = server.removed_ms {
        writeln!(out, "removed = {}", time::text(removed_ms))?;
    }
    writeln!(out, "os = {}", json!(server.os))?;
    writeln!(out, "address = {}", json!(server.address))?;
    writeln!(out, "services = {}", json!(server.services))?;
    writeln!(out, "pull_url = {}", json!(server.pull.url))?;
    writeln!(out, "notes = {}", json!(server.notes))?;
    Ok(())
}

/// Which secret to hand over, and where.
#[derive(Debug, Args)]
pub(super) struct HandingOver {
    /// Which secret to hand over: a one-time token for enrolment, or the token itself, for a configuration that is
    /// copied to the machine [default: enrollment_token, or token with --probe-config]
    #[arg(long, value_enum, value_name = "SECRET")]
    credential: Option<Credential>,
    #[command(flatten)]
    probe: ProbeArguments,
}

/// A secret to hand over.
// No more words: they would be part of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Credential {
    EnrollmentToken,
    Token,
}

/// The state before the server is changed.
struct Prepared {
    secret: ServerSecret,
    file: Option<zonepulse_private::Prepared>,
}

/// A server and its secret, ready to be handed over.
struct Handover {
    server: zonepulse_store::Server,
    prepared: Prepared,
    probe: ProbeFile,
    enroll_command: String,
}

impl HandingOver {
    /// Everything that can fail happens before the old secret is revoked.
    fn prepare(&self) -> Result<Prepared, Error> {
        let credential = match (self.credential, &self.probe.file) {
            (Some(Credential::EnrollmentToken), Some(_)) => {
                let what = "--credential: a configuration has the token in it: leave out --probe-config to enrol, or say token";
                return Err(Error::Argument(what.to_owned()));
            }
            (Some(credential), _) => credential,
            (None, Some(_)) => Credential::Token,
            (None, None) => Credential::EnrollmentToken,
        };
        let credential = match credential {
            Credential::EnrollmentToken => secret::Credential::EnrollmentToken,
            Credential::Token => secret::Credential::Token,
        };
        let file = self.probe.prepare()?;
        let secret = ServerSecret::make(credential, time::now_ms()).map_err(zonepulse_central::Error::from)?;
        Ok(Prepared { file, secret })
    }

    fn complete(
        &self,
        store: &Store,
        settings: &Settings,
        server: zonepulse_store::Server,
        prepared: Prepared,
        occasion: Occasion,
    ) -> Result<Handover, Error> {
        let addresses = settings.addresses(settings.listen);
        let effective = store.registry().effective_settings(server.id)?;
        let url = self.probe.url.clone().unwrap_or_else(|| addresses.url(&effective, None));
        let authority = addresses.authority(&url)?;
        let enroll_command = enroll_command(&url, authority.as_ref(), occasion);
        let ca_file = self.probe.ca_file.clone().or_else(|| authority.map(|_| CA_FILE.into()));
        Ok(Handover { server, prepared, probe: self.probe.file(url, ca_file), enroll_command })
    }
}

impl Handover {
    /// Prints it. A token that is written to a configuration is shown nowhere else.
    fn hand_out(self) -> Result<(), Error> {
        let Handover { server, prepared: Prepared { secret, file }, probe, enroll_command } = self;
        let mut out = std::io::stdout().lock();
        writeln!(out, "server_id = {}", server.id)?;
        writeln!(out, "server = {}", json!(server.name))?;
        match (secret.credential(), file) {
            (secret::Credential::EnrollmentToken, _) => {
                writeln!(out, "enrollment_token = {}", json!(secret.reveal()))?;
                writeln!(out, "enrollment_expires = {}", time::text(secret.expires_ms()))?;
                writeln!(out, "enroll_command = {}", json!(enroll_command))?;
            }
            (secret::Credential::Token, None) => writeln!(out, "token = {}", json!(secret.reveal()))?,
            (secret::Credential::Token, Some(file)) => {
                let path = file.path().to_string_lossy().into_owned();
                file.write(&probe.text(server.id.get(), &server.name, secret.reveal()))?;
                writeln!(out, "probe_config = {}", json!(path))?;
            }
        }
        Ok(())
    }
}
