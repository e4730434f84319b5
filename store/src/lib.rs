//! The central's persistent data: points, totals, coverage, names, servers.
//!
//! # The concept
//!
//! Each batch from a probe becomes **one block**: all points of one server and one interval under one key, in columns
//! of small numbers, about three bytes per point. Never use one key per point: that costs a hundred times the CPU.
//!
//! Everything a batch changes is **one atomic, fsynced write**: the block, new names, the marker that records the
//! batch as stored, the report of what the probe covered, and the parts of the totals that cannot be derived from
//! blocks. [`Write`] collects any number of batches into one such write, so batches that arrive together share an
//! fsync. A batch whose marker already exists changes nothing.
//!
//! Hours that have passed are **sealed** by [`Store::upkeep`]: transposed into columns by groups of 256 records, and
//! aggregated into **roll-ups** of 5, 15, 30 and 60 minutes ([`Level`]). A query always sees sealed and open points
//! together, from one consistent snapshot. Points store last access times in whole seconds unless configured for
//! milliseconds ([`Precision`]). Expired points ([`Retention`]) are not returned, whether or not their space has been
//! reclaimed.
//!
//! **Totals** (hits, first seen, last access per server, record and kind) are kept in memory, and on disk in groups
//! of 256 records. A group on disk records the commit up to which it is complete; the journal lists the blocks added
//! by later commits; opening the store replays those. So totals are exact after any crash, and an ordinary batch
//! writes no totals at all.
//!
//! **Names** are numbered in the order in which they are first seen. Points store the number; the dictionary is in
//! memory, in both directions. Names that do not exist and were last requested before the start of all time-limited
//! data are **swept**: their totals are added to those of [`OTHER`].
//!
//! The **observation ledger** says for all time which periods of a server were observed without loss, and why the others
//! were not ([`Store::ledger`]).
//! **The catalogue** (`catalogue`): zones, and their RRsets as *resources* with ids that are never reused. Its names are
//! numbered when a zone is imported, are charged to no server, and are not swept.
//!
//! **Metrics** of the machines are stored the same way, in column families of their own (`system`).
//!
//! `database/key.rs` describes the keys, `dns/block.rs` a block. Every value starts with its version, and the store
//! as a whole has [`FORMAT`].
//!
//! # Blocking
//!
//! Reading points, reports, markers or the registry reads from RocksDB and blocks the thread. Writing blocks, too: it
//! waits for other writes and for the disk. Do not do either on an async thread. Only the following are served from
//! memory: [`Store::dictionary`], [`Store::series`], [`Store::totals`], [`Store::retention`], [`Store::kept_from_s`],
//! [`Store::names_of`], [`Store::totals_of`], [`Store::series_of`],
//! [`Store::ledger_version`], [`Store::resources`] and [`Registry::generation`].
//!
//! # Non-goals
//!
//! The crate knows nothing of wire formats, HTTP or SQL. Only one process can open a store.

mod catalogue;
mod check;
mod database;
mod dictionary;
mod dns;
mod engine;
mod error;
mod intake;
mod ledger;
mod level;
mod lock;
mod precision;
mod prefetch;
mod rebuild;
mod registry;
mod reports;
mod restoration;
mod retention;
mod share;
mod statistics;
mod system;
mod totals;
mod upkeep;
mod waiting;
mod write;

pub use catalogue::{
    Catalogue, Credit, Import, Labelled, Late, LateAccess, Page, Plan, Protection, Rdatas, Resource, ResourceMap, ResourceNote,
    ResourcesOfServer, Row, Source, Summary, Tsig, UsageChange, Version, Zone, ZoneState,
};
pub use check::Check;
pub use database::room::Disk;
pub use database::{FORMAT, Options};
pub use dictionary::{DictionaryReader, OTHER, is_folded};
pub use dns::scan::Points;
pub use dns::selection::{Kinds, Reading, Selection};
pub use dns::sums::{Split, SplitKind, Sum, SumKind};
pub use error::Error;
pub use intake::{Intake, IntakeRow, Outcome};
pub use ledger::reading::{Observation, Period};
pub use ledger::reasons::{Loss, Reasons, Unobserved};
pub use level::Level;
pub use precision::Precision;
pub use rebuild::{Rebuild, Rebuilt};
pub use registry::{
    Actor, AuditEntry, EnrollmentToken, Entered, GlobalSettings, Pull, Registry, Rights, Server, ServerNames, User, UserToken,
    are_alike,
};
pub use reports::listened::Listened;
pub use reports::report::Report;
pub use restoration::{Restoration, StoreIdentity};
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
use ledger::reading::Versions;
use lock::{Mutex, Rank, RwLock};
use reports::kept::Kept;
use retention::Expiry;
use share::{Bounds, Shares};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use system::System;
use totals::Totals;
use upkeep::{Keeper, Upkept};
use waiting::Waiting;
use write::writer::Writer;
use zonepulse_dns::RecordType;
use zonepulse_model::{IdSet, ServerId};

