//! `zonepulse server`.

use super::{Overlay, Place};
use crate::probe_file::ProbeFile;
use crate::{Error, accounts, time};
use clap::Subcommand;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;
use zonepulse_private::Prepared;

/// Servers.
#[derive(Debug, Subcommand)]
pub(super) enum Server {
    /// Make a server; prints its id and its token, which is shown only now
    Add {
        /// The server's display name
        name: String,
        /// Its data is a sample to look at, not a machine's
        #[arg(long)]
        sample: bool,
        #[command(flatten)]
        probe: ProbeFile,
        #[command(flatten)]
        place: Place,
    },
    /// List the servers
    List {
        /// Removed ones, of which there is history, too
        #[arg(long)]
        removed: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show how a server is set up
    Show {
        /// The server's name or id
        server: String,
        #[command(flatten)]
        place: Place,
    },
    /// Give a server a new token; the old one is worth nothing from then on
    Token {
        /// The server's name or id
        server: String,
        #[command(flatten)]
        probe: ProbeFile,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a server; its history stays until retention takes it
    Remove {
        /// The server's name or id
        server: String,
        /// Its history goes, too, at once
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        place: Place,
    },
}

impl Server {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        match self {
            Server::Add { name, sample, probe, place } => {
                let file = probe.prepare()?;
                let call = "POST /api/v2/pvservers";
                let (server, token) = place.with_store(overlay, call, |store, _| accounts::add_server(store, name, *sample))?;
                hand_out(&server, &token, probe, file)?;
            }
            Server::List { removed, place } => {
                let servers = place.with_store(overlay, "GET /api/v2/pvservers", |store, _| Ok(store.registry().servers()?))?;
                list(servers.into_iter().filter(|server| *removed || !server.is_removed()))?;
            }
            Server::Show { server, place } => {
                let call = "GET /api/v2/pvservers/ID";
                let server = place.with_store(overlay, call, |store, _| accounts::find_server(store, server))?;
                show(&server)?;
            }
            Server::Token { server, probe, place } => {
                let file = probe.prepare()?;
                let call = "POST /api/v2/pvservers/ID/token";
                let (server, token) = place.with_store(overlay, call, |store, _| accounts::renew_token(store, server))?;
                hand_out(&server, &token, probe, file)?;
            }
            Server::Remove { server, purge, place } => {
                place.with_store(overlay, "DELETE /api/v2/pvservers/ID", |store, _| {
                    let id = accounts::find_server(store, server)?.id;
                    Ok(accounts::here(store).remove_server(id, time::now_ms(), *purge)?)
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(servers: impl Iterator<Item = zonepulse_store::Server>) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "server_id\tname\tsample\tcreated\taddress\tremoved")?;
    for server in servers {
        let sample = if server.sample { "yes" } else { "no" };
        let address = if server.address.is_empty() { "-" } else { &server.address };
        let removed = server.removed_ms.map_or_else(|| "-".to_owned(), time::text);
        writeln!(out, "{}\t{}\t{sample}\t{}\t{address}\t{removed}", server.id, server.name, time::text(server.created_ms))?;
    }
    Ok(())
}

/// As lines of TOML. What is set of its settings is shown by `zonepulse settings get --server`.
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

/// Prints the token, and writes it into a probe's configuration where one is wanted.
fn hand_out(server: &zonepulse_store::Server, token: &str, probe: &ProbeFile, file: Option<Prepared>) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "server_id = {}", server.id)?;
    writeln!(out, "server = {}", json!(server.name))?;
    writeln!(out, "token = {}", json!(token))?;
    if let Some(file) = file {
        let path = file.path().to_string_lossy().into_owned();
        file.write(&probe.text(server.id, &server.name, token))?;
        writeln!(out, "probe_config = {}", json!(path))?;
    }
    Ok(())
}
