//! Zone files (RFC 1035 section 5), as authoritative servers read them.
//!
//! A zone file is a sequence of entries: records, and directives that change how the following entries are read.
//! [`Reader`] streams the records, one entry at a time, so that the size of a file does not matter; [`checks`] looks at
//! a whole zone; [`check`] does both and writes what is wrong, line by line.
//!
//! * `$ORIGIN`, `$TTL` (RFC 2308) and `$INCLUDE` (below a root that the caller chooses, with bounded depth);
//! * `$GENERATE` as in BIND, with a bounded number of records;
//! * an absent TTL is that of `$TTL`, else of the record before (RFC 1035), else the minimum of the SOA;
//! * TTLs above 2^31 - 1 become 0 (RFC 2181 section 8);
//! * records of consecutive lines that belong to one RRset get the first one's TTL (RFC 2181 section 5.2);
//! * parentheses may be nested, quoted strings may continue on the next line within parentheses;
//! * CR LF, a byte order mark, and a last line without end are accepted.
//!
//! After an error, reading goes on with the next entry, so that one pass reports everything that is wrong.

mod check;
pub mod checks;
mod generate;
mod reader;
mod source;
#[cfg(test)]
mod tests;

pub use check::{Summary, check, check_bytes};
pub use reader::Reader;

use crate::{Name, Record};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// How to read a zone file.
#[derive(Debug, Clone)]
pub struct Options {
    /// What relative names are relative to until `$ORIGIN`; also the apex, so that records outside are ignored. Without
    /// it, the apex is the owner of the first SOA, and records outside are returned with a warning.
    pub origin: Option<Name>,
    /// Directory that `$INCLUDE` must stay in; without it, `$INCLUDE` is an error.
    pub include_root: Option<PathBuf>,
    /// Maximum depth of files that include others.
    pub include_depth: usize,
    /// Maximum number of `$INCLUDE` that are followed.
    pub include_count: usize,
    /// Maximum number of records of all `$GENERATE` together.
    pub generate_count: u64,
    /// Maximum length of an entry with all its lines, without comments in between, bytes.
    pub entry_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            origin: None,
            include_root: None,
            include_depth: 16,
            include_count: 1_000,
            generate_count: 1_000_000,
            entry_bytes: 1 << 20,
        }
    }
}

/// A record, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The record.
    pub record: Record,
    /// Name of the file.
    pub file: Arc<str>,
    /// Line of its first word, from 1.
    pub line: u64,
}

/// Whether a problem makes a zone unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Servers load the zone, but it may not do what was meant.
    Warning,
    /// A server refuses the zone, or part of it was not read.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// Something that is wrong in a zone file: where, what was expected, and what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the file.
    pub file: Arc<str>,
    /// Line, from 1; 0 if it concerns the whole file.
    pub line: u64,
    /// Column in bytes, from 1; 0 if it concerns the whole line.
    pub column: u64,
    /// What is wrong, on one line.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().take_while(|number| *number > 0) {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}: {}", self.severity, self.message)
    }
}
