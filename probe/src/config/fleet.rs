//! Communication with the central other than batches, and who may query the probe.

use super::secrets::{check_token, read_token};
use super::{Config, bounds, wrong};
use crate::pin::Pin;
use crate::{Error, deliver, pull};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use zonepulse_model::Communication;
use zonepulse_net::tls::Certificate;
use zonepulse_private::Secret;

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

/// `[pull]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pull {
    /// Address for the central to connect to.
    pub listen: Option<SocketAddr>,
    /// The token that the central presents.
    pub token: Option<Secret>,
    /// A file that contains that token.
    pub token_file: Option<PathBuf>,
    /// The probe's certificate chain, PEM.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Maximum number of connections.
    pub max_connections: usize,
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
        let need = |holds: bool, message: &str| {
            if holds { Ok(()) } else { Err(message.to_owned()) }
        };
        let Pull { token, token_file, certificate_file, key_file, max_connections, listen } = &self.pull;
        self.pin().map_err(|what| format!("central.pin: {what}"))?;
        need(token.is_none() || token_file.is_none(), "pull.token, token_file: give only one of them")?;
        need(
            certificate_file.is_some() == key_file.is_some(),
            "pull.certificate_file, key_file: give both, or neither for plain HTTP",
        )?;
        bounds::absolute("pull.token_file", token_file.as_deref())?;
        bounds::absolute("pull.certificate_file", certificate_file.as_deref())?;
        bounds::absolute("pull.key_file", key_file.as_deref())?;
        bounds::within("pull.max_connections", *max_connections as u64, 1..=64)?;
        bounds::has_port("pull.listen", listen.as_ref())?;
        bounds::has_port("metrics.listen", self.metrics.listen.as_ref())?;
        self.components.check()?;
        need(
            self.deliver.communication != Communication::Pull || listen.is_some(),
            "pull.listen: is missing, but deliver.communication is \"pull\"; give an address such as \"0.0.0.0:8054\"",
        )
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

    /// Settings for being pulled from with the central's token, or else the configured one; reads
    /// the token file and the certificate.
    pub fn pull(&self, given: Option<&Secret>) -> Result<pull::Settings, Error> {
        let Pull { listen, token: secret, token_file, certificate_file, key_file, max_connections } = &self.pull;
        let listen = listen.ok_or_else(|| wrong("pull.listen", "is missing, so the central cannot pull"))?;
        let token = match given {
            Some(given) => check_token(given).map(|()| Some(given.clone())).map_err(|what| wrong("pull_token", what))?,
            None => token("pull.token", secret.as_ref(), token_file.as_ref())?,
        };
        let token = token.ok_or_else(|| wrong("pull.token", "is missing, and so is token_file: anyone could pull"))?;
        let certificate = match (certificate_file, key_file) {
            (Some(certificate), Some(key)) => {
                zonepulse_private::check_key(key)?;
                Some(Certificate::read(certificate, key, None)?)
            }
            _ => None,
        };
        Ok(pull::Settings { listen, token, certificate, max_connections: *max_connections })
    }
}

fn token(place: &str, token: Option<&Secret>, file: Option<&PathBuf>) -> Result<Option<Secret>, Error> {
    match (token, file) {
        (Some(token), _) => check_token(token).map(|()| Some(token.clone())).map_err(|what| wrong(place, what)),
        (None, Some(file)) => read_token(file).map(Some),
        (None, None) => Ok(None),
    }
}

impl Default for Central {
    fn default() -> Self {
        Central { settings: Obedience::default(), pin: None, heartbeat: true }
    }
}

impl Default for Pull {
    fn default() -> Self {
        Pull { listen: None, token: None, token_file: None, certificate_file: None, key_file: None, max_connections: 8 }
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
