//! Installs and updates probes over SSH: copies a setup bundle to a node, runs its `install.sh`, and waits until the probe
//! is heard of.
//!
//! [`run`] does the work for one node and reports its steps. It is used twice: by the jobs of a central ([`jobs`]), and by
//! `zonepulse server install`, which connects from the operator's machine with the operator's keys. They differ in their
//! [`Source`] only: where bundles come from, and who knows which probes were heard of.
//!
//! The connection is that of OpenSSH's `ssh`, because it is what operators have configured and audited: agents, hardware
//! keys, certificates, jump hosts. Host keys are always verified.

mod job;
pub mod jobs;
mod node;
mod run;
mod ssh;
mod steps;
mod target;

pub use job::{Job, JobState};
pub use run::run;
pub use steps::{Progress, State, Step, StepName};
pub use target::{HostKey, Login, Target};

use serde::{Deserialize, Serialize};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zonepulse_private::Secret;

/// How long to wait for the first heartbeat of a probe that was installed, unless told otherwise: probes send one every 30
/// seconds, the first at once.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(90);

/// Where jobs of a central keep their files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The directory for the history, accepted host keys, and private files of running jobs. Without it no job can be started.
    pub directory: Option<PathBuf>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A probe is installed and enrolled, or installed over another.
    Install,
    /// An enrolled probe gets another version. If that is not heard of, the one before returns.
    Update,
}

/// What to do with one node.
#[derive(Debug, Clone)]
pub struct Order {
    /// The server that the node is.
    pub server_id: u32,
    /// What is done.
    pub kind: Kind,
    /// How to log in to the node.
    pub node: Login,
    /// The host through which it is reached, if it is not directly.
    pub jump: Option<Login>,
    /// The private key; by default, a password or what the user's `ssh` finds.
    pub identity: Option<Identity>,
    /// The files of host keys that are believed. New ones are added to the first.
    pub known_hosts: Vec<PathBuf>,
    /// Whether a host key is believed that is seen for the first time. One that has changed never is.
    pub accept_new_host_key: bool,
    /// The user's configuration of `ssh`, if it applies.
    pub configuration: Option<PathBuf>,
    /// Whether a node that is enrolled is enrolled again, which replaces its credentials.
    pub enroll: bool,
    /// Whether the user becomes root with `sudo`, without a password.
    pub sudo: bool,
    /// The directory for everything that is installed, instead of the usual places.
    pub prefix: Option<String>,
    /// How long to wait for the first heartbeat.
    pub wait: Duration,
    /// A directory for private files, which are removed in the end.
    pub work: PathBuf,
}

/// A private key.
#[derive(Debug, Clone)]
pub enum Identity {
    /// In a file of this machine.
    File(PathBuf),
    /// Itself, in the format of OpenSSH.
    Text(Secret),
}

/// A bundle that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its size, bytes.
    pub size_bytes: u64,
}

/// The last heartbeat of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// When it arrived, Unix milliseconds by the central's clock.
    pub received_ms: u64,
    /// How long the probe had been running, seconds.
    pub uptime_s: u64,
    /// The probe's version.
    pub version: String,
}

/// What is wrong with a directory to install below; `install.sh` accepts the same ones.
pub fn prefix_fault(prefix: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._@+-".contains(c);
    if !prefix.starts_with('/') || prefix.len() < 2 {
        Some("it has to be an absolute path")
    } else if prefix.len() > 255 || !prefix.chars().all(is_plain) || prefix.contains("/../") || prefix.ends_with("/..") {
        Some("it may have 255 letters, digits and / . _ @ + -, and no part ..")
    } else {
        None
    }
}

/// Where bundles come from, and what is heard of servers.
pub trait Source: Sync {
    /// Writes the bundle of a server for an architecture to a file. It enrols the probe, or only updates it.
    fn bundle(
        &self,
        server_id: u32,
        architecture: &str,
        enrolls: bool,
        to: &Path,
    ) -> impl Future<Output = Result<Fetched, String>> + Send;

    /// The last heartbeat of a server; none if there never was one.
    fn heard(&self, server_id: u32) -> impl Future<Output = Result<Option<Heard>, String>> + Send;

    /// The URL at which probes find the central, if it is known before there is a bundle.
    fn url(&self, server_id: u32) -> impl Future<Output = Option<String>> + Send;
}
