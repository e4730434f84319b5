//! Making one backup.

use super::{CHECKPOINT, INDEX_FILE, Options};
use crate::Error;
use crate::accounts::CREDENTIALS_FILE;
use crate::time::now_ms;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use zonepulse_backup::{Control, Job, Made, Source, StoreIdentity};
use zonepulse_store::Store;

/// A backup to be made.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) store: Store,
    pub(super) options: Options,
}

impl Run {
    /// Makes it; returns what was made and the free space at the destination after that.
    pub(super) fn run(&self, control: &Control) -> Result<(Made, Option<u64>), Error> {
        let result = self.save(control);
        remove_checkpoint(&self.store);
        result
    }

    fn save(&self, control: &Control) -> Result<(Made, Option<u64>), Error> {
        let options = &self.options;
        self.store.has_room()?;
        let target = options.destination.open(&options.access)?;
        // Before a checkpoint is made in vain.
        target.list("backups")?;
        let identity = identity(&self.store)?;
        remove_checkpoint(&self.store);
        let checkpoint = checkpoint(&self.store);
        // All that was committed until here is in it.
        let time_ms = now_ms();
        self.store.checkpoint(&checkpoint)?;
        let sources = sources(&checkpoint, &options.data)?;
        let job = Job {
            id: self.id.clone(),
            time_ms,
            store: &identity,
            store_format: zonepulse_store::FORMAT,
            program_version: env!("CARGO_PKG_VERSION"),
            recipients: &options.recipients,
            min_free_bytes: options.min_free_bytes,
            retention: options.retention,
            verify_all: options.verify_all,
            index: &options.data.join(INDEX_FILE),
        };
        let made = job.run(target.as_ref(), &sources, control)?;
        let free_bytes = target.free_bytes().unwrap_or_default();
        Ok((made, free_bytes))
    }
}

fn checkpoint(store: &Store) -> PathBuf {
    store.path().join(CHECKPOINT)
}

/// Removes the checkpoint of this or an earlier run.
pub(super) fn remove_checkpoint(store: &Store) {
    let path = checkpoint(store);
    for path in [path.with_extension("tmp"), path] {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "the checkpoint of a backup could not be removed");
            }
            _ => {}
        }
    }
}

fn identity(store: &Store) -> Result<StoreIdentity, Error> {
    let (mut id, mut secret) = ([0; 16], [0; 32]);
    let fill = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| Error::Fault(format!("no random numbers: {error}")));
    fill(&mut id)?;
    fill(&mut secret)?;
    let new = || zonepulse_store::StoreIdentity { id: format!("{:032x}", u128::from_be_bytes(id)), secret };
    let zonepulse_store::StoreIdentity { id, secret } = store.identity(new)?;
    Ok(StoreIdentity { id, secret })
}

/// The files of a checkpoint, and those of the data directory that belong to it.
fn sources(checkpoint: &Path, data: &Path) -> Result<Vec<Source>, Error> {
    let failed = |source| Error::File { path: checkpoint.to_owned(), source };
    let mut sources = Vec::new();
    for entry in fs::read_dir(checkpoint).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
        sources.push(Source { path: format!("store/{name}"), is_immutable: name.ends_with(".sst"), file: file.clone() });
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    let credentials = data.join(CREDENTIALS_FILE);
    if credentials.exists() {
        sources.push(Source { path: CREDENTIALS_FILE.to_owned(), file: credentials, is_immutable: false });
    }
    Ok(sources)
}
