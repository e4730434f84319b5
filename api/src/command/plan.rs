//! `zonepulse plan`.

use super::{Format, Overlay, source};
use crate::Error;
use crate::config::Settings;
use clap::Args;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_central::time::now_ms;
use zonepulse_tools::Source;
use zonepulse_tools::plan::{Assumed, Bounds, Constants, Plan, Running, Wanted};

/// The report of `make bench`, relative to the project's directory.
const REPORT: &str = ".run/bench/bench-report.json";
/// Default interval, seconds.
const INTERVAL_S: u32 = 60;
/// Series of metrics of a small machine.
const METRICS: u32 = 50;

/// Calculates the size of a machine.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// Number of servers
    #[arg(long, value_name = "N", required_unless_present = "from_running", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    servers: Option<u32>,
    /// Number of records per server
    #[arg(long, value_name = "N", required_unless_present = "from_running", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    records: Option<u32>,
    /// About how many of them are requested per interval [default: estimated, from --requests if given]
    #[arg(long, value_name = "N")]
    active: Option<u32>,
    /// Requests per second and server
    #[arg(long, value_name = "N")]
    requests: Option<f64>,
    /// Take what is not given from an existing fleet: the URL of its central, such as https://central.example:8053 (with --credentials), or its data directory while `serve` is not running
    #[arg(long, value_name = "URL|DIR")]
    from_running: Option<String>,
    /// With a URL: a file with `user = "…"` and `password = "…"`, such as the one created by the first start
    #[arg(long, value_name = "FILE", requires = "from_running")]
    credentials: Option<PathBuf>,
    /// With a URL: the trusted certificate authorities, in PEM [default: those that this machine trusts]
    #[arg(long, value_name = "FILE", requires = "from_running")]
    ca_file: Option<PathBuf>,
    /// Length of an interval, seconds [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=300))]
    interval_s: Option<u32>,
    /// Series of metrics per server, measured every 5 s; a small machine has about 50, plus 4 per core [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=4096))]
    metrics: Option<u32>,
    /// How long raw points are kept, minutes [default: from --config]
    #[arg(long, value_name = "MINUTES")]
    raw_retention_minutes: Option<u32>,
    /// How long roll-ups are kept, days [default: from --config]
    #[arg(long, value_name = "DAYS")]
    aggregated_retention_days: Option<u32>,
    /// The central's configuration, for retention and the limits of queries, SQL and records [default: the default settings]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The report of `make bench` on the machine in question [default: .run/bench/bench-report.json if it exists, otherwise the figures of docs/BENCHMARKS.md]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl PlanArguments {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = match &self.config {
            Some(path) => Settings::read(Some(path))?,
            None => Settings::default(),
        };
        overlay.start(&settings);
        let running = self.from_running.as_deref().map(|from| self.running(from, &settings)).transpose()?;
        let (wanted, assumed) = self.wanted(running, &settings)?;
        let (constants, from) = self.constants()?;
        if let Some(short) = assumed.observed.and_then(|observed| observed.too_short()) {
            eprintln!("zonepulse: warning: {short}");
        }
        let plan = Plan::new(wanted, assumed, constants, from);
        let text = match self.format {
            Format::Text => plan.text(),
            Format::Json => serde_json::to_string_pretty(&plan).map_err(io::Error::from)? + "\n",
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Arguments override what was found, which overrides the defaults.
    fn wanted(&self, running: Option<Running>, settings: &Settings) -> Result<(Wanted, Assumed), Error> {
        let missing = || Error::Argument("--servers and --records, or --from-running".to_owned());
        let servers = self.servers.or(running.map(|found| found.servers)).ok_or_else(missing)?;
        let records = self.records.or(running.map(|found| found.records)).ok_or_else(missing)?;
        let interval_s = self.interval_s.or(running.map(|found| found.interval_s)).unwrap_or(INTERVAL_S);
        let metrics = self.metrics.or(running.map(|found| found.metrics)).unwrap_or(METRICS);
        if let Some(requests) = self.requests.filter(|requests| !(requests.is_finite() && (1e-6..=1e9).contains(requests))) {
            return Err(Error::Argument(format!("--requests: {requests} is not from 0.000001 to 1000000000")));
        }
        let requests_per_s = self.requests.or(running.map(|found| found.requests_per_s));
        // What was found is of so many records in such an interval, with so many requests.
        let found = running.filter(|found| found.records == records && found.interval_s == interval_s && self.requests.is_none());
        let (active, active_from, active_estimated) = match (self.active, found) {
            (Some(active), _) if active == 0 || active > records => {
                return Err(Error::Argument(format!("--active: {active} is not from 1 to the {records} of --records")));
            }
            (Some(active), _) => (active, "given, --active".to_owned(), false),
            (None, Some(found)) => {
                let from = "found by --from-running, on average, in the busiest of the last 24 hours".to_owned();
                (found.active, from, false)
            }
            (None, None) => {
                let (active, from) = Assumed::active(records, interval_s, requests_per_s);
                (active, from, true)
            }
        };
        let bounds_from = self.config.as_ref().map_or_else(|| "default settings".to_owned(), |path| path.display().to_string());
        let wanted = Wanted {
            servers,
            records,
            active,
            interval_s,
            metrics,
            raw_retention_minutes: self.raw_retention_minutes.unwrap_or(settings.store.raw_retention_minutes),
            aggregated_retention_days: self.aggregated_retention_days.unwrap_or(settings.store.aggregated_retention_days),
        };
        let observed = running.map(|found| found.observed);
        Ok((wanted, Assumed { active_from, active_estimated, requests_per_s, observed, bounds: settings.into(), bounds_from }))
    }

    /// Those of --report; by default, those of this machine's report if there is one here, or else the built-in ones.
    fn constants(&self) -> Result<(Constants, String), Error> {
        let report = self.report.as_deref().or(Some(Path::new(REPORT)).filter(|report| report.is_file()));
        Ok(report.map_or_else(|| Ok(Constants::documented()), Constants::read)?)
    }

    fn running(&self, from: &str, settings: &Settings) -> Result<Running, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        if from.starts_with("http://") || from.starts_with("https://") {
            let missing = || Error::Argument("--from-running: an address needs --credentials".to_owned());
            let credentials = self.credentials.as_deref().ok_or_else(missing)?;
            return runtime.block_on(observe(&source::running(from, credentials, self.ca_file.as_deref())?));
        }
        if self.credentials.is_some() || self.ca_file.is_some() {
            return Err(Error::Argument(format!(
                "--from-running: {from} is a directory; --credentials and --ca-file are for an address"
            )));
        }
        let data = Path::new(from);
        super::store_is_there(data)?;
        let store = crate::data::open(data, &settings.store.into()).map_err(|error| match error {
            Error::InUse(data) => Error::Argument(format!(
                "{} is in use by a running `zonepulse serve`: give --from-running its address instead, and --credentials",
                data.display()
            )),
            error => error,
        })?;
        let found = runtime.block_on(observe(&source::stopped(&store, crate::serve::query_options(settings))?));
        store.close()?;
        found
    }
}

