//! Giving back the numbers of series that nothing is left of.
//!
//! Mounts and interfaces come and go, and so do their series. When retention has taken the last
//! point of one, its name would stay in the dictionary for ever, and the dictionary is bounded.
//! So all that is sealed is looked at now and then, a bounded number of values at a time, and
//! whatever has no point left is removed. What is open is looked at first, and what is told
//! of meanwhile counts as used: so it does not matter what upkeep seals between two steps.
//!
//! Numbers of swept series are not given to others while the process runs, because a question
//! that is under way may still hold them.

use crate::database::key;
use crate::system::value::{self, GROUP};
use crate::{Error, Inner, Level};
use rocksdb::WriteBatch;
use zonepulse_codec::Malformed;
use zonepulse_model::ServerId;

/// A step looks at no more values than this.
const STEP_VALUES: usize = if cfg!(test) { 3 } else { 1000 };

/// A step removes no more series than this.
const STEP_SERIES: usize = if cfg!(test) { 3 } else { 4096 };

/// A look at all that there is, as far as it has come.
pub(crate) struct Look {
    /// Whether a series has points, by number.
    used: Vec<bool>,
    /// Ranges of keys that are left.
    left: Vec<[Vec<u8>; 2]>,
}

impl Look {
    /// Begins, with what is open.
    pub(crate) fn begin(inner: &Inner) -> Result<Look, Error> {
        let numbers = {
            // With this, no series is told of in a write that is under way.
            let _alone = inner.writer.lock();
            inner.system.series.write().forget_told()
        };
        let raw_only = inner.expiry.read().horizons.values().map(|horizon| horizon.aggregate_hour).max().unwrap_or(0);
        let range = |level, hour: u32| [0, hour].map(|hour| key::sealed(level, hour, ServerId::MIN, 0).to_vec());
        // Roll-ups have whatever raw points have, but where those are kept for longer.
        let left = vec![range(Level::H1, u32::MAX), range(Level::Raw, raw_only)];
        let mut look = Look { used: vec![false; numbers], left };
        inner.database.visit(key::SYSTEM_OPEN, &[], |found, value| {
            look.mark(value, 0).map_err(|Malformed(what)| Error::damaged(what, found))?;
            Ok(true)
        })?;
        Ok(look)
    }

    /// Looks at some more; says whether that was all.
    pub(crate) fn step(&mut self, inner: &Inner) -> Result<bool, Error> {
        let Some([from, until]) = self.left.pop() else { return Ok(true) };
        let mut seen = 0;
        let mut next = None;
        inner.database.visit(key::SYSTEM, &from, |found, value| {
            if found >= until.as_slice() {
                return Ok(false);
            }
            if seen == STEP_VALUES {
                next = Some(found.to_vec());
                return Ok(false);
            }
            seen += 1;
            let (.., group) = key::parse_sealed(found).ok_or_else(|| Error::damaged("system value", found))?;
            self.mark(value, group * GROUP).map_err(|Malformed(what)| Error::damaged(what, found))?;
            Ok(true)
        })?;
        if let Some(next) = next {
            self.left.push([next, until]);
        }
        Ok(self.left.is_empty())
    }

    /// Removes the first of the series that were not found; gives how many. When it is none, that was all.
    pub(crate) fn sweep(&self, inner: &Inner) -> Result<usize, Error> {
        let _alone = inner.writer.lock();
        let unused = inner.system.series.read().not_told(&self.used, STEP_SERIES);
        if unused.is_empty() {
            return Ok(0);
        }
        let mut batch = WriteBatch::default();
        unused.iter().for_each(|series_id| batch.delete_cf(inner.database.family(key::SERIES), series_id.to_be_bytes()));
        // What is lost of it in a crash is swept again.
        inner.database.write(batch, false)?;
        let owned = inner.system.series.write().forget(&unused);
        inner.system.shares.lock().release(unused.len() as u64, &owned);
        Ok(unused.len())
    }

    /// The series of a value, numbered from `first` on, have points.
    fn mark(&mut self, value: &[u8], first: u32) -> Result<(), Malformed> {
        let mut list = value::list(value, first)?;
        while let Some(part) = list.next()? {
            if let Some(used) = self.used.get_mut(part.place.0.get() as usize) {
                *used = true;
            }
        }
        Ok(())
    }
}
