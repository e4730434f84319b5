//! A Parquet file being written, and the metadata of a finished one.

use crate::Error;
use crate::source::integers;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The metadata key for the number of batches, or metric values, that a file was made from.
pub const MADE_OF: &str = "zonepulse.made_of";
/// The metadata key for the layout: which columns a file has.
pub const LAYOUT_KEY: &str = "zonepulse.layout";
/// The current layout. Files with the first layout, with unsigned measures and without `folded`, do not state it.
/// Files with the second layout have `kind`, a number for action and response code.
pub const LAYOUT: u64 = 3;

/// Compresses better than the fastest level, and is still faster than reading rows.
const ZSTD_LEVEL: i32 = 3;
/// The prefix of a file's `created_by`. The version follows.
const MADE_BY: &str = "zonepulse ";
/// Rows buffered in memory before they are written.
const ROWS_IN_GROUP: usize = 1 << 17;

/// A file under a temporary name that no reader recognizes. It is removed when dropped before it is finished.
pub struct Unfinished {
    path: PathBuf,
    unfinished: PathBuf,
    writer: Option<ArrowWriter<File>>,
    rows: u64,
    sum: u64,
}

/// A finished file.
pub struct Made {
    pub path: PathBuf,
    pub rows: u64,
}

impl Unfinished {
    /// A file that will end up at this path.
    pub fn new(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}.unfinished"));
        Unfinished { path, unfinished, writer: None, rows: 0, sum: 0 }
    }

    /// Its final path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sum of the column `hits`, or `count` for metrics; the number of rows in tables that have neither.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Creates the file with these columns. Fails if it would replace a file that was not written by an export.
    pub fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        if fs::symlink_metadata(&self.path).is_ok() && !is_exported(&self.path) {
            return Err(Error::Foreign(self.path.clone()));
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        // Exports are for other programs, so the caller's umask decides who can read them.
        zonepulse_private::shared_directory(folder)?;
        let file = File::create(&self.unfinished).map_err(|source| self.failed(source))?;
        zonepulse_private::share(&file).map_err(|source| self.failed(source))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_max_row_group_row_count(Some(ROWS_IN_GROUP))
            .set_created_by(MADE_BY.to_owned() + env!("CARGO_PKG_VERSION"));
        self.writer = Some(ArrowWriter::try_new(file, schema.clone(), Some(properties.build()))?);
        Ok(())
    }

    /// Adds rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let rows = batch.num_rows() as u64;
        let summed = if batch.column_by_name("hits").is_some() { "hits" } else { "count" };
        let sum = match batch.column_by_name(summed).filter(|column| column.data_type().is_integer()) {
            Some(_) => integers(batch, summed, i64::MAX)?.into_iter().fold(0, u64::saturating_add),
            None => rows,
        };
        self.sum = self.sum.saturating_add(sum);
        self.rows += rows;
        match &mut self.writer {
            Some(writer) => Ok(writer.write(batch)?),
            None => Ok(()),
        }
    }

    /// Moves the file to its final path once it is on disk. Its metadata state what it was made from.
    pub fn finish(mut self, made_of: Option<u64>) -> Result<Made, Error> {
        let made = Made { path: self.path.clone(), rows: self.rows };
        let Some(mut writer) = self.writer.take() else { return Ok(made) };
        if let Some(made_of) = made_of {
            writer.append_key_value_metadata(KeyValue::new(LAYOUT_KEY.to_owned(), LAYOUT.to_string()));
            writer.append_key_value_metadata(KeyValue::new(MADE_OF.to_owned(), made_of.to_string()));
        }
        let file = writer.into_inner()?;
        file.sync_all().map_err(|source| self.failed(source))?;
        fs::rename(&self.unfinished, &self.path).map_err(|source| self.failed(source))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| self.failed(source))?;
        Ok(made)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::File { path: self.unfinished.clone(), source }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A finished file is no longer there. The next export overwrites what cannot be removed.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// Whether the file was written by an export.
fn is_exported(path: &Path) -> bool {
    let reader = File::open(path).ok().and_then(|file| SerializedFileReader::new(file).ok());
    reader
        .is_some_and(|reader| reader.metadata().file_metadata().created_by().is_some_and(|made_by| made_by.starts_with(MADE_BY)))
}

/// The metadata of an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct There {
    /// The number of batches, or metric values, that it was made from.
    pub made_of: u64,
    /// Whether it has the current layout.
    pub current: bool,
}

/// The metadata of the file at this path; `None` if there is no file or it has none.
pub fn there(path: &Path) -> Option<There> {
    let reader = SerializedFileReader::new(File::open(path).ok()?).ok()?;
    let notes = reader.metadata().file_metadata().key_value_metadata()?;
    let note = |key: &str| notes.iter().find(|note| note.key == key)?.value.as_ref()?.parse::<u64>().ok();
    Some(There { made_of: note(MADE_OF)?, current: note(LAYOUT_KEY) == Some(LAYOUT) })
}
