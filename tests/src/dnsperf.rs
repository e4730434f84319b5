//! Load by dnsperf, and its report.

use super::network::Namespace;
use super::process::{Process, succeed};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The questions in rotation: most exist, some do not, one is in another zone.
const QUESTIONS: &str = "\
www.example A
www.example AAAA
WWW.example A
mail.example A
example MX
example SOA
example TXT
alias.example A
missing.example A
gone.example AAAA
other.test A
";

/// dnsperf's report of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Queries sent.
    pub sent: u64,
    /// Queries answered.
    pub completed: u64,
    /// Queries without an answer.
    pub lost: u64,
    /// Responses by code.
    pub codes: BTreeMap<String, u64>,
}

/// How dnsperf sends.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// `udp` or `tcp`.
    pub mode: &'static str,
    /// The server's port on 127.0.0.1.
    pub port: u16,
    /// Maximum rate, queries per second.
    pub per_second: u32,
}

impl Load {
    /// Asks all eleven questions `rounds` times, and returns the report.
    pub fn rounds(self, rounds: u32, folder: &Path) -> Report {
        let mut command = self.command(folder);
        command.args(["-n", &rounds.to_string()]);
        Report::parse(&succeed(&mut command, Duration::from_secs(120)))
    }

    /// Asks until terminated, for at most this many seconds.
    pub fn start(self, seconds: u32, folder: &Path) -> Process {
        let mut command = self.command(folder);
        command.args(["-l", &seconds.to_string()]);
        Process::start("dnsperf", command, folder)
    }

    /// The same in a namespace, on its loopback device.
    pub fn start_in(self, namespace: &Namespace, seconds: u32, folder: &Path) -> Process {
        let mut command = self.command_of(namespace.command("dnsperf"), folder);
        command.args(["-l", &seconds.to_string()]);
        Process::start("dnsperf", command, folder)
    }

    fn command(self, folder: &Path) -> Command {
        self.command_of(Command::new("dnsperf"), folder)
    }

    fn command_of(self, mut command: Command, folder: &Path) -> Command {
        let questions = folder.join("questions");
        fs::write(&questions, QUESTIONS).expect("a test's folder is writable");
        command.args(["-s", "127.0.0.1", "-m", self.mode]).arg("-d").arg(questions);
        command.args(["-p", &self.port.to_string(), "-Q", &self.per_second.to_string(), "-c", "4", "-q", "200"]);
        command
    }
}

impl Report {
    /// Parses the report that dnsperf prints at its end.
    pub fn parse(text: &str) -> Self {
        let number = |label: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
            let digits = line.and_then(|rest| rest.split_whitespace().next());
            digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no {label:?} in {text}"))
        };
        let codes = text.lines().find_map(|line| line.trim().strip_prefix("Response codes:")).unwrap_or_default();
        let codes = codes.split(',').filter_map(|part| {
            let mut words = part.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        });
        Report {
            sent: number("Queries sent:"),
            completed: number("Queries completed:"),
            lost: number("Queries lost:"),
            codes: codes.collect(),
        }
    }

    /// Sums both reports.
    pub fn and(mut self, other: Report) -> Self {
        self.sent += other.sent;
        self.completed += other.completed;
        self.lost += other.lost;
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        self
    }
}
