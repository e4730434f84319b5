//! `zonepulse verdicts`.

use super::source::Running;
use super::{Overlay, block_on};
use crate::Error;
use crate::config::Settings;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::io::{self, Write};
use std::process::ExitCode;
use zonepulse_tools::Method;

/// Says of each record of the zones whether it can be deleted, and why.
#[derive(Debug, Args)]
pub(super) struct Verdicts {
    /// Of this zone; repeat it for several [default: all]
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
    /// Of this owner name, in which `*` matches any part; repeat it for several
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Of this type; repeat it for several
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only this verdict: needed, protected, used, new, unobserved, unused or never_used; repeat it for several
    #[arg(long = "verdict", value_name = "VERDICT")]
    verdicts: Vec<String>,
    /// The window: 90d, with s, m, h, d or w, or ISO 8601
    #[arg(long, value_name = "TIME", default_value = "90d")]
    not_accessed_for: String,
    /// How long after its creation a record is new
    #[arg(long, value_name = "TIME", default_value = "7d")]
    grace: String,
    /// By how much the window must exceed the TTL
    #[arg(long, value_name = "TIME", default_value = "7d")]
    margin: String,
    /// How to tell it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    central: Running,
}

/// How verdicts are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs and spreadsheets.
    Csv,
    /// For programs.
    Json,
}

#[derive(Deserialize)]
struct Row {
    host: String,
    r#type: String,
    verdict: String,
    reasons: String,
}

impl Verdicts {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        overlay.start(&Settings::read(None)?);
        let mut parameters: Vec<(&str, String)> = vec![
            ("not_accessed_for", self.not_accessed_for.clone()),
            ("grace", self.grace.clone()),
            ("margin", self.margin.clone()),
        ];
        let lists = [("zone", &self.zones), ("host", &self.hosts), ("type", &self.types), ("verdict", &self.verdicts)];
        parameters.extend(lists.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, value.clone()))));
        let accept = match self.format {
            Format::Json => "application/json",
            Format::Csv | Format::Text => "text/csv",
        };
        if self.format == Format::Json {
            parameters.push(("limit", "100000".to_owned()));
        }
        let api = self.central.api()?;
        let answer = block_on(api.call(Method::Get, "/api/v2/monitoring/dns/verdicts", &parameters, None, accept))?;
        let mut out = io::stdout().lock();
        match self.format {
            Format::Csv => out.write_all(&answer)?,
            Format::Json => writeln!(out, "{}", String::from_utf8_lossy(&answer))?,
            Format::Text => text(&answer, &mut out)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line per record: the verdict, the record, and why.
fn text(answer: &[u8], out: &mut impl Write) -> Result<(), Error> {
    let rows = csv::Reader::from_reader(answer).into_deserialize().collect::<Result<Vec<Row>, _>>();
    let rows = rows.map_err(|error| Error::Config(format!("the answer of the central: {error}")))?;
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let (verdict, record) = (width(|row| row.verdict.len()), width(|row| row.host.len() + row.r#type.len() + 1));
    for row in &rows {
        let name = format!("{} {}", row.host, row.r#type);
        writeln!(out, "{:verdict$}  {name:record$}  {}", row.verdict, row.reasons)?;
    }
    if rows.is_empty() {
        writeln!(out, "No records: `zonepulse zone list` shows the zones, and `zonepulse zone add` adds one.")?;
    }
    Ok(())
}
