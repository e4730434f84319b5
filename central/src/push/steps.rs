//! The steps of installing a probe, and how far they are.

use crate::time::now_ms;
use serde::{Deserialize, Serialize};

/// Maximum length of a step's message, characters: the end of what a program said.
const MAX_MESSAGE: usize = 2000;

/// A step. Each has a share of the progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// Reach the node, verify its host key, log in.
    Connect,
    /// See what the node is, and whether everything that is needed is there.
    Check,
    /// Make or fetch the bundle for it.
    Bundle,
    /// Copy it.
    Copy,
    /// Run its `install.sh`, which keeps the version that was installed.
    Install,
    /// Wait for the first heartbeat of the new version.
    Heartbeat,
    /// Return to the version before, because the new one was not heard of.
    Rollback,
}

impl StepName {
    /// All steps, in order.
    pub const ALL: [StepName; 7] = [
        StepName::Connect,
        StepName::Check,
        StepName::Bundle,
        StepName::Copy,
        StepName::Install,
        StepName::Heartbeat,
        StepName::Rollback,
    ];

    /// The name shown to users.
    pub const fn as_str(self) -> &'static str {
        match self {
            StepName::Connect => "connect",
            StepName::Check => "check",
            StepName::Bundle => "bundle",
            StepName::Copy => "copy",
            StepName::Install => "install",
            StepName::Heartbeat => "heartbeat",
            StepName::Rollback => "rollback",
        }
    }

    /// How much of the whole is done after it, percent: by the time that steps usually take.
    const fn percent_after(self) -> u8 {
        match self {
            StepName::Connect => 10,
            StepName::Check => 15,
            StepName::Bundle => 20,
            StepName::Copy => 40,
            StepName::Install => 70,
            StepName::Heartbeat | StepName::Rollback => 100,
        }
    }
}

/// How a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has not begun.
    Waiting,
    /// It is being done.
    Running,
    /// It is done.
    Done,
    /// It failed; its message says why and what to do.
    Failed,
    /// It was not needed, or could not be reached.
    Skipped,
}

/// A step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub name: StepName,
    /// How it is.
    pub state: State,
    /// When it began, Unix milliseconds.
    pub started_ms: Option<u64>,
    /// When it ended, Unix milliseconds.
    pub ended_ms: Option<u64>,
    /// What there is to say.
    pub message: String,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How much is done, percent.
    pub percent: u8,
    /// The version that is installed, once it is known.
    pub version: Option<String>,
    /// The version that was installed before, if there was one.
    pub previous_version: Option<String>,
    /// Whether the version before was brought back.
    pub rolled_back: bool,
}

impl Default for Progress {
    fn default() -> Self {
        let waiting = |name| Step { name, state: State::Waiting, started_ms: None, ended_ms: None, message: String::new() };
        let steps = StepName::ALL.into_iter().map(waiting).collect();
        Progress { steps, percent: 0, version: None, previous_version: None, rolled_back: false }
    }
}

impl Progress {
    /// Whether everything was done.
    pub fn has_succeeded(&self) -> bool {
        self.step(StepName::Heartbeat).is_some_and(|step| step.state == State::Done)
    }

    /// The message of the step that failed.
    pub fn failure(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.state == State::Failed)
    }

    /// A step.
    pub fn step(&self, name: StepName) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    pub(super) fn begin(&mut self, name: StepName) {
        self.change(name, |step| {
            step.state = State::Running;
            step.started_ms = Some(now_ms());
        });
    }

    /// Says something of a step that goes on.
    pub(super) fn say(&mut self, name: StepName, message: &str) {
        self.change(name, |step| step.message = shortened(message));
    }

    pub(super) fn end(&mut self, name: StepName, result: Result<&str, &str>) {
        let (state, message) = match result {
            Ok(message) => (State::Done, message),
            Err(message) => (State::Failed, message),
        };
        self.change(name, |step| {
            step.state = state;
            step.ended_ms = Some(now_ms());
            step.message = shortened(message);
        });
        if result.is_ok() {
            self.percent = self.percent.max(name.percent_after());
        }
    }

    /// What has not begun will not begin any more, and what runs has failed for this reason.
    pub(super) fn close(&mut self, reason: &str) {
        for step in &mut self.steps {
            match step.state {
                State::Waiting => step.state = State::Skipped,
                State::Running => {
                    step.state = State::Failed;
                    step.message = reason.to_owned();
                }
                _ => {}
            }
        }
    }

    fn change(&mut self, name: StepName, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.name == name) {
            change(step);
        }
    }
}

/// The end of a text without control characters.
pub(super) fn shortened(text: &str) -> String {
    let clean: String = text.trim().chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    let skipped = clean.chars().count().saturating_sub(MAX_MESSAGE);
    if skipped == 0 { clean } else { format!("…{}", clean.chars().skip(skipped).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_grows_with_each_step_and_ends_at_100() {
        let mut progress = Progress::default();
        let mut seen = vec![progress.percent];
        for name in StepName::ALL.into_iter().take(6) {
            progress.begin(name);
            progress.end(name, Ok("done"));
            seen.push(progress.percent);
        }
        progress.close("");
        assert!(seen.is_sorted_by(|a, b| a < b) && progress.percent == 100 && progress.has_succeeded(), "{seen:?}");
        assert_eq!(progress.step(StepName::Rollback).unwrap().state, State::Skipped);
    }

    #[test]
    fn a_failure_is_the_step_that_failed_and_the_rest_is_skipped() {
        let mut progress = Progress::default();
        progress.begin(StepName::Connect);
        progress.end(StepName::Connect, Err("refused"));
        progress.close("");
        assert_eq!(progress.failure().map(|step| (step.name, step.message.as_str())), Some((StepName::Connect, "refused")));
        assert!(!progress.has_succeeded() && progress.percent == 0);
        assert_eq!(progress.steps.iter().filter(|step| step.state == State::Skipped).count(), 6);
    }

    #[test]
    fn a_message_is_bounded_and_keeps_its_end() {
        let message = shortened(&format!("\x1b[31m{}the end\n", "x".repeat(10_000)));
        assert!(message.ends_with("xthe end") && message.chars().count() <= MAX_MESSAGE + 1 && !message.contains('\x1b'));
    }
}
