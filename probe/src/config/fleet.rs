//! Communication with the central other than batches, and who may query the probe.

use super::secrets::token;
use super::{Config, bounds};
use crate::pin::Pin;
use crate::{Error, deliver};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use zonepulse_model::Communication;

/// `[central]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Central {
    /// Whether to apply the central's settings.
    pub settings: Obedience,
    /// Hosts, optionally with ports, to which the central's settings may redirect this probe; by
    /// default the host of `deliver.http.url`.
    pub pin: Option<Vec<String>>,
    /// Whether to send a heartbeat every 30 seconds.
    pub heartbeat: bool,
}

/// What to do with the central's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Obedience {
    /// They override this file.
    #[default]
    Apply,
    /// They are ignored.
    Ignore,
}

/// `[components]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Components {
    /// The DNS server's process, where several are installed.
    pub dns: Option<String>,
    /// Where to query its version and name.
    pub dns_address: SocketAddr,
    /// Whether to query its version.
    pub ask_dns_version: bool,
    /// The control socket of Kea's DHCPv4 server.
    pub kea4_socket: Option<PathBuf>,
    /// The control socket of Kea's DHCPv6 server.
    pub kea6_socket: Option<PathBuf>,
    /// The backup process.
    pub backup_process: Option<String>,
    /// The backup process's PID file.
    pub backup_pid_file: Option<PathBuf>,
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Address for Prometheus to scrape.
    pub listen: Option<SocketAddr>,
}

impl Components {
    fn check(&self) -> Result<(), String> {
        let Components { dns, dns_address, ask_dns_version: _, kea4_socket, kea6_socket, backup_process, backup_pid_file } = self;
        bounds::name("components.dns", dns.as_deref())?;
        bounds::has_port("components.dns_address", Some(dns_address))?;
        bounds::socket("components.kea4_socket", kea4_socket.as_deref())?;
        bounds::socket("components.kea6_socket", kea6_socket.as_deref())?;
        bounds::name("components.backup_process", backup_process.as_deref())?;
        bounds::absolute("components.backup_pid_file", backup_pid_file.as_deref())?;
        if backup_process.is_some() && backup_pid_file.is_some() {
            return Err("components.backup_process, backup_pid_file: give only one of them".to_owned());
        }
        Ok(())
    }
}

impl Config {
    pub(super) fn check_fleet(&self) -> Result<(), String> {
        self.pin().map_err(|what| format!("central.pin: {what}"))?;
        self.pull.check()?;
        bounds::has_port("metrics.listen", self.metrics.listen.as_ref())?;
        self.components.check()?;
        if self.deliver.communication == Communication::Pull && self.pull.listen.is_none() {
            let what = "pull.listen: is missing, but deliver.communication is \"pull\"; give an address such as \"0.0.0.0:8054\"";
            return Err(what.to_owned());
        }
        Ok(())
    }

    /// How to reach the central over HTTP, from this file; none without a token.
    pub fn central(&self) -> Result<Option<deliver::http::Settings>, Error> {
        let http = &self.deliver.http;
        let token = token("deliver.http.token", http.token.as_ref(), http.token_file.as_ref())?;
        let trust = self.trust(self.tls.verify_ca)?;
        Ok(token.map(|token| deliver::http::Settings { url: http.url.clone(), token, trust }))
    }

    /// Where the central's settings may redirect this probe.
    pub fn pin(&self) -> Result<Pin, String> {
        let amqps =
            self.deliver.communication == Communication::Rabbitmq && self.deliver.rabbitmq.url.reveal().starts_with("amqps:");
        Pin::new(&self.deliver.http.url, self.central.pin.as_deref(), amqps)
    }
}

impl Default for Central {
    fn default() -> Self {
        Central { settings: Obedience::default(), pin: None, heartbeat: true }
    }
}

impl Default for Components {
    fn default() -> Self {
        Components {
            dns: None,
            dns_address: SocketAddr::from(([127, 0, 0, 1], 53)),
            ask_dns_version: true,
            kea4_socket: None,
            kea6_socket: None,
            backup_process: None,
            backup_pid_file: None,
        }
    }
}
