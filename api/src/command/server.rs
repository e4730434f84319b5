//! `zonepulse server`.

use super::{Overlay, Place};
use crate::accounts::write_private;
use crate::probe_file::ProbeFile;
use crate::{Error, accounts, time};
use clap::Subcommand;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

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
}

impl Server {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        match self {
            Server::Add { name, sample, probe, place } => {
                probe.check()?;
                let (server, token) = place.with_store(overlay, |store, _| accounts::add_server(store, name, *sample))?;
                hand_out(&server, &token, probe)?;
            }
            Server::List { place } => {
                let servers = place.with_store(overlay, |store, _| Ok(store.registry().servers()?))?;
                let mut out = std::io::stdout().lock();
                writeln!(out, "server_id\tname\tsample\tcreated")?;
                for server in servers {
                    let sample = if server.sample { "yes" } else { "no" };
                    writeln!(out, "{}\t{}\t{sample}\t{}", server.id, server.name, time::text(server.created_ms))?;
                }
            }
            Server::Token { server, probe, place } => {
                probe.check()?;
                let (server, token) = place.with_store(overlay, |store, _| accounts::renew_token(store, server))?;
                hand_out(&server, &token, probe)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the token, and writes it into a probe's configuration where one is wanted.
fn hand_out(server: &zonepulse_store::Server, token: &str, probe: &ProbeFile) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "server_id = {}", server.id)?;
    writeln!(out, "server = {}", json!(server.name))?;
    writeln!(out, "token = {}", json!(token))?;
    if let Some(file) = &probe.file {
        write_private(file, &probe.text(server.id, &server.name, token))?;
        writeln!(out, "probe_config = {}", json!(file.to_string_lossy()))?;
    }
    Ok(())
}
