//! The last lines of the log, in memory, for diagnostics.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of lines that are kept.
const MOST_LINES: usize = 1000;
/// Maximum size of all of them, bytes.
const MOST_BYTES: usize = 256 << 10;
/// Maximum length of one; the rest is left out, bytes.
const LONGEST_LINE: usize = 2048;

static RECENT: Mutex<Lines> = Mutex::new(Lines { lines: VecDeque::new(), bytes: 0 });

#[derive(Debug, Default)]
struct Lines {
    /// Oldest first.
    lines: VecDeque<String>,
    bytes: usize,
}

/// The last lines of the log, oldest first.
pub fn recent() -> String {
    lock().lines.iter().map(String::as_str).collect()
}

impl Lines {
    fn push(&mut self, mut line: String) {
        if line.len() > LONGEST_LINE {
            let end = (0..=LONGEST_LINE).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(end);
            line.push_str(" (shortened)\n");
        }
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES {
            self.bytes -= self.lines.pop_front().map_or(self.bytes, |line| line.len());
        }
    }
}

fn lock() -> MutexGuard<'static, Lines> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Collects a line, and keeps it when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is longer is shortened anyway.
        let room = (2 * LONGEST_LINE).saturating_sub(self.0.len());
        self.0.extend(bytes.iter().take(room));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            lock().push(String::from_utf8_lossy(&self.0).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_in_number_length_and_size() {
        let mut lines = Lines::default();
        for number in 0..2 * MOST_LINES {
            lines.push(format!("{number}\n"));
        }
        assert_eq!((lines.lines.len(), lines.lines.back().map(String::as_str)), (MOST_LINES, Some("1999\n")));
        for _ in 0..MOST_LINES {
            lines.push("ä".repeat(LONGEST_LINE));
        }
        let last = lines.lines.back().unwrap();
        assert!(last.ends_with("ä (shortened)\n") && last.len() < LONGEST_LINE + 20);
        assert!(lines.bytes <= MOST_BYTES && lines.bytes > MOST_BYTES - 2 * LONGEST_LINE);
        assert_eq!(lines.bytes, lines.lines.iter().map(String::len).sum::<usize>());
    }

    #[test]
    fn a_line_is_kept_when_it_is_complete() {
        let mut writer = Writer::default();
        writer.write_all(b"a test of the ").unwrap();
        writer.write_all(b"recent lines\n").unwrap();
        assert!(!recent().contains("a test of the"));
        drop(writer);
        assert!(recent().ends_with("a test of the recent lines\n"));
    }
}
