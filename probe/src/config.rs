//! The probe's configuration: a TOML file, overridden by environment variables.
//!
//! `zonepulse-probe.example.toml` lists every key with its default; only `server_id` has none. The
//! key `deliver.http.token` corresponds to the variable `ZONEPULSE_PROBE_DELIVER__HTTP__TOKEN`.
//! Unknown keys are errors.

mod argument;
mod bounds;
mod fleet;
pub mod pull;
mod renamed;
mod secrets;
mod services;
mod sources;
mod system;
mod times;

pub use argument::Argument;
pub use fleet::{Central, Components, Metrics, Obedience};
pub use pull::Pull;
pub use services::{Service, Services, Socket, Sockets};
pub use sources::{Counted, Dnstap, ServerAddresses};
pub use system::{Monitoring, System};
pub use times::Times;

use crate::capture::addresses::local_addresses;
use crate::capture::live::LiveSettings;
use crate::memory::{self, Budget};
use crate::observe::{Addresses, Scope};
use crate::times::Bounds;
use crate::{Error, central, deliver, spool};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use zonepulse_model::{Communication, Settings};
use zonepulse_net::Trust;
use zonepulse_net::amqp::{Address, check_queue};
use zonepulse_net::tls::Authorities;
use zonepulse_private::Secret;
use zonepulse_program::config::{Schema, Sources, environment, read_file};
use zonepulse_program::log::{Format, Level};

/// Prefix of the environment variables.
pub const ENVIRONMENT_PREFIX: &str = "ZONEPULSE_PROBE_";

/// The parts of configuration loading that are specific to the probe.
static SCHEMA: Schema = Schema {
    prefix: ENVIRONMENT_PREFIX,
    is_variable: |_| true,
    secrets: &["deliver.http.token", "deliver.rabbitmq.url", "pull.token"],
    paths: &[
        "spool.dir",
        "deliver.http.token_file",
        "tls.ca_file",
        "pull.token_file",
        "pull.certificate_file",
        "pull.key_file",
        "dnstap.socket",
        "components.kea4_socket",
        "components.kea6_socket",
        "components.backup_pid_file",
        "services.kea4.socket",
        "services.kea6.socket",
        "services.knot.socket",
    ],
    renamed: &renamed::TABLE,
};

/// The complete configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The server's number at the central; not 0.
    pub server_id: u32,
    /// Length of an interval, seconds; divides 300.
    pub interval_s: u32,
    /// Whether to count DNS messages.
    pub dns_monitoring: bool,
    /// The source that is counted; by default capture, where it is enabled.
    pub source: Option<Counted>,
    /// Packet capture.
    pub capture: Capture,
    /// Messages that DNS servers report themselves.
    pub dnstap: Dnstap,
    /// Sampling of the machine.
    pub system: System,
    /// Statistics of other services on the machine, sampled with it.
    pub services: Services,
    /// Which timestamps are plausible.
    pub times: Times,
    /// Memory limits.
    pub memory: Memory,
    /// Batches on disk.
    pub spool: Spool,
    /// How batches get to the central.
    pub deliver: Deliver,
    /// Trust in TLS peers.
    pub tls: Tls,
    /// What the central may do.
    pub central: Central,
    /// Pull by the central.
    pub pull: Pull,
    /// Other services on the machine.
    pub components: Components,
    /// Endpoint for Prometheus.
    pub metrics: Metrics,
    /// The log on standard error.
    pub log: Log,
    /// Messages for the administrator: names that the next release will reject.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// `[capture]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capture {
    /// Whether to capture.
    pub enabled: bool,
    /// The device's name, or `any`.
    pub device: String,
    /// The ports on which the server answers.
    pub ports: Vec<u16>,
    /// Ports on which other programs speak DNS. Traffic there does not suggest that messages are
    /// missed.
    pub ignored_ports: Vec<u16>,
    /// The addresses on which the server answers.
    pub addresses: ServerAddresses,
    /// The ring between kernel and probe, which is part of the memory, bytes.
    pub buffer_bytes: usize,
}

