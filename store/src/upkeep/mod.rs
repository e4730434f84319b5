//! Background work of a store: sealing hours that have passed, and reclaiming the space of expired data. It runs one
//! bounded step at a time, on its own thread or wherever the caller chooses.

mod clock;
mod expire;
mod forget;
mod sealing;
mod step;
mod sweep_records;
mod sweep_series;
mod thread;

pub use step::Step;
pub use thread::Upkeep;

use crate::dictionary::Compaction;
use crate::{Error, Inner, Store, dns, system};
use sealing::Sealing;
use std::sync::atomic::{AtomicU64, Ordering};
use sweep_records::Swept;

/// How often removed servers are checked for purging, seconds.
const FORGET_S: u64 = 60;
/// How often unused series are searched for, seconds: a few names a day are not urgent.
const LOOK_S: u64 = 24 * 60 * 60;

/// State of upkeep between steps.
#[derive(Default)]
pub(crate) struct Keeper {
    dns: Sealing<dns::sealing::Sealer>,
    metrics: Sealing<system::sealing::Sealer>,
    /// Whether no record can have vanished since the last pass began.
    swept: bool,
    /// A pass through all records, in progress.
    pass: Option<sweep_records::Pass>,
    /// A compaction of the dictionary's text, in progress. Nothing is swept in the meantime.
    compaction: Option<Compaction>,
    /// When removed servers were last checked for purging.
    looked_s: Option<u64>,
    /// A scan for unused series, in progress.
    look: Option<sweep_series::Look>,
    /// When the last scan began.
    look_began_s: Option<u64>,
}

impl Keeper {
    /// Requests a new pass, because records may have vanished.
    pub(crate) fn look_again(&mut self) {
        self.swept = false;
    }
}

/// Counts of upkeep since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Upkept {
    pub(crate) sealed_blocks: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Store {
    /// Does one step of upkeep, if any is due at this time, Unix seconds. Steps are bounded and never block readers
    /// or writers for long.
    ///
    /// An error leaves everything unchanged; the next call continues elsewhere.
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
        let inner = &*self.inner;
        let mut keeper = inner.keeper.lock();
        if let Some(step) = keeper.metrics.step(inner, now_s, system::sealing::Sealer::new)? {
            return Ok(step);
        }
        if let Some(step) = keeper.dns.step(inner, now_s, || dns::sealing::Sealer::new(inner.precision))? {
            return Ok(step);
        }
        if let Some(step) = keeper.expire(inner, now_s)? {
            return Ok(step);
        }
        match keeper.sweep(inner)? {
            Some(step) => Ok(step),
            None => keeper.sweep_series(inner, now_s),
        }
    }
}

impl Keeper {
    /// Reclaims the space of expired data, and from time to time that of removed servers.
    fn expire(&mut self, inner: &Inner, now_s: u64) -> Result<Option<Step>, Error> {
        let servers = expire::expire(inner, now_s)?;
        if servers > 0 {
            self.look_again();
            return Ok(Some(Step::Expired { servers }));
        }
        if self.looked_s.is_some_and(|looked_s| now_s.abs_diff(looked_s) < FORGET_S) {
            return Ok(None);
        }
        let servers = forget::forget(inner, now_s)?;
        self.looked_s = Some(now_s);
        if servers == 0 {
            return Ok(None);
        }
        self.look_again();
        Ok(Some(Step::Purged { servers }))
    }

    /// Sweeps records that have vanished, and the memory that their names leave behind.
    fn sweep(&mut self, inner: &Inner) -> Result<Option<Step>, Error> {
        if let Some(mut compaction) = self.compaction.take() {
            if compaction.step(&inner.dictionary.read()) {
                let old = inner.dictionary.write().compact(compaction);
                // Freeing this much memory takes a while: no one is blocked by it here.
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

    /// Searches for unused series when it is due.
    fn sweep_series(&mut self, inner: &Inner, now_s: u64) -> Result<Step, Error> {
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
            // There may be more than one step can remove.
            self.look = Some(look);
            return Ok(Step::SweptSeries { series });
        }
        Ok(Step::Idle)
    }
}

#[cfg(test)]
mod tests;
