//! The lines of a tally: their order and their text.
//!
//! There may be a million lines, so each is assembled by hand in one buffer, without an allocation
//! or formatting machinery per field.

use crate::tally::{Contents, Sum};
use crate::times::BEYOND_NS;
use jiff::Timestamp;
use std::cmp::Ordering;
use std::io::{self, Write};
use zonepulse_dns::{Action, MessageKind, RecordType};

/// Size of a write, bytes.
const WRITE_BYTES: usize = 1 << 16;
const MS_PER_DAY: u64 = 86_400_000;
/// From here on, a time is only known to be late, not how late.
const BEYOND_MS: u64 = BEYOND_NS / 1_000_000;

pub(super) struct Lines {
    hosts: String,
    lines: Vec<Line>,
}

struct Line {
    /// Position of its host in the shared buffer.
    host: (u32, u32),
    /// The host's first octets: most comparisons are decided by them, without touching the text.
    host_begins: u64,
    /// `<other>` has no type, represented by type 0 as in a batch.
    record_type: RecordType,
    kind: MessageKind,
    sum: Sum,
}

/// Buffered output.
pub(super) struct Text<'w, W> {
    out: &'w mut W,
    text: String,
    day: Day,
}

/// The last day written, which nearly always is also the next one.
struct Day {
    number: u64,
    text: String,
}

impl Lines {
    /// Sorts by hits, descending, then by host, type, action and response code as written.
    pub(super) fn new(tally: Contents<'_>) -> Self {
        let (mut hosts, mut count) = (String::new(), tally.other().len());
        count += tally.entries().map(|entry| entry.sums().count()).sum::<usize>();
        let mut lines = Vec::with_capacity(count);
        for entry in tally.entries() {
            let start = hosts.len() as u32;
            entry.push_name(&mut hosts);
            let host = (start, hosts.len() as u32);
            let record_type = entry.record_type();
            let host_begins = first_octets(hosts.get(start as usize..).unwrap_or_default());
            lines.extend(entry.sums().map(|(kind, sum)| Line { host, host_begins, record_type, kind, sum }));
        }
        for (other, kind, sum) in tally.other() {
            let start = hosts.len() as u32;
            other.push_name(&mut hosts);
            let host_begins = first_octets(hosts.get(start as usize..).unwrap_or_default());
            let (host, record_type) = ((start, hosts.len() as u32), RecordType::new(0));
            lines.push(Line { host, host_begins, record_type, kind, sum });
        }
        lines.sort_unstable_by(|a, b| {
            let by_hits = b.sum.hits.cmp(&a.sum.hits).then_with(|| a.host_begins.cmp(&b.host_begins));
            let by_host = || if a.host == b.host { Ordering::Equal } else { a.host(&hosts).cmp(b.host(&hosts)) };
            by_hits.then_with(by_host).then_with(|| a.cmp_ties(b))
        });
        Lines { hosts, lines }
    }

    /// Writes tab-separated values, with a header.
    pub(super) fn print_tsv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut text = Text::new(out);
        text.push("host\ttype\taction\trcode\thits\tfirst_access\tlast_access\n");
        for line in &self.lines {
            text.push(line.host(&self.hosts));
            text.push("\t");
            text.push_type(line.record_type);
            text.push("\t");
            text.push(line.action());
            text.push("\t");
            text.push_code(line.kind);
            text.push("\t");
            text.push_number(line.sum.hits);
            text.push("\t");
            text.push_time(line.sum.first_ms);
            text.push("\t");
            text.push_time(line.sum.last_ms);
            text.push("\n");
            text.write_if_full()?;
        }
        text.write()
    }

    /// Writes an array of objects whose keys are the columns.
    pub(super) fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        let mut text = Text::new(out);
        let mut before = "[\n";
        for line in &self.lines {
            text.push(before);
            text.push("{\"host\":");
            // The only field that may need escaping.
            text.push(&serde_json::to_string(line.host(&self.hosts))?);
            text.push(",\"type\":\"");
            text.push_type(line.record_type);
            text.push("\",\"action\":\"");
            text.push(line.action());
            text.push("\",\"rcode\":\"");
            text.push_code(line.kind);
            text.push("\",\"hits\":");
            text.push_number(line.sum.hits);
            text.push(",\"first_access\":");
            text.push_json_time(line.sum.first_ms);
            text.push(",\"last_access\":");
            text.push_json_time(line.sum.last_ms);
            text.push("}");
            text.write_if_full()?;
            before = ",\n";
        }
        text.push(if self.lines.is_empty() { "[]\n" } else { "\n]\n" });
        text.write()
    }
}

