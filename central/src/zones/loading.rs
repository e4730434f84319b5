//! How far zones are that are being loaded at the moment.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use zonepulse_model::ZoneId;

/// How far a zone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loading {
    /// What is being done.
    pub phase: Phase,
    /// Records that were read or RRsets that were imported so far.
    pub done: u64,
    /// When it began, Unix milliseconds.
    pub since_ms: u64,
}

/// What is being done with a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its records are read, from a file or a transfer.
    Reading,
    /// Its RRsets are imported into the catalogue.
    Importing,
}

impl Phase {
    /// As the API says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Reading => "reading",
            Phase::Importing => "importing",
        }
    }
}

/// All zones that are being loaded.
#[derive(Default)]
pub(super) struct Loadings(Mutex<HashMap<ZoneId, Arc<Counter>>>);

struct Counter {
    since_ms: u64,
    imports: AtomicBool,
    done: AtomicU64,
}

impl Loadings {
    /// Begins to count for a zone, until the result is dropped.
    pub fn begin(self: &Arc<Self>, id: ZoneId, now_ms: u64) -> Progress {
        let counter = Arc::new(Counter { since_ms: now_ms, imports: AtomicBool::new(false), done: AtomicU64::new(0) });
        self.0.lock().insert(id, counter.clone());
        Progress { all: self.clone(), id, counter }
    }

    /// How far a zone is; `None` if it is not being loaded.
    pub fn of(&self, id: ZoneId) -> Option<Loading> {
        let counter = self.0.lock().get(&id)?.clone();
        let phase = if counter.imports.load(Ordering::Relaxed) { Phase::Importing } else { Phase::Reading };
        Some(Loading { phase, done: counter.done.load(Ordering::Relaxed), since_ms: counter.since_ms })
    }
}

/// Counts what was done for one zone.
pub(super) struct Progress {
    all: Arc<Loadings>,
    id: ZoneId,
    counter: Arc<Counter>,
}

impl Progress {
    /// One more.
    pub fn add(&self) {
        self.counter.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything was read: from now on, what is imported counts.
    pub fn imports(&self) {
        self.counter.done.store(0, Ordering::Relaxed);
        self.counter.imports.store(true, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if all.get(&self.id).is_some_and(|counter| Arc::ptr_eq(counter, &self.counter)) {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_loading_until_it_is_done() {
        let (all, id) = (Arc::new(Loadings::default()), ZoneId::new(7));
        assert_eq!(all.of(id), None);
        let progress = all.begin(id, 5);
        (0..3).for_each(|_| progress.add());
        assert_eq!(all.of(id), Some(Loading { phase: Phase::Reading, done: 3, since_ms: 5 }));
        progress.imports();
        progress.add();
        assert_eq!(all.of(id), Some(Loading { phase: Phase::Importing, done: 1, since_ms: 5 }));
        assert_eq!(all.of(ZoneId::new(8)), None);
        drop(progress);
        assert_eq!(all.of(id), None);
    }

    #[test]
    fn what_began_later_is_not_ended_by_what_began_before() {
        let (all, id) = (Arc::new(Loadings::default()), ZoneId::new(7));
        let first = all.begin(id, 1);
        let _second = all.begin(id, 2);
        drop(first);
        assert_eq!(all.of(id).map(|loading| loading.since_ms), Some(2));
    }
}
