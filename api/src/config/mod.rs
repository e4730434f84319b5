//! What `zonepulse serve` can be told: a file, the environment, the command line.
//!
//! `zonepulse.example.toml` explains every key and holds the defaults.

mod check;
mod ingest;
mod read;
mod renamed;
pub mod room;

pub use ingest::Ingest;

use crate::Error;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use zonepulse_central::addresses::Addresses;
use zonepulse_ingest::{amqp, pull};
use zonepulse_net::Block;
use zonepulse_private::{Secret, hide};
use zonepulse_program::log::{self, Libraries};
use zonepulse_query::SqlLimits;
use zonepulse_store::{Precision, Retention};

/// All settings of the central.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The directory with everything that the central knows.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where probes find this central, when it is not at an address of this machine, or under a name.
    pub public_urls: Vec<String>,
    /// What is logged, and how.
    pub log: Log,
    /// The certificate, when it speaks TLS itself.
    pub tls: Tls,
    /// What is told to Prometheus.
    pub metrics: Metrics,
    /// A broker that batches come through.
    pub rabbitmq: RabbitMq,
    /// How batches are fetched from probes that wait to be asked.
    pub pull: Pull,
    /// Bounds of questions.
    pub query: Query,
    /// Bounds of SQL.
    pub sql: Sql,
    /// Bounds of the store.
    pub store: Store,
    /// Bounds of batches on their way in.
    pub ingest: Ingest,
    /// Bounds of requests.
    pub limits: Limits,
    /// Proxies in front of this central.
    pub proxy: Proxy,
    /// What to tell whoever wrote it: the names that the next release refuses.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// From which level on.
    pub level: log::Level,
    /// Lines for people or for programs.
    pub format: log::Format,
    /// Whether there is a line about every request.
    pub requests: bool,
}

/// The certificate, when it speaks TLS itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate and those between it and the authority, in PEM; without it there is no TLS.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key_file: Option<PathBuf>,
    /// The authority that vouches for it, in PEM, when it is not one that machines trust anyway: probes are told to trust it.
    pub ca_file: Option<PathBuf>,
}

/// What is told to Prometheus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Where else it is told, without credentials and TLS; without it only at `listen`, to users.
    pub listen: Option<SocketAddr>,
}

/// A broker that batches come through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RabbitMq {
    /// Where it is, `amqp://…`, or `amqps://…` for TLS; without it there is none.
    #[serde(serialize_with = "hide", skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// The authorities whose certificate it may show, in PEM; without it those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Whether its certificate is verified.
    pub verify_ca: bool,
    /// The queue.
    pub queue: String,
    /// How many batches are under way at a time.
    pub prefetch: u16,
}

/// How batches are fetched from probes that wait to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pull {
    /// The authorities whose certificates probes may show, in PEM; without it those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// How much a probe is asked for at a time, bytes.
    pub max_bytes: u32,
    /// Answers that are read and committed at a time.
    pub max_concurrent: usize,
}

/// Bounds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Memory for all questions together, bytes.
    pub memory_bytes: usize,
    /// Threads for one question; 0 for one per core.
    pub threads: usize,
    /// Questions at the same time.
    pub max_concurrent: usize,
    /// How long a question waits for its turn, milliseconds.
    pub max_wait_ms: u64,
}

/// Bounds of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sql {
    /// Memory for one statement, bytes, and as much for what is read for all of them.
    pub memory_bytes: usize,
    /// Statements at the same time; one user gets half of them.
    pub max_concurrent: usize,
    /// How long a statement may take until its last row is sent, seconds.
    pub timeout_s: u64,
    /// The most rows of an answer.
    pub max_rows: u64,
    /// The most bytes of an answer, before it is written in its format.
    pub max_bytes: u64,
}

/// Bounds of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Memory for blocks read from disk, bytes, and an eighth of it besides for what is decompressed of them.
    pub block_cache_bytes: usize,
    /// Memory for what is not yet in a sorted file, bytes.
    pub write_buffer_bytes: usize,
    /// Records that are kept apart.
    pub max_records: usize,
    /// Totals that are kept.
    pub max_totals: usize,
    /// New names that a server may bring at once, after it was quiet for long.
    pub new_names_burst: u32,
    /// New names that a server may bring in the long run, a minute.
    pub new_names_per_minute: u32,
    /// Series of metrics that are taken.
    pub max_series: usize,
    /// How long raw points are kept, minutes, where a server has no setting of its own.
    pub raw_retention_minutes: u32,
    /// How long roll-ups and reports are kept, days, where a server has no setting of its own.
    pub aggregated_retention_days: u32,
    /// What raw points and roll-ups keep of last accesses.
    pub raw_last_access: LastAccess,
    /// How long nothing must have come for an hour that has passed before its points are put in order, seconds.
    pub seal_after_quiet_s: u32,
    /// With less room on the disk than this, no batch is taken, bytes.
    pub min_free_bytes: u64,
}

