//! What was checked, and what was found.

use crate::Secrets;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::path::PathBuf;

/// What a program checks. Operators and programs refer to it by its [`id`](Subject::id).
pub trait Subject: Copy + 'static {
    /// All of them, in the order of the report.
    fn all() -> Vec<Self>;

    /// Its name, which never changes.
    fn id(self) -> &'static str;

    /// What is checked, in a few words.
    fn title(self) -> &'static str;
}

/// The outcome of a check, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing is wrong.
    Ok,
    /// It does not apply, or could not be checked.
    Skipped,
    /// Something is wrong or soon will be, but the program does its work.
    Warning,
    /// The program cannot do its work, or not all of it.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub id: Cow<'static, str>,
    /// The same, in a few words.
    pub checked: Cow<'static, str>,
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
    fn new(subject: impl Subject, status: Status, found: impl Into<String>, advice: Option<String>) -> Check {
        let (id, checked) = (subject.id().into(), subject.title().into());
        Check { id, checked, status, found: found.into(), advice, values: Map::new() }
    }

    /// Nothing is wrong.
    pub fn ok(subject: impl Subject, found: impl Into<String>) -> Check {
        Check::new(subject, Status::Ok, found, None)
    }

    /// It was not checked, for this reason.
    pub fn skipped(subject: impl Subject, why: impl Into<String>) -> Check {
        Check::new(subject, Status::Skipped, why, None)
    }

    /// Something may be wrong, and this may be done about it.
    pub fn warning(subject: impl Subject, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check::new(subject, Status::Warning, found, Some(advice.into()))
    }

    /// Something is wrong, and this is to be done about it.
    pub fn error(subject: impl Subject, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check::new(subject, Status::Error, found, Some(advice.into()))
    }

    /// The same with a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Check {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// Whether it is about this subject.
    pub fn is(&self, subject: impl Subject) -> bool {
        self.id == subject.id()
    }
}

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The program.
    pub program: Cow<'static, str>,
    /// Its version.
    pub version: Cow<'static, str>,
    /// The configuration file; for a central that has none, its data directory.
    pub config: PathBuf,
    /// The server's number; of a central, or if the configuration is not readable, none.
    pub server_id: Option<u32>,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// The worst outcome; `ok` if checks were only skipped.
    pub status: Status,
    /// One for each subject, in their order.
    pub checks: Vec<Check>,
}

impl Report {
    /// A report of these checks. A subject without a check was skipped.
    pub fn new<S: Subject>(about: About, mut checks: Vec<Check>) -> Report {
        let all = S::all();
        for subject in &all {
            if !checks.iter().any(|check| check.is(*subject)) {
                checks.push(Check::skipped(*subject, "not checked"));
            }
        }
        checks.sort_by_key(|check| all.iter().position(|subject| check.is(*subject)));
        let worst = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
        let status = if worst == Status::Skipped { Status::Ok } else { worst };
        Report { about, status, checks }
    }

    /// The same without these texts, wherever they may have come from.
    #[must_use]
    pub fn hiding(mut self, secrets: &Secrets) -> Report {
        for check in &mut self.checks {
            for text in std::iter::once(&mut check.found).chain(&mut check.advice) {
                *text = secrets.hide(text);
            }
            for value in check.values.values_mut() {
                hide(value, secrets);
            }
        }
        self
    }

    /// How many checks had this outcome.
    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }
}

fn hide(value: &mut Value, secrets: &Secrets) {
    match value {
        Value::String(text) => *text = secrets.hide(text),
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, secrets)),
        Value::Object(values) => values.values_mut().for_each(|value| hide(value, secrets)),
        _ => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Topic {
        Name,
        Clock,
        Token,
        DnsServer,
        Central,
        Broker,
    }

    impl Subject for Topic {
        fn all() -> Vec<Topic> {
            vec![Topic::DnsServer, Topic::Name, Topic::Central, Topic::Clock, Topic::Token, Topic::Broker]
        }

        fn id(self) -> &'static str {
            match self {
                Topic::Name => "name",
                Topic::Clock => "clock",
                Topic::Token => "token",
                Topic::DnsServer => "dns_server",
                Topic::Central => "central",
                Topic::Broker => "broker",
            }
        }

        fn title(self) -> &'static str {
            "something is as it should be"
        }
    }

    pub(crate) fn report(checks: Vec<Check>) -> Report {
        let config = "/etc/zonepulse-probe/probe.toml".into();
        let (program, version) = ("zonepulse-probe".into(), "1.2.3".into());
        Report::new::<Topic>(About { program, version, config, server_id: Some(7) }, checks)
    }

    #[test]
    fn a_report_has_every_subject_and_the_worst_outcome() {
        let good = report(vec![Check::ok(Topic::Clock, "fine")]);
        assert_eq!((good.status, good.checks.len()), (Status::Ok, Topic::all().len()));
        assert_eq!((good.count(Status::Ok), good.count(Status::Skipped)), (1, Topic::all().len() - 1));
        let ids: Vec<&str> = good.checks.iter().map(|check| &*check.id).collect();
        assert_eq!(ids, ["dns_server", "name", "central", "clock", "token", "broker"]);
        let warned = vec![Check::warning(Topic::Clock, "late", "set it"), Check::ok(Topic::Name, "fine")];
        assert_eq!(report(warned.clone()).status, Status::Warning);
        let failed = [warned, vec![Check::error(Topic::Token, "unknown", "get another")]].concat();
        assert_eq!(report(failed).status, Status::Error);
    }

    #[test]
    fn the_shape_for_programs_is_stable() {
        let checks = vec![
            Check::ok(Topic::Clock, "the clocks agree").with("ahead_ms", -12),
            Check::error(Topic::Token, "the central does not know the token", "get another"),
        ];
        let mut report = report(checks);
        report.checks.retain(|check| check.status != Status::Skipped);
        let expected = serde_json::json!({
            "program": "zonepulse-probe", "version": "1.2.3", "config": "/etc/zonepulse-probe/probe.toml", "server_id": 7,
            "status": "error",
            "checks": [
                {
                    "id": "clock", "checked": "something is as it should be", "status": "ok",
                    "found": "the clocks agree", "advice": null, "values": { "ahead_ms": -12 },
                },
                {
                    "id": "token", "checked": "something is as it should be", "status": "error",
                    "found": "the central does not know the token", "advice": "get another", "values": {},
                },
            ],
        });
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!(value, expected);
        assert_eq!(serde_json::from_value::<Report>(value).unwrap(), report);
    }

    #[test]
    fn no_text_of_a_report_shows_a_secret() {
        let check = Check::error(Topic::Token, "hush-hush-1 is refused", "replace hush-hush-1").with("text", "hush-hush-1");
        let check = check.with("texts", vec!["hush-hush-1"]);
        let report = report(vec![check]).hiding(&Secrets::of(["hush-hush-1", "a"]));
        let text = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("hush-hush-1") && text.contains("(secret) is refused"), "{text}");
    }
}
