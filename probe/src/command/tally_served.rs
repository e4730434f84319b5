//! The second table of a tally: the RRsets from which the responses were made.

use super::lines::{Text, first_octets};
use super::{Args, Format};
use crate::Error;
use crate::memory::Budget;
use crate::observe::Hit;
use crate::served::{Kind, Names, Outcome, Reader, Zones};
use crate::tally::{Contents, Sum, Table};
use std::io::{self, Write};
use std::path::Path;
use zonepulse_dns::{RecordType, name};

/// What was served.
pub(super) struct Served {
    reader: Reader,
    table: Table<Kind>,
    /// Of the current file.
    truncated: u64,
    unreadable: u64,
    folded: u64,
}

struct Line {
    host: String,
    /// As in the other table.
    host_begins: u64,
    /// `<other>` has no type.
    record_type: RecordType,
    kind: Kind,
    sum: Sum,
}

impl Served {
    /// `None` if not requested.
    pub(super) fn new(args: &Args) -> Result<Option<Self>, Error> {
        if !args.served {
            return Ok(None);
        }
        let mut zones = Zones::any();
        for apex in &args.zones {
            zones.add(&to_wire(apex, "--zone".to_owned())?);
        }
        for path in &args.zone_names {
            zones.add_named(read_names(path)?);
        }
        let (max_records, max_name_octets) = Budget::of_served(args.max_memory);
        let table = Table::new(max_records, max_name_octets);
        Ok(Some(Served { reader: Reader::new(zones), table, truncated: 0, unreadable: 0, folded: 0 }))
    }

    /// Adds what a response served. Not inlined: it would push other code out of the way of those who
    /// do not want it.
    #[inline(never)]
    pub(super) fn hit(&mut self, hit: &Hit<'_>) {
        let table = &mut self.table;
        match self.reader.read(hit, |credit| table.credit(credit, hit.time_ms)) {
            Outcome::Read | Outcome::Apart => {}
            Outcome::Truncated => self.truncated += 1,
            Outcome::Unreadable => self.unreadable += 1,
        }
    }

    /// Reports, and forgets, what was not credited since the last call.
    pub(super) fn take_counts(&mut self, mut report: impl FnMut(&str, u64)) {
        let folded = self.table.contents().folded();
        let counts = [
            ("served_truncated", std::mem::take(&mut self.truncated)),
            ("served_unreadable", std::mem::take(&mut self.unreadable)),
            ("served_folded", folded - std::mem::replace(&mut self.folded, folded)),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0).for_each(|(name, count)| report(name, count));
    }

    /// Prints the table, most served first, then by host, type, class and wildcard.
    pub(super) fn print(mut self, format: Format, out: &mut impl Write) -> io::Result<()> {
        let lines = lines(self.table.contents());
        match format {
            Format::Tsv => print_tsv(&lines, out),
            Format::Json => print_json(&lines, out),
        }
    }
}

/// A name of a zone as users write it, in wire format.
fn to_wire(text: &str, place: String) -> Result<Vec<u8>, Error> {
    name::to_wire(text).map_err(|error| Error::Config { place, detail: error.to_string() })
}

/// Reads the owner names of a zone.
fn read_names(path: &Path) -> Result<Names, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::disk("read", path))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let place = |line: usize| format!("{}, line {line}", path.display());
    let owners = lines.map(|(number, line)| to_wire(line.trim(), place(number))).collect::<Result<Vec<_>, _>>()?;
    let Some(apex) = owners.first() else {
        let detail = "has no names; the first line is the apex of the zone".to_owned();
        return Err(Error::Config { place: path.display().to_string(), detail });
    };
    Ok(Names::new(apex, owners.iter().map(Vec::as_slice)))
}

fn lines(contents: Contents<'_, Kind>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |host: &str, record_type, kind, sum| {
        lines.push(Line { host: host.to_owned(), host_begins: first_octets(host), record_type, kind, sum });
    };
    let mut host = String::new();
    for entry in contents.entries() {
        host.clear();
        entry.push_name(&mut host);
        entry.sums().for_each(|(kind, sum)| add(&host, entry.record_type(), kind, sum));
    }
    for (other, kind, sum) in contents.other() {
        host.clear();
        other.push_name(&mut host);
        add(&host, RecordType::new(0), kind, sum);
    }
    lines.sort_unstable_by(|a, b| {
        let by_served = b.sum.hits.cmp(&a.sum.hits);
        let by_host = || a.host_begins.cmp(&b.host_begins).then_with(|| a.host.cmp(&b.host));
        let by_type = || a.record_type.to_string().cmp(&b.record_type.to_string());
        by_served.then_with(by_host).then_with(by_type).then_with(|| a.kind.cmp(&b.kind))
    });
    lines
}

fn print_tsv(lines: &[Line], out: &mut impl Write) -> io::Result<()> {
    let mut text = Text::new(out);
    text.push("\nhost\ttype\tclass\twildcard\tserved\tfirst_served\tlast_served\n");
    for Line { host, record_type, kind, sum, .. } in lines {
        text.push(host);
        text.push("\t");
        text.push_type(*record_type);
        text.push("\t");
        text.push(kind.class.as_str());
        text.push(if kind.may_be_wildcard { "\tmaybe\t" } else { "\t-\t" });
        text.push_number(sum.hits);
        text.push("\t");
        text.push_time(sum.first_ms);
        text.push("\t");
        text.push_time(sum.last_ms);
        text.push("\n");
        text.write_if_full()?;
    }
    text.write()
}

fn print_json(lines: &[Line], out: &mut impl Write) -> io::Result<()> {
    let mut text = Text::new(out);
    let mut before = "[\n";
    for Line { host, record_type, kind, sum, .. } in lines {
        text.push(before);
        text.push("{\"host\":");
        text.push(&serde_json::to_string(host)?);
        text.push(",\"type\":\"");
        text.push_type(*record_type);
        text.push("\",\"class\":\"");
        text.push(kind.class.as_str());
        text.push(if kind.may_be_wildcard { "\",\"wildcard\":\"maybe\"" } else { "\",\"wildcard\":\"-\"" });
        text.push(",\"served\":");
        text.push_number(sum.hits);
        text.push(",\"first_served\":");
        text.push_json_time(sum.first_ms);
        text.push(",\"last_served\":");
        text.push_json_time(sum.last_ms);
        text.push("}");
        text.write_if_full()?;
        before = ",\n";
    }
    text.push(if lines.is_empty() { "[]\n" } else { "\n]\n" });
    text.write()
}
