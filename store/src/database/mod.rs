//! The store's use of RocksDB: column families, options and the format number.

pub(crate) mod key;
pub(crate) mod room;

use crate::{Error, Precision, Retention};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator, ErrorKind,
    Options as RocksOptions, ReadOptions, WriteBatch, WriteOptions,
};
use room::Room;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Format of the store as a whole; changes when keys change. Values carry their own version numbers.
///
/// 1: all points in open blocks. 2: past hours are sealed. 3: system metrics, in separate families. 4: the observation
/// ledger and the catalogue.
pub const FORMAT: u32 = 4;

/// RocksDB's name for the file that identifies which other files make up the database.
const CURRENT: &str = "CURRENT";
const FORMAT_KEY: &[u8] = b"format";
const FAMILIES: [&str; 14] = [
    key::NAMES,
    key::OPEN,
    key::SEALED,
    key::TOTALS,
    key::MARKERS,
    key::REPORTS,
    key::JOURNAL,
    key::SERIES,
    key::SYSTEM_OPEN,
    key::SYSTEM,
    key::LEDGER,
    key::RESOURCES,
    key::RESOURCE_NOTES,
    key::USAGE,
];

/// Limits and settings of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Memory for blocks read from disk, in bytes. One eighth of this is used in addition for decompressed data.
    pub block_cache_bytes: usize,
    /// Memory for writes that have not been flushed to a sorted file yet, in bytes.
    pub write_buffer_bytes: usize,
    /// Maximum number of records in the dictionary; a name counts as one for every 64 octets. Each server has a share;
    /// names beyond it are counted as `<other>`.
    pub max_records: usize,
    /// Maximum number of names in the catalogue, counted like `max_records` and in addition to them.
    pub max_catalogue_names: usize,
    /// Maximum number of totals (per server, record and kind) kept in memory. Each server has a share; points that
    /// would exceed it are counted as `<other>`.
    pub max_totals: usize,
    /// Number of new names that a server may introduce at once after a long quiet period.
    pub new_names_burst: u32,
    /// Number of new names per minute that a server may introduce in the long run.
    pub new_names_per_minute: u32,
    /// Maximum number of metric series. Each server has a share; points of new series beyond it are rejected.
    pub max_series: usize,
    /// Retention for servers without a setting of their own.
    pub retention: Retention,
    /// Precision of last accesses in raw points and roll-ups.
    pub raw_last_access: Precision,
    /// How long a past hour must have received no data before it is sealed, in seconds.
    pub seal_after_quiet_s: u32,
    /// Batches are refused while less disk space than this is free, in bytes.
    pub min_free_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            block_cache_bytes: 128 << 20,
            write_buffer_bytes: 128 << 20,
            max_records: 8 << 20,
            max_catalogue_names: 4 << 20,
            max_totals: 32 << 20,
            new_names_burst: 2 << 20,
            new_names_per_minute: 100_000,
            max_series: 1 << 18,
            retention: Retention::default(),
            raw_last_access: Precision::default(),
            seal_after_quiet_s: 60,
            min_free_bytes: 1 << 30,
        }
    }
}

/// An open RocksDB database with the store's column families.
pub(crate) struct Database {
    db: DB,
    path: PathBuf,
    room: Room,
}

impl Database {
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self, Error> {
        refuse_remains(path)?;
        let settings = settings(options);
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let mut names: Vec<String> = FAMILIES.iter().copied().chain(["default"]).map(str::to_owned).collect();
        // A later format may have families that this version does not know. It is rejected below with a readable error.
        let found = DB::list_cf(&settings, path).unwrap_or_default();
        names.extend(found.into_iter().filter(|name| name != "default" && !FAMILIES.contains(&name.as_str())));
        let families = names.iter().map(|name| ColumnFamilyDescriptor::new(name, family(name, &cache)));
        let db = DB::open_cf_descriptors(&settings, path, families).map_err(|error| opening(error, path))?;
        let database = Database { db, path: path.to_owned(), room: Room::new(options.min_free_bytes) };
        database.check_format()?;
        Ok(database)
    }

    fn check_format(&self) -> Result<(), Error> {
        match self.db.get(FORMAT_KEY)? {
            Some(value) => {
                let found = key::u32_at(&value, 0).ok_or_else(|| Error::damaged("format", FORMAT_KEY))?;
                match found {
                    // Of older formats, existing data is valid as it is and will be sealed over time. Missing families have
                    // been created, and `Store::open` fills them.
                    1..=FORMAT => Ok(()),
                    found => Err(Error::Format { found, known: FORMAT }),
                }
            }
            None => self.put_format(),
        }
    }

    /// Whether the store has the current format, or an older one that must be brought up to date.
    pub(crate) fn is_current(&self) -> Result<bool, Error> {
        Ok(self.get("default", FORMAT_KEY)?.is_some_and(|value| value == FORMAT.to_be_bytes()))
    }