/// What points keep of a last access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastAccess {
    /// Its second.
    #[serde(rename = "s")]
    Seconds,
    /// Its millisecond.
    #[serde(rename = "ms")]
    Milliseconds,
}

/// Bounds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest request, bytes.
    pub max_request_bytes: u32,
    /// All requests that are being received together, bytes.
    pub max_pending_bytes: u32,
    /// Connections at a time.
    pub max_connections: u32,
    /// Connections of one address that have not authenticated.
    pub max_connections_per_address: u32,
    /// Of all connections, those that only clients have that have authenticated.
    pub reserved_connections: u32,
    /// How long a TLS handshake and the head of a request may take, seconds.
    pub head_timeout_s: u64,
    /// How long a connection is kept without a request, seconds.
    pub idle_timeout_s: u64,
    /// How fast a request body has to arrive, and an answer to be read, bytes per second.
    pub min_bytes_per_s: u32,
    /// The largest head of a request, bytes.
    pub max_head_bytes: u32,
    /// How long a request may take, seconds.
    pub request_timeout_s: u64,
    /// How long requests may take to finish at the end, seconds.
    pub shutdown_s: u64,
}

/// Proxies in front of this central.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// Whose word counts on where a request came from.
    pub trusted: Vec<Trusted>,
    /// The header in which they say it.
    pub header: ForwardedHeader,
}

/// Addresses of a trusted proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Trusted(pub Block);

impl TryFrom<String> for Trusted {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Trusted)
    }
}

impl From<Trusted> for String {
    fn from(trusted: Trusted) -> Self {
        trusted.0.to_string()
    }
}

/// The header in which a proxy says where a request came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// What most proxies write.
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl Log {
    /// Begins to log so.
    pub fn start(self) -> log::Handle {
        log::start(self.level, self.format, Libraries::Warn)
    }
}

impl Settings {
    /// Puts the directory of the command line in the place of the configured one; relative, it starts from the
    /// current directory.
    pub fn set_data(&mut self, data: &Path) -> Result<(), Error> {
        self.data = std::path::absolute(data).map_err(|source| Error::File { path: data.to_owned(), source })?;
        Ok(())
    }

    /// Where probes find a central with these settings that listens at this address.
    pub fn addresses(&self, listen: SocketAddr) -> Addresses {
        let scheme = if self.tls.certificate_file.is_some() { "https" } else { "http" };
        Addresses { listen, public_urls: self.public_urls.clone(), scheme, ca_file: self.tls.ca_file.clone() }
    }

    /// Tells what the next release refuses.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// What is in force, as a file would say it, without secrets.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|error| Error::Config(error.to_string()))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data: PathBuf::from("/var/lib/zonepulse"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8053)),
            public_urls: Vec::new(),
            log: Log::default(),
            tls: Tls::default(),
            metrics: Metrics::default(),
            rabbitmq: RabbitMq::default(),
            pull: Pull::default(),
            query: Query::default(),
            sql: Sql::default(),
            store: Store::default(),
            ingest: Ingest::default(),
            limits: Limits::default(),
            proxy: Proxy::default(),
            warnings: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { level: log::Level::default(), format: log::Format::default(), requests: true }
    }
}

impl Default for RabbitMq {
    fn default() -> Self {
        RabbitMq {
            url: None,
            ca_file: None,
            verify_ca: true,
            queue: amqp::DEFAULT_QUEUE.to_owned(),
            prefetch: amqp::DEFAULT_PREFETCH,
        }
    }
}

impl Default for Pull {
    fn default() -> Self {
        let pull::Settings { max_bytes, max_concurrent, .. } = pull::Settings::default();
        Pull { ca_file: None, max_bytes, max_concurrent }
    }
}

impl Default for Query {
    fn default() -> Self {
        let zonepulse_query::Options { memory_bytes, max_concurrent, max_wait_ms, .. } = zonepulse_query::Options::default();
        Query { memory_bytes, threads: 0, max_concurrent, max_wait_ms }
    }
}

impl Default for Sql {
    fn default() -> Self {
        let SqlLimits { memory_bytes, max_concurrent, timeout_ms, max_rows, max_bytes } = SqlLimits::default();
        Sql { memory_bytes, max_concurrent, timeout_s: timeout_ms / 1000, max_rows, max_bytes }
    }
}

impl From<Sql> for SqlLimits {
    fn from(sql: Sql) -> Self {
        let Sql { memory_bytes, max_concurrent, timeout_s, max_rows, max_bytes } = sql;
        SqlLimits { memory_bytes, max_concurrent, timeout_ms: timeout_s.saturating_mul(1000), max_rows, max_bytes }
    }
}

