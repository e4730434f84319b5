//! Reclaiming the numbers of series without any points.
//!
//! Mounts and interfaces come and go, and so do their series. After retention has removed the last point of a series,
//! its name would stay in the bounded dictionary forever. So from time to time all sealed values are scanned, a
//! bounded number at a time, and series without any points are removed. Open blocks are scanned first, and series
//! that receive points during the scan count as used, so it does not matter what upkeep seals between two steps.
//!
//! The numbers of swept series are not reused while the process runs, because a query in progress may still hold
//! them.

use crate::database::key;
use crate::system::value::{self, GROUP};
use crate::{Error, Inner, Level};
use rocksdb::WriteBatch;
use zonepulse_codec::Malformed;
use zonepulse_model::ServerId;

/// Maximum number of values scanned per step.
const STEP_VALUES: usize = if cfg!(test) { 3 } else { 1000 };

/// Maximum number of series removed per step.
const STEP_SERIES: usize = if cfg!(test) { 3 } else { 4096 };

/// A scan of all metrics, in progress.
pub(crate) struct Look {
    /// Whether each series has points, by number.
    used: Vec<bool>,
    /// Key ranges still to be scanned.
    left: Vec<[Vec<u8>; 2]>,
}

impl Look {
    /// Begins a scan with the open blocks.
    pub(crate) fn begin(inner: &Inner) -> Result<Look, Error> {
        let numbers = {
            // Ensures that no write in progress uses a series.
            let _alone = inner.writer.lock();
            inner.system.series.write().forget_told()
        };
        let raw_only = inner.expiry.read().horizons.values().map(|horizon| horizon.aggregate_hour).max().unwrap_or(0);
        let range = |level, hour: u32| [0, hour].map(|hour| key::sealed(level, hour, ServerId::MIN, 0).to_vec());
        // Roll-ups have every series that raw points have, except where raw points are kept longer.
        let left = vec![range(Level::H1, u32::MAX), range(Level::Raw, raw_only)];
        let mut look = Look { used: vec![false; numbers], left };
        inner.database.visit(key::SYSTEM_OPEN, &[], |found, value| {
            look.mark(value, 0).map_err(|Malformed(what)| Error::damaged(what, found))?;
            Ok(true)
        })?;
        Ok(look)
    }

    /// Scans some more values; returns whether the scan is complete.
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

    /// Removes some of the series that have no points; returns how many. Zero means that none are left.
    pub(crate) fn sweep(&self, inner: &Inner) -> Result<usize, Error> {
        let _alone = inner.writer.lock();
        let unused = inner.system.series.read().not_told(&self.used, STEP_SERIES);
        if unused.is_empty() {
            return Ok(0);
        }
        let mut batch = WriteBatch::default();
        unused.iter().for_each(|series_id| batch.delete_cf(inner.database.family(key::SERIES), series_id.to_be_bytes()));
        // Anything lost in a crash is swept again.
        inner.database.write(batch, false)?;
        let owned = inner.system.series.write().forget(&unused);
        inner.system.shares.lock().release(unused.len() as u64, &owned);
        Ok(unused.len())
    }

    /// Marks the series in a value, numbered from `first` on, as used.
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
