//! How the probe is, as one part of it tells the others: read by whoever asks for
//! heartbeats and metrics, written by those whom it is about.

use crate::observe::OwnQuestions;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use zonepulse_wire::{CaptureState, Message, State};

/// Shared by all parts; nobody waits for it.
#[derive(Debug)]
pub struct Status {
    /// When this process began, in the numbering of its batches.
    pub epoch: u64,
    began: Instant,
    capture: Mutex<CaptureState>,
    settings_version: Mutex<Option<u64>>,
    settings_refused: Mutex<Option<String>>,
    /// Milliseconds by which the central's clock is ahead; `i64::MIN` when nobody knows.
    clock_ahead_ms: AtomicI64,
    /// What the probe itself asks the server: whoever observes must know.
    pub own_questions: Arc<OwnQuestions>,
    /// What has happened since the start.
    pub counts: Counts,
}

/// What has happened since the start; only goes up.
#[derive(Debug, Default)]
pub struct Counts {
    /// Batches of DNS that were spooled.
    pub dns_batches: AtomicU64,
    /// Hits in them.
    pub hits: AtomicU64,
    /// Batches of the machine's metrics that were spooled.
    pub system_batches: AtomicU64,
    /// Batches that were given up at a bound.
    pub evicted: AtomicU64,
    /// Heartbeats that the central answered.
    pub heartbeats: AtomicU64,
    /// Heartbeats that it did not.
    pub heartbeats_failed: AtomicU64,
    /// Batches that were handed to a central that pulls.
    pub pulled: AtomicU64,
    /// Connections that were closed to make room for others.
    pub connections_refused: Arc<AtomicU64>,
    /// Requests that showed no token, or a wrong one.
    pub requests_unauthorized: AtomicU64,
}

impl Status {
    /// Of a process that begins now.
    pub fn new(epoch: u64) -> Status {
        Status {
            epoch,
            began: Instant::now(),
            capture: Mutex::new(CaptureState { state: State::Stopped, detail: Some("starting".into()) }),
            settings_version: Mutex::new(None),
            settings_refused: Mutex::new(None),
            clock_ahead_ms: AtomicI64::new(i64::MIN),
            own_questions: Arc::default(),
            counts: Counts::default(),
        }
    }

    /// For how long the process has been running, seconds.
    pub fn uptime_s(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Whether DNS messages are being counted, and if not, why.
    pub fn capture(&self) -> CaptureState {
        lock(&self.capture).clone()
    }

    /// They are.
    pub fn capture_runs(&self) {
        *lock(&self.capture) = CaptureState { state: State::Running, detail: None };
    }

    /// They are not.
    pub fn capture_stopped(&self, why: impl Into<String>) {
        *lock(&self.capture) = CaptureState { state: State::Stopped, detail: Some(why.into()) };
    }

    /// The version of the central's settings that are in force.
    pub fn settings_version(&self) -> Option<u64> {
        *lock(&self.settings_version)
    }

    /// Other settings are in force.
    pub fn set_settings_version(&self, version: Option<u64>) {
        *lock(&self.settings_version) = version;
    }

    /// What of the central's settings is not followed, and why.
    pub fn settings_refused(&self) -> Option<String> {
        lock(&self.settings_refused).clone()
    }

    /// Something is not followed, or all is.
    pub fn set_settings_refused(&self, why: Option<String>) {
        *lock(&self.settings_refused) = why;
    }

    /// How far the central's clock is ahead of this machine's, milliseconds.
    pub fn clock_ahead_ms(&self) -> Option<i64> {
        Some(self.clock_ahead_ms.load(Ordering::Relaxed)).filter(|ahead| *ahead != i64::MIN)
    }

    /// The clocks were compared.
    pub fn set_clock_ahead_ms(&self, ahead_ms: i64) {
        self.clock_ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// A batch is in the spool.
    pub fn spooled(&self, batch: &Message) {
        match batch {
            Message::Dns(batch) => {
                count(&self.counts.dns_batches, 1);
                count(&self.counts.hits, batch.hits());
            }
            Message::System(_) => count(&self.counts.system_batches, 1),
        }
    }
}

/// Adds to a count.
pub fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
