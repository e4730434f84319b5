//! What was checked, and what was found.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// What is checked. Operators and programs refer to it by its [`id`](Subject::id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The configuration and the files that it refers to.
    Configuration,
    /// The probes that run on this machine.
    Process,
    /// The privilege to capture.
    CaptureRights,
    /// The device to capture on.
    CaptureDevice,
    /// The DNS server's sockets.
    DnsServer,
    /// Packets that nobody saw.
    Drops,
    /// The spool's directory.
    Spool,
    /// Batches that wait in the spool.
    Waiting,
    /// Batches that the central refused.
    Refused,
    /// Space on the spool's disk.
    Disk,
    /// The central's name.
    Name,
    /// TCP to the central.
    Connection,
    /// Encryption, and the central's certificate.
    Tls,
    /// HTTP with the central.
    Central,
    /// This machine's clock.
    Clock,
    /// The server's token.
    Token,
    /// Whose token it is.
    ServerId,
    /// The programs' versions.
    Version,
    /// The broker and its queue.
    Broker,
    /// The port for a central that fetches batches.
    Pull,
}

impl Subject {
    /// All of them, in the order of the report.
    pub const ALL: [Subject; 20] = [
        Subject::Configuration,
        Subject::Process,
        Subject::CaptureRights,
        Subject::CaptureDevice,
        Subject::DnsServer,
        Subject::Drops,
        Subject::Spool,
        Subject::Waiting,
        Subject::Refused,
        Subject::Disk,
        Subject::Name,
        Subject::Connection,
        Subject::Tls,
        Subject::Central,
        Subject::Clock,
        Subject::Token,
        Subject::ServerId,
        Subject::Version,
        Subject::Broker,
        Subject::Pull,
    ];

    /// Its name, which never changes.
    pub const fn id(self) -> &'static str {
        match self {
            Subject::Configuration => "configuration",
            Subject::Process => "process",
            Subject::CaptureRights => "capture_rights",
            Subject::CaptureDevice => "capture_device",
            Subject::DnsServer => "dns_server",
            Subject::Drops => "drops",
            Subject::Spool => "spool",
            Subject::Waiting => "waiting",
            Subject::Refused => "refused",
            Subject::Disk => "disk",
            Subject::Name => "name",
            Subject::Connection => "connection",
            Subject::Tls => "tls",
            Subject::Central => "central",
            Subject::Clock => "clock",
            Subject::Token => "token",
            Subject::ServerId => "server_id",
            Subject::Version => "version",
            Subject::Broker => "broker",
            Subject::Pull => "pull",
        }
    }

    /// What is checked, in a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Subject::Configuration => "the configuration is readable, valid and private",
            Subject::Process => "one probe is running with this spool",
            Subject::CaptureRights => "the probe may capture",
            Subject::CaptureDevice => "the capture device exists, is up and has addresses",
            Subject::DnsServer => "the DNS server listens where the probe captures",
            Subject::Drops => "no packets are dropped",
            Subject::Spool => "the spool exists and can be written to",
            Subject::Waiting => "batches do not pile up in the spool",
            Subject::Refused => "the central has not refused any batches",
            Subject::Disk => "the spool's disk has room",
            Subject::Name => "the central's name resolves",
            Subject::Connection => "the central accepts connections",
            Subject::Tls => "the connection to the central is encrypted and its certificate is trusted",
            Subject::Central => "the central answers and is ready",
            Subject::Clock => "this machine's clock agrees with the central's",
            Subject::Token => "the central accepts the server's token",
            Subject::ServerId => "the token, the saved settings and the waiting batches belong to server_id",
            Subject::Version => "the probe and the central have the same version",
            Subject::Broker => "the broker accepts the login and has the queue",
            Subject::Pull => "the central can fetch batches here",
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

/// The outcome of a check, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing is wrong.
    Ok,
    /// It does not apply, or could not be checked.
    Skipped,
    /// Something is wrong or soon will be, but the probe does its work.
    Warning,
    /// The probe cannot do its work, or not all of it.
    Error,
}

impl Status {
    /// All of them, from good to bad.
    pub const ALL: [Status; 4] = [Status::Ok, Status::Skipped, Status::Warning, Status::Error];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Skipped => "skipped",
            Status::Warning => "warning",
            Status::Error => "error",
        }
    }
}

/// A check and its outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What was checked.
    #[serde(rename = "id")]
    pub subject: Subject,
    /// The same, in a few words.
    pub checked: &'static str,
    /// The outcome.
    pub status: Status,
    /// What was found; if it was skipped, why.
    pub found: String,
    /// What to do, if anything.
    pub advice: Option<String>,
    /// What was found, for programs.
    pub values: Map<String, Value>,
}

impl Check {
    fn new(subject: Subject, status: Status, found: impl Into<String>, advice: Option<String>) -> Check {
        Check { subject, checked: subject.title(), status, found: found.into(), advice, values: Map::new() }
    }

