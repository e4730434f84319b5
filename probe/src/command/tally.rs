//! `zonepulse-probe tally`: what captures hold, without any server.
//!
//! Every file is read by an observer of its own, all of them into one table, which
//! is printed at the end: a line per record, action and response code, most hits
//! first. What a file held besides, and what could not be read of it, goes to
//! standard error, each reason with its count.

use crate::Error;
use crate::capture::file::CaptureFile;
use crate::observe::{Addresses, Hit, Observer, Scope, Sink};
use crate::tally::{OTHER, Sum, Table};
use jiff::Timestamp;
use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_dns::MessageKind;
use zonepulse_wire::{Counter, Counters};

/// Count the DNS messages of captures by record, action and response code
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Captures, pcap or pcapng, also compressed with zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A port on which the server answers; may be given several times
    #[arg(long = "port", value_name = "PORT", default_values_t = [53])]
    ports: Vec<u16>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Tsv)]
    format: Format,
    /// How many records are counted each by itself; hits of others fold into <other>
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    max_records: usize,
}

/// How a tally is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tab-separated values, a header first
    Tsv,
    /// An array of objects
    Json,
}

/// Reads the files, prints the tally on standard output and the rest on standard
/// error. The exit code is 0 when every file could be read whole, otherwise 1.
///
/// Fails only when standard output cannot be written to; when whoever reads it
/// has had enough, that is no failure.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let mut table = Table::new(args.max_records, MAX_NAME_OCTETS);
    let scope = Scope { ports: args.ports.clone(), addresses: Addresses::Any };
    let mut whole = true;
    for file in &args.files {
        whole &= read(file, &scope, &mut table);
    }
    let lines = Lines::new(&table);
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let printed = match args.format {
        Format::Tsv => lines.print_tsv(&mut out),
        Format::Json => lines.print_json(&mut out),
    };
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::disk("write", "standard output")(error)),
        _ => Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    }
}

/// Adds a file to the table and reports on it; whether it could be read whole.
fn read(path: &Path, scope: &Scope, table: &mut Table) -> bool {
    let mut file = match CaptureFile::open(path) {
        Ok(file) => file,
        Err(error) => {
            complain(&error);
            return false;
        }
    };
    let mut observer = Observer::new(scope);
    let mut counting = Counting { table, counts: [0; COUNTS] };
    let whole = loop {
        match file.next_frame() {
            Ok(Some(frame)) => observer.frame(&frame, &mut counting),
            Ok(None) => break true,
            Err(error) => {
                complain(&error);
                break false;
            }
        }
    };
    observer.finish(&mut counting);
    let counters = counting.counters();
    let hits = counters.get(Counter::MessagesSeen) - counters.not_counted();
    complain(&format_args!("{}: {} packets, {hits} messages counted", file.name(), counters.get(Counter::PacketsSeen)));
    let mentioned = [Counter::PacketsSeen, Counter::MessagesSeen];
    for counter in Counter::ALL.iter().filter(|counter| !mentioned.contains(counter)) {
        if counters.get(*counter) > 0 {
            complain(&format_args!("{}: {} {}", file.name(), counter.as_str(), counters.get(*counter)));
        }
    }
    whole
}

/// What the names of a tally may take, octets.
const MAX_NAME_OCTETS: usize = 256 << 20;

/// A line on standard error, which may be closed: then there is no one to tell.
fn complain(what: &impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// More than the largest number of a counter.
const COUNTS: usize = 64;

/// Puts hits into a table, and counts the rest.
struct Counting<'t> {
    table: &'t mut Table,
    counts: [u64; COUNTS],
}

impl Counting<'_> {
    fn counters(&self) -> Counters {
        let mut counters = Counters::new();
        for counter in Counter::ALL {
            let count = self.counts.get(usize::from(counter.number())).copied().unwrap_or_default();
            counters.add(*counter, count);
        }
        counters
    }
}

