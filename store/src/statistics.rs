//! Sizes of a store.

use crate::database::key;
use crate::{Error, Level, Store};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;
use zonepulse_model::ServerId;

/// Sizes of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Records in the dictionary.
    pub records: u64,
    /// Series of metrics in the dictionary.
    pub series: u64,
    /// Points of metrics that were not taken since the store was opened, because there were too many series.
    pub refused_points: u64,
    /// Batches committed since the store was opened.
    pub committed: u64,
    /// Batches that came again since the store was opened.
    pub duplicates: u64,
    /// Bytes of all files of the store that hold data, the write-ahead log left out.
    pub size_bytes: u64,
    /// Hours with open blocks, each counted per server.
    pub open_hours: u64,
    /// Blocks that were sealed since the store was opened.
    pub sealed_blocks: u64,
    /// Steps of upkeep that failed since the store was opened.
    pub upkeep_failures: u64,
}

impl Store {
    /// Sizes.
    pub fn statistics(&self) -> Statistics {
        // In statements of their own: locks taken inside the struct expression would all be held until its end.
        let (committed, duplicates) = self.inner.writer.lock().counts();
        let open_hours = self.inner.waiting.lock().len() as u64;
        let records = self.inner.dictionary.read().count() as u64;
        let series = self.inner.system.series.read().len() as u64;
        Statistics {
            records,
            series,
            refused_points: self.inner.system.refused_points.load(Ordering::Relaxed),
            committed,
            duplicates,
            size_bytes: self.inner.database.size_bytes(),
            open_hours,
            sealed_blocks: self.inner.upkept.sealed_blocks.load(Ordering::Relaxed),
            upkeep_failures: self.inner.upkept.failures.load(Ordering::Relaxed),
        }
    }

    /// What is free on the disk, and what must be for batches to be taken, bytes. Nothing when the
    /// file system does not say.
    pub fn room(&self) -> Option<(u64, u64)> {
        self.inner.database.room(Instant::now())
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        self.inner.database.path()
    }

    /// Fails with [`Error::NoSpace`] while no batch would be taken.
    pub fn has_room(&self) -> Result<(), Error> {
        self.inner.database.has_room(Instant::now())
    }

    /// What files hold of sealed values of a level, bytes, about: what was not flushed is not in it.
    pub fn sealed_bytes(&self, level: Level) -> u64 {
        let [from, until] = [key::sealed(level, 0, ServerId::MIN, 0), key::sealed(level, u32::MAX, ServerId::MAX, u32::MAX)];
        self.inner.database.approximate_bytes(key::SEALED, &from, &until)
    }

    /// What files hold of sealed metrics of a level, bytes, about: what was not flushed is not in it.
    pub fn system_bytes(&self, level: Level) -> u64 {
        let [from, until] = [key::sealed(level, 0, ServerId::MIN, 0), key::sealed(level, u32::MAX, ServerId::MAX, u32::MAX)];
        self.inner.database.approximate_bytes(key::SYSTEM, &from, &until)
    }

    /// What files hold of names and totals, bytes: what was not flushed is not in it.
    pub fn record_bytes(&self) -> u64 {
        [key::NAMES, key::TOTALS].into_iter().map(|family| self.inner.database.family_bytes(family)).sum()
    }

    /// What files hold of points that are not sealed yet, bytes: what was not flushed is not in it.
    pub fn open_bytes(&self) -> u64 {
        self.inner.database.family_bytes(key::OPEN)
    }

    /// What files hold of reports, bytes: what was not flushed is not in it.
    pub fn report_bytes(&self) -> u64 {
        self.inner.database.family_bytes(key::REPORTS)
    }
}
