//! The data directory: one process opens the store in it, and other users of the machine cannot read it.

use crate::Error;
use std::path::Path;
use std::time::{Duration, Instant};
use zonepulse_central::{accounts, backups, images};
use zonepulse_private::Entry;
use zonepulse_store::Store;

/// Name of the store inside the data directory.
pub const STORE: &str = "store";
/// Name of the directory for uploaded images.
pub const IMAGES: &str = "images";
/// Name of the directory for what jobs of installing probes keep.
pub const PUSH: &str = "push";
/// The probe's program, as a build puts it next to that of the central.
const PROBE: &str = "zonepulse-probe";
/// How long to wait for a store that is in use.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens the store of a data directory, creating it if missing. Removes other users' access to it.
pub fn open(data: &Path, options: &zonepulse_store::Options) -> Result<Store, Error> {
    restrict(data)?;
    let path = data.join(STORE);
    let waiting = Instant::now();
    loop {
        match Store::open(&path, options) {
            // The process that holds the store may be about to release it.
            Err(zonepulse_store::Error::InUse(_)) if waiting.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 20),
            Err(zonepulse_store::Error::InUse(_)) => return Err(Error::InUse(data.to_owned())),
            opened => return Ok(opened?),
        }
    }
}

/// Where images are, with those of this data directory.
pub fn images(data: &Path, packaged: &Path) -> images::Options {
    let built = std::env::current_exe().ok().map(|program| program.with_file_name(PROBE));
    images::Options { uploaded: Some(data.join(IMAGES)), packaged: Some(packaged.to_owned()), built }
}

/// Creates a data directory, or restricts an existing one to its owner, and the store in it.
pub fn restrict(data: &Path) -> Result<(), Error> {
    let own = |is_own| if is_own { Entry::Own } else { Entry::Foreign };
    let own_names = [STORE, IMAGES, PUSH, backups::INDEX_FILE];
    let is_own = |name: &str| own_names.contains(&name) || name.starts_with(accounts::CREDENTIALS_FILE);
    zonepulse_private::directory(data, |name| own(is_own(name)))?;
    let store = data.join(STORE);
    if store.exists() {
        // The store may be a link to another disk, where the data directory's mode does not protect it.
        zonepulse_private::directory(&store, |name| own(is_of_rocksdb(name)))?;
    }
    Ok(())
}

/// Whether RocksDB uses names like this for its files and directories.
fn is_of_rocksdb(name: &str) -> bool {
    let prefixes = ["CURRENT", "IDENTITY", "LOCK", "LOG", "MANIFEST-", "OPTIONS-", "archive", "lost", backups::CHECKPOINT];
    let suffixes = [".sst", ".log", ".blob", ".dbtmp"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || suffixes.iter().any(|suffix| name.ends_with(suffix))
}
