//! The report as text for a person. What matters most comes last, where a terminal shows it.

use crate::{About, Check, Report, Status};
use std::fmt::{self, Write};

/// Length of a line, characters.
const WIDTH: usize = 100;
/// Where outcomes begin: after the status and the longest id.
const INDENT: usize = 25;

/// Longest id that has room in its column, characters.
pub const LONGEST_ID: usize = 15;

/// The report as text, which ends with a line that sums it up.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let About { program, version, config, server_id } = &report.about;
    let server = server_id.map(|id| format!("server {id}, ")).unwrap_or_default();
    writeln!(out, "{program} {version}, {server}{}\n", config.display())?;
    for status in Status::ALL {
        let checks: Vec<&Check> = report.checks.iter().filter(|check| check.status == status).collect();
        match status {
            Status::Skipped => write_skipped(out, &checks)?,
            _ => checks.iter().try_for_each(|check| write_check(out, check))?,
        }
        if !checks.is_empty() {
            writeln!(out)?;
        }
    }
    let counts =
        [(Status::Error, "error"), (Status::Warning, "warning")].map(|(status, name)| plural(report.count(status), name));
    writeln!(out, "{}, {}, {} ok, {} skipped", counts[0], counts[1], report.count(Status::Ok), report.count(Status::Skipped))
}

/// Checks that were skipped for the same reason share a line.
fn write_skipped(out: &mut String, checks: &[&Check]) -> fmt::Result {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in checks {
        match reasons.iter_mut().find(|(reason, _)| *reason == check.found) {
            Some((_, ids)) => ids.push(&check.id),
            None => reasons.push((&check.found, vec![&*check.id])),
        }
    }
    reasons.iter().try_for_each(|(reason, ids)| match ids.as_slice() {
        [id] => write_found(out, Status::Skipped, id, reason),
        ids => write_found(out, Status::Skipped, &format!("{} checks", ids.len()), &format!("{reason}: {}", ids.join(", "))),
    })
}

fn write_found(out: &mut String, status: Status, id: &str, found: &str) -> fmt::Result {
    let mut lines = wrapped(found, WIDTH - INDENT).into_iter();
    let first = lines.next().unwrap_or_default();
    writeln!(out, "{:<8} {id:<15} {first}", status.as_str())?;
    lines.try_for_each(|line| writeln!(out, "{:INDENT$}{line}", ""))
}

fn write_check(out: &mut String, check: &Check) -> fmt::Result {
    write_found(out, check.status, &check.id, &check.found)?;
    let Some(advice) = &check.advice else { return Ok(()) };
    for (at, line) in wrapped(advice, WIDTH - INDENT - 3).iter().enumerate() {
        let mark = if at == 0 { "-> " } else { "   " };
        writeln!(out, "{:INDENT$}{mark}{line}", "")?;
    }
    Ok(())
}

/// `no errors`, `1 error`, `2 errors`
fn plural(count: usize, name: &str) -> String {
    match count {
        0 => format!("no {name}s"),
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

/// The text in lines of at most this many characters, unless a word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let letters = word.chars().count();
        if length > 0 && length + 1 + letters > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += letters;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{Topic, report};

    #[test]
    fn what_matters_most_comes_last() {
        let checks = vec![
            Check::error(
                Topic::DnsServer,
                "knotd listens on port 5353 (UDP, TCP) of 127.0.0.1, but capture.ports has 53",
                "set capture.ports = [5353] in /etc/zonepulse-probe/probe.toml, and restart the probe: systemctl restart \
                 zonepulse-probe",
            ),
            Check::warning(Topic::Clock, "this machine's clock is 4.0 s behind the central's", "is NTP running?"),
            Check::ok(Topic::Name, "central.example is 192.0.2.1"),
            Check::skipped(Topic::Broker, "batches go directly to the central"),
            Check::skipped(Topic::Central, "the central cannot be reached"),
            Check::skipped(Topic::Token, "the central cannot be reached"),
        ];
        let mut report = report(checks);
        report.checks.retain(|check| check.found != "not checked");
        let expected = "\
zonepulse-probe 1.2.3, server 7, /etc/zonepulse-probe/probe.toml

ok       name            central.example is 192.0.2.1

skipped  2 checks        the central cannot be reached: central, token
skipped  broker          batches go directly to the central

warning  clock           this machine's clock is 4.0 s behind the central's
                         -> is NTP running?

error    dns_server      knotd listens on port 5353 (UDP, TCP) of 127.0.0.1, but capture.ports has
                         53
                         -> set capture.ports = [5353] in /etc/zonepulse-probe/probe.toml, and
                            restart the probe: systemctl restart zonepulse-probe

1 error, 1 warning, 1 ok, 3 skipped
";
        assert_eq!(text(&report), expected);
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-very-long-word and", 5), ["a-very-long-word", "and"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("two\nlines", 20), ["two lines"]);
    }
}
