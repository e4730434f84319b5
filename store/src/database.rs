//! RocksDB as this store uses it: families, options, the format number.

use crate::{Error, key};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator, ErrorKind,
    Options as RocksOptions, ReadOptions, WriteBatch, WriteOptions,
};
use std::path::{Path, PathBuf};

/// The format of the store as a whole. Values have versions of their own
/// besides; this number changes when keys do.
pub const FORMAT: u32 = 1;

const FORMAT_KEY: &[u8] = b"format";
const FAMILIES: [&str; 6] = [key::NAMES, key::OPEN, key::TOTALS, key::MARKERS, key::REPORTS, key::JOURNAL];

/// Bounds of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Memory for blocks read from disk, bytes.
    pub block_cache_bytes: usize,
    /// Memory for what was written and is not yet in a sorted file, bytes.
    pub write_buffer_bytes: usize,
    /// Records that the dictionary takes. Names past it are counted as `<other>`.
    pub max_records: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { block_cache_bytes: 128 << 20, write_buffer_bytes: 128 << 20, max_records: 8 << 20 }
    }
}

/// An open RocksDB with this store's families.
pub(crate) struct Database {
    db: DB,
    path: PathBuf,
}

impl Database {
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self, Error> {
        let settings = settings(options);
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let families =
            FAMILIES.iter().copied().chain(["default"]).map(|name| ColumnFamilyDescriptor::new(name, family(name, &cache)));
        let db = DB::open_cf_descriptors(&settings, path, families).map_err(|error| opening(error, path))?;
        let database = Database { db, path: path.to_owned() };
        database.check_format()?;
        Ok(database)
    }

    fn check_format(&self) -> Result<(), Error> {
        match self.db.get(FORMAT_KEY)? {
            Some(value) => {
                let found = key::u32_at(&value, 0).ok_or_else(|| Error::damaged("format", FORMAT_KEY))?;
                if found == FORMAT { Ok(()) } else { Err(Error::Format { found, known: FORMAT }) }
            }
            None => {
                let mut batch = WriteBatch::default();
                batch.put(FORMAT_KEY, FORMAT.to_be_bytes());
                self.write(batch, true)
            }
        }
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

    /// Writes all or nothing; when `sync`, it is on the disk before this returns.
    pub(crate) fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        Ok(self.db.write_opt(batch, &options)?)
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

    pub(crate) fn flush(&self) -> Result<(), Error> {
        for name in FAMILIES {
            self.db.flush_cf(self.family(name))?;
        }
        self.db.flush()?;
        Ok(())
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        let property = |name: &str| {
            let value = self.db.property_int_value_cf(self.family(name), rocksdb::properties::TOTAL_SST_FILES_SIZE);
            value.ok().flatten().unwrap_or_default()
        };
        FAMILIES.iter().map(|name| property(name)).sum()
    }

    /// Reads every file and compares it with its checksums.
    pub(crate) fn verify_checksums(&self) -> Result<(), Error> {
        for name in FAMILIES {
            let mut options = ReadOptions::default();
            options.set_verify_checksums(true);
            options.fill_cache(false);
            let mut iterator = self.db.raw_iterator_cf_opt(self.family(name), options);
            iterator.seek_to_first();
            while iterator.valid() {
                iterator.next();
            }
            iterator.status()?;
        }
        Ok(())
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
    settings
}

fn family(name: &str, cache: &Cache) -> RocksOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_format_version(6);
    if name == key::OPEN {
        // Scans read whole blocks of points; a larger unit compresses better.
        table.set_block_size(64 << 10);
    } else {
        table.set_ribbon_filter(10.0);
    }
    let mut options = RocksOptions::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

/// RocksDB says that another process holds its lock only in words.
fn opening(error: rocksdb::Error, path: &Path) -> Error {
    let held = error.kind() == ErrorKind::IOError && error.as_ref().contains("lock");
    if held { Error::InUse(path.to_owned()) } else { Error::Database(error) }
}