    /// Nothing is wrong.
    pub fn ok(subject: Subject, found: impl Into<String>) -> Check {
        Check::new(subject, Status::Ok, found, None)
    }

    /// It was not checked, for this reason.
    pub fn skipped(subject: Subject, why: impl Into<String>) -> Check {
        Check::new(subject, Status::Skipped, why, None)
    }

    /// Something may be wrong, and this may be done about it.
    pub fn warning(subject: Subject, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check::new(subject, Status::Warning, found, Some(advice.into()))
    }

    /// Something is wrong, and this is to be done about it.
    pub fn error(subject: Subject, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check::new(subject, Status::Error, found, Some(advice.into()))
    }

    /// The same with a value.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Check {
        self.values.insert(name.to_owned(), value.into());
        self
    }
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this program.
    pub version: &'static str,
    /// The configuration file.
    pub config: PathBuf,
    /// The server's number, if the configuration is readable.
    pub server_id: Option<u32>,
    /// The worst outcome; `ok` if checks were only skipped.
    pub status: Status,
    /// One for each subject, in their order.
    pub checks: Vec<Check>,
}

impl Report {
    /// A report of these checks. A subject without a check was skipped.
    pub fn new(config: PathBuf, server_id: Option<u32>, mut checks: Vec<Check>) -> Report {
        for subject in Subject::ALL {
            if !checks.iter().any(|check| check.subject == subject) {
                checks.push(Check::skipped(subject, "not checked"));
            }
        }
        checks.sort_by_key(|check| check.subject);
        let worst = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
        let status = if worst == Status::Skipped { Status::Ok } else { worst };
        Report { version: env!("CARGO_PKG_VERSION"), config, server_id, status, checks }
    }

    /// The same without these texts, wherever they may have come from.
    pub fn hiding(mut self, secrets: &[&str]) -> Report {
        for check in &mut self.checks {
            for text in std::iter::once(&mut check.found).chain(&mut check.advice) {
                *text = hide(text, secrets);
            }
            for value in check.values.values_mut() {
                if let Value::String(text) = value {
                    *text = hide(text, secrets);
                }
            }
        }
        self
    }

    /// How many checks had this outcome.
    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }
}

/// Secrets shorter than this also occur in ordinary text, bytes.
const SHORTEST_SECRET: usize = 8;

fn hide(text: &str, secrets: &[&str]) -> String {
    let secrets = secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET);
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "(secret)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_listed_once_and_in_order() {
        assert!(Subject::ALL.is_sorted_by(|one, next| one < next));
        let mut ids = Subject::ALL.map(Subject::id).to_vec();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Subject::ALL.len());
    }

    #[test]
    fn a_report_has_every_subject_and_the_worst_outcome() {
        let report = |checks| Report::new("probe.toml".into(), Some(1), checks);
        let good = report(vec![Check::ok(Subject::Clock, "fine")]);
        assert_eq!((good.status, good.checks.len()), (Status::Ok, Subject::ALL.len()));
        assert_eq!((good.count(Status::Ok), good.count(Status::Skipped)), (1, Subject::ALL.len() - 1));
        let warned = vec![Check::warning(Subject::Clock, "late", "set it"), Check::ok(Subject::Name, "fine")];
        assert_eq!(report(warned.clone()).status, Status::Warning);
        let failed = [warned, vec![Check::error(Subject::Token, "unknown", "get another")]].concat();
        assert_eq!(report(failed).status, Status::Error);
    }

    #[test]
    fn the_shape_for_programs_is_stable() {
        let checks = vec![
            Check::ok(Subject::Clock, "the clocks agree").with("ahead_ms", -12),
            Check::error(Subject::Token, "the central does not know the token", "get another"),
        ];
        let mut report = Report::new("/etc/probe.toml".into(), Some(7), checks);
        report.version = "1.2.3";
        report.checks.retain(|check| check.status != Status::Skipped);
        let expected = serde_json::json!({
            "version": "1.2.3", "config": "/etc/probe.toml", "server_id": 7, "status": "error",
            "checks": [
                {
                    "id": "clock", "checked": "this machine's clock agrees with the central's", "status": "ok",
                    "found": "the clocks agree", "advice": null, "values": { "ahead_ms": -12 },
                },
                {
                    "id": "token", "checked": "the central accepts the server's token", "status": "error",
                    "found": "the central does not know the token", "advice": "get another", "values": {},
                },
            ],
        });
        assert_eq!(serde_json::to_value(report).unwrap(), expected);
    }

    #[test]
    fn no_text_of_a_report_shows_a_secret() {
        let check = Check::error(Subject::Token, "hush-hush-1 is refused", "replace hush-hush-1").with("text", "hush-hush-1");
        let report = Report::new("probe.toml".into(), None, vec![check]).hiding(&["hush-hush-1", "a"]);
        let text = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("hush-hush-1") && text.contains("(secret) is refused"), "{text}");
    }
}
