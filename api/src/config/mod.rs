//! The configuration of `zonepulse serve`: a file, the environment, the command line.
//!
//! `zonepulse.example.toml` explains every key and contains the defaults.

mod backup;
mod check;
mod ingest;
mod read;
mod renamed;
pub mod room;

pub use backup::{Backup, s3_options};
pub use ingest::Ingest;

use crate::Error;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use zonepulse_catalogue::protection::Rule;
use zonepulse_central::addresses::Addresses;
use zonepulse_central::sessions;
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
    /// The data directory.
    pub data: PathBuf,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The URL at which probes reach this central, if it is not an address of this machine.
    pub public_urls: Vec<String>,
    /// Logging.
    pub log: Log,
    /// The certificate, if the central itself terminates TLS.
    pub tls: Tls,
    /// Metrics for Prometheus.
    pub metrics: Metrics,
    /// A broker from which batches are consumed.
    pub rabbitmq: RabbitMq,
    /// Pulling batches from probes.
    pub pull: Pull,
    /// Limits of queries.
    pub query: Query,
    /// Limits of SQL.
    pub sql: Sql,
    /// Limits of the store.
    pub store: Store,
    /// Limits of batches being received.
    pub ingest: Ingest,
    /// Limits of requests.
    pub limits: Limits,
    /// Proxies in front of this central.
    pub proxy: Proxy,
    /// The zones of the catalogue.
    pub zones: Zones,
    /// Alerts about records that are being retired.
    pub retirement: Retirement,
    /// Programs of the probe, for installing it on nodes.
    pub images: Images,
    /// Backups of the store.
    pub backup: Backup,
    /// Warnings for whoever wrote it: names that the next release will refuse.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// Logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The minimum level.
    pub level: log::Level,
    /// Text for people or JSON for programs.
    pub format: log::Format,
    /// Whether every request is logged.
    pub requests: bool,
}

/// The certificate, if the central itself terminates TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate, followed by intermediate ones, in PEM; without it, there is no TLS.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key_file: Option<PathBuf>,
    /// The private authority that issued it, in PEM, if machines do not trust it anyway: probes are told to trust it.
    pub ca_file: Option<PathBuf>,
}

/// Metrics for Prometheus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// An additional address for metrics, without credentials and TLS; by default they are only at `listen`, for users.
    pub listen: Option<SocketAddr>,
}

/// A broker from which batches are consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RabbitMq {
    /// Its URL, `amqp://…`, or `amqps://…` for TLS; without it, there is no broker.
    #[serde(serialize_with = "hide", skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// The certificate authorities trusted for it, in PEM; by default, those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Whether its certificate is verified.
    pub verify_ca: bool,
    /// The queue.
    pub queue: String,
    /// Maximum number of unacknowledged batches.
    pub prefetch: u16,
}

/// Pulling batches from probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pull {
    /// The certificate authorities trusted for probes, in PEM; by default, those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// How much to request from a probe at once, bytes.
    pub max_bytes: u32,
    /// Maximum number of answers being read and committed at once.
    pub max_concurrent: usize,
}

/// Limits of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Memory for all queries together, bytes.
    pub memory_bytes: usize,
    /// Threads per query; 0 for one per core.
    pub threads: usize,
    /// Maximum number of concurrent queries.
    pub max_concurrent: usize,
    /// How long a query waits for its turn, milliseconds.
    pub max_wait_ms: u64,
}

/// Limits of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sql {
    /// Memory for each statement, bytes, and the same again for what is read for all of them.
    pub memory_bytes: usize,
    /// Maximum number of concurrent statements, half of which one user may run.
    pub max_concurrent: usize,
    /// Maximum time until the last row of a statement is sent, seconds.
    pub timeout_s: u64,
    /// Maximum number of rows in an answer.
    pub max_rows: u64,
    /// Maximum size of an answer before it is formatted, bytes.
    pub max_bytes: u64,
}

/// Limits of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Memory for blocks read from disk, bytes; an eighth of it is added for decompressed ones.
    pub block_cache_bytes: usize,
    /// Memory for data not yet in a sorted file, bytes.
    pub write_buffer_bytes: usize,
    /// Maximum number of distinct records.
    pub max_records: usize,
    /// Maximum number of records of zones, besides those.
    pub max_catalogue_names: usize,
    /// Maximum number of totals.
    pub max_totals: usize,
    /// Maximum number of new names from a server at once, after a long quiet period.
    pub new_names_burst: u32,
    /// Maximum number of new names per minute from a server in the long run.
    pub new_names_per_minute: u32,
    /// Maximum number of series of metrics.
    pub max_series: usize,
    /// How long raw points are kept, minutes, unless a setting says otherwise.
    pub raw_retention_minutes: u32,
    /// How long roll-ups and reports are kept, days, unless a setting says otherwise.
    pub aggregated_retention_days: u32,
    /// The precision of last accesses in raw points and roll-ups.
    pub raw_last_access: LastAccess,
    /// How long no batch must have arrived for a past hour before it is sealed, seconds.
    pub seal_after_quiet_s: u32,
    /// Minimum free disk space for accepting batches, bytes.
    pub min_free_bytes: u64,
}

