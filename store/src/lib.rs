//! What the central knows, on disk: points, totals, coverage, names, servers.
//!
//! # The concept
//!
//! A batch of a probe lands as **one block**: all points of one server and one
//! interval under one key, columns of small numbers, about three bytes a point.
//! Never a key per point: that costs a hundred times the CPU.
//!
//! Everything that one batch changes is **one atomic, fsynced write**: the
//! block, new names, the marker that says "this batch is in", the report of
//! what the probe covered, and what of the totals cannot be derived from
//! blocks. [`Write`] collects any number of batches into such a write, so that
//! batches that arrive together share an fsync. A batch whose marker is there
//! changes nothing.
//!
//! Hours that have passed are **sealed** by [`Store::upkeep`]: transposed into
//! columns by groups of 256 records, and summed to **roll-ups** of 5, 15, 30 and
//! 60 minutes ([`Level`]). An answer is always sealed and open points together,
//! of one moment. What points keep of a last access is its second, unless they are
//! told to keep all of it ([`Precision`]). What has expired ([`Retention`]) is not returned, whether or
//! not its space has been given back.
//!
//! **Totals** (hits, first seen, last access per server, record and kind) live
//! in memory, and on disk in groups of 256 records. A group on disk says up to
//! which commit it is complete; the journal says which blocks later commits
//! added; opening the store adds those. So a total is exact after any crash,
//! and an ordinary batch writes no total at all.
//!
//! **Names** are numbered in the order in which they are first seen. Points
//! carry the number; the dictionary is in memory, both ways. Names that do not
//! exist and were last asked for before everything that is kept by time are
//! **swept**: their totals become part of [`OTHER`]'s.
//!
//! **Metrics** of the machines take the same way in, in families of their own (`system`).
//!
//! The keys are described in `key.rs`, a block in `block.rs`. Every value
//! begins with its version, and the store as a whole has [`FORMAT`].
//!
//! # What this crate is not
//!
//! It knows no wire format, no HTTP and no SQL. One process opens a store.

mod block;
mod cell;
mod check;
mod database;
mod dictionary;
mod entries;
mod epochs;
mod error;
mod expire;
mod fold;
mod intake;
mod key;
mod level;
mod listened;
mod marker;
mod overlap;
mod precision;
mod prefetch;
mod purge;
mod read;
mod rebuild;
mod registry;
mod report;
mod retention;
mod room;
mod scan;
mod seal;
mod sealed;
mod settings;
mod share;
mod sums;
mod sweep;
mod system;
mod totals;
mod upkeep;
mod waiting;
mod write;

pub use check::Check;
pub use database::{FORMAT, Options};
pub use dictionary::{DictionaryReader, OTHER, is_folded};
pub use error::Error;
pub use intake::{Evicted, Identity, Intake, IntakeRow, Outcome};
pub use level::Level;
pub use listened::Listened;
pub use overlap::Overlap;
pub use precision::Precision;
pub use rebuild::{Rebuild, Rebuilt};
pub use registry::{
    Actor, AuditEntry, EnrollmentToken, Entered, GlobalSettings, Pull, Registry, Rights, Server, ServerNames, User, UserToken,
    are_alike,
};
pub use report::Report;
pub use retention::Retention;
pub use room::Disk;
pub use scan::{Kinds, Points, Reading, Selection, Split, SplitKind, Sum};
pub use settings::{Communication, OverlappingProbes, Settings, SettingsOverride, bad_url};
pub use share::Share;
pub use system::{Bucket, SeriesIntake, SeriesReader, SystemIntake, SystemPoints, SystemSelection};
pub use totals::Total;
pub use upkeep::{Step, Upkeep};
pub use write::Write;

use database::Database;
use dictionary::Dictionary;
use listened::Kept;
use parking_lot::{Mutex, RwLock};
use retention::Expiry;
use sealed::Decoders;
use share::{Bounds, Shares};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use system::System;
use totals::Totals;
use upkeep::{Keeper, Upkept};
use waiting::Waiting;
use write::Writer;