    /// Declares the store to have the current format. Syncs everything written before.
    pub(crate) fn put_format(&self) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.put(FORMAT_KEY, FORMAT.to_be_bytes());
        self.write(batch, true)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the handle of a column family.
    #[expect(clippy::expect_used, reason = "every family was opened, or `open` had failed")]
    pub(crate) fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("an open family")
    }

    pub(crate) fn get(&self, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.db.get_cf(self.family(family), key)?)
    }

    #[cfg(test)]
    pub(crate) fn set_min_free(&self, bytes: u64) {
        self.room.set_min_free(bytes);
    }

    /// Fails while the disk is nearly full.
    pub(crate) fn has_room(&self, now: Instant) -> Result<(), Error> {
        self.room.check(&self.path, now)
    }

    /// Returns free and required disk space, in bytes.
    pub(crate) fn room(&self, now: Instant) -> Option<(u64, u64)> {
        self.room.read(&self.path, now)
    }

    /// Deletes files that contain only keys in a range. Existing readers keep access to them.
    pub(crate) fn delete_files(&self, family: &str, from: &[u8], until: &[u8]) -> Result<(), Error> {
        Ok(self.db.delete_file_in_range_cf(self.family(family), from, until)?)
    }

    /// Returns the approximate size of a range in files, in bytes.
    pub(crate) fn approximate_bytes(&self, family: &str, from: &[u8], until: &[u8]) -> u64 {
        let range = [rocksdb::Range::new(from, until)];
        self.db.get_approximate_sizes_cf(self.family(family), &range).first().copied().unwrap_or(0)
    }

    /// Rewrites the files of a range, dropping deleted entries.
    pub(crate) fn compact(&self, family: &str, from: &[u8], until: &[u8]) {
        self.db.compact_range_cf(self.family(family), Some(from), Some(until));
    }

    /// Writes a batch atomically. With `sync`, the data is on disk when this returns.
    pub(crate) fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        #[cfg(test)]
        testing::before_write()?;
        self.db.write_opt(batch, &options).map_err(|error| self.not_written(error))?;
        #[cfg(test)]
        testing::after_write()?;
        Ok(())
    }

    /// RocksDB reports a full disk only in its error message. It recovers by itself once there is space.
    fn not_written(&self, error: rocksdb::Error) -> Error {
        if error.as_ref().contains("No space left on device") { self.room.none(&self.path) } else { Error::Database(error) }
    }

    /// Visits keys starting at `from` until `each` says to stop.
    pub(crate) fn visit(
        &self,
        family: &str,
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut iterator = self.iterator(family);
        iterator.seek(from);
        while let Some((key, value)) = iterator.item() {
            if !each(key, value)? {
                return Ok(());
            }
            iterator.next();
        }
        Ok(iterator.status()?)
    }

    /// Returns an iterator over a consistent snapshot of a column family.
    pub(crate) fn iterator(&self, family: &str) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_readahead_size(1 << 20);
        self.db.raw_iterator_cf_opt(self.family(family), options)
    }

    /// Like [`Database::iterator`], but without readahead, for callers that seek from key to key.
    pub(crate) fn leaping_iterator(&self, family: &str) -> DBRawIterator<'_> {
        self.db.raw_iterator_cf_opt(self.family(family), ReadOptions::default())
    }

    /// Makes a consistent copy of the database in a new directory. Its files are hard links where possible.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<(), Error> {
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(path))
            .map_err(|error| self.not_written(error))
    }

    pub(crate) fn flush(&self) -> Result<(), Error> {
        for name in FAMILIES {
            self.db.flush_cf(self.family(name))?;
        }
        self.db.flush()?;
        Ok(())
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        FAMILIES.iter().map(|name| self.family_bytes(name)).sum()
    }

    pub(crate) fn family_bytes(&self, name: &str) -> u64 {
        let value = self.db.property_int_value_cf(self.family(name), rocksdb::properties::TOTAL_SST_FILES_SIZE);
        value.ok().flatten().unwrap_or_default()
    }

    /// Reads every file and verifies its checksums. Returns the errors found, by column family.
    pub(crate) fn verify_checksums(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for name in FAMILIES {
            let mut options = ReadOptions::default();
            options.set_verify_checksums(true);
            options.fill_cache(false);
            let mut iterator = self.db.raw_iterator_cf_opt(self.family(name), options);
            iterator.seek_to_first();
            while iterator.valid() {
                iterator.next();
            }
            if let Err(error) = iterator.status() {
                wrong.push(format!("{name}: {error}"));
            }
        }
        wrong
    }
}

