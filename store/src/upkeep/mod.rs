//! What a store does besides taking and answering: sealing hours that have
//! passed, and giving back the space of what has expired. One bounded step at a
//! time, on a thread of its own or wherever the caller likes.

mod expire;
mod sweep_records;
mod sweep_series;

use crate::dictionary::Compaction;
use crate::dns::sealing::Sealer;
use crate::registry::purge;
use crate::{Error, Store, system};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sweep_records::Swept;

/// What a step of upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Open blocks were sealed.
    Sealed {
        /// Start of their hour, Unix seconds.
        hour_s: u64,
        /// Their server.
        server_id: u32,
        /// How many blocks.
        blocks: u64,
        /// Points in them.
        points: u64,
    },
    /// Space was given back.
    Expired {
        /// Of how many servers.
        servers: usize,
    },
    /// What was left of servers that were removed was removed, too: retention had taken their points.
    Purged {
        /// How many.
        servers: usize,
    },
    /// Records that have vanished were taken out of the dictionary.
    Swept {
        /// How many.
        records: usize,
    },
    /// It was looked for records, or series of metrics, that nothing is left of; that goes on.
    Looked,
    /// Series of metrics that nothing is left of were taken out of the dictionary.
    SweptSeries {
        /// How many.
        series: usize,
    },
    /// There is nothing to do now.
    Idle,
}

/// An hour that could not be sealed is tried again after so long, seconds.
const RETRY_S: u64 = 600;
/// Servers that were removed are looked at so often, seconds.
const FORGET_S: u64 = 60;
/// It is looked so often for series that nothing is left of, seconds: a few names a day are no hurry.
const LOOK_S: u64 = 24 * 60 * 60;

/// What upkeep keeps from step to step.
#[derive(Default)]
pub(crate) struct Keeper {
    sealer: Option<Sealer>,
    system: Option<system::sealing::Sealer>,
    /// Hours and servers that could not be sealed, and when that was.
    failed: BTreeMap<(u32, u32), u64>,
    system_failed: BTreeMap<(u32, u32), u64>,
    /// Whether no record can have vanished since the last pass began.
    swept: bool,
    /// A pass through all records.
    pass: Option<sweep_records::Pass>,
    /// The dictionary's text that is being written anew. Nothing is swept meanwhile.
    compaction: Option<Compaction>,
    /// When it was last looked for servers that may be forgotten.
    looked_s: Option<u64>,
    /// A look for series that nothing is left of.
    look: Option<sweep_series::Look>,
    /// When the last one began.
    look_began_s: Option<u64>,
}

impl Keeper {
    /// Records may have vanished.
    pub(crate) fn look_again(&mut self) {
        self.swept = false;
    }
}

/// What upkeep did since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Upkept {
    pub(crate) sealed_blocks: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Store {
    /// Does one step of upkeep, if there is any to do at this time, Unix
    /// seconds. Steps are bounded, and hold up nobody who writes or reads.
    ///
    /// An error leaves everything as it was; the next call goes on elsewhere.
    pub fn upkeep(&self, now_s: u64) -> Result<Step, Error> {
        let done = self.step(now_s);
        match &done {
            Ok(Step::Sealed { blocks, .. }) => self.inner.upkept.sealed_blocks.fetch_add(*blocks, Ordering::Relaxed),
            Ok(_) => 0,
            Err(_) => self.inner.upkept.failures.fetch_add(1, Ordering::Relaxed),
        };
        done
    }

    fn step(&self, now_s: u64) -> Result<Step, Error> {
        let mut keeper = self.inner.keeper.lock();
        if let Some(step) = keeper.seal_system(self, now_s)? {
            return Ok(step);
        }
        let Keeper { sealer, failed, swept, looked_s, .. } = &mut *keeper;
        failed.retain(|_, when_s| now_s.abs_diff(*when_s) < RETRY_S);
        let due = self.inner.waiting.lock().due(now_s, &|pair| failed.contains_key(&pair));
        let Some((hour, server_id)) = due else {
            let servers = expire::expire(&self.inner, now_s)?;
            if servers > 0 {
                *swept = false;
                return Ok(Step::Expired { servers });
            }
            let look = looked_s.is_none_or(|looked_s| now_s.abs_diff(looked_s) >= FORGET_S);
            let servers = if look { purge::forgotten(&self.inner, now_s)? } else { 0 };
            *looked_s = if look { Some(now_s) } else { *looked_s };
            if servers > 0 {
                *swept = false;
                return Ok(Step::Purged { servers });
            }
            return match keeper.sweep(self)? {
                Some(step) => Ok(step),
                None => keeper.sweep_series(self, now_s),
            };
        };
        let sealer = match sealer {
            Some(sealer) => sealer,
            None => sealer.insert(Sealer::new(self.inner.precision)?),
        };
        let sealed = sealer.step(&self.inner, (hour, server_id)).inspect_err(|_| {
            failed.insert((hour, server_id), now_s);
        })?;
        Ok(Step::Sealed { hour_s: u64::from(hour) * 3600, server_id, blocks: sealed.blocks, points: sealed.points })
    }
}