/// The fleet of the last 24 hours.
async fn observe(source: &Source) -> Result<Running, Error> {
    Running::of(source, now_ms()).await.map_err(|error| match error {
        zonepulse_tools::Error::Unobserved(why) => Error::Argument(format!("--from-running: {why}")),
        error => error.into(),
    })
}

impl From<&Settings> for Bounds {
    fn from(settings: &Settings) -> Self {
        Bounds {
            query_memory_bytes: settings.query.memory_bytes as u64,
            sql_memory_bytes: settings.sql.memory_bytes as u64,
            sql_max_concurrent: settings.sql.max_concurrent as u64,
            max_records: settings.store.max_records as u64,
            max_series: settings.store.max_series as u64,
            min_free_bytes: settings.store.min_free_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use zonepulse_tools::plan::Observed;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        plan: PlanArguments,
    }

    fn parsed(arguments: &[&str]) -> PlanArguments {
        Line::try_parse_from([&["plan"][..], arguments].concat()).unwrap().plan
    }

    fn wanted(arguments: &[&str], running: Option<Running>) -> Result<(Wanted, Assumed), String> {
        parsed(arguments).wanted(running, &Settings::default()).map_err(|error| error.to_string())
    }

    const FOUND: Running = Running {
        servers: 3,
        records: 700,
        active: 200,
        interval_s: 30,
        metrics: 62,
        requests_per_s: 40.0,
        observed: Observed { minutes: 90, servers: 3, reported: 3, not_throughout: 0 },
    };

    #[test]
    fn without_active_it_is_estimated_and_said_so() {
        let (wanted, assumed) = wanted(&["--servers", "2", "--records", "5000"], None).unwrap();
        assert!(wanted.active > 1_900 && wanted.active < 2_000, "{wanted:?}");
        assert!(assumed.active_estimated && assumed.active_from.starts_with("estimated"), "{assumed:?}");
    }

    #[test]
    fn what_is_given_is_not_estimated() {
        let (wanted, assumed) = wanted(&["--servers", "2", "--records", "5000", "--active", "7"], None).unwrap();
        assert_eq!((wanted.active, assumed.active_estimated), (7, false));
    }

    #[test]
    fn a_running_fleet_is_planned_as_it_is() {
        let (wanted, assumed) = wanted(&["--from-running", "x"], Some(FOUND)).unwrap();
        let Wanted { servers, records, active, interval_s, metrics, .. } = wanted;
        assert_eq!((servers, records, active, interval_s, metrics), (3, 700, 200, 30, 62));
        assert_eq!((assumed.requests_per_s, assumed.active_estimated), (Some(40.0), false));
        assert_eq!(assumed.observed, Some(FOUND.observed));
    }

    #[test]
    fn a_running_fleet_may_be_planned_larger() {
        let (wanted, assumed) = wanted(&["--from-running", "x", "--servers", "300"], Some(FOUND)).unwrap();
        assert_eq!((wanted.servers, wanted.active), (300, 200));
        assert!(!assumed.active_estimated);
    }

    #[test]
    fn wrong_numbers_are_refused_by_name() {
        let two = ["--servers", "2", "--records", "50"];
        for (more, name) in
            [(["--active", "51"], "--active: 51"), (["--active", "0"], "--active: 0"), (["--requests", "NaN"], "--requests: NaN")]
        {
            let error = wanted(&[&two[..], &more[..]].concat(), None).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        assert!(Line::try_parse_from(["plan", "--servers", "2"]).is_err());
    }

    #[test]
    fn an_address_needs_credentials_and_a_directory_has_none() {
        let refused = |arguments: &[&str]| {
            let arguments = parsed(arguments);
            let from = arguments.from_running.clone().unwrap();
            arguments.running(&from, &Settings::default()).unwrap_err().to_string()
        };
        assert!(refused(&["--from-running", "http://127.0.0.1:1"]).contains("needs --credentials"));
        assert!(refused(&["--from-running", "x", "--credentials", "y"]).contains("is a directory"));
    }
}
