//! Store statistics.

use crate::database::key;
use crate::{Error, Level, Store};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;
use zonepulse_model::ServerId;

/// Store statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Records in the dictionary.
    pub records: u64,
    /// Series of metrics in the dictionary.
    pub series: u64,
    /// Points of metrics refused since the store was opened because there were too many series.
    pub refused_points: u64,
    /// Batches committed since the store was opened.
    pub committed: u64,
    /// Duplicate batches received since the store was opened.
    pub duplicates: u64,
    /// Size of all data files of the store, excluding the write-ahead log, bytes.
    pub size_bytes: u64,
    /// Hours with open blocks, each counted per server.
    pub open_hours: u64,
    /// Blocks sealed since the store was opened.
    pub sealed_blocks: u64,
    /// Steps of upkeep that failed since the store was opened.
    pub upkeep_failures: u64,
}

impl Store {
    /// Collects statistics.
    pub fn statistics(&self) -> Statistics {
        // Separate statements: locks taken inside the struct expression would all be held until its end.
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

    /// Free disk space, and the free space required to accept batches, bytes. `None` if the file system does not
    /// report it.
    pub fn room(&self) -> Option<(u64, u64)> {
        self.inner.database.room(Instant::now())
    }

    /// The directory of the store.
    pub fn path(&self) -> &Path {
        self.inner.database.path()
    }

    /// Fails with [`Error::NoSpace`] if there is too little free space to accept a batch.
    pub fn has_room(&self) -> Result<(), Error> {
        self.inner.database.has_room(Instant::now())
    }

    /// Approximate size in files of a level's sealed values, bytes, excluding unflushed data.
    pub fn sealed_bytes(&self, level: Level) -> u64 {
        let [from, until] = [key::sealed(level, 0, ServerId::MIN, 0), key::sealed(level, u32::MAX, ServerId::MAX, u32::MAX)];
        self.inner.database.approximate_bytes(key::SEALED, &from, &until)
    }

    /// Approximate size in files of a level's sealed metrics, bytes, excluding unflushed data.
    pub fn system_bytes(&self, level: Level) -> u64 {
        let [from, until] = [key::sealed(level, 0, ServerId::MIN, 0), key::sealed(level, u32::MAX, ServerId::MAX, u32::MAX)];
        self.inner.database.approximate_bytes(key::SYSTEM, &from, &until)
    }

    /// Size in files of names and totals, bytes, excluding unflushed data.
    pub fn record_bytes(&self) -> u64 {
        [key::NAMES, key::TOTALS].into_iter().map(|family| self.inner.database.family_bytes(family)).sum()
    }

    /// Size in files of points that are not yet sealed, bytes, excluding unflushed data.
    pub fn open_bytes(&self) -> u64 {
        self.inner.database.family_bytes(key::OPEN)
    }

    /// Size in files of reports, bytes, excluding unflushed data.
    pub fn report_bytes(&self) -> u64 {
        self.inner.database.family_bytes(key::REPORTS)
    }
}
