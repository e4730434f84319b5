//! Reads a zone file, and writes what is wrong with it.

use super::checks::{self, Records};
use super::{Options, Problem, Reader, Severity};
use crate::{Name, rdata};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Problems that are written; more are counted.
const MAX_PROBLEMS: u64 = 1_000;

/// What [`check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The apex.
    pub apex: Option<Name>,
    /// Number of records without duplicates.
    pub records: u64,
    /// Number of errors.
    pub errors: u64,
    /// Number of warnings.
    pub warnings: u64,
}

/// Reads a zone file, checks the zone, and writes every problem to `problems`, one a line, the first 1,000 of them. Writes
/// the records to `records`, if given: in canonical order, one a line, each with owner, TTL, class, type and data, everything
/// absolute, without duplicates, and with one TTL per RRset.
///
/// Fails only if the file cannot be opened, or if writing fails.
pub fn check(path: &Path, options: Options, problems: &mut dyn Write, records: Option<&mut dyn Write>) -> io::Result<Summary> {
    let file = path.display().to_string();
    check_reader(Reader::open(path, options)?, &file, problems, records)
}

/// The same for a zone file in memory, whose name in messages is `file`. It needs no file system unless the options
/// permit `$INCLUDE`.
pub fn check_bytes(
    bytes: &[u8],
    file: &str,
    options: Options,
    problems: &mut dyn Write,
    records: Option<&mut dyn Write>,
) -> io::Result<Summary> {
    check_reader(Reader::new(bytes, file, options), file, problems, records)
}

fn check_reader(
    mut reader: Reader<'_>,
    file: &str,
    problems: &mut dyn Write,
    records: Option<&mut dyn Write>,
) -> io::Result<Summary> {
    let mut summary = Summary::default();
    let mut located = Vec::new();
    for read in reader.by_ref() {
        match read {
            Ok(record) => located.push(record),
            Err(problem) => report(&problem, &mut summary, problems)?,
        }
    }
    summary.apex = reader.apex().cloned();
    let sorted = Records::new(located);
    summary.records = sorted.iter().count() as u64;
    let mut written = Ok(());
    let file: Arc<str> = file.into();
    checks::check(&sorted, summary.apex.clone().as_ref(), &file, &mut |problem| {
        let result = report(&problem, &mut summary, problems);
        if written.is_ok() {
            written = result;
        }
    });
    written?;
    let unwritten = (summary.errors + summary.warnings).saturating_sub(MAX_PROBLEMS);
    if unwritten > 0 {
        writeln!(problems, "{file}: {unwritten} more problems")?;
    }
    if let Some(out) = records {
        write_records(&sorted, out)?;
    }
    Ok(summary)
}

fn report(problem: &Problem, summary: &mut Summary, out: &mut dyn Write) -> io::Result<()> {
    match problem.severity {
        Severity::Error => summary.errors += 1,
        Severity::Warning => summary.warnings += 1,
    }
    if summary.errors + summary.warnings <= MAX_PROBLEMS { writeln!(out, "{problem}") } else { Ok(()) }
}

fn write_records(records: &Records, out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for item in records.iter() {
        let record = item.record();
        line.clear();
        line.push_str(&format!("{}\t{}\tIN\t{}\t", record.owner, record.ttl, record.rtype));
        rdata::push_text(record.rtype, &record.rdata, &mut line);
        line.push('\n');
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}
