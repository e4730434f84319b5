//! A job: one node that gets a probe.

use super::{Kind, Progress};
use serde::{Deserialize, Serialize};

/// How a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Others come first.
    Waiting,
    /// It is being done.
    Running,
    /// The probe is installed and heard of.
    Done,
    /// It failed; the step that failed says why.
    Failed,
    /// The central ended meanwhile. What happened on the node is not known.
    Interrupted,
}

impl JobState {
    /// Whether nothing more will happen.
    pub fn is_ended(self) -> bool {
        !matches!(self, JobState::Waiting | JobState::Running)
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// The server.
    pub server_id: u32,
    /// What is done.
    pub kind: Kind,
    /// The node, as `user@host:port`.
    pub node: String,
    /// The host through which it is reached.
    pub jump: Option<String>,
    /// The user who started it.
    pub by: String,
    /// When it was ordered, Unix milliseconds.
    pub created_ms: u64,
    /// When it began, Unix milliseconds.
    pub started_ms: Option<u64>,
    /// When it ended, Unix milliseconds.
    pub ended_ms: Option<u64>,
    /// How it is.
    pub state: JobState,
    /// How far it is.
    pub progress: Progress,
}
