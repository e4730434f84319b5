//! RocksDB as this store uses it: families, options, the format number.

pub(crate) mod key;
pub(crate) mod room;

use crate::{Error, Precision, Retention};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator, ErrorKind,
    Options as RocksOptions, ReadOptions, WriteBatch, WriteOptions,
};
use room::Room;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The format of the store as a whole. Values have versions of their own
/// besides; this number changes when keys do.
///
/// 1: all points in open blocks. 2: hours that have passed are sealed. 3: metrics of the
/// system, in families of their own.
pub const FORMAT: u32 = 3;

/// What RocksDB calls the file that says which of the others are the database.
const CURRENT: &str = "CURRENT";
const FORMAT_KEY: &[u8] = b"format";
const FAMILIES: [&str; 10] = [
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
];

/// Bounds of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Memory for blocks read from disk, bytes, and an eighth of it besides for what is decompressed of them.
    pub block_cache_bytes: usize,
    /// Memory for what was written and is not yet in a sorted file, bytes.
    pub write_buffer_bytes: usize,
    /// Records that the dictionary takes, a name as one for every 64 octets. Each server has a share of it; names past
    /// that are counted as `<other>`.
    pub max_records: usize,
    /// Totals (of a server, record and kind) that are kept, in memory. Each server has a share of them; points that
    /// would need more are counted as `<other>`.
    pub max_totals: usize,
    /// New names that a server may bring at once, after it was quiet for long.
    pub new_names_burst: u32,
    /// New names that a server may bring in the long run, a minute.
    pub new_names_per_minute: u32,
    /// Series of metrics that are taken. Each server has a share of it; points of new ones past that are not.
    pub max_series: usize,
    /// For how long points of servers without a setting of their own are kept.
    pub retention: Retention,
    /// What raw points and roll-ups keep of last accesses.
    pub raw_last_access: Precision,
    /// How long nothing must have come for an hour that has passed before it is sealed, seconds.
    pub seal_after_quiet_s: u32,
    /// With less room on the disk than this, batches are not taken, bytes.
    pub min_free_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            block_cache_bytes: 128 << 20,
            write_buffer_bytes: 128 << 20,
            max_records: 8 << 20,
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

/// An open RocksDB with this store's families.
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
        // A later format may have families that this one does not know; it is refused below, in words.
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
                    FORMAT => Ok(()),
                    // What is there is as it is today, and gets sealed by and by; families that were not
                    // there have been made.
                    1 | 2 => self.put_format(),
                    found => Err(Error::Format { found, known: FORMAT }),
                }
            }
            None => self.put_format(),
        }
    }

    fn put_format(&self) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.put(FORMAT_KEY, FORMAT.to_be_bytes());
        self.write(batch, true)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The handle of a family.
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

    /// What is free, and what must be, bytes.
    pub(crate) fn room(&self, now: Instant) -> Option<(u64, u64)> {
        self.room.read(&self.path, now)
    }

    /// Takes files off the disk that hold nothing but keys of a range. Readers that have begun keep them.
    pub(crate) fn delete_files(&self, family: &str, from: &[u8], until: &[u8]) -> Result<(), Error> {
        Ok(self.db.delete_file_in_range_cf(self.family(family), from, until)?)
    }

    /// What files hold of a range, about.
    pub(crate) fn approximate_bytes(&self, family: &str, from: &[u8], until: &[u8]) -> u64 {
        let range = [rocksdb::Range::new(from, until)];
        self.db.get_approximate_sizes_cf(self.family(family), &range).first().copied().unwrap_or(0)
    }

    /// Rewrites the files of a range without what was removed.
    pub(crate) fn compact(&self, family: &str, from: &[u8], until: &[u8]) {
        self.db.compact_range_cf(self.family(family), Some(from), Some(until));
    }

    /// Writes all or nothing; when `sync`, it is on the disk before this returns.
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

    /// RocksDB says that the disk is full only in words. It goes on by itself when there is room.
    fn not_written(&self, error: rocksdb::Error) -> Error {
        if error.as_ref().contains("No space left on device") { self.room.none(&self.path) } else { Error::Database(error) }
    }

    /// Visits keys from `from` on while `each` says so.
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

    /// An iterator over one consistent state of a family.
    pub(crate) fn iterator(&self, family: &str) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_readahead_size(1 << 20);
        self.db.raw_iterator_cf_opt(self.family(family), options)
    }

    /// The same for who goes from key to key: what lies between them is not read from the disk.
    pub(crate) fn leaping_iterator(&self, family: &str) -> DBRawIterator<'_> {
        self.db.raw_iterator_cf_opt(self.family(family), ReadOptions::default())
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

    /// Reads every file and compares it with its checksums; gives what is wrong, family by family.
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
        // Scans read whole blocks of points; a larger unit compresses better.
        table.set_block_size(64 << 10);
    } else {
        table.set_ribbon_filter(10.0);
    }
    let mut options = RocksOptions::default();
    options.set_block_based_table_factory(&table);
    if name == key::SEALED {
        // Its columns are compressed already, each by itself.
        options.set_compression_type(DBCompressionType::None);
    } else {
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
    }
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

/// Where the file that names all others is missing, RocksDB would begin with an empty
/// database, and remove what is there.
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

/// RocksDB says that another process holds its lock only in words.
fn opening(error: rocksdb::Error, path: &Path) -> Error {
    let held = error.kind() == ErrorKind::IOError && error.as_ref().contains("lock");
    if held { Error::InUse(path.to_owned()) } else { Error::Database(error) }
}

/// For tests, on the thread that sets them: a disk in memory, and a process that ends at a write.
#[cfg(test)]
pub(crate) mod testing {
    use super::Database;
    use crate::Error;
    use std::cell::{Cell, RefCell};
    use std::path::Path;

    /// When the process is to end.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum End {
        Never,
        /// Before the write after so many.
        Before(u32),
        /// After it, and before anybody knows that it was written.
        After(u32),
    }

    thread_local! {
        static ENV: RefCell<Option<rocksdb::Env>> = const { RefCell::new(None) };
        static END: Cell<End> = const { Cell::new(End::Never) };
    }

    /// From now on, stores of this thread are on a new disk in memory.
    pub(crate) fn use_memory() {
        ENV.set(Some(rocksdb::Env::mem_env().unwrap()));
    }

    /// A copy of a store as it is now: making a new one costs RocksDB much more.
    pub(crate) fn copy(database: &Database, path: &Path) {
        rocksdb::checkpoint::Checkpoint::new(&database.db).unwrap().create_checkpoint(path).unwrap();
    }

    /// Gives the room of a store back that nobody has open.
    pub(crate) fn remove(path: &Path) {
        let mut settings = rocksdb::Options::default();
        set_env(&mut settings);
        rocksdb::DB::destroy(&settings, path).unwrap();
    }

    pub(crate) fn end_at(end: End) {
        END.set(end);
    }

    /// On a disk in memory, without what costs more there than the disk: a diary for people, and threads.
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
        END.set(End::Never);
        Err(Error::Thread(std::io::Error::other("the process ends here")))
    }
}
