//! `zonepulse export`.

use super::{Overlay, source};
use crate::Error;
use crate::config::Settings;
use crate::time::read_ms;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use zonepulse_central::time::now_ms;
use zonepulse_query::SqlLimits;
use zonepulse_tools::Source;
use zonepulse_tools::export::{self, Summary};

/// Exports every completed hour as a Parquet file.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The central's data directory, while `serve` is not running
    #[arg(value_name = "DIR", required_unless_present = "url", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// Instead, query the running central at this URL, such as http://127.0.0.1:8053
    #[arg(long, value_name = "URL", requires = "credentials")]
    url: Option<String>,
    /// With --url: a file with `user = "…"` and `password = "…"`, such as the one created by the first start
    #[arg(long, value_name = "FILE", requires = "url")]
    credentials: Option<PathBuf>,
    /// With --url: the trusted certificate authorities, in PEM [default: those that this machine trusts]
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// The directory to write to; use a separate one for each central
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// A table to export; may be repeated. Tables named `requests…` contain only requests; `dns_…` and `records` also contain
    /// responses, so a sum of all their hits counts an answered question twice
    #[arg(long = "table", value_name = "TABLE", default_value = "dns_raw", value_parser = PossibleValuesParser::new(export::tables()))]
    tables: Vec<String>,
    /// Start with the first hour that begins at this time or later: RFC 3339, a date (UTC), Unix seconds, or relative as in -24h [default: everything that is kept]
    #[arg(long, value_name = "TIME", value_parser = read_ms, allow_hyphen_values = true)]
    from: Option<u64>,
    /// End with the last hour that ends at this time or earlier [default: now]
    #[arg(long, value_name = "TIME", value_parser = read_ms, allow_hyphen_values = true)]
    until: Option<u64>,
}

impl Export {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = Settings::read(None)?;
        overlay.start(&settings);
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.enable_all().build()?;
        if let (Some(url), Some(credentials)) = (&self.url, &self.credentials) {
            return runtime.block_on(self.export(&source::running(url, credentials, self.ca_file.as_deref())?));
        }
        let Some(data) = &self.data else { return Err(Error::Argument("which data directory?".to_owned())) };
        super::store_is_there(data)?;
        let store = crate::data::open(data, &settings.store.into()).map_err(|error| match error {
            Error::InUse(data) => Error::Argument(format!(
                "{} is in use by a running `zonepulse serve`: ask it instead, with --url and --credentials",
                data.display()
            )),
            error => error,
        })?;
        let mut options = crate::serve::query_options(&settings);
        // Nobody else waits, and rows are written as they come: only memory is bounded.
        options.sql = SqlLimits { timeout_ms: u64::from(u32::MAX), max_rows: u64::MAX, max_bytes: u64::MAX, ..options.sql };
        let exported = runtime.block_on(self.export(&source::stopped(&store, options)?));
        store.close()?;
        exported
    }

    async fn export(&self, source: &Source) -> Result<ExitCode, Error> {
        let (from_ms, until_ms) = (self.from.unwrap_or(0), self.until.unwrap_or(u64::MAX));
        let mut sum = Summary::default();
        let mut nothing = Vec::new();
        for table in &self.tables {
            let export = export::Export { source, to: &self.to, from_ms, until_ms, now_ms: now_ms() };
            let summary = export.table(table, &mut io::stdout()).await?;
            if summary == Summary::default() {
                nothing.push(format!("{table}: {}", export.why_none(table).await?));
            }
            sum += summary;
        }
        let Summary { written, rows, unchanged, kept, expired } = sum;
        writeln!(
            io::stdout(),
            "{written} files with {rows} rows written. Not written, counted in hours of one server: {unchanged} whose file is up to date, {kept} whose file has points that have expired here, {expired} that expired before they were exported"
        )?;
        nothing.iter().try_for_each(|why| writeln!(io::stdout(), "{why}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