impl Keeper {
    /// Sweeps records that have vanished, and what their names leave behind in memory.
    fn sweep(&mut self, store: &Store) -> Result<Option<Step>, Error> {
        let inner = &store.inner;
        if let Some(mut compaction) = self.compaction.take() {
            if compaction.step(&inner.dictionary.read()) {
                let old = inner.dictionary.write().compact(compaction);
                // Giving so much memory back takes a while: nobody waits for it.
                drop(old);
            } else {
                self.compaction = Some(compaction);
            }
            return Ok(Some(Step::Looked));
        }
        if self.pass.is_none() && self.swept {
            return Ok(None);
        }
        let pass = self.pass.get_or_insert_with(|| {
            self.swept = true;
            sweep_records::Pass::default()
        });
        match pass.step(inner)? {
            Swept::Some(0) => Ok(Some(Step::Looked)),
            Swept::Some(records) => Ok(Some(Step::Swept { records })),
            Swept::Over => {
                self.pass = None;
                self.compaction = inner.dictionary.read().is_worth_compacting().then(Compaction::default);
                Ok(if self.compaction.is_some() || !self.swept { Some(Step::Looked) } else { None })
            }
        }
    }

    /// Looks for series that nothing is left of, when it is time.
    fn sweep_series(&mut self, store: &Store, now_s: u64) -> Result<Step, Error> {
        let inner = &store.inner;
        let Some(mut look) = self.look.take() else {
            if self.look_began_s.is_some_and(|began_s| now_s.abs_diff(began_s) < LOOK_S) {
                return Ok(Step::Idle);
            }
            self.look_began_s = Some(now_s);
            if inner.system.series.read().len() == 0 {
                return Ok(Step::Idle);
            }
            self.look = Some(sweep_series::Look::begin(inner)?);
            return Ok(Step::Looked);
        };
        if !look.step(inner)? {
            self.look = Some(look);
            return Ok(Step::Looked);
        }
        let series = look.sweep(inner)?;
        if series > 0 {
            // There may be more than a step takes.
            self.look = Some(look);
            return Ok(Step::SweptSeries { series });
        }
        Ok(Step::Idle)
    }

    /// Seals metrics, if an hour of them is due. What the raw horizon is about to pass is due in any case.
    fn seal_system(&mut self, store: &Store, now_s: u64) -> Result<Option<Step>, Error> {
        let Keeper { system, system_failed: failed, .. } = self;
        failed.retain(|_, when_s| now_s.abs_diff(*when_s) < RETRY_S);
        // Readers take these locks the other way round.
        let expiry = store.inner.expiry.read().clone();
        let due = {
            let mut waiting = store.inner.system.waiting.lock();
            let passed = |server_id| expiry.due(server_id, now_s).raw_hour;
            let due = waiting.due(now_s, &|pair| failed.contains_key(&pair));
            due.or_else(|| waiting.before(passed).filter(|pair| !failed.contains_key(pair)))
        };
        let Some((hour, server_id)) = due else { return Ok(None) };
        let sealer = match system {
            Some(sealer) => sealer,
            None => system.insert(system::sealing::Sealer::new()?),
        };
        let (blocks, points) = sealer.step(&store.inner, (hour, server_id)).inspect_err(|_| {
            failed.insert((hour, server_id), now_s);
        })?;
        Ok(Some(Step::Sealed { hour_s: u64::from(hour) * 3600, server_id, blocks, points }))
    }
}

/// A thread that keeps a store in order until this is dropped.
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
    /// Waits, not for longer than this; gives whether it is time to stop.
    fn wait(&self, longest: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, longest);
        }
        *stopped
    }
}

/// Between steps, so that those who write come first.
const BREATH: Duration = Duration::from_millis(20);
/// When there is nothing to do.
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
        // An error is the thread's panic, which has been reported.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A clock that was set forward by more than this is not believed at once, seconds.
const LEAP_S: u64 = 600;
/// It is believed when it has stayed so for this long.
const BELIEVED_AFTER: Duration = Duration::from_secs(3600);

/// The time that points expire by. What has expired is gone for good, so a clock
/// that is wrong for a while must not decide it.
struct Clock {
    begun: Instant,
    begun_s: u64,
    leapt: Option<Instant>,
}

impl Clock {
    /// What the time is taken for when the system says that it is `system_s`.
    fn now_s(&mut self, now: Instant, system_s: u64) -> u64 {
        let expected_s = self.begun_s.saturating_add(now.saturating_duration_since(self.begun).as_secs());
        let leaps = system_s > expected_s.saturating_add(LEAP_S);
        let believed = !leaps || now.saturating_duration_since(*self.leapt.get_or_insert(now)) >= BELIEVED_AFTER;
        if !believed {
            return expected_s;
        }
        *self = Clock { begun: now, begun_s: system_s, leapt: None };
        system_s
    }
}

fn run(store: &Store, stop: &Stop) {
    let system_s = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut clock = Clock { begun: Instant::now(), begun_s: system_s(), leapt: None };
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

#[cfg(test)]
mod tests;