/// An open store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    /// What points that are sealed from now on keep of last accesses.
    precision: Precision,
    dictionary: RwLock<Dictionary>,
    /// Whose the names are.
    names: Mutex<Shares>,
    totals: RwLock<Totals>,
    /// Whose the totals are. What is refused is points.
    total_shares: Mutex<Shares>,
    /// Held to write while hits move from records that are swept to the first record, and to read by
    /// whoever adds up totals part by part. Taken before the writer's lock and those of totals and dictionary.
    sweeping: RwLock<()>,
    writer: Mutex<Writer>,
    /// When probes listened.
    kept: Mutex<Kept>,
    waiting: Mutex<Waiting>,
    system: System,
    decoders: Decoders,
    /// Held to write while points move from open to sealed, or go: whoever reads
    /// holds it while it makes its iterators.
    expiry: RwLock<Arc<Expiry>>,
    keeper: Mutex<Keeper>,
    /// For how long points are kept unless it is set.
    retention: Retention,
    /// Rises with every change of the registry.
    generation: AtomicU64,
    /// The servers' names, and at which generation they were so.
    server_names: Mutex<Option<(u64, ServerNames)>>,
    upkept: Upkept,
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod extremes;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod model_tests;

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

impl Inner {
    /// Shares are those of the servers that there are now. Where they cannot be read, those of before stay.
    fn count_servers(&self) {
        let generation = self.generation.load(Ordering::Acquire);
        if self.names.lock().is_counted_at(generation) {
            return;
        }
        match registry::server_ids(&self.database).and_then(|ids| Ok((ids, registry::removed(&self.database)?))) {
            Ok((ids, removed)) => {
                let servers = ids.len().saturating_sub(removed.len()) as u64;
                self.names.lock().set_servers(servers, generation);
                self.total_shares.lock().set_servers(servers, generation);
                self.system.shares.lock().set_servers(servers, generation);
            }
            Err(error) => tracing::warn!(%error, "the servers could not be counted"),
        }
    }
}

impl Store {
    /// Opens a store, or makes one where the directory is empty or missing.
    ///
    /// Fails with [`Error::InUse`] when another process has it open, with
    /// [`Error::Format`] when it was written by a version that this one cannot read,
    /// and with [`Error::Unreadable`] when it is damaged.
    pub fn open(dir: &Path, options: &Options) -> Result<Store, Error> {
        Store::read(dir, options).map_err(|error| error.while_opening(dir))
    }

    fn read(dir: &Path, options: &Options) -> Result<Store, Error> {
        let database = Database::open(dir, options)?;
        let mut dictionary = Dictionary::load(&database)?;
        let expiry = registry::expiry(&database, options.retention)?;
        let (totals, writer) = write::recover(&database, &expiry)?;
        let owned = dictionary.assign(&totals);
        let bounds = Bounds {
            max: options.max_records.clamp(1, u32::MAX as usize) as u64,
            per_minute: u64::from(options.new_names_per_minute),
            burst: u64::from(options.new_names_burst),
        };
        let names = Shares::new(bounds, dictionary.cost(), owned);
        let (counts, max) = (totals.counts(), options.max_totals.max(1) as u64);
        // A share is enough: there are no more than names allow, times a few kinds.
        let bounds = Bounds { max, per_minute: 0, burst: u64::MAX };
        let total_shares = Shares::new(bounds, counts.values().sum(), counts);
        let waiting = Waiting::load(&database, key::OPEN, options.seal_after_quiet_s)?;
        let system = System::load(&database, options)?;
        let inner = Inner {
            database,
            precision: options.raw_last_access,
            dictionary: RwLock::new(dictionary),
            names: Mutex::new(names),
            total_shares: Mutex::new(total_shares),
            sweeping: RwLock::default(),
            totals: RwLock::new(totals),
            writer: Mutex::new(writer),
            waiting: Mutex::new(waiting),
            system,
            decoders: Decoders::new(options.block_cache_bytes / 8),
            expiry: RwLock::new(Arc::new(expiry)),
            keeper: Mutex::default(),
            retention: options.retention,
            generation: AtomicU64::new(0),
            server_names: Mutex::default(),
            kept: Mutex::default(),
            upkept: Upkept::default(),
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Begins an atomic write; waits while another is under way.
    pub fn begin(&self) -> Write<'_> {
        Write::begin(&self.inner)
    }

    /// The names of the records. Holds a lock that writers need: drop it soon.
    pub fn dictionary(&self) -> DictionaryReader<'_> {
        DictionaryReader::new(self.inner.dictionary.read())
    }

