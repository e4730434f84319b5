//! The format of a store as a whole, and which version of the program wrote it.
//!
//! Both are read before the database is opened for writing: a store of another format may have families and options that this
//! version does not know, and must stay as it is.

use super::{CURRENT, key, settings};
use crate::{Error, Options};
use rocksdb::{DB, DEFAULT_COLUMN_FAMILY_NAME, WriteBatch};
use std::path::Path;

/// Format of the store as a whole; changes when keys change. Values carry their own version numbers.
///
/// 1: all points in open blocks. 2: past hours are sealed. 3: system metrics, in separate families. 4: the observation
/// ledger and the catalogue. 5: what was served, as further kinds of points.
pub const FORMAT: u32 = 5;
/// The oldest format that can be brought up to date.
pub const OLDEST_FORMAT: u32 = 1;
/// The version of the program, which is that of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) const FORMAT_KEY: &[u8] = b"format";
const WRITTEN_BY_KEY: &[u8] = b"written_by";
/// Maximum length of the text of a version, bytes.
const MAX_VERSION: usize = 64;

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// `None` in a store that is being created.
    pub(crate) format: Option<u32>,
    /// The version that last wrote the store. Versions before 0.1.0 did not say.
    pub(crate) written_by: Option<String>,
}

impl Header {
    pub(crate) fn of(database: &DB) -> Result<Self, Error> {
        let format = match database.get(FORMAT_KEY)? {
            Some(value) => Some(key::u32_at(&value, 0).ok_or_else(|| Error::damaged("format", FORMAT_KEY))?),
            None => None,
        };
        let written_by = database.get(WRITTEN_BY_KEY)?.and_then(|value| version(&value));
        Ok(Header { format, written_by })
    }

    /// Reads it without changing a file. `None` if there is no database.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        if !path.join(CURRENT).exists() {
            return Ok(None);
        }
        let database = open_to_read(path, &[])?;
        Header::of(&database).map(Some)
    }

    /// Fails if this version cannot read such a store.
    pub(crate) fn check(&self, path: &Path) -> Result<(), Error> {
        match self.format {
            None | Some(OLDEST_FORMAT..=FORMAT) => Ok(()),
            Some(found) => {
                let written_by = self.written_by.clone();
                Err(Error::Format { path: path.to_owned(), found, written_by })
            }
        }
    }

    /// Whether nothing has to be brought up to date, and this version is known to have written the store.
    pub(crate) fn is_of_this_version(&self) -> bool {
        self.format == Some(FORMAT) && self.written_by.as_deref() == Some(VERSION)
    }

    /// Declares a store to be of the current format, and of this version.
    pub(crate) fn put(batch: &mut WriteBatch) {
        batch.put(FORMAT_KEY, FORMAT.to_be_bytes());
        batch.put(WRITTEN_BY_KEY, VERSION);
    }
}

/// Opens a database with some families besides the default one, without changing a file and without waiting for whoever has
/// it open.
pub(crate) fn open_to_read(path: &Path, families: &[&str]) -> Result<DB, Error> {
    let mut options = settings(&Options::default());
    options.create_if_missing(false);
    options.create_missing_column_families(false);
    let families = families.iter().copied().chain([DEFAULT_COLUMN_FAMILY_NAME]);
    Ok(DB::open_cf_for_read_only(&options, path, families, false)?)
}

/// What is printed must be readable, whatever is on disk.
fn version(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let is_plain = |character: char| character.is_ascii_graphic();
    (!text.is_empty() && text.len() <= MAX_VERSION && text.chars().all(is_plain)).then(|| text.to_owned())
}

/// The message of [`Error::Format`].
pub(crate) fn refusal(path: &Path, found: &u32, written_by: Option<&str>) -> String {
    let writer =
        written_by.map_or_else(|| "a version that did not record itself".to_owned(), |version| format!("zonepulse {version}"));
    let advice = if *found > FORMAT {
        "use the version that wrote it or a later one, or begin with a copy from before the upgrade"
    } else {
        "bring it up to date with an earlier release, which reads both formats, and then with this one"
    };
    format!(
        "the store in {} has format {found}, written by {writer}; this is zonepulse {VERSION}, which reads formats {OLDEST_FORMAT} to {FORMAT}: {advice}; nothing in it was changed",
        path.display()
    )
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