/// An open store. Clones share its state.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// The state of an open store, shared by its clones.
///
/// # Lock order
///
/// `importing`, `keeper`, `sweeping`, `writer`, `expiry`, `waiting`, `system.waiting`, `dictionary`, `system.series`,
/// `totals`, `names`, `total_shares`, `system.shares`, `server_names`, `kept`, `resources`, `ledger`. A thread may take a lock only if every lock it
/// holds comes earlier in this list. [`Rank`] is the list in code, and `lock.rs` asserts it. A step that needs a
/// value from an earlier lock while it holds a later one copies the value first, as sealing does with `expiry`.
///
/// * `importing` is held for a whole import of a zone, so imports never overlap; `writer` only for its writes, so batches
///   do not wait. Checking takes it too.
/// * `keeper` is held for a whole step of upkeep, so steps never overlap. Purging, rebuilding and checking take it too.
/// * `writer` is held from the first read of a write until its result is visible.
/// * `expiry` is held for writing while points move between families or are removed, `sweeping` while hits move from
///   one total to another.
///
/// Locks inside a field ([`Decoders`], the free space of the disk) are innermost: no other lock is taken under them.
/// Callers' closures run without locks, with these exceptions: `sweeping` or `totals` while totals are visited, and
/// `importing` while an import reads its rows, and `writer` while a change of the registry or of usage is computed.
/// Whether a question uses a record of the catalogue; it must not call the store.
pub type InUse = Box<dyn Fn(&str, RecordType) -> bool + Send + Sync>;

struct Inner {
    database: Database,
    /// The precision of last access times in points sealed from now on.
    precision: Precision,
    dictionary: RwLock<Dictionary>,
    /// Each server's share of the names.
    names: Mutex<Shares>,
    totals: RwLock<Totals>,
    /// Each server's share of the totals. Refusals are counted in points.
    total_shares: Mutex<Shares>,
    /// Held for writing while hits move from swept records to the first record, and for reading while totals are
    /// added up part by part.
    sweeping: RwLock<()>,
    /// What names are used for although servers answer that they do not exist.
    in_use: OnceLock<InUse>,
    writer: Mutex<Writer>,
    /// When probes listened.
    kept: Mutex<Kept>,
    /// When the ledger of each server changed.
    ledger: Mutex<Versions>,
    waiting: Mutex<Waiting>,
    system: System,
    decoders: Decoders,
    /// Held for writing while points are sealed or removed; readers hold it while they create their iterators.
    expiry: RwLock<Arc<Expiry>>,
    keeper: Mutex<Keeper>,
    /// The default retention.
    retention: Retention,
    /// Incremented by every change of the registry.
    generation: AtomicU64,
    /// The servers' names, and the generation at which they were read.
    server_names: Mutex<Option<(u64, ServerNames)>>,
    upkept: Upkept,
    importing: Mutex<()>,
    /// The resources by record and by id: replaced as a whole, by whoever holds `writer`.
    resources: RwLock<Arc<ResourceMap>>,
    /// Maximum cost of the catalogue's names.
    max_catalogue_names: u64,
    /// Number of late accesses on disk, and of those dropped since the store was opened.
    late: catalogue::LateCounts,
}

#[cfg(test)]
mod tests;

impl Inner {
    /// Updates the number of servers that shares are based on. If it cannot be read, the previous number stays in
    /// effect.
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
    /// Opens a store, or creates one if the directory is empty or missing.
    ///
    /// Fails with [`Error::InUse`] if another process has it open, with [`Error::Format`] if it was written by a
    /// version that this one cannot read, and with [`Error::Unreadable`] if it is damaged.
    pub fn open(dir: &Path, options: &Options) -> Result<Store, Error> {
        Store::read(dir, options).map_err(|error| error.while_opening(dir))
    }