/// `[memory]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Total resident memory, including the ring, bytes.
    pub max_bytes: usize,
}

/// `[spool]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// The spool directory.
    pub dir: PathBuf,
    /// Total size of the waiting batches, bytes.
    pub max_bytes: u64,
    /// Disk space to leave free, bytes.
    pub min_free_bytes: u64,
    /// Total size of the refused batches, bytes.
    pub max_refused_bytes: u64,
    /// Total size of the delivered batches that are kept, bytes.
    pub max_delivered_bytes: u64,
}

/// `[deliver]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deliver {
    /// Push over HTTP, push through RabbitMQ, or pull.
    pub communication: Communication,
    /// Directly to the central.
    pub http: Http,
    /// Through RabbitMQ.
    pub rabbitmq: RabbitMq,
}

/// `[deliver.http]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// The central's URL, `http://host:port`.
    pub url: String,
    /// The server's token.
    pub token: Option<Secret>,
    /// A file that contains the server's token.
    pub token_file: Option<PathBuf>,
}

/// `[deliver.rabbitmq]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RabbitMq {
    /// `amqp://user:password@host:port/vhost`.
    pub url: Secret,
    /// The central's queue.
    pub queue: String,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The only trusted certificate authorities, PEM; the system's by default.
    pub ca_file: Option<PathBuf>,
    /// Whether to verify certificates.
    pub verify_ca: bool,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Minimum severity.
    pub level: Level,
    /// Text or JSON.
    pub format: Format,
}

impl Config {
    /// Loads a file, overridden by the environment, and both by the arguments.
    ///
    /// Fails with [`Error::Config`], which names the file, variable or argument, the key and the
    /// problem, and with [`Error::Private`] if the file contains a secret and others can read it.
    pub fn load(path: &Path, arguments: &[Argument]) -> Result<Config, Error> {
        Self::read(path, &read_file(path)?, environment(), arguments)
    }

    /// Checks whether a text would be valid in the file of that name.
    pub(crate) fn check_text(path: &Path, text: &str) -> Result<(), Error> {
        let read = Self::read(path, text, environment(), &[]);
        read.map(drop).map_err(|error| match error {
            // Line numbers refer to a text that is not in the file yet.
            Error::Config { place, detail } if place.starts_with(&*path.to_string_lossy()) => wrong(path.display(), detail),
            error => error,
        })
    }

    /// Parses a text as if it were the file of that name; ignores the environment.
    #[cfg(test)]
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Config, Error> {
        Self::read(path, text, std::iter::empty(), &[])
    }

    fn read(
        path: &Path,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
        arguments: &[Argument],
    ) -> Result<Config, Error> {
        let arguments = arguments.iter().map(|Argument(argument)| argument);
        let sources = Sources::read(&SCHEMA, Some((path, text)), environment, arguments)?;
        let config: Config = sources.extract()?;
        config.check().map_err(|detail| sources.complain(&detail))?;
        Ok(Config { warnings: sources.warnings(), ..config })
    }

