//! A Parquet file that is being written, and what a finished one says of itself.

use super::{LAYOUT, LAYOUT_KEY, MADE_OF};
use crate::Error;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Smaller than at the fastest level, and still faster than rows are read.
const ZSTD_LEVEL: i32 = 3;
/// What a file says of who made it, and what version of it after that.
const MADE_BY: &str = "zonepulse ";
/// What is in memory until it is written.
const ROWS_IN_GROUP: usize = 1 << 17;

/// A file under a name that no reader takes for finished; gone when it is dropped before its end.
pub struct Unfinished {
    path: PathBuf,
    unfinished: PathBuf,
    writer: Option<ArrowWriter<File>>,
    rows: u64,
    sum: u64,
}

/// A file that is there.
pub struct Made {
    pub path: PathBuf,
    pub rows: u64,
}

impl Unfinished {
    /// Of a file that is to be at this place.
    pub fn new(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}.unfinished"));
        Unfinished { path, unfinished, writer: None, rows: 0, sum: 0 }
    }

    /// Where it is to be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sum of the column `hits`; of a table of metrics that of `count`, and of one of single values their number.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Begins a file with these columns. One that is there has to be of an export: nothing else is replaced.
    pub fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        if fs::symlink_metadata(&self.path).is_ok() && !is_exported(&self.path) {
            let path = self.path.display();
            return Err(Error::Argument(format!(
                "{path} exists, and no export has written it: move it away, or export elsewhere"
            )));
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        // Exports are for other programs, so they are as readable as whoever makes them wants it.
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
        let summed = batch.column_by_name("hits").or_else(|| batch.column_by_name("count"));
        // An older central that is asked has other whole numbers.
        let sum = match summed.filter(|column| column.data_type().is_integer()) {
            Some(column) => {
                let numbers = cast(column, &DataType::Int64).map_err(ParquetError::from)?;
                let numbers = numbers.as_primitive::<Int64Type>().iter().map(|number| number.unwrap_or(i64::MAX).unsigned_abs());
                numbers.fold(0, u64::saturating_add)
            }
            None => rows,
        };
        self.sum = self.sum.saturating_add(sum);
        self.rows += rows;
        match &mut self.writer {
            Some(writer) => Ok(writer.write(batch)?),
            None => Ok(()),
        }
    }

    /// Puts the file in its place, once it is on the disk, with a note of how much it was made of.
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
        // It is not there any more when it was finished. What cannot be removed is written over by the next export.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// Whether a file is one that an export has written.
fn is_exported(path: &Path) -> bool {
    let reader = File::open(path).ok().and_then(|file| SerializedFileReader::new(file).ok());
    reader
        .is_some_and(|reader| reader.metadata().file_metadata().created_by().is_some_and(|made_by| made_by.starts_with(MADE_BY)))
}

/// What a file that is there says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct There {
    /// Of how many batches, or values of metrics, it was made.
    pub made_of: u64,
    /// Whether it has the columns that one has today.
    pub current: bool,
}

/// What the file at this place says of itself; `None` where there is none, or nothing that says so.
pub fn there(path: &Path) -> Option<There> {
    let reader = SerializedFileReader::new(File::open(path).ok()?).ok()?;
    let notes = reader.metadata().file_metadata().key_value_metadata()?;
    let note = |key: &str| notes.iter().find(|note| note.key == key)?.value.as_ref()?.parse::<u64>().ok();
    Some(There { made_of: note(MADE_OF)?, current: note(LAYOUT_KEY) == Some(LAYOUT) })
}