impl Sink for Counting<'_> {
    #[inline]
    fn hit(&mut self, hit: &Hit<'_>) {
        self.add(Counter::MessagesSeen, 1);
        if !self.table.add(hit.name, hit.record_type, hit.kind, hit.time_ms) {
            self.add(Counter::MessagesFolded, 1);
        }
    }

    #[inline]
    fn uncounted(&mut self, reason: Counter, _time_ms: u64) {
        self.add(Counter::MessagesSeen, 1);
        self.add(reason, 1);
    }

    #[inline]
    fn add(&mut self, counter: Counter, count: u64) {
        if let Some(sum) = self.counts.get_mut(usize::from(counter.number())) {
            *sum += count;
        }
    }
}

/// The lines of a tally in the order in which they are printed.
struct Lines {
    text: String,
    lines: Vec<Line>,
}

struct Line {
    /// Where its host stands in the text.
    host: (u32, u32),
    record_type: Option<zonepulse_dns::RecordType>,
    kind: MessageKind,
    sum: Sum,
}

impl Lines {
    fn new(table: &Table) -> Self {
        let mut lines = Lines { text: String::new(), lines: Vec::new() };
        for entry in table.entries() {
            let start = lines.text.len() as u32;
            entry.push_name(&mut lines.text);
            let host = (start, lines.text.len() as u32);
            let record_type = Some(entry.record_type());
            lines.lines.extend(entry.sums().map(|(kind, sum)| Line { host, record_type, kind, sum }));
        }
        let start = lines.text.len() as u32;
        lines.text.push_str(OTHER);
        let host = (start, lines.text.len() as u32);
        lines.lines.extend(table.other().map(|(kind, sum)| Line { host, record_type: None, kind, sum }));
        let text = &lines.text;
        lines.lines.sort_unstable_by(|a, b| {
            let by_hits = b.sum.hits.cmp(&a.sum.hits);
            by_hits.then_with(|| a.host(text).cmp(b.host(text))).then_with(|| a.ties().cmp(&b.ties()))
        });
        lines
    }

    fn print_tsv(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "host\ttype\taction\trcode\thits\tfirst_access\tlast_access")?;
        for line in &self.lines {
            let host = line.host(&self.text);
            let (action, rcode) = (line.kind.action(), line.rcode());
            let (first, last) = (time(line.sum.first_ms), time(line.sum.last_ms));
            writeln!(out, "{host}\t{}\t{action}\t{rcode}\t{}\t{first}\t{last}", line.record_type(), line.sum.hits)?;
        }
        Ok(())
    }

    fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        #[derive(serde::Serialize)]
        struct Object<'a> {
            host: &'a str,
            r#type: String,
            action: &'static str,
            rcode: String,
            hits: u64,
            first_access: String,
            last_access: String,
        }
        let mut before = "[";
        for line in &self.lines {
            let object = Object {
                host: line.host(&self.text),
                r#type: line.record_type(),
                action: line.kind.action().as_str(),
                rcode: line.rcode(),
                hits: line.sum.hits,
                first_access: time(line.sum.first_ms),
                last_access: time(line.sum.last_ms),
            };
            writeln!(out, "{before}")?;
            serde_json::to_writer(&mut *out, &object)?;
            before = ",";
        }
        writeln!(out, "{}", if self.lines.is_empty() { "[]" } else { "\n]" })
    }
}

impl Line {
    fn host<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.host.0 as usize..self.host.1 as usize).unwrap_or_default()
    }

    /// The type; `<other>` is of no type, which is type 0 in a batch and here.
    fn record_type(&self) -> String {
        self.record_type.unwrap_or(zonepulse_dns::RecordType::new(0)).to_string()
    }

    fn rcode(&self) -> String {
        self.kind.response_code().map_or_else(|| "-".to_owned(), |code| code.to_string())
    }

    /// What orders lines of as many hits and the same host.
    fn ties(&self) -> (String, &'static str, String) {
        (self.record_type(), self.kind.action().as_str(), self.rcode())
    }
}

/// RFC 3339 in UTC, to the millisecond.
fn time(unix_ms: u64) -> String {
    let timestamp = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", timestamp.unwrap_or(Timestamp::MAX))
}
