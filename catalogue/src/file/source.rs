//! The files that are being read: the zone file, and those it includes.

use super::{Problem, Severity};
use crate::Name;
use crate::rdata::words::{Entry, Unsplit};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One file, and what is valid in it only.
pub(super) struct Source<'a> {
    input: Box<dyn BufRead + 'a>,
    pub file: Arc<str>,
    /// Where names of included files start.
    directory: Option<PathBuf>,
    /// The line that was read last.
    line: u64,
    pub origin: Option<Name>,
    /// Whether it begins with a byte order mark that has not been reported yet.
    pub has_mark: bool,
    /// Owner of the last record, for entries that begin with a blank.
    pub owner: Option<Name>,
}

/// What [`Source::read`] found.
pub(super) enum Found {
    Entry,
    End,
}

impl<'a> Source<'a> {
    pub fn new(input: Box<dyn BufRead + 'a>, file: &str, directory: Option<PathBuf>, origin: Option<Name>) -> Self {
        Source { input, file: file.into(), directory, line: 0, origin, has_mark: false, owner: None }
    }

    /// Reads the next entry that has words.
    pub fn read(&mut self, entry: &mut Entry, bytes_max: usize) -> Result<Found, Problem> {
        entry.clear();
        loop {
            let from = entry.buffer().len();
            let room = bytes_max.saturating_sub(from);
            let read = self.input.by_ref().take(room as u64 + 1).read_until(b'\n', entry.buffer());
            let read = read.map_err(|error| self.problem(self.line + 1, 0, format!("cannot read the file: {error}")));
            let read = read.inspect_err(|_| self.input = Box::new(std::io::empty()))?;
            if read == 0 {
                return if entry.is_complete() { Ok(Found::End) } else { Err(self.cut_off(entry)) };
            }
            self.line += 1;
            if self.line == 1 && entry.buffer().starts_with(b"\xef\xbb\xbf") {
                entry.buffer().drain(..3);
                self.has_mark = true;
            }
            if read > room && !entry.buffer().ends_with(b"\n") {
                self.skip_line()?;
                let message = format!("expected a record of at most {bytes_max} bytes, found more");
                return Err(self.problem(self.line, 0, message));
            }
            entry.split(from, self.line).map_err(|unsplit| self.unsplit(unsplit))?;
            if !entry.is_complete() {
                continue;
            }
            if !entry.is_empty() {
                return Ok(Found::Entry);
            }
            entry.clear();
        }
    }

    /// The error of an entry that the end of the file cuts off.
    fn cut_off(&mut self, entry: &Entry) -> Problem {
        self.input = Box::new(std::io::empty());
        self.unsplit(entry.unfinished())
    }

    fn skip_line(&mut self) -> Result<(), Problem> {
        let mut skipped = Vec::new();
        loop {
            skipped.clear();
            let read = self.input.by_ref().take(1 << 16).read_until(b'\n', &mut skipped);
            let read = read.map_err(|error| self.problem(self.line, 0, format!("cannot read the file: {error}")));
            if read? == 0 || skipped.ends_with(b"\n") {
                return Ok(());
            }
        }
    }

    fn unsplit(&self, unsplit: Unsplit) -> Problem {
        self.problem(unsplit.line, unsplit.column, unsplit.error.to_string())
    }

    /// An error in this file.
    pub fn problem(&self, line: u64, column: usize, message: String) -> Problem {
        Problem { severity: Severity::Error, file: self.file.clone(), line, column: column as u64, message }
    }

    /// Opens a file that this one includes: relative to its own directory or to the root, and always below the root.
    pub fn include(&self, root: &Path, name: &str, origin: Option<Name>) -> Result<Source<'static>, String> {
        let open = |error| format!("cannot open {name:?}: {error}");
        let root = root.canonicalize().map_err(|error| format!("cannot open {}: {error}", root.display()))?;
        let near = self.directory.as_deref().unwrap_or(&root).join(name);
        let path = near.canonicalize().or_else(|_| root.join(name).canonicalize()).map_err(open)?;
        if !path.starts_with(&root) {
            return Err(format!("expected a file below {}, found {}", root.display(), path.display()));
        }
        // Opening a FIFO would block.
        if !path.metadata().map_err(open)?.is_file() {
            return Err(format!("expected a regular file, found {}", path.display()));
        }
        let input = BufReader::new(File::open(&path).map_err(open)?);
        let shown = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let mut source = Source::new(Box::new(input), &shown, path.parent().map(Path::to_path_buf), origin);
        source.owner = self.owner.clone();
        Ok(source)
    }
}
