//! The log: lines or JSON on standard error, with a level that can change.

use crate::config::{Log, LogFormat, LogLevel};
use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Changes the level of a running log.
#[derive(Debug, Clone)]
pub struct Handle(reload::Handle<Targets, Registry>);

/// Begins to log. Once in a process; a second call changes nothing.
pub fn start(log: Log) -> Handle {
    let (filter, handle) = reload::Layer::new(targets(log.level));
    // What cannot be written, as when the disk of the log is full, is left out: saying so there would end the thread.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // It fails when there is one already, which then stays.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Handle(handle)
}

impl Handle {
    /// Logs from this level on.
    pub fn set(&self, level: LogLevel) {
        // It fails when logging has ended.
        let _ = self.0.reload(targets(level));
    }
}

/// What the libraries say is of interest only when everything is.
fn targets(level: LogLevel) -> Targets {
    let (ours, others) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::ERROR),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::WARN),
        LogLevel::Trace => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_default(others).with_target("zonepulse", ours)
}
