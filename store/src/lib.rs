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
//! The keys are described in `database/key.rs`, a block in `dns/block.rs`. Every value
//! begins with its version, and the store as a whole has [`FORMAT`].
//!
//! # Blocking
//!
//! Reading points, reports, markers or the registry reads from RocksDB and blocks the thread. A write blocks, too: it waits for
//! other writes and for the disk. Do not call these from an async thread. Only the following stay in memory:
//! [`Store::dictionary`], [`Store::series`], [`Store::totals`], [`Store::retention`], [`Store::kept_from_s`],
//! [`Store::names_of`], [`Store::totals_of`], [`Store::series_of`] and [`Registry::generation`].
//!
//! # What this crate is not
//!
//! It knows no wire format, no HTTP and no SQL. One process opens a store.

mod check;
mod database;
mod dictionary;
mod dns;
mod engine;
mod error;
mod intake;
mod level;
mod lock;
mod precision;
mod prefetch;
mod rebuild;
mod registry;
mod reports;
mod retention;
mod share;
mod statistics;
mod system;
mod totals;
mod upkeep;
mod waiting;
mod write;

pub use check::Check;
pub use database::room::Disk;
pub use database::{FORMAT, Options};
pub use dictionary::{DictionaryReader, OTHER, is_folded};
pub use dns::scan::Points;
pub use dns::selection::{Kinds, Reading, Selection};
pub use dns::sums::{Split, SplitKind, Sum, SumKind};
pub use error::Error;
pub use intake::{Intake, IntakeRow, Outcome};
pub use level::Level;
pub use precision::Precision;
pub use rebuild::{Rebuild, Rebuilt};
pub use registry::{
    Actor, AuditEntry, EnrollmentToken, Entered, GlobalSettings, Pull, Registry, Rights, Server, ServerNames, User, UserToken,
    are_alike,
};
pub use reports::listened::Listened;
pub use reports::report::Report;
pub use retention::Retention;
pub use share::Share;
pub use statistics::Statistics;
pub use system::{Bucket, SeriesReader, SystemPoints, SystemSelection};
pub use totals::Total;
pub use upkeep::{Step, Upkeep};
pub use write::Write;
pub use write::metrics::{SeriesIntake, SystemIntake};
pub use write::overlap::Overlap;

use database::{Database, key};
use dictionary::Dictionary;
use dns::value::Decoders;
use lock::{Mutex, Rank, RwLock};
use reports::kept::Kept;
use retention::Expiry;
use share::{Bounds, Shares};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use system::System;
use totals::Totals;
use upkeep::{Keeper, Upkept};
use waiting::Waiting;
use write::writer::Writer;
use zonepulse_model::{IdSet, ServerId};

/// An open store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// The state of an open store, shared by its clones.
///
/// # Lock order
///
/// `keeper`, `sweeping`, `writer`, `expiry`, `waiting`, `system.waiting`, `dictionary`, `system.series`, `totals`, `names`,
/// `total_shares`, `system.shares`, `server_names`, `kept`. A thread may take a lock only if every lock it holds comes earlier in
/// this list. [`Rank`] is the list in code, and `lock.rs` asserts it. A step that needs a value from an earlier lock while
/// it holds a later one copies the value first, as sealing does with `expiry`.
///
/// * `keeper` is held for a whole step of upkeep, so steps never overlap. Purging, rebuilding and checking take it, too.
/// * `writer` is held from the first read of a write until its result is visible.
/// * `expiry` is held for writing while points move between families or are removed, `sweeping` while hits move from one
///   total to another.
///
/// Locks inside a field ([`Decoders`], the free space of the disk) are innermost: no other lock is taken under them.
/// Callers' closures run without locks, with these exceptions: `sweeping` or `totals` while totals are visited, and
/// `writer` while a change of the registry is computed.
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
    /// whoever adds up totals part by part.
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
mod tests;

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
        let (totals, writer) = write::checkpoint::recover(&database, &expiry)?;
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
            dictionary: RwLock::new(Rank::Dictionary, dictionary),
            names: Mutex::new(Rank::NameShares, names),
            total_shares: Mutex::new(Rank::TotalShares, total_shares),
            sweeping: RwLock::new(Rank::Sweeping, ()),
            totals: RwLock::new(Rank::Totals, totals),
            writer: Mutex::new(Rank::Writer, writer),
            waiting: Mutex::new(Rank::Waiting, waiting),
            system,
            decoders: Decoders::new(options.block_cache_bytes / 8),
            expiry: RwLock::new(Rank::Expiry, Arc::new(expiry)),
            keeper: Mutex::new(Rank::Keeper, Keeper::default()),
            retention: options.retention,
            generation: AtomicU64::new(0),
            server_names: Mutex::new(Rank::ServerNames, None),
            kept: Mutex::new(Rank::Kept, Kept::default()),
            upkept: Upkept::default(),
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Begins an atomic write; waits while another is under way.
    pub fn begin(&self) -> Write<'_> {
        Write::begin(&self.inner, Instant::now)
    }

    /// Like [`Store::begin`], with the time by which rates of new names are limited.
    pub fn begin_at(&self, now: Instant) -> Write<'_> {
        Write::begin(&self.inner, || now)
    }

    /// The names of the records. Holds a lock that writers need: drop it soon.
    pub fn dictionary(&self) -> DictionaryReader<'_> {
        DictionaryReader::new(self.inner.dictionary.read())
    }

    /// Every total of these servers, or of all, by server, kind and record.
    pub fn totals(&self, servers: Option<&IdSet<ServerId>>, each: &mut dyn FnMut(Total)) {
        self.inner.totals.read().visit(servers, each);
    }

    /// For how long the points of a server are kept, as it is set now.
    pub fn retention(&self, server_id: ServerId) -> Retention {
        self.inner.expiry.read().retention(server_id)
    }

    /// The earliest start that is answered of a server at this time, Unix
    /// seconds: what began before has expired, or has left the disk.
    pub fn kept_from_s(&self, server_id: ServerId, level: Level, now_s: u64) -> u64 {
        self.inner.expiry.read().kept_from_s(server_id, level, now_s)
    }

    /// The servers, users and settings that the central knows.
    pub fn registry(&self) -> Registry<'_> {
        Registry::new(&self.inner)
    }

    /// What a server has of the dictionary of names, of which a long one counts as several; what was refused is names that were counted as [`OTHER`].
    pub fn names_of(&self, server_id: ServerId) -> Share {
        self.inner.names.lock().of(server_id)
    }

    /// How many totals (of a record and kind) a server has; what was refused is points that were counted as [`OTHER`].
    pub fn totals_of(&self, server_id: ServerId) -> Share {
        self.inner.total_shares.lock().of(server_id)
    }

    /// What a server has of the series of metrics; what was refused is points.
    pub fn series_of(&self, server_id: ServerId) -> Share {
        self.inner.system.shares.lock().of(server_id)
    }

    /// Reads the whole store and says whether it is sound.
    pub fn check(&self) -> Result<Check, Error> {
        check::check(&self.inner)
    }

    /// Writes down what is only in memory, so that the next start is quick.
    /// Without it nothing is lost: opening then derives it from the blocks.
    pub fn close(&self) -> Result<(), Error> {
        write::checkpoint::checkpoint(&self.inner)?;
        self.inner.database.flush()
    }
}