    fn check(&self) -> Result<(), String> {
        let need = |holds: bool, message: &str| {
            if holds { Ok(()) } else { Err(message.to_owned()) }
        };
        need(self.server_id != 0, "server_id: is missing; give the number that the central has for this server")?;
        bounds::interval("interval_s", self.interval_s)?;
        self.check_capture()?;
        self.check_sources()?;
        self.system.check()?;
        self.services.check()?;
        self.times.bounds()?;
        let min_bytes = Budget::min_bytes(self.buffer_bytes());
        if self.memory.max_bytes < min_bytes {
            return Err(format!(
                "memory.max_bytes: must be {min_bytes} or more with this capture.buffer_bytes, which is part of it, not {}",
                self.memory.max_bytes
            ));
        }
        bounds::within("memory.max_bytes", self.memory.max_bytes as u64, 0..=bounds::MOST_BYTES)?;
        let Spool { dir, max_bytes, min_free_bytes, max_refused_bytes, max_delivered_bytes } = &self.spool;
        need(!dir.as_os_str().is_empty(), "spool.dir: is empty; give a directory for the exclusive use of this probe")?;
        bounds::absolute("spool.dir", Some(dir))?;
        bounds::within("spool.max_bytes", *max_bytes, spool::MIN_BYTES..=bounds::MOST_BYTES)?;
        bounds::within("spool.min_free_bytes", *min_free_bytes, 0..=bounds::MOST_BYTES)?;
        bounds::within("spool.max_refused_bytes", *max_refused_bytes, 0..=bounds::MOST_BYTES)?;
        bounds::within("spool.max_delivered_bytes", *max_delivered_bytes, 0..=bounds::MOST_BYTES)?;
        // Heartbeats use HTTP whatever the communication, and the central may change that.
        central::check_url(&self.deliver.http.url).map_err(|what| format!("deliver.http.url: {what}"))?;
        Address::parse(&self.deliver.rabbitmq.url).map_err(|what| format!("deliver.rabbitmq.url: {what}"))?;
        let queue = &self.deliver.rabbitmq.queue;
        check_queue(queue).map_err(|what| format!("deliver.rabbitmq.queue: {what}, not {queue:?}"))?;
        self.check_fleet()?;
        let http = &self.deliver.http;
        need(http.token.is_none() || http.token_file.is_none(), "deliver.http.token, token_file: give only one of them")?;
        bounds::absolute("deliver.http.token_file", http.token_file.as_deref())?;
        bounds::absolute("tls.ca_file", self.tls.ca_file.as_deref())
    }

    /// Logs what the next release will reject.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// The spool's settings.
    pub fn spool(&self) -> spool::Settings {
        let Spool { dir, max_bytes, min_free_bytes, max_refused_bytes, max_delivered_bytes } = self.spool.clone();
        spool::Settings { dir, max_bytes, min_free_bytes, max_refused_bytes, max_delivered_bytes }
    }

    /// The settings for delivery; reads the token file.
    pub fn delivery(&self) -> Result<deliver::Settings, Error> {
        let RabbitMq { url, queue } = self.deliver.rabbitmq.clone();
        match self.deliver.communication {
            Communication::Rabbitmq => {
                let detail =
                    "is missing, and so is token_file; batches that go through a broker are signed with the server's token";
                let token = self.central()?.ok_or_else(|| wrong("deliver.http.token", detail))?.token;
                Ok(deliver::Settings::Amqp(deliver::amqp::Settings { url, queue, token, trust: self.trust(self.tls.verify_ca)? }))
            }
            Communication::Pull => Ok(deliver::Settings::Pull),
            Communication::Http => {
                let detail = "is missing, and so is token_file; the central gives a token for each server";
                let central = self.central()?.ok_or_else(|| wrong("deliver.http.token", detail))?;
                Ok(deliver::Settings::Http(central))
            }
        }
    }

    /// Whom to trust, with or without verifying certificates; reads the file of the authorities.
    pub fn trust(&self, verify: bool) -> Result<Trust, Error> {
        let authorities = self.tls.ca_file.as_deref().map(Authorities::read).transpose()?;
        Ok(if verify { authorities.map_or(Trust::System, Trust::Own) } else { Trust::Anybody })
    }

    /// Restricts the private key file to its owner.
    pub fn restrict_key(&self) -> Result<(), Error> {
        Ok(self.pull.key_file.as_deref().map_or(Ok(()), zonepulse_private::key)?)
    }

    /// What to capture.
    pub fn live(&self) -> LiveSettings {
        let Capture { device, ports, ignored_ports, buffer_bytes, .. } = self.capture.clone();
        LiveSettings { device, ports, ignored_ports, buffer_bytes }
    }

    /// Which timestamps are plausible.
    pub fn bounds(&self) -> Bounds {
        // Validated when the configuration was loaded.
        self.times.bounds().unwrap_or_default()
    }

    /// The server's endpoints. `local` is the machine's current addresses.
    pub fn scope(&self) -> Result<Scope, Error> {
        let addresses = match &self.capture.addresses {
            ServerAddresses::Any => Addresses::Any,
            ServerAddresses::These(addresses) => Addresses::These(addresses.clone()),
            ServerAddresses::Local => Addresses::These(local_addresses()?),
        };
        Ok(Scope { ports: self.capture.ports.clone(), addresses })
    }

