//! `zonepulse zone`.

use super::source::Running;
use super::{Overlay, block_on};
use crate::Error;
use crate::config::Settings;
use crate::dns_server::DnsServer;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fs;
use std::future::Future;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use zonepulse_catalogue::lookup::{self, View};
use zonepulse_catalogue::transfer::TsigKey;
use zonepulse_catalogue::{Builder, Name, file};
use zonepulse_central::zones::name_of;
use zonepulse_dns::RecordType;
use zonepulse_private::Secret;
use zonepulse_tools::{Api, Method};

/// Where the central has its zones.
const ZONES: &str = "/api/v2/zones";
/// Maximum size of a file with a TSIG key, bytes.
const MAX_KEY_BYTES: u64 = 64 << 10;

/// Zones.
#[derive(Debug, Subcommand)]
pub(super) enum Zone {
    /// Add a zone, and load it: from a file, or from a primary
    Add(Add),
    /// List the zones, and how they are
    List {
        #[command(flatten)]
        central: Running,
    },
    /// Load a zone now, from where it comes; or a file in the place of what is loaded
    Refresh {
        /// The zone's apex or id
        zone: String,
        /// Load this file
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Let it remove much of the zone
        #[arg(long)]
        confirm: bool,
        #[command(flatten)]
        central: Running,
    },
    /// Remove a zone from the catalogue. On its servers, nothing changes
    Remove {
        /// The zone's apex or id
        zone: String,
        #[command(flatten)]
        central: Running,
    },
    /// Read a zone file, and say what is wrong in which line. Exits with 1 if servers would refuse it
    Check {
        /// The zone file
        file: PathBuf,
        /// The apex [default: the owner of the SOA]
        #[arg(long, value_name = "ZONE")]
        origin: Option<String>,
        /// Print the records that were read, one a line, everything absolute
        #[arg(long)]
        print: bool,
    },
    /// Answer a query from a zone file or a zone of the central, as an authoritative server would
    Lookup(Lookup),
}

/// A zone to be added.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its apex
    zone: String,
    /// Load it from this file
    #[arg(long, value_name = "FILE", required_unless_present = "primary", conflicts_with = "primary")]
    file: Option<PathBuf>,
    /// Transfer it from this address; port 53 unless one is given
    #[arg(long, value_name = "ADDRESS")]
    primary: Option<DnsServer>,
    /// Sign transfers with the key in this file: `ALGORITHM:NAME:SECRET`, or as BIND or Knot write it
    #[arg(long, value_name = "FILE", requires = "primary")]
    tsig_file: Option<PathBuf>,
    /// The view in which it is served
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// The id of a server that serves it; repeat it for several [default: all]
    #[arg(long = "server", value_name = "ID")]
    servers: Vec<u32>,
    /// Servers that are not managed serve it, too
    #[arg(long)]
    others_serve_it: bool,
    #[command(flatten)]
    central: Running,
}

/// A query.
#[derive(Debug, Args)]
pub(super) struct Lookup {
    /// A zone file, or a zone of the central
    zone: String,
    /// The name that is asked for
    name: String,
    /// The type
    r#type: RecordType,
    /// The apex of a zone file [default: the owner of the SOA]
    #[arg(long, value_name = "ZONE")]
    origin: Option<String>,
    /// The central's address
    #[arg(long, value_name = "URL", requires = "credentials")]
    url: Option<String>,
    /// For a zone of the central: a file with `user = "…"` and `password = "…"`
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// The authorities whose certificate it may show, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Zone {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        overlay.start(&Settings::read(None)?);
        match self {
            Zone::Add(add) => add.run(),
            Zone::List { central } => list(&central.api()?),
            Zone::Refresh { zone, file, confirm, central } => refresh(&central.api()?, zone, file.as_deref(), *confirm),
            Zone::Remove { zone, central } => {
                let api = central.api()?;
                let id = find(&api, zone)?;
                block_on(api.call(Method::Delete, &format!("{ZONES}/{id}"), &[], None, JSON))?;
                Ok(ExitCode::SUCCESS)
            }
            Zone::Check { file, origin, print } => check(file, origin.as_deref(), *print),
            Zone::Lookup(lookup) => lookup.run(),
        }
    }
}

