//! What `zonepulse serve` can be told: a file, the environment, the command line.
//!
//! `zonepulse.example.toml` explains every key and holds the defaults.

use crate::Error;
use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::Deserialize;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use zonepulse_ingest::amqp;
use zonepulse_query::SqlLimits;
use zonepulse_store::{Precision, Retention};

/// All settings of the central.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    /// A broker that batches come through.
    pub amqp: Amqp,
    /// Bounds of questions.
    pub query: Query,
    /// Bounds of SQL.
    pub sql: Sql,
    /// Bounds of the store.
    pub store: Store,
    /// Bounds of requests.
    pub limits: Limits,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// From which level on.
    pub level: LogLevel,
    /// Lines for people or for programs.
    pub format: LogFormat,
}

/// How bad something must be to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something could not be done.
    Error,
    /// Something that somebody should look at.
    Warn,
    /// What happens now and then.
    Info,
    /// Every request.
    Debug,
    /// Everything, that of the libraries too.
    Trace,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

/// A broker that batches come through.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Amqp {
    /// Where it is, `amqp://…`; without it there is none.
    pub url: Option<Secret>,
    /// The queue.
    pub queue: String,
    /// How many batches are under way at a time.
    pub prefetch: u16,
}

/// Bounds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sql {
    /// Memory for all statements together, bytes.
    pub memory_bytes: usize,
    /// Statements at the same time.
    pub max_concurrent: usize,
    /// How long a statement may take until its last row is sent, seconds.
    pub timeout_s: u64,
    /// The most rows of an answer.
    pub max_rows: u64,
    /// The most bytes of an answer, before it is written in its format.
    pub max_bytes: u64,
}

/// Bounds of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Memory for blocks read from disk, bytes.
    pub block_cache_bytes: usize,
    /// Memory for what is not yet in a sorted file, bytes.
    pub write_buffer_bytes: usize,
    /// Records that are kept apart.
    pub max_records: usize,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum LastAccess {
    /// Its second.
    #[serde(rename = "s")]
    Seconds,
    /// Its millisecond.
    #[serde(rename = "ms")]
    Milliseconds,
}

/// Bounds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest request, bytes.
    pub max_request_bytes: u32,
    /// All requests that are being received together, bytes.
    pub max_pending_bytes: u32,
    /// Connections at a time.
    pub max_connections: u32,
    /// How long a request may take, seconds.
    pub request_timeout_s: u64,
    /// How long requests may take to finish at the end, seconds.
    pub shutdown_s: u64,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Settings {
    /// The defaults, overlaid by a file if one is given, overlaid by the environment.
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            // A file that is named and missing is a mistake; figment would read it as empty.
            let text = std::fs::read_to_string(file).map_err(|source| Error::File { path: file.to_owned(), source })?;
            let named = |error| Error::Config(format!("{}: {}", file.display(), plain(&error)));
            // Read by itself first, so that an error can say that it is in the file.
            Figment::from(Toml::string(&text)).extract::<Settings>().map_err(named)?;
            figment = figment.merge(Toml::string(&text));
        }
        let environment =
            Env::prefixed("ZONEPULSE_").filter(|key| !key.as_str().to_ascii_lowercase().starts_with("probe_")).split("__");
        figment
            .merge(environment)
            .extract()
            .map_err(|error| Error::Config(format!("environment (ZONEPULSE_…): {}", plain(&error))))
    }
}

/// What is wrong, without figment's name for where keys are when nothing else is said.
fn plain(error: &figment::Error) -> String {
    error.to_string().replace("\"default.", "\"").replace(" in TOML source string", "")
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data: PathBuf::from("/var/lib/zonepulse"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8053)),
            public_urls: Vec::new(),
            log: Log::default(),
            amqp: Amqp::default(),
            query: Query::default(),
            sql: Sql::default(),
            store: Store::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { level: LogLevel::Info, format: LogFormat::Text }
    }
}

impl Default for Amqp {
    fn default() -> Self {
        Amqp { url: None, queue: amqp::DEFAULT_QUEUE.to_owned(), prefetch: amqp::DEFAULT_PREFETCH }
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
        let example = include_str!("../zonepulse.example.toml");
        // What every struct refuses lists what it knows; each of those has to be in the example.
        for section in ["", "[log]\n", "[amqp]\n", "[query]\n", "[sql]\n", "[store]\n", "[limits]\n"] {
            let error = read(&format!("{section}nonsense = 1")).unwrap_err().to_string();
            let (_, known) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
            let known: Vec<&str> =
                known.split(|c: char| !c.is_ascii_lowercase() && c != '_').filter(|word| word.len() > 2).collect();
            let (keys, _) = known.split_at(known.iter().position(|word| *word == "for").unwrap_or(known.len()));
            assert!(!keys.is_empty(), "{error}");
            for key in keys.iter().filter(|key| **key != "one") {
                let named = example.contains(&format!("{key} = ")) || example.contains(&format!("[{key}]"));
                assert!(named, "{section}{key} is not in the example: {error}");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it_and_the_file() {
        let error = read("[limits]\nmax_request = 1").unwrap_err().to_string();
        assert!(error.contains("max_request") && error.contains("limits"), "{error}");
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let error = Settings::read(Some(Path::new("/nowhere/zonepulse.toml"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/zonepulse.toml"), "{error}");
    }

    #[test]
    fn a_broker_url_is_not_shown() {
        let settings = read("[amqp]\nurl = \"amqp://guest:hidden@localhost\"").unwrap();
        assert!(!format!("{settings:?}").contains("hidden"));
    }
}