    /// Every total of these servers, or of all, by server, kind and record.
    pub fn totals(&self, servers: Option<&[u32]>, each: &mut dyn FnMut(Total)) {
        self.inner.totals.read().visit(servers, each);
    }

    /// For how long the points of a server are kept, as it is set now.
    pub fn retention(&self, server_id: u32) -> Retention {
        self.inner.expiry.read().retention(server_id)
    }

    /// The earliest start that is answered of a server at this time, Unix
    /// seconds: what began before has expired, or has left the disk.
    pub fn kept_from_s(&self, server_id: u32, level: Level, now_s: u64) -> u64 {
        self.inner.expiry.read().kept_from_s(server_id, level, now_s)
    }

    /// The servers, users and settings that the central knows.
    pub fn registry(&self) -> Registry<'_> {
        Registry::new(&self.inner)
    }

    /// What a server has of the dictionary of names, of which a long one counts as several; what was refused is names that were counted as [`OTHER`].
    pub fn names_of(&self, server_id: u32) -> Share {
        self.inner.names.lock().of(server_id)
    }

    /// How many totals (of a record and kind) a server has; what was refused is points that were counted as [`OTHER`].
    pub fn totals_of(&self, server_id: u32) -> Share {
        self.inner.total_shares.lock().of(server_id)
    }

    /// What a server has of the series of metrics; what was refused is points.
    pub fn series_of(&self, server_id: u32) -> Share {
        self.inner.system.shares.lock().of(server_id)
    }

    /// Sizes.
    pub fn statistics(&self) -> Statistics {
        let (committed, duplicates) = self.inner.writer.lock().counts();
        Statistics {
            records: self.inner.dictionary.read().count() as u64,
            series: self.inner.system.series.read().len() as u64,
            refused_points: self.inner.system.refused_points.load(Ordering::Relaxed),
            committed,
            duplicates,
            size_bytes: self.inner.database.size_bytes(),
            open_hours: self.inner.waiting.lock().len() as u64,
            sealed_blocks: self.inner.upkept.sealed_blocks.load(Ordering::Relaxed),
            upkeep_failures: self.inner.upkept.failures.load(Ordering::Relaxed),
        }
    }

    /// What is free on the disk, and what must be for batches to be taken, bytes. Nothing when the
    /// file system does not say.
    pub fn room(&self) -> Option<(u64, u64)> {
        self.inner.database.room()
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        self.inner.database.path()
    }

    /// Fails with [`Error::NoSpace`] while no batch would be taken.
    pub fn has_room(&self) -> Result<(), Error> {
        self.inner.database.has_room()
    }

    /// What files hold of sealed values of a level, bytes, about: what was not flushed is not in it.
    pub fn sealed_bytes(&self, level: Level) -> u64 {
        let [from, until] = [key::sealed(level, 0, 0, 0), key::sealed(level, u32::MAX, u32::MAX, u32::MAX)];
        self.inner.database.approximate_bytes(key::SEALED, &from, &until)
    }

    /// What files hold of sealed metrics of a level, bytes, about: what was not flushed is not in it.
    pub fn system_bytes(&self, level: Level) -> u64 {
        let [from, until] = [key::sealed(level, 0, 0, 0), key::sealed(level, u32::MAX, u32::MAX, u32::MAX)];
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

    /// Reads the whole store and says whether it is sound.
    pub fn check(&self) -> Result<Check, Error> {
        check::check(&self.inner)
    }

    /// Writes down what is only in memory, so that the next start is quick.
    /// Without it nothing is lost: opening then derives it from the blocks.
    pub fn close(&self) -> Result<(), Error> {
        write::checkpoint(&self.inner)?;
        self.inner.database.flush()
    }
}
