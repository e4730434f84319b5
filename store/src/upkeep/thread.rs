//! The upkeep thread.

use super::clock::Clock;
use super::step::Step;
use crate::{Error, Store};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A thread that runs upkeep on a store until this is dropped.
pub struct Upkeep {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits up to `longest`; returns whether to stop.
    fn wait(&self, longest: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, longest);
        }
        *stopped
    }
}

/// Pause between steps, so that writers take precedence.
const BREATH: Duration = Duration::from_millis(20);
/// Pause when there is nothing to do.
const REST: Duration = Duration::from_secs(1);

impl Upkeep {
    /// Starts the thread.
    pub fn start(store: Store) -> Result<Upkeep, Error> {
        let stop = Arc::new(Stop::default());
        let stopping = stop.clone();
        let thread =
            std::thread::Builder::new().name("upkeep".to_owned()).spawn(move || run(&store, &stopping)).map_err(Error::Thread)?;
        Ok(Upkeep { stop, thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        *self.stop.stopped.lock() = true;
        self.stop.changed.notify_all();
        // The join fails only if the thread panicked, which has already been reported.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(store: &Store, stop: &Stop) {
    let system_s = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut clock = Clock::new(Instant::now(), system_s());
    let mut rest = Duration::ZERO;
    while !stop.wait(rest) {
        let now_s = clock.now_s(Instant::now(), system_s());
        rest = match store.upkeep(now_s) {
            Ok(Step::Idle) => REST,
            Ok(step) => {
                tracing::debug!(?step, "upkeep");
                BREATH
            }
            Err(error) => {
                tracing::error!(%error, "a step of the store's upkeep failed; it is tried again later");
                REST
            }
        };
    }
}
