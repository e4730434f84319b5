//! `zonepulse-probe tally`: what captures contain, without any server.
//!
//! Each file has its own observer; all of them fill one table, which is printed at the end with one
//! line per record, action and response code, most hits first. Everything else in a file, and what
//! could not be read, is reported on standard error with a count per reason, including other ports
//! that carry what looks like DNS messages.
//!
//! With `--served`, a second table follows after an empty line: the RRsets from which the responses
//! were made. Nothing else changes.

#[path = "tally_lines.rs"]
mod lines;
#[path = "tally_served.rs"]
mod served;

use crate::Error;
use crate::capture::file::CaptureFile;
use crate::capture::{messages_elsewhere, unread_link_type};
use crate::clock::Reading;
use crate::memory::{self, Budget};
use crate::observe::{Addresses, Hit, Observer, Scope, Sink};
use crate::tally::Table;
use crate::times::{Bounds, Possible};
use lines::Lines;
use served::Served;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_wire::{Counter, Counters};

/// Count the DNS messages of captures by record, action and response code
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Captures: pcap, pcapng or dnstap, optionally zstd-compressed; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A port on which the server answers (repeatable)
    #[arg(long = "port", value_name = "PORT", default_values_t = [53], value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Tsv)]
    format: Format,
    /// Maximum memory; hits of names that do not fit are folded into <other>, one row per zone
    #[arg(long, value_name = "BYTES", default_value_t = memory::DEFAULT_MAX_BYTES)]
    max_memory: usize,
    /// Also print the RRsets from which the responses were made, with their class: a second table,
    /// after an empty line (with --format json, a second array)
    #[arg(long)]
    served: bool,
    /// A zone of the server, by its apex (repeatable): only RRsets in these zones count as served
    #[arg(long = "zone", value_name = "APEX", requires = "served")]
    zones: Vec<String>,
    /// A file with all owner names of a zone, one on each line, its apex first (repeatable): tells
    /// unsigned answers made from a wildcard from others
    #[arg(long = "zone-names", value_name = "FILE", requires = "served")]
    zone_names: Vec<PathBuf>,
}

/// The output format of a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tab-separated values, a header first
    Tsv,
    /// An array of objects
    Json,
}

/// Reads the files, prints the tally on standard output and everything else on standard error. The
/// exit code is 0 if every file was read completely, otherwise 1. A file whose frames all have
/// unsupported link types counts as unread.
///
/// Fails only if standard output cannot be written, or names of zones cannot be read. A reader that
/// closes standard output early is not an error.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let budget = Budget::of_tally(args.max_memory);
    let mut served = Served::new(args)?;
    let mut table = Table::new(budget.max_records, budget.max_name_octets);
    let scope = Scope { ports: args.ports.clone(), addresses: Addresses::Any };
    let mut whole = true;
    for file in &args.files {
        // If standard error is closed, there is nobody to tell.
        let mut complain = |line: &dyn Display| drop(writeln!(io::stderr(), "{line}"));
        whole &= read(file, &scope, &budget, &mut table, served.as_mut(), &mut complain);
    }
    let mut out = io::stdout().lock();
    match print(args.format, table, served, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::disk("write", "standard output")(error)),
        _ => Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    }
}

/// Prints one table after the other; the first leaves its memory to the second.
fn print(format: Format, mut table: Table, served: Option<Served>, out: &mut impl Write) -> io::Result<()> {
    let lines = Lines::new(table.contents());
    match format {
        Format::Tsv => lines.print_tsv(out)?,
        Format::Json => lines.print_json(out)?,
    }
    drop((lines, table));
    served.map_or(Ok(()), |served| served.print(format, out))
}

/// Adds a file to the table and reports on it line by line; returns whether it was read completely.
fn read(
    path: &Path,
    scope: &Scope,
    budget: &Budget,
    table: &mut Table,
    served: Option<&mut Served>,
    complain: &mut dyn FnMut(&dyn Display),
) -> bool {
    let mut file = match CaptureFile::open(path) {
        Ok(file) => file,
        Err(error) => {
            complain(&error);
            return false;
        }
    };
    let mut observer = Observer::new(scope).within(budget.observer_bytes).noting_other_ports();
    let folded_before = table.contents().folded();
    let possible = Bounds::default().of_files(Reading::now().wall_ms);
    let mut counting = Counting { table, served, counts: [0; Counter::NUMBERS], possible, impossible: 0 };
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
    let mut counters = counting.counters();
    let Counting { impossible, served, .. } = counting;
    counters.add(Counter::MessagesFolded, table.contents().folded() - folded_before);
    let hits = counters.get(Counter::MessagesSeen) - counters.not_counted();
    let frames = counters.get(Counter::DnstapFramesSeen);
    let (read, what) = if frames > 0 { (frames, "dnstap frames") } else { (counters.get(Counter::PacketsSeen), "packets") };
    complain(&format_args!("{}: {read} {what}, {hits} messages counted", file.name()));
    if impossible > 0 {
        complain(&format_args!(
            "{}: {impossible} messages counted have times that cannot be right: before 1980 or later than now",
            file.name()
        ));
    }
    let elsewhere = observer.other_ports();
    if !elsewhere.is_empty() {
        complain(&format_args!("{}: {}; use --port to count them", file.name(), messages_elsewhere(&elsewhere)));
    }
    for (link_type, frames) in observer.unread_link_types() {
        complain(&format_args!("{}: {}: {frames} frames", file.name(), unread_link_type(*link_type)));
    }
    let none_is_read = observer.unread_frames() > 0 && observer.unread_frames() == counters.get(Counter::PacketsSeen);
    if none_is_read {
        complain(&format_args!("{}: none of its frames could be read", file.name()));
    }
    for counter in Counter::ALL.iter().filter(|counter| !MENTIONED.contains(counter)) {
        if counters.get(*counter) > 0 {
            complain(&format_args!("{}: {} {}", file.name(), counter.as_str(), counters.get(*counter)));
        }
    }
    if let Some(served) = served {
        served.take_counts(|name, count| complain(&format_args!("{}: {name} {count}", file.name())));
    }
    whole && !none_is_read
}

/// Counters that the first line about a file covers, or that only explain another one.
const MENTIONED: [Counter; 6] = [
    Counter::PacketsSeen,
    Counter::DnstapFramesSeen,
    Counter::MessagesSeen,
    Counter::UdpDatagrams,
    Counter::TcpSegments,
    Counter::FragmentsJoined,
];

/// Adds hits to a table, and counts those with impossible times.
struct Counting<'t, 's> {
    table: &'t mut Table,
    /// `None` if not requested.
    served: Option<&'s mut Served>,
    counts: [u64; Counter::NUMBERS],
    possible: Possible,
    /// Hits whose times cannot be right. They count all the same, since a tally describes its
    /// files.
    impossible: u64,
}

impl Counting<'_, '_> {
    fn counters(&self) -> Counters {
        let mut counters = Counters::new();
        for counter in Counter::ALL {
            let count = self.counts.get(usize::from(counter.number())).copied().unwrap_or_default();
            counters.add(*counter, count);
        }
        counters
    }
}

impl Sink for Counting<'_, '_> {
    #[inline]
    fn hit(&mut self, hit: &Hit<'_>) {
        self.add(Counter::MessagesSeen, 1);
        self.impossible += u64::from(!self.possible.has(hit.time_ms));
        self.table.add(hit);
        if let Some(served) = &mut self.served {
            served.hit(hit);
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

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
