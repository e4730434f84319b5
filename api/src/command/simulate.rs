//! `zonepulse simulate`.

use super::{Format, Overlay};
use crate::config::Settings;
use crate::time::read_ms;
use crate::{Error, remote};
use clap::Args;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use zonepulse_central::accounts;
use zonepulse_central::time::now_ms;
use zonepulse_model::Interval;
use zonepulse_private::Prepared;
use zonepulse_tools::simulate::{Fleet, Known, Link, MAX_METRICS, MAX_RECORDS, Sent, read_servers, write_servers};

const SLOWEST: f64 = 0.001;
const FASTEST: f64 = 1e6;

/// Simulates a fleet of servers.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// The file with the servers and their tokens
    #[arg(long, value_name = "FILE")]
    fleet: PathBuf,
    /// Create --servers servers in this data directory, while `serve` is not running, write them to --fleet, and send nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "rabbitmq"], requires = "servers")]
    make_in: Option<PathBuf>,
    /// With --make-in: overwrite --fleet if it exists
    #[arg(long, requires = "make_in")]
    force: bool,
    /// Send to the central at this URL, such as http://127.0.0.1:8053
    #[arg(long, value_name = "URL", required_unless_present_any = ["make_in", "rabbitmq"], conflicts_with = "rabbitmq")]
    url: Option<String>,
    /// With --url: the trusted certificate authorities, in PEM [default: those that this machine trusts]
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// Instead, send through RabbitMQ, to the broker and queue in the central's configuration (rabbitmq.url, or ZONEPULSE_RABBITMQ__URL)
    #[arg(long)]
    rabbitmq: bool,
    /// The central's configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Number of servers [default: all of --fleet]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    servers: Option<u32>,
    /// Number of records per server
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RECORDS)))]
    records: u32,
    /// About how many of them are requested per interval
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    active: u32,
    /// Series of metrics per server, measured every 5 s
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_METRICS)))]
    metrics: u32,
    /// Length of an interval, seconds; divides 300
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    interval_s: u32,
    /// Number of intervals
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    intervals: u64,
    /// Speed relative to real time; 0 is as fast as the central accepts batches
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Start of the first interval: RFC 3339, a date (UTC), Unix seconds, or relative as in -24h [default: such that the last one ends when it is sent]
    #[arg(long, value_name = "TIME", value_parser = read_ms, allow_hyphen_values = true)]
    from: Option<u64>,
    /// Seed of the random traffic; the same seed gives the same traffic
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Maximum number of batches in transit
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Simulate {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = Settings::read(self.config.as_deref())?;
        overlay.start(&settings);
        if let Some(data) = &self.make_in {
            return self.make(data, &settings);
        }
        let fleet = self.fleet()?;
        let broker = crate::serve::broker(&settings.rabbitmq)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let sent = runtime.block_on(async {
            let link = match (self.rabbitmq, &self.url, &broker) {
                (true, _, Some(broker)) => Link::amqp(broker).await?,
                (false, Some(url), _) => Link::http(url, &remote::trust_at(url, self.ca_file.as_deref())?)?,
                _ => return Err(Error::Argument("--rabbitmq: the configuration has no rabbitmq.url".to_owned())),
            };
            Ok::<_, Error>(fleet.run(Arc::new(link), now_ms()).await?)
        })?;
        self.tell(&sent)?;
        Ok(ExitCode::SUCCESS)
    }

    fn fleet(&self) -> Result<Fleet, Error> {
        let wrong = |what: String| Err(Error::Argument(what));
        let mut servers = read_servers(&self.fleet)?;
        let wanted = self.servers.map_or(servers.len(), |count| count as usize);
        if wanted > servers.len() || wanted == 0 {
            return wrong(format!("--servers: {} has {} servers; --make-in makes them", self.fleet.display(), servers.len()));
        }
        servers.truncate(wanted);
        let interval_s = self.interval_s;
        if let Err(error) = Interval::new(interval_s) {
            return wrong(format!("--interval-s: {error}"));
        }
        if self.active == 0 || self.active > self.records {
            return wrong(format!("--active: {} is not from 1 to the {} of --records", self.active, self.records));
        }
        if self.speed != 0.0 && !(SLOWEST..=FASTEST).contains(&self.speed) {
            return wrong(format!("--speed: {} is neither 0 nor a factor from {SLOWEST} to {FASTEST}", self.speed));
        }
        let from_s = self.from.map(|from_ms| from_ms / 1000);
        if let Some(from_s) = from_s.filter(|from_s| !from_s.is_multiple_of(u64::from(interval_s))) {
            return wrong(format!(
                "--from: {} is not at a multiple of the interval ({interval_s} s)",
                zonepulse_central::time::text(1000 * from_s)
            ));
        }
        Ok(Fleet {
            servers,
            records: self.records,
            active: self.active,
            metrics: self.metrics,
            interval_s,
            intervals: self.intervals,
            speed: (self.speed > 0.0).then_some(self.speed),
            from_s,
            seed: self.seed,
            connections: usize::from(self.connections),
        })
    }

    fn make(&self, data: &Path, settings: &Settings) -> Result<ExitCode, Error> {
        let Some(count) = self.servers else { return Err(Error::Argument("--servers: how many are to be made?".to_owned())) };
        let file = Prepared::new(&self.fleet, self.force)?;
        let store = crate::data::open(data, &settings.store.into())?;
        let mut made = Vec::new();
        for number in 1..=count {
            let (server, token) = accounts::add_server(&store, &format!("simulated {number}"), true)?;
            made.push(Known { id: server.id.get(), token: token.into() });
        }
        write_servers(file, &made)?;
        store.close()?;
        writeln!(io::stdout(), "{count} servers are made, their tokens written to {}", self.fleet.display())?;
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, sent: &Sent) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        if self.format == Format::Json {
            let text = serde_json::to_string(sent).map_err(io::Error::from)?;
            return Ok(writeln!(out, "{text}")?);
        }
        let Sent { batches, points, hits, value_batches, values, bytes, retries, seconds, .. } = *sent;
        writeln!(out, "{batches} batches with {points} points of {hits} hits")?;
        writeln!(out, "{value_batches} batches with {values} values of metrics")?;
        let rate = (points + values) as f64 / seconds;
        writeln!(out, "{bytes} bytes in {seconds:.1} s: {rate:.0} points and values a second, {retries} sent again")?;
        Ok(())
    }
}
