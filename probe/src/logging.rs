//! Where the probe's own words go: standard error, as text or as JSON.

use serde::Deserialize;
use std::io::{IsTerminal, stderr};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What needs someone at once.
    Error,
    /// And what is not as it should be.
    Warn,
    /// And what changes: states, settings, starts and ends.
    #[default]
    Info,
    /// And every batch.
    Debug,
    /// And what the libraries below say.
    Trace,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// Changes the level while the program runs.
#[derive(Debug, Clone)]
pub struct Handle(reload::Handle<Targets, Registry>);

/// Begins to log. Once in a process; a second call changes nothing.
pub fn start(level: Level, format: Format) -> Handle {
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = match format {
        Format::Text => fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal()).with_target(false).boxed(),
        Format::Json => fmt::layer().json().with_writer(stderr).boxed(),
    };
    // It fails when there is one already, which then stays.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Handle(handle)
}

impl Handle {
    /// Says more or less from now on.
    pub fn set(&self, level: Level) {
        // It fails when logging has ended.
        let _ = self.0.reload(targets(level));
    }
}

/// The libraries below repeat what we say ourselves, at every try; they have a
/// say only when everything is asked for.
fn targets(level: Level) -> Targets {
    let (ours, others) = match level {
        Level::Error => (LevelFilter::ERROR, LevelFilter::OFF),
        Level::Warn => (LevelFilter::WARN, LevelFilter::OFF),
        Level::Info => (LevelFilter::INFO, LevelFilter::OFF),
        Level::Debug => (LevelFilter::DEBUG, LevelFilter::WARN),
        Level::Trace => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_default(others).with_target("zonepulse_probe", ours)
}
