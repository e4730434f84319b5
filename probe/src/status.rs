//! The probe's state, written by its components and read for heartbeats and metrics.

use crate::observe::OwnQuestions;
use crate::sight::Sight;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use zonepulse_private::Secret;
use zonepulse_wire::{CaptureState, Message, State};

/// How long heartbeats report that the clock was set.
const CLOCK_NEWS: Duration = Duration::from_secs(3600);

/// Shared by all components; nobody waits for it.
#[derive(Debug)]
pub struct Status {
    /// The epoch of this process, as in its batches.
    pub epoch: u64,
    began: Instant,
    capture: Mutex<CaptureState>,
    settings_version: Mutex<Option<u64>>,
    settings_refused: Mutex<Option<String>>,
    /// How far the central's clock is ahead, milliseconds; `i64::MIN` if unknown.
    clock_ahead_ms: AtomicI64,
    /// Whether the clock is plausible.
    clock_is_set: AtomicBool,
    /// The last step of the clock, milliseconds, and when it happened.
    clock_set: Mutex<Option<(i64, Instant)>>,
    /// The probe's own queries to the server, which observers must recognise.
    pub own_questions: Arc<OwnQuestions>,
    /// Whether the probe may be missing messages.
    pub sight: Arc<Sight>,
    /// The server's token, if the central rejected it in answer to the last heartbeat.
    refused_token: watch::Sender<Option<Secret>>,
    /// Event counters since the start.
    pub counts: Counts,
}

/// Event counters since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Batches of DNS hits spooled.
    pub dns_batches: AtomicU64,
    /// Hits in them.
    pub hits: AtomicU64,
    /// Batches of system metrics spooled.
    pub system_batches: AtomicU64,
    /// Batches discarded at a limit.
    pub evicted: AtomicU64,
    /// Times the clock was set while DNS messages were being counted.
    pub clock_steps: AtomicU64,
    /// Heartbeats answered by the central.
    pub heartbeats: AtomicU64,
    /// Heartbeats not answered.
    pub heartbeats_failed: AtomicU64,
    /// Batches handed to a pulling central.
    pub pulled: AtomicU64,
    /// Connections closed to make room for others.
    pub connections_refused: Arc<AtomicU64>,
    /// Requests with no token, or a wrong one.
    pub requests_unauthorized: AtomicU64,
    /// Packets that the kernel dropped because the capture was too slow.
    pub kernel_dropped: AtomicU64,
    /// Packets that the interface dropped.
    pub interface_dropped: AtomicU64,
}

impl Status {
    /// The status of a process that starts now.
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
            sight: Arc::default(),
            refused_token: watch::Sender::new(None),
            counts: Counts::default(),
        }
    }

    /// How long the process has been running, seconds.
    pub fn uptime_s(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Whether DNS messages are being counted. If not, the reason; otherwise why some may be
    /// missing, that the clock is not set, or, for an hour, that it was set.
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

    /// Records a step of the clock, milliseconds.
    pub fn clock_was_set(&self, by_ms: i64) {
        *lock(&self.clock_set) = Some((by_ms, Instant::now()));
        count(&self.counts.clock_steps, 1);
    }

    /// Records whether hits can be dated.
    pub fn clock_is_set(&self, is_set: bool) {
        self.clock_is_set.store(is_set, Ordering::Relaxed);
    }

    /// Records that messages are being counted.
    pub fn capture_runs(&self) {
        *lock(&self.capture) = CaptureState { state: State::Running, detail: None, blind: Vec::new() };
    }

    /// Records that messages are not being counted.
    pub fn capture_stopped(&self, why: impl Into<String>) {
        *lock(&self.capture) = CaptureState { state: State::Stopped, detail: Some(why.into()), blind: Vec::new() };
    }

    /// The version of the central's settings in force.
    pub fn settings_version(&self) -> Option<u64> {
        *lock(&self.settings_version)
    }

    /// Records the version of the settings in force.
    pub fn set_settings_version(&self, version: Option<u64>) {
        *lock(&self.settings_version) = version;
    }

    /// Which of the central's settings are not applied, and why.
    pub fn settings_refused(&self) -> Option<String> {
        lock(&self.settings_refused).clone()
    }

    /// Records which settings are not applied; none if all are.
    pub fn set_settings_refused(&self, why: Option<String>) {
        *lock(&self.settings_refused) = why;
    }

    /// How far the central's clock is ahead of this machine's, milliseconds.
    pub fn clock_ahead_ms(&self) -> Option<i64> {
        Some(self.clock_ahead_ms.load(Ordering::Relaxed)).filter(|ahead| *ahead != i64::MIN)
    }

    /// Records a comparison of the clocks.
    pub fn set_clock_ahead_ms(&self, ahead_ms: i64) {
        self.clock_ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// Watches which token the central rejects.
    pub fn refused_token(&self) -> watch::Receiver<Option<Secret>> {
        self.refused_token.subscribe()
    }

    /// Records that the central rejects this token, or accepts the one presented.
    pub fn set_refused_token(&self, token: Option<Secret>) {
        self.refused_token.send_if_modified(|known| {
            let changed = *known != token;
            *known = token;
            changed
        });
    }

    /// Counts a batch added to the spool.
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

/// Adds to a counter.
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
    fn a_heartbeat_reports_that_the_clock_is_not_set() {
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
    fn a_heartbeat_reports_that_the_clock_was_set() {
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