    fn read(dir: &Path, options: &Options) -> Result<Store, Error> {
        let database = Database::open(dir, options)?;
        if !database.is_current()? {
            ledger::building::build(&database)?;
            database.put_format()?;
        }
        let mut dictionary = Dictionary::load(&database)?;
        let (resources, late) = catalogue::load(&database, &mut dictionary)?;
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
        // No rate limit: the number of totals is bounded by the number of names times a few kinds.
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
            in_use: OnceLock::new(),
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
            ledger: Mutex::new(Rank::Ledger, Versions::default()),
            upkept: Upkept::default(),
            importing: Mutex::new(Rank::Importing, ()),
            resources: RwLock::new(Rank::Resources, Arc::new(resources)),
            max_catalogue_names: options.max_catalogue_names.min(u32::MAX as usize) as u64,
            late,
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Begins an atomic write; waits while another is in progress.
    pub fn begin(&self) -> Write<'_> {
        Write::begin(&self.inner, Instant::now)
    }

    /// Like [`Store::begin`], with the current time for rate-limiting new names.
    pub fn begin_at(&self, now: Instant) -> Write<'_> {
        Write::begin(&self.inner, || now)
    }

    /// The names of the records. Holds a lock that writers need: drop it soon.
    pub fn dictionary(&self) -> DictionaryReader<'_> {
        DictionaryReader::new(self.inner.dictionary.read())
    }

    /// Keeps the names of questions that use a record of the catalogue, whatever servers answer. Set once, before
    /// [`Upkeep`] starts.
    pub fn keep_names_in_use(&self, in_use: InUse) {
        self.inner.in_use.get_or_init(|| in_use);
    }

    /// Visits all totals of these servers, or of all servers, by server, kind and record.
    pub fn totals(&self, servers: Option<&IdSet<ServerId>>, each: &mut dyn FnMut(Total)) {
        self.inner.totals.read().visit(servers, each);
    }

    /// How long a server's points are kept, according to the current settings.
    pub fn retention(&self, server_id: ServerId) -> Retention {
        self.inner.expiry.read().retention(server_id)
    }

    /// The earliest start for which a server's points are returned at this time, Unix seconds: intervals that started
    /// earlier have expired or been removed from disk.
    pub fn kept_from_s(&self, server_id: ServerId, level: Level, now_s: u64) -> u64 {
        self.inner.expiry.read().kept_from_s(server_id, level, now_s)
    }

    /// The servers, users and settings.
    pub fn registry(&self) -> Registry<'_> {
        Registry::new(&self.inner)
    }

    /// A server's share of the dictionary of names, in which a long name counts as several; `refused` counts the
    /// names that were counted as [`OTHER`].
    pub fn names_of(&self, server_id: ServerId) -> Share {
        self.inner.names.lock().of(server_id)
    }

    /// A server's share of the totals (one per record and kind); `refused` counts the points that were counted as
    /// [`OTHER`].
    pub fn totals_of(&self, server_id: ServerId) -> Share {
        self.inner.total_shares.lock().of(server_id)
    }

    /// A server's share of the series of metrics; `refused` counts points.
    pub fn series_of(&self, server_id: ServerId) -> Share {
        self.inner.system.shares.lock().of(server_id)
    }

    /// Reads the whole store and checks its integrity.
    pub fn check(&self) -> Result<Check, Error> {
        check::check(&self.inner)
    }

    /// Makes a consistent copy of the store in a new directory, while everything goes on. The copy is a store of its own; its
    /// large files are hard links, so it takes hardly any space until the originals are removed.
    pub fn checkpoint(&self, dir: &Path) -> Result<(), Error> {
        self.inner.database.checkpoint(dir)
    }

    /// Writes out everything that is only in memory, so that the next start is fast. Without it nothing is lost:
    /// opening the store then derives it from the blocks.
    pub fn close(&self) -> Result<(), Error> {
        write::checkpoint::checkpoint(&self.inner)?;
        self.inner.database.flush()
    }
}
