//! How the probe is, as one part of it tells the others: read by whoever asks for
//! heartbeats and metrics, written by those whom it is about.

use crate::observe::OwnQuestions;
use crate::sight::Sight;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use zonepulse_private::Secret;
use zonepulse_wire::{CaptureState, Message, State};

/// For how long heartbeats tell that the clock was set.
const CLOCK_NEWS: Duration = Duration::from_secs(3600);

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
    /// Whether the clock says a time that can be right.
    clock_is_set: AtomicBool,
    /// By how much the clock was set last, milliseconds, and when.
    clock_set: Mutex<Option<(i64, Instant)>>,
    /// What the probe itself asks the server: whoever observes must know.
    pub own_questions: Arc<OwnQuestions>,
    /// Whether what is counted can be all.
    pub sight: Sight,
    /// The server's token where the central's last answer to a heartbeat was that it does not know it.
    refused_token: watch::Sender<Option<Secret>>,
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
    /// How often the clock was set while DNS messages were counted.
    pub clock_steps: AtomicU64,
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
            capture: Mutex::new(CaptureState { state: State::Stopped, detail: Some("starting".into()), blind: Vec::new() }),
            settings_version: Mutex::new(None),
            settings_refused: Mutex::new(None),
            clock_ahead_ms: AtomicI64::new(i64::MIN),
            clock_is_set: AtomicBool::new(true),
            clock_set: Mutex::new(None),
            own_questions: Arc::default(),
            sight: Sight::default(),
            refused_token: watch::Sender::new(None),
            counts: Counts::default(),
        }
    }

    /// For how long the process has been running, seconds.
    pub fn uptime_s(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Whether DNS messages are being counted, and if not, why, or else what makes it doubtful that they are all; that the
    /// clock is not set, and for an hour that it was.
    pub fn capture(&self) -> CaptureState {
        let CaptureState { state, detail, blind: _ } = lock(&self.capture).clone();
        let blind = if state == State::Running { self.sight.blind() } else { Vec::new() };
        let is_unset = !self.clock_is_set.load(Ordering::Relaxed);
        let unset = is_unset.then(|| "this machine's clock is not set".to_owned());
        let set = *lock(&self.clock_set);
        let news = set.filter(|(_, at)| at.elapsed() < CLOCK_NEWS).map(|(by_ms, at)| {
            let (by_s, ago_s) = (by_ms as f64 / 1000.0, at.elapsed().as_secs());
            format!("this machine's clock was set by {by_s:+.1} s, {ago_s} s ago")
        });
        CaptureState { state, detail: detail.or(unset).or(news), blind }
    }

    /// The clock was set by so much, milliseconds.
    pub fn clock_was_set(&self, by_ms: i64) {
        *lock(&self.clock_set) = Some((by_ms, Instant::now()));
        count(&self.counts.clock_steps, 1);
    }

    /// Whether what is counted can be dated.
    pub fn clock_is_set(&self, is_set: bool) {
        self.clock_is_set.store(is_set, Ordering::Relaxed);
    }

    /// They are.
    pub fn capture_runs(&self) {
        *lock(&self.capture) = CaptureState { state: State::Running, detail: None, blind: Vec::new() };
    }

    /// They are not.
    pub fn capture_stopped(&self, why: impl Into<String>) {
        *lock(&self.capture) = CaptureState { state: State::Stopped, detail: Some(why.into()), blind: Vec::new() };
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

    /// Follows which token the central refuses.
    pub fn refused_token(&self) -> watch::Receiver<Option<Secret>> {
        self.refused_token.subscribe()
    }

    /// The central refuses this token, or accepts the one that it was shown.
    pub fn set_refused_token(&self, token: Option<Secret>) {
        self.refused_token.send_if_modified(|known| {
            let changed = *known != token;
            *known = token;
            changed
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_tells_that_the_clock_is_not_set() {
        let status = Status::new(1);
        status.capture_runs();
        status.clock_is_set(false);
        let CaptureState { state, detail, blind: _ } = status.capture();
        assert_eq!((state, detail.as_deref()), (State::Running, Some("this machine's clock is not set")));
        status.capture_stopped("the device was lost");
        assert_eq!(status.capture().detail.as_deref(), Some("the device was lost"));
        status.capture_runs();
        status.clock_is_set(true);
        assert_eq!(status.capture().detail, None);
    }

    #[test]
    fn a_heartbeat_tells_that_the_clock_was_set() {
        let status = Status::new(1);
        status.capture_runs();
        assert_eq!(status.capture().detail, None);
        status.clock_was_set(-3_600_000);
        let CaptureState { state, detail, blind: _ } = status.capture();
        assert_eq!((state, detail.as_deref()), (State::Running, Some("this machine's clock was set by -3600.0 s, 0 s ago")));
        status.capture_stopped("the device was lost");
        assert_eq!(status.capture().detail.as_deref(), Some("the device was lost"));
        assert_eq!(status.counts.clock_steps.load(Ordering::Relaxed), 1);
    }
}