const JSON: &str = "application/json";

fn apex(text: Option<&str>) -> Result<Option<Name>, Error> {
    text.map(|text| name_of(text).map_err(Error::Argument)).transpose()
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

fn check(path: &Path, origin: Option<&str>, print: bool) -> Result<ExitCode, Error> {
    // Whoever runs this may read whatever it includes.
    let root = fs::canonicalize(path).map_err(unreadable(path))?.parent().map(Path::to_owned);
    let options = file::Options { origin: apex(origin)?, include_root: root, ..file::Options::default() };
    let mut out = BufWriter::new(io::stdout().lock());
    let records: Option<&mut dyn Write> = if print { Some(&mut out) } else { None };
    let summary = file::check(path, options, &mut io::stderr().lock(), records).map_err(unreadable(path))?;
    if !print {
        let apex = summary.apex.map_or_else(|| "no SOA".to_owned(), |apex| apex.to_string());
        writeln!(out, "{apex}: {} records, {} errors, {} warnings", summary.records, summary.errors, summary.warnings)?;
    }
    out.flush()?;
    Ok(if summary.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Add {
    fn run(&self) -> Result<ExitCode, Error> {
        let api = self.central.api()?;
        // What cannot be read is said before anything is added.
        let text = self.file.as_deref().map(|path| fs::read(path).map_err(unreadable(path))).transpose()?;
        let primary = self.primary.map(|DnsServer(address)| address.to_string());
        let tsig = self.tsig_file.as_deref().map(tsig).transpose()?;
        let body = json!({
            "zone": self.zone,
            "view": self.view,
            "primary": primary,
            "tsig": tsig,
            "servers": self.servers,
            "others_serve_it": self.others_serve_it,
        });
        let added = json_of(&block_on(api.call(Method::Post, ZONES, &[], Some((JSON, body.to_string().into_bytes())), JSON))?)?;
        let id = added.get("zone_id").and_then(Value::as_u64).unwrap_or_default();
        let loaded = match text {
            Some(text) => upload(&api, id, &[], text),
            None => refreshed(&api, id, &[]),
        };
        match loaded {
            Ok(imported) => told(&api, id, &json_of(&imported)?, &self.zone),
            Err(error) if self.file.is_some() => {
                // A zone that nothing could be loaded of would only be in the way of the next attempt.
                block_on(api.call(Method::Delete, &format!("{ZONES}/{id}"), &[], None, JSON))?;
                Err(error)
            }
            Err(error) => {
                writeln!(io::stderr(), "the zone was added as {id}, and is tried again; it could not be loaded yet")?;
                Err(error)
            }
        }
    }
}

fn tsig(path: &Path) -> Result<Value, Error> {
    let text: Secret = zonepulse_private::read(path)?.only_owner_or_root()?.into();
    if text.reveal().len() as u64 > MAX_KEY_BYTES {
        return Err(Error::Argument(format!("{}: it is too long for a key", path.display())));
    }
    let wrong = |error| Error::Argument(format!("{}: {error}", path.display()));
    let key = TsigKey::from_text(text.reveal()).map_err(wrong)?;
    Ok(
        json!({"name": key.name().to_string(), "algorithm": key.algorithm().name(), "secret": BASE64_STANDARD.encode(key.secret())}),
    )
}

fn list(api: &Api) -> Result<ExitCode, Error> {
    let zones = zones(api)?;
    let mut out = io::stdout().lock();
    writeln!(out, "zone_id\tzone\tview\tsource\tserial\tresources\tstate\terror")?;
    for zone in &zones {
        let text = |name: &str| match zone.get(name) {
            Some(Value::String(text)) => text.replace(['\t', '\n'], " "),
            Some(Value::Null) | None => "-".to_owned(),
            Some(value) => value.to_string(),
        };
        let fields = ["zone_id", "zone", "view", "source", "serial", "resources", "state", "error"].map(text);
        writeln!(out, "{}", fields.join("\t"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn refresh(api: &Api, zone: &str, file: Option<&Path>, confirm: bool) -> Result<ExitCode, Error> {
    let id = find(api, zone)?;
    let parameters: &[(&str, String)] = if confirm { &[("confirm", "true".to_owned())] } else { &[] };
    let imported = match file {
        Some(path) => {
            let text = fs::read(path).map_err(unreadable(path))?;
            upload(api, id, parameters, text)?
        }
        None => refreshed(api, id, parameters)?,
    };
    told(api, id, &json_of(&imported)?, zone)
}

fn upload(api: &Api, id: u64, parameters: &[(&str, String)], text: Vec<u8>) -> Result<Bytes, Error> {
    let path = format!("{ZONES}/{id}/file");
    watched(api, id, api.call(Method::Put, &path, parameters, Some(("text/dns", text)), JSON))
}

fn refreshed(api: &Api, id: u64, parameters: &[(&str, String)]) -> Result<Bytes, Error> {
    let path = format!("{ZONES}/{id}/refresh");
    watched(api, id, api.call(Method::Post, &path, parameters, None, JSON))
}

/// Waits for an import; a terminal shows how far it is.
fn watched(api: &Api, id: u64, import: impl Future<Output = Result<Bytes, zonepulse_tools::Error>>) -> Result<Bytes, Error> {
    let path = format!("{ZONES}/{id}");
    block_on(async {
        tokio::pin!(import);
        let mut line = Line::default();
        loop {
            tokio::select! {
                done = &mut import => return done,
                () = tokio::time::sleep(PROGRESS_PERIOD), if io::stderr().is_terminal() => {}
            }
            let row = api.call(Method::Get, &path, &[], None, JSON).await.ok().and_then(|row| serde_json::from_slice(&row).ok());
            line.show(&row.as_ref().and_then(progress).unwrap_or_default());
        }
    })
}

/// How often a terminal shows how far an import is.
const PROGRESS_PERIOD: Duration = Duration::from_millis(500);

/// How far a zone is that is being loaded.
fn progress(zone: &Value) -> Option<String> {
    let loading = zone.get("loading")?;
    let done = loading.get("done")?.as_u64()?;
    match loading.get("phase")?.as_str()? {
        "reading" => Some(format!("reading: {done} records")),
        _ => Some(format!("importing: {done} RRsets")),
    }
}

/// A line of a terminal that is written again and again, and vanishes at the end.
#[derive(Default)]
struct Line {
    width: usize,
}

impl Line {
    fn show(&mut self, text: &str) {
        // Nothing depends on it.
        let _ = write!(io::stderr(), "\r{text:width$}", width = self.width);
        self.width = text.len();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.width > 0 {
            self.show("");
            let _ = write!(io::stderr(), "\r");
        }
    }
}

/// Tells what an import did.
fn told(api: &Api, id: u64, imported: &Value, zone: &str) -> Result<ExitCode, Error> {
    let mut out = io::stdout().lock();
    if imported.is_null() {
        // The central may have loaded it by itself a moment before.
        let row = json_of(&block_on(api.call(Method::Get, &format!("{ZONES}/{id}"), &[], None, JSON))?)?;
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default();
        writeln!(out, "{zone} (zone {id}) is up to date: serial {}, {} resources", number("serial"), number("resources"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let number = |name: &str| imported.get(name).and_then(Value::as_u64).unwrap_or_default();
    let [added, changed, removed, unchanged] = ["added", "changed", "removed", "unchanged"].map(number);
    writeln!(out, "{zone} (zone {id}): {added} added, {changed} changed, {removed} removed, {unchanged} unchanged")?;
    Ok(ExitCode::SUCCESS)
}

/// All zones, page by page.
fn zones(api: &Api) -> Result<Vec<Value>, Error> {
    const PAGE: usize = 10_000;
    let mut all = Vec::new();
    loop {
        let parameters = [("limit", PAGE.to_string()), ("offset", all.len().to_string())];
        let page = json_of(&block_on(api.call(Method::Get, ZONES, &parameters, None, JSON))?)?;
        let Value::Array(page) = page else { return Ok(all) };
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// The id of a zone that is named by its apex or id.
fn find(api: &Api, zone: &str) -> Result<u64, Error> {
    if let Ok(id) = zone.parse::<u64>() {
        return Ok(id);
    }
    let name = name_of(zone).map_err(Error::Argument)?.to_string();
    let found: Vec<u64> = zones(api)?
        .iter()
        .filter(|zone| zone.get("zone").and_then(Value::as_str) == Some(&name))
        .filter_map(|zone| zone.get("zone_id")?.as_u64())
        .collect();
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(Error::Argument(format!("there is no zone {name}"))),
        _ => Err(Error::Argument(format!("{name} is in several views: name its id, as in zonepulse zone list"))),
    }
}

fn json_of(answer: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(answer).map_err(|error| Error::Config(format!("the answer of the central: {error}")))
}

impl Lookup {
    fn run(&self) -> Result<ExitCode, Error> {
        let path = Path::new(&self.zone);
        let zone = match (&self.credentials, path.exists()) {
            (Some(credentials), _) => {
                let url = self.url.clone().unwrap_or_else(|| super::source::LOCAL.to_owned());
                let running = Running::new(url, credentials.clone(), self.ca_file.clone());
                self.of_central(&running.api()?)?
            }
            (None, true) => {
                let origin = apex(self.origin.as_deref())?;
                let root = fs::canonicalize(path).map_err(unreadable(path))?.parent().map(Path::to_owned);
                let options = file::Options { origin, include_root: root, ..file::Options::default() };
                built(file::Reader::open(path, options).map_err(unreadable(path))?)?
            }
            (None, false) => {
                let reason = format!("{} is no file; for a zone of the central, give --credentials", self.zone);
                return Err(Error::Argument(reason));
            }
        };
        let name = name_of(&self.name).map_err(Error::Argument)?;
        let answer = lookup::lookup(&View::new(&zone), &name, self.r#type);
        let mut out = BufWriter::new(io::stdout().lock());
        lookup::print(&answer, &zone, &mut out)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn of_central(&self, api: &Api) -> Result<zonepulse_catalogue::Zone, Error> {
        let apex = name_of(&self.zone).map_err(Error::Argument)?;
        let mut text = String::new();
        let mut offset = 0;
        loop {
            let parameters = [("zone", apex.to_string()), ("offset", offset.to_string()), ("limit", "100000".to_owned())];
            let rows = json_of(&block_on(api.call(Method::Get, "/api/v2/resources", &parameters, None, JSON))?)?;
            let rows = rows.as_array().cloned().unwrap_or_default();
            if rows.is_empty() {
                break;
            }
            offset += rows.len();
            for row in &rows {
                let field = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
                let ttl = row.get("ttl").and_then(Value::as_u64).unwrap_or_default();
                for data in field("data").lines() {
                    text.push_str(&format!("{} {ttl} IN {} {data}\n", field("host"), field("type")));
                }
            }
        }
        let options = file::Options { origin: Some(apex), ..file::Options::default() };
        built(file::Reader::new(text.as_bytes(), "the zone", options))
    }
}

/// The zone of a file, whatever is wrong in it: what was read is looked at.
fn built(mut reader: file::Reader<'_>) -> Result<zonepulse_catalogue::Zone, Error> {
    let mut records = Vec::new();
    for read in reader.by_ref() {
        match read {
            Ok(located) => records.push(located.record),
            Err(problem) => writeln!(io::stderr(), "{problem}")?,
        }
    }
    let apex = reader.apex().cloned().ok_or_else(|| Error::Argument("no SOA: give --origin".to_owned()))?;
    let mut builder = Builder::new(apex);
    for record in records {
        if let Err(error) = builder.add(record) {
            writeln!(io::stderr(), "{error}")?;
        }
    }
    builder.finish().map_err(|error| Error::Argument(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_tells_how_far_it_is() {
        let zone = |loading: Value| json!({"zone_id": 1, "loading": loading});
        let reading = zone(json!({"phase": "reading", "done": 1200, "since": "2026-01-01T00:00:00Z"}));
        assert_eq!(progress(&reading).as_deref(), Some("reading: 1200 records"));
        let importing = zone(json!({"phase": "importing", "done": 7, "since": "2026-01-01T00:00:00Z"}));
        assert_eq!(progress(&importing).as_deref(), Some("importing: 7 RRsets"));
        assert_eq!(progress(&zone(Value::Null)), None);
    }
}
