//! The log: text or JSON on standard error, with a level that can change at run time.

use serde::{Deserialize, Serialize};
use std::io::{IsTerminal, stderr};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

mod recent;

pub use recent::recent;

/// Prefix of the names of our crates.
const OURS: &str = "zonepulse";

/// Minimum severity of log messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something that needs attention.
    Warn,
    /// Changes: states, settings, starts and ends; at the central also requests.
    #[default]
    Info,
    /// Details for troubleshooting.
    Debug,
    /// Everything, including messages of libraries.
    Trace,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Which messages of libraries are logged below the level `debug`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Libraries {
    /// Warnings.
    Warn,
    /// None: they would repeat at every attempt what the program itself logs.
    Silent,
}

/// Changes the level of a running log.
#[derive(Debug, Clone)]
pub struct Handle {
    filter: reload::Handle<Targets, Registry>,
    libraries: Libraries,
}

/// Starts logging. Only the first call in a process has an effect.
pub fn start(level: Level, format: Format, libraries: Libraries) -> Handle {
    let (filter, handle) = reload::Layer::new(targets(level, libraries));
    // Messages that cannot be written, for example because the disk is full, are dropped: an error
    // message about it would end the thread.
    let lines = fmt::layer().with_writer(stderr).log_internal_errors(false);
    let lines = match format {
        Format::Text => lines.with_ansi(stderr().is_terminal()).with_target(false).boxed(),
        Format::Json => lines.json().boxed(),
    };
    let kept = fmt::layer().with_writer(recent::Writer::default).with_ansi(false).with_target(false).log_internal_errors(false);
    // Fails if logging has already started.
    let _ = tracing_subscriber::registry().with(filter).with(lines).with(kept).try_init();
    Handle { filter: handle, libraries }
}

impl Handle {
    /// Sets the minimum level.
    pub fn set(&self, level: Level) {
        // Fails if logging has ended.
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
