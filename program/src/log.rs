//! The log: lines or JSON on standard error, with a level that can change.

use serde::{Deserialize, Serialize};
use std::io::{IsTerminal, stderr};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// What the names of all our crates begin with.
const OURS: &str = "zonepulse";

/// How bad something must be to be logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something could not be done.
    Error,
    /// Something that somebody should look at.
    Warn,
    /// What changes: states, settings, starts and ends, and at the central requests.
    #[default]
    Info,
    /// What is of use to whoever looks for a fault.
    Debug,
    /// Everything, that of the libraries too.
    Trace,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// Whether libraries are heard below the level `debug`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Libraries {
    /// Their warnings are logged.
    Warn,
    /// They would repeat at every try what the program says itself.
    Silent,
}

/// Changes the level of a running log.
#[derive(Debug, Clone)]
pub struct Handle {
    filter: reload::Handle<Targets, Registry>,
    libraries: Libraries,
}

/// Begins to log. Once in a process; a second call changes nothing.
pub fn start(level: Level, format: Format, libraries: Libraries) -> Handle {
    let (filter, handle) = reload::Layer::new(targets(level, libraries));
    // What cannot be written, as when the disk of the log is full, is left out: saying so there would end the thread.
    let lines = fmt::layer().with_writer(stderr).log_internal_errors(false);
    let lines = match format {
        Format::Text => lines.with_ansi(stderr().is_terminal()).with_target(false).boxed(),
        Format::Json => lines.json().boxed(),
    };
    // It fails when there is one already, which then stays.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Handle { filter: handle, libraries }
}

impl Handle {
    /// Logs from this level on.
    pub fn set(&self, level: Level) {
        // It fails when logging has ended.
        let _ = self.filter.reload(targets(level, self.libraries));
    }
}

fn targets(level: Level, libraries: Libraries) -> Targets {
    let (ours, others) = match (level, libraries) {
        (Level::Error, Libraries::Warn) => (LevelFilter::ERROR, LevelFilter::ERROR),
        (Level::Warn, Libraries::Warn) => (LevelFilter::WARN, LevelFilter::ERROR),
        (Level::Info, Libraries::Warn) => (LevelFilter::INFO, LevelFilter::WARN),
        (Level::Error, Libraries::Silent) => (LevelFilter::ERROR, LevelFilter::OFF),
        (Level::Warn, Libraries::Silent) => (LevelFilter::WARN, LevelFilter::OFF),
        (Level::Info, Libraries::Silent) => (LevelFilter::INFO, LevelFilter::OFF),
        (Level::Debug, _) => (LevelFilter::DEBUG, LevelFilter::WARN),
        (Level::Trace, _) => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_default(others).with_target(OURS, ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level as Of;

    #[test]
    fn all_our_crates_are_heard_and_libraries_as_far_as_they_may() {
        let hears = |level, libraries, target, of| targets(level, libraries).would_enable(target, &of);
        for libraries in [Libraries::Warn, Libraries::Silent] {
            for ours in ["zonepulse", "zonepulse_probe::pull", "zonepulse_net::server", "zonepulse_private"] {
                assert!(
                    hears(Level::Info, libraries, ours, Of::INFO) && !hears(Level::Info, libraries, ours, Of::DEBUG),
                    "{ours}"
                );
            }
            assert!(hears(Level::Debug, libraries, "lapin", Of::WARN) && hears(Level::Trace, libraries, "lapin", Of::DEBUG));
        }
        assert!(
            hears(Level::Info, Libraries::Warn, "lapin", Of::WARN) && !hears(Level::Warn, Libraries::Warn, "lapin", Of::WARN)
        );
        assert!(!hears(Level::Info, Libraries::Silent, "lapin", Of::ERROR));
    }
}