/// The precision of last accesses in points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastAccess {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
}

/// Limits of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Maximum size of a request, bytes.
    pub max_request_bytes: u32,
    /// Maximum total size of all requests being received, bytes.
    pub max_pending_bytes: u32,
    /// Maximum number of connections.
    pub max_connections: u32,
    /// Maximum number of unauthenticated connections per address.
    pub max_connections_per_address: u32,
    /// The number of connections reserved for authenticated clients.
    pub reserved_connections: u32,
    /// Maximum time for a TLS handshake, and for the head of a request, seconds.
    pub head_timeout_s: u64,
    /// How long an idle connection is kept, seconds.
    pub idle_timeout_s: u64,
    /// Minimum rate at which a request body must arrive and an answer be read, bytes per second.
    pub min_bytes_per_s: u32,
    /// Maximum size of the head of a request, bytes.
    pub max_head_bytes: u32,
    /// Maximum duration of a request, seconds.
    pub request_timeout_s: u64,
    /// How long running requests may take to finish at shutdown, seconds.
    pub shutdown_s: u64,
    /// How long a session of the page lasts without a request, seconds.
    pub session_s: u64,
}

/// Proxies in front of this central.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// The proxies trusted to say where a request came from.
    pub trusted: Vec<Trusted>,
    /// The header in which they do.
    pub header: ForwardedHeader,
}

/// The zones of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Zones {
    /// The directory with zone files on this machine that zones may be loaded from; without it, files are uploaded.
    pub directory: Option<PathBuf>,
    /// Where primaries send NOTIFY, with UDP and TCP; without it, zones are refreshed by their timers only.
    pub notify_listen: Option<SocketAddr>,
    /// What is protected in addition to the built-in rules: an owner, types, and a reason.
    pub protected: Vec<Protected>,
}

/// Alerts about records that are being retired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retirement {
    /// Where alerts are sent, `https://…` or `http://…`; without it they are in the API, the log and metrics only.
    pub webhook_url: Option<String>,
    /// What they are signed with (HMAC-SHA256).
    #[serde(serialize_with = "hide", skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<Secret>,
    /// The authorities whose certificate the receiver may show, in PEM; without it those that this machine trusts.
    pub webhook_ca_file: Option<PathBuf>,
}

/// Programs of the probe, for installing it on nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Images {
    /// The directory with images that packages have installed. Uploaded ones are in the data directory.
    pub directory: PathBuf,
}

/// A rule of protection: `OWNER [TYPE …][: REASON]`, with the owner as in [`Labels`](zonepulse_catalogue::protection::Labels).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Protected {
    text: String,
    /// The rule.
    pub rule: Rule,
}

impl TryFrom<String> for Protected {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (what, reason) = text.split_once(':').unwrap_or((&text, ""));
        let (owner, types) = what.trim().split_once(' ').unwrap_or((what.trim(), ""));
        if owner.is_empty() {
            return Err(format!("{text:?} names no owner: write OWNER [TYPE ...][: REASON]"));
        }
        let reason = match reason.trim() {
            "" => "declared by the operator",
            reason => reason,
        };
        let rule = Rule::parse("configured", owner, types, "", reason, "zones.protected").map_err(|error| error.to_string())?;
        Ok(Protected { text, rule })
    }
}

impl From<Protected> for String {
    fn from(protected: Protected) -> Self {
        protected.text
    }
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
    /// The header that most proxies write.
    #[default]
    XForwardedFor,
    /// The header of RFC 7239.
    Forwarded,
}

impl Log {
    /// Starts logging with these settings.
    pub fn start(self) -> log::Handle {
        log::start(self.level, self.format, Libraries::Warn)
    }
}

impl Settings {
    /// Replaces the configured directory by that of the command line, which may be relative to the current directory.
    pub fn set_data(&mut self, data: &Path) -> Result<(), Error> {
        self.data = std::path::absolute(data).map_err(|source| Error::File { path: data.to_owned(), source })?;
        Ok(())
    }

    /// The URL at which probes reach a central with these settings that listens on this address.
    pub fn addresses(&self, listen: SocketAddr) -> Addresses {
        let scheme = if self.tls.certificate_file.is_some() { "https" } else { "http" };
        Addresses { listen, public_urls: self.public_urls.clone(), scheme, ca_file: self.tls.ca_file.clone() }
    }

    /// Logs the warnings.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// The effective configuration as a file, without secrets.
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
            zones: Zones::default(),
            retirement: Retirement::default(),
            images: Images::default(),
            backup: Backup::default(),
            warnings: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { level: log::Level::default(), format: log::Format::default(), requests: true }
    }
}

impl Default for Images {
    fn default() -> Self {
        Images { directory: PathBuf::from("/usr/lib/zonepulse/images") }
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
            max_catalogue_names: defaults.max_catalogue_names,
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
            max_catalogue_names: store.max_catalogue_names,
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
            session_s: sessions::DEFAULT_IDLE_S,
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
        for section in [
            "",
            "tls",
            "metrics",
            "log",
            "rabbitmq",
            "pull",
            "query",
            "sql",
            "store",
            "ingest",
            "limits",
            "proxy",
            "zones",
            "retirement",
            "backup",
            "images",
        ] {
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