impl Line {
    fn host<'t>(&self, hosts: &'t str) -> &'t str {
        hosts.get(self.host.0 as usize..self.host.1 as usize).unwrap_or_default()
    }

    fn action(&self) -> &'static str {
        // Hits are messages.
        self.kind.action().map_or("-", Action::as_str)
    }

    /// Orders lines with equal hits and host by the remaining columns as written.
    fn cmp_ties(&self, other: &Line) -> Ordering {
        let by_type = match self.record_type == other.record_type {
            true => Ordering::Equal,
            false => self.record_type.to_string().cmp(&other.record_type.to_string()),
        };
        let code = |line: &Line| line.kind.response_code().map(|code| code.to_string());
        by_type.then_with(|| {
            let by_action = self.action().cmp(other.action());
            by_action.then_with(|| code(self).cmp(&code(other)))
        })
    }
}

/// The first octets of a string, as a number with the same order.
pub(super) fn first_octets(text: &str) -> u64 {
    let octet = |at: usize| text.as_bytes().get(at).copied().unwrap_or_default();
    u64::from_be_bytes(std::array::from_fn(octet))
}

impl<'w, W: Write> Text<'w, W> {
    pub(super) fn new(out: &'w mut W) -> Self {
        let day = Day { number: u64::MAX, text: String::new() };
        Text { out, text: String::with_capacity(WRITE_BYTES + 4096), day }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn push_type(&mut self, record_type: RecordType) {
        match record_type.mnemonic() {
            Some(mnemonic) => self.push(mnemonic),
            None => self.push(&record_type.to_string()),
        }
    }

    fn push_code(&mut self, kind: MessageKind) {
        match kind.response_code().map(|code| (code, code.mnemonic())) {
            None => self.push("-"),
            Some((_, Some(mnemonic))) => self.push(mnemonic),
            Some((code, None)) => self.push(&code.to_string()),
        }
    }

    pub(super) fn push_number(&mut self, mut number: u64) {
        if number < 10 {
            return self.text.push(char::from(b'0' + number as u8));
        }
        let mut text = [b'0'; 20];
        let mut used = 0;
        for digit in text.iter_mut().rev() {
            if number == 0 {
                break;
            }
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            used += 1;
        }
        let digits = text.get(text.len() - used..).and_then(|digits| std::str::from_utf8(digits).ok());
        self.push(digits.unwrap_or_default());
    }

    /// Writes a time, or null if it is too late to represent.
    pub(super) fn push_json_time(&mut self, unix_ms: u64) {
        if unix_ms >= BEYOND_MS {
            return self.push("null");
        }
        self.push("\"");
        self.push_time(unix_ms);
        self.push("\"");
    }

    /// Writes RFC 3339 in UTC, in milliseconds, or `-` if it is too late to represent.
    pub(super) fn push_time(&mut self, unix_ms: u64) {
        if unix_ms >= BEYOND_MS {
            return self.push("-");
        }
        let (day, ms) = (unix_ms / MS_PER_DAY, unix_ms % MS_PER_DAY);
        if self.day.number != day {
            let start = i64::try_from(day * MS_PER_DAY).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
            self.day.number = day;
            // RFC 3339 ends with the year 9999.
            self.day.text = start.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT").to_string();
        }
        self.text.push_str(&self.day.text);
        let digit = |number: u64| b'0' + (number % 10) as u8;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let [[h, i], [m, n], [s, t]] = [hour, minute, second].map(|number| [digit(number / 10), digit(number)]);
        let time = [h, i, b':', m, n, b':', s, t, b'.', digit(ms / 100), digit(ms / 10), digit(ms), b'Z'];
        self.push(std::str::from_utf8(&time).unwrap_or_default());
    }

    pub(super) fn write_if_full(&mut self) -> io::Result<()> {
        if self.text.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    pub(super) fn write(&mut self) -> io::Result<()> {
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Hit;
    use crate::tally::Table;

    fn table() -> Table {
        let mut table = Table::new(2, 1000);
        let mut add = |name: &[u8], kind, time_ms| {
            let kind = MessageKind::from_number(kind).unwrap();
            table.add(&Hit { name, record_type: RecordType::A, kind, time_ms, message: &[] });
        };
        add(b"\x01B\x00", 0, 1_767_225_599_999);
        add(b"\x01b\x00", 0, 1_767_225_600_007);
        add(b"\x02a\"\x00", 4, 0);
        add(b"\x02a\"\x00", 1, 0);
        add(b"\x02a\"\x00", 0, 0);
        add(b"\x01c\x00", 0, 5);
        table
    }

    #[test]
    fn lines_are_in_order_and_complete() {
        let mut out = Vec::new();
        Lines::new(table().contents()).print_tsv(&mut out).unwrap();
        let expected = "host\ttype\taction\trcode\thits\tfirst_access\tlast_access\n\
            b.\tA\trequest\t-\t2\t2025-12-31T23:59:59.999Z\t2026-01-01T00:00:00.007Z\n\
            <other>\tTYPE0\trequest\t-\t1\t1970-01-01T00:00:00.005Z\t1970-01-01T00:00:00.005Z\n\
            a\\\".\tA\trequest\t-\t1\t1970-01-01T00:00:00.000Z\t1970-01-01T00:00:00.000Z\n\
            a\\\".\tA\tresponse\tNOERROR\t1\t1970-01-01T00:00:00.000Z\t1970-01-01T00:00:00.000Z\n\
            a\\\".\tA\tresponse\tNXDOMAIN\t1\t1970-01-01T00:00:00.000Z\t1970-01-01T00:00:00.000Z\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn json_says_the_same() {
        let mut out = Vec::new();
        Lines::new(table().contents()).print_json(&mut out).unwrap();
        let objects: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
        assert_eq!(objects.len(), 5);
        let expected = r#"{"host":"a\\\".","type":"A","action":"request","rcode":"-","hits":1,
            "first_access":"1970-01-01T00:00:00.000Z","last_access":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(objects[2], serde_json::from_str::<serde_json::Value>(expected).unwrap());
    }

    #[test]
    fn an_empty_tally_is_an_empty_array() {
        let mut out = Vec::new();
        Lines::new(Table::new(1, 1).contents()).print_json(&mut out).unwrap();
        assert_eq!(out, b"[]\n");
    }

    #[test]
    fn a_time_past_every_calendar_is_no_panic() {
        let mut table = Table::new(1, 1000);
        for time_ms in [u64::MAX / 1_000_000, u64::MAX] {
            table.add(&Hit { name: b"\x00", record_type: RecordType::A, kind: MessageKind::REQUEST, time_ms, message: &[] });
        }
        let mut out = Vec::new();
        Lines::new(table.contents()).print_tsv(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.ends_with(".\tA\trequest\t-\t2\t-\t-\n"), "{out}");
        let mut out = Vec::new();
        Lines::new(table.contents()).print_json(&mut out).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&json[0]["first_access"], &json[0]["last_access"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    }
}