fn settings(options: &Options) -> RocksOptions {
    let mut settings = RocksOptions::default();
    settings.create_if_missing(true);
    settings.create_missing_column_families(true);
    settings.set_db_write_buffer_size(options.write_buffer_bytes);
    settings.set_max_total_wal_size(2 * options.write_buffer_bytes as u64);
    settings.set_max_background_jobs(2);
    settings.set_max_open_files(512);
    settings.set_bytes_per_sync(1 << 20);
    settings.set_keep_log_file_num(4);
    settings.set_max_log_file_size(1 << 20);
    #[cfg(test)]
    testing::set_env(&mut settings);
    settings
}

fn family(name: &str, cache: &Cache) -> RocksOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_format_version(6);
    if [key::OPEN, key::SEALED, key::SYSTEM_OPEN, key::SYSTEM].contains(&name) {
        // Scans read whole blocks of points, and larger blocks compress better.
        table.set_block_size(64 << 10);
    } else {
        table.set_ribbon_filter(10.0);
    }
    let mut options = RocksOptions::default();
    options.set_block_based_table_factory(&table);
    if name == key::SEALED {
        // Its columns are already compressed individually.
        options.set_compression_type(DBCompressionType::None);
    } else {
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
    }
    if [key::RESOURCES, key::NAMES].contains(&name) {
        // Both are written in the order of their keys, so larger buffers would only take memory.
        options.set_write_buffer_size(16 << 20);
    }
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

/// If the file that identifies all others is missing, RocksDB would create an empty database and delete the existing
/// files.
fn refuse_remains(path: &Path) -> Result<(), Error> {
    let Ok(entries) = std::fs::read_dir(path) else { return Ok(()) };
    let mut names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let holds_data = |name: &String| name.ends_with(".sst") || name.starts_with("MANIFEST-");
    let found = names.find(holds_data);
    match found {
        Some(found) if !path.join(CURRENT).exists() => {
            let what = format!("there is no file {CURRENT}, which says what the others are, beside {found}");
            Err(Error::Unreadable { path: path.to_owned(), what })
        }
        _ => Ok(()),
    }
}

/// RocksDB reports a lock held by another process only in its error message.
fn opening(error: rocksdb::Error, path: &Path) -> Error {
    let held = error.kind() == ErrorKind::IOError && error.as_ref().contains("lock");
    if held { Error::InUse(path.to_owned()) } else { Error::Database(error) }
}

/// Test support, per thread: an in-memory disk, and a process that ends at a given write.
#[cfg(test)]
pub(crate) mod testing {
    use super::Database;
    use crate::Error;
    use std::cell::{Cell, RefCell};
    use std::path::Path;

    /// When to simulate the end of the process.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum End {
        Never,
        /// Before the write that follows this number of writes.
        Before(u32),
        /// After that write, but before the caller learns that it succeeded.
        After(u32),
    }

    thread_local! {
        static ENV: RefCell<Option<rocksdb::Env>> = const { RefCell::new(None) };
        static END: Cell<End> = const { Cell::new(End::Never) };
    }

    /// Makes this thread use a new in-memory disk for its stores from now on.
    pub(crate) fn use_memory() {
        ENV.set(Some(rocksdb::Env::mem_env().unwrap()));
    }

    /// Copies the current state of a store. This is much cheaper for RocksDB than creating a new one.
    pub(crate) fn copy(database: &Database, path: &Path) {
        rocksdb::checkpoint::Checkpoint::new(&database.db).unwrap().create_checkpoint(path).unwrap();
    }

    /// Frees the space of a store that is not open.
    pub(crate) fn remove(path: &Path) {
        let mut settings = rocksdb::Options::default();
        set_env(&mut settings);
        rocksdb::DB::destroy(&settings, path).unwrap();
    }

    pub(crate) fn end_at(end: End) {
        END.set(end);
    }

    /// Uses the in-memory disk, without features that cost more there than on a real one: the info log and threads.
    pub(super) fn set_env(settings: &mut rocksdb::Options) {
        ENV.with_borrow(|env| {
            if let Some(env) = env {
                settings.set_env(env);
                settings.set_log_level(rocksdb::LogLevel::Fatal);
                settings.set_max_background_jobs(1);
                settings.set_stats_dump_period_sec(0);
                settings.set_stats_persist_period_sec(0);
            }
        });
    }

    pub(super) fn before_write() -> Result<(), Error> {
        match END.get() {
            End::Before(0) => ended(),
            End::Before(left) => {
                END.set(End::Before(left - 1));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn after_write() -> Result<(), Error> {
        match END.get() {
            End::After(0) => ended(),
            End::After(left) => {
                END.set(End::After(left - 1));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn ended() -> Result<(), Error> {
        // Nothing that the process might still do to clean up reaches the disk either.
        END.set(End::Before(0));
        Err(Error::Thread(std::io::Error::other("the process ends here")))
    }
}
