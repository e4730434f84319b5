//! Shows steps as they begin and end, a line each.

use super::nodes::Node;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use zonepulse_central::push::{Progress, State};

/// What is shown of one node.
pub(super) struct Shown {
    label: String,
    /// Step and state of the lines so far.
    told: Mutex<Vec<(String, String)>>,
}

impl Shown {
    pub(super) fn new(node: &Node, width: usize) -> Self {
        Shown { label: format!("{:width$}", node.server), told: Mutex::default() }
    }

    /// Shows what has changed.
    pub(super) fn progress(&self, progress: &Progress) {
        for step in &progress.steps {
            let state = match step.state {
                State::Waiting | State::Skipped => continue,
                State::Running => "running",
                State::Done => "done",
                State::Failed => "failed",
            };
            self.step(step.name.as_str(), state, progress.percent, &step.message);
        }
    }

    /// Shows a step, unless this has been said.
    pub(super) fn step(&self, step: &str, state: &str, percent: u8, message: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.iter().any(|(name, before)| name == step && (before == state || before == "done" || before == "failed")) {
            return;
        }
        told.push((step.to_owned(), state.to_owned()));
        let message = if state == "running" { String::new() } else { message.replace('\n', &format!("\n{}   ", self.label)) };
        self.line(&format!("{percent:3} %  {step:<9}  {state:<7}  {message}"));
    }

    /// Shows how it ended.
    pub(super) fn end(&self, done: bool) {
        self.line(if done { "PVOK" } else { "failed" });
    }

    fn line(&self, text: &str) {
        // A reader that has gone does not keep nodes from being installed.
        let _ = writeln!(std::io::stdout().lock(), "{}  {}", self.label, text.trim_end());
    }
}