impl Default for Store {
    fn default() -> Self {
        let defaults = zonepulse_store::Options::default();
        Store {
            block_cache_bytes: defaults.block_cache_bytes,
            write_buffer_bytes: defaults.write_buffer_bytes,
            max_records: defaults.max_records,
            max_totals: defaults.max_totals,
            new_names_burst: defaults.new_names_burst,
            new_names_per_minute: defaults.new_names_per_minute,
            max_series: defaults.max_series,
            raw_retention_minutes: defaults.retention.raw_minutes,
            aggregated_retention_days: defaults.retention.aggregated_days,
            raw_last_access: match defaults.raw_last_access {
                Precision::Seconds => LastAccess::Seconds,
                Precision::Milliseconds => LastAccess::Milliseconds,
            },
            seal_after_quiet_s: defaults.seal_after_quiet_s,
            min_free_bytes: defaults.min_free_bytes,
        }
    }
}

impl From<Store> for zonepulse_store::Options {
    fn from(store: Store) -> Self {
        zonepulse_store::Options {
            block_cache_bytes: store.block_cache_bytes,
            write_buffer_bytes: store.write_buffer_bytes,
            max_records: store.max_records,
            max_totals: store.max_totals,
            new_names_burst: store.new_names_burst,
            new_names_per_minute: store.new_names_per_minute,
            max_series: store.max_series,
            retention: Retention { raw_minutes: store.raw_retention_minutes, aggregated_days: store.aggregated_retention_days },
            raw_last_access: match store.raw_last_access {
                LastAccess::Seconds => Precision::Seconds,
                LastAccess::Milliseconds => Precision::Milliseconds,
            },
            seal_after_quiet_s: store.seal_after_quiet_s,
            min_free_bytes: store.min_free_bytes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_request_bytes: 16 << 20,
            max_pending_bytes: 256 << 20,
            max_connections: 1024,
            max_connections_per_address: 128,
            reserved_connections: 256,
            head_timeout_s: 10,
            idle_timeout_s: 75,
            min_bytes_per_s: 4096,
            max_head_bytes: 32 << 10,
            request_timeout_s: 60,
            shutdown_s: 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(text: &str) -> Result<Settings, Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Settings::read(Some(file.path()))
    }

    #[test]
    fn the_example_file_holds_the_defaults() {
        let example = zonepulse_fixtures::project().join("api/zonepulse.example.toml");
        assert_eq!(Settings::read(Some(&example)).unwrap(), Settings::default());
    }

    #[test]
    fn the_example_file_names_every_key() {
        let example = include_str!("../../zonepulse.example.toml");
        // What every struct refuses lists what it knows; each of those has to be in the example.
        for section in ["", "tls", "metrics", "log", "rabbitmq", "pull", "query", "sql", "store", "ingest", "limits", "proxy"] {
            let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            let error = read(&format!("{header}xxxxxxxxxxxxxxxxxxxx = 1")).unwrap_err().to_string();
            let (_, known) = error.split_once("expected one of ").unwrap_or_else(|| panic!("{error}"));
            for key in known.split(", ").map(|key| key.trim_matches('`')) {
                let named = example.contains(&format!("{key} = ")) || example.contains(&format!("[{key}]"));
                assert!(named, "{section}.{key} is not in the example");
            }
        }
    }

    #[test]
    fn what_is_in_force_is_shown_as_a_file_would_say_it_without_secrets() {
        let settings = read("[rabbitmq]\nurl = \"amqp://guest:hidden@localhost\"\n[metrics]\nlisten = \"[::1]:9\"").unwrap();
        let shown = settings.to_toml().unwrap();
        assert!(!shown.contains("hidden") && shown.contains("url = \"(secret)\""), "{shown}");
        let again = read(&shown.replace("(secret)", "amqp://guest:hidden@localhost")).unwrap();
        assert_eq!(again, settings);
    }

    #[test]
    fn a_trusted_proxy_is_an_address_or_a_block() {
        let settings = read("[proxy]\ntrusted = [\"192.0.2.1\", \"2001:db8::/32\"]\nheader = \"forwarded\"").unwrap();
        assert_eq!((settings.proxy.trusted.len(), settings.proxy.header), (2, ForwardedHeader::Forwarded));
        let said = read("[proxy]\ntrusted = [\"proxy.example\"]").unwrap_err().to_string();
        assert!(said.contains("proxy.trusted") && said.contains("neither an address nor an address block"), "{said}");
    }

    #[test]
    fn a_broker_url_is_not_shown() {
        let settings = read("[rabbitmq]\nurl = \"amqp://guest:hidden@localhost\"").unwrap();
        assert!(!format!("{settings:?}").contains("hidden"));
    }
}