    /// How the memory for counting is divided.
    pub fn budget(&self) -> Budget {
        let budget = Budget::of_agent(self.memory.max_bytes, self.buffer_bytes());
        if self.compares() { budget.shared().0 } else { budget }
    }

    /// Memory for a source that is only compared.
    pub fn budget_of_comparison(&self) -> Budget {
        Budget::of_agent(self.memory.max_bytes, self.buffer_bytes()).shared().1
    }

    /// Takes over the settings that may change while the agent runs.
    pub fn follow(&mut self, new: Config) {
        let Config { interval_s, dns_monitoring, system, deliver, tls, central, pull, log, .. } = new;
        self.system = System { batch_s: self.system.batch_s, ..system };
        self.log.level = log.level;
        (self.central.settings, self.central.pin) = (central.settings, central.pin);
        (self.interval_s, self.dns_monitoring, self.deliver, self.tls, self.pull) =
            (interval_s, dns_monitoring, deliver, tls, pull);
    }

    /// Changed settings that take effect only after a restart.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let mut keys = Vec::new();
        let mut compare = |same: bool, key| {
            if !same {
                keys.push(key)
            }
        };
        compare(self.server_id == new.server_id, "server_id");
        compare(self.source == new.source, "source");
        compare(self.capture == new.capture, "capture");
        compare(self.dnstap == new.dnstap, "dnstap");
        compare(self.system.batch_s == new.system.batch_s, "system.batch_s");
        compare(self.services == new.services, "services");
        compare(self.times == new.times, "times");
        compare(self.memory == new.memory, "memory");
        compare(self.spool == new.spool, "spool");
        compare(self.central.heartbeat == new.central.heartbeat, "central.heartbeat");
        compare(self.components == new.components, "components");
        compare(self.metrics == new.metrics, "metrics");
        compare(self.log.format == new.log.format, "log.format");
        keys
    }
}

impl Default for Config {
    /// The defaults as in the example, with server 0, which a configuration must replace.
    fn default() -> Self {
        Config {
            server_id: 0,
            interval_s: Settings::default().dns_interval_s,
            dns_monitoring: true,
            source: None,
            capture: Capture::default(),
            dnstap: Dnstap::default(),
            system: System::default(),
            services: Services::default(),
            times: Times::default(),
            memory: Memory::default(),
            spool: Spool::default(),
            deliver: Deliver::default(),
            tls: Tls::default(),
            central: Central::default(),
            pull: Pull::default(),
            components: Components::default(),
            metrics: Metrics::default(),
            log: Log::default(),
            warnings: Vec::new(),
        }
    }
}

impl Default for Deliver {
    fn default() -> Self {
        Deliver { communication: Communication::Http, http: Http::default(), rabbitmq: RabbitMq::default() }
    }
}

impl Default for Capture {
    fn default() -> Self {
        let addresses = ServerAddresses::Local;
        Capture {
            enabled: true,
            device: "any".into(),
            ports: vec![53],
            ignored_ports: Vec::new(),
            addresses,
            buffer_bytes: 16 << 20,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory { max_bytes: memory::DEFAULT_MAX_BYTES }
    }
}

impl Default for Spool {
    fn default() -> Self {
        Spool {
            dir: "/var/lib/zonepulse-probe/spool".into(),
            max_bytes: 1 << 30,
            min_free_bytes: 256 << 20,
            max_refused_bytes: 64 << 20,
            max_delivered_bytes: 64 << 20,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http { url: "http://127.0.0.1:8053".into(), token: None, token_file: None }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Tls { ca_file: None, verify_ca: true }
    }
}

impl Default for RabbitMq {
    fn default() -> Self {
        RabbitMq { url: Secret::new("amqp://127.0.0.1:5672/%2f"), queue: "zonepulse.batches".into() }
    }
}

fn wrong(place: impl ToString, detail: impl Into<String>) -> Error {
    Error::Config { place: place.to_string(), detail: detail.into() }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
