//! Backups of the store, while it is in use.
//!
//! A checkpoint of the store (hard links, so it takes a moment and no space) holds one consistent state, whatever arrives
//! meanwhile. Its files are encrypted and stored at the destination, as far as they are not there already; then the
//! checkpoint is removed. One backup is made at a time.
//!
//! A checkpoint keeps files that the store would have removed, so a backup gives up when the disk fills up: saving data must
//! not be why data is lost.

mod run;
mod schedule;
mod status;
#[cfg(test)]
mod tests;

pub use schedule::Scheduler;
pub use status::{Backup, Failed, Running, Status};

use crate::rights::Caller;
use crate::time::now_ms;
use crate::{Error, time};
use parking_lot::Mutex;
use run::Run;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use zonepulse_backup::age::Recipient;
use zonepulse_backup::{Access, Control, Destination, Retention};
use zonepulse_store::Store;

/// A directory inside the store's, for the time of a backup.
pub const CHECKPOINT: &str = "checkpoint";
/// A file in the data directory that remembers checksums of files.
pub const INDEX_FILE: &str = "backup-index.json";

/// Where and how the store is saved.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory.
    pub data: PathBuf,
    /// Where backups are stored.
    pub destination: Destination,
    /// What it takes to get there.
    pub access: Access,
    /// Who can decrypt them, at least one.
    pub recipients: Vec<Recipient>,
    /// How often one is made, seconds; 0 for only on request.
    pub every_s: u64,
    /// Which of them are kept.
    pub retention: Retention,
    /// Space to leave free at the destination, bytes.
    pub min_free_bytes: u64,
    /// Whether each backup reads back all of its objects, or only those that it added.
    pub verify_all: bool,
}

/// Backups of a store.
pub struct Backups {
    store: Store,
    options: Option<Options>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread of a backup shares with everybody else.
#[derive(Default)]
struct Shared {
    status: Mutex<Status>,
    ending: AtomicBool,
}

impl Backups {
    pub(crate) fn new(store: Store, options: Option<Options>) -> Self {
        run::remove_checkpoint(&store);
        Backups { store, options, shared: Arc::default(), thread: Mutex::new(None) }
    }

    /// Where and how backups are made; `None` if they are not configured.
    pub fn options(&self) -> Option<&Options> {
        self.options.as_ref()
    }

    fn configured(&self) -> Result<&Options, Error> {
        let missing = "backups are not configured: set destination and recipients in [backup] of the central's configuration";
        self.options.as_ref().ok_or_else(|| Error::Conflict(missing.to_owned()))
    }

    /// Starts a backup on request of a user, and returns its id.
    pub fn start(&self, caller: &Caller) -> Result<String, Error> {
        let id = self.begin()?;
        self.store.registry().by(caller.actor(now_ms())).log("backup.start", &format!("backup {id}"))?;
        Ok(id)
    }

    /// Starts a backup, and returns its id.
    fn begin(&self) -> Result<String, Error> {
        let options = self.configured()?.clone();
        let mut thread = self.thread.lock();
        let mut status = self.shared.status.lock();
        if let Some(running) = &status.running {
            return Err(Error::Conflict(format!("backup {} is being made: one is made at a time", running.id)));
        }
        if self.shared.ending.load(Ordering::Acquire) {
            return Err(Error::Conflict("the central is ending".to_owned()));
        }
        let id = new_id()?;
        let (shared, store) = (self.shared.clone(), self.store.clone());
        let watched = (self.shared.clone(), self.store.clone());
        let control = Arc::new(Control::new(move || why_stop(&watched.0, &watched.1)));
        status.running = Some(Running { id: id.clone(), began_ms: now_ms(), control: control.clone() });
        drop(status);
        let run = Run { id: id.clone(), store, options };
        let name = "backup".to_owned();
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            let result = run.run(&control);
            shared.status.lock().ended(&run.id, result, now_ms());
        });
        match spawned {
            Ok(running) => {
                if let Some(ended) = thread.replace(running) {
                    // It is over: nothing was running.
                    let _ = ended.join();
                }
                Ok(id)
            }
            Err(error) => {
                self.shared.status.lock().running = None;
                Err(Error::Fault(format!("no thread for a backup: {error}")))
            }
        }
    }

    /// What is known of the backups, as of the last backup or [`Backups::look`].
    pub fn status(&self) -> Status {
        self.shared.status.lock().clone()
    }

    /// Looks what there is at the destination.
    pub fn look(&self) -> Result<Status, Error> {
        let options = self.configured()?;
        let target = options.destination.open(&options.access)?;
        let shelf = zonepulse_backup::Shelf::read(target.as_ref())?;
        let mut status = self.shared.status.lock();
        status.shelf(&shelf);
        status.looked_ms = Some(now_ms());
        Ok(status.clone())
    }

    /// Stops a backup that is being made, waits for its end, and makes no more.
    pub fn end(&self) {
        self.shared.ending.store(true, Ordering::Release);
        let thread = self.thread.lock().take();
        if let Some(running) = thread {
            // A panic was reported already.
            let _ = running.join();
        }
    }
}

/// Why a backup has to stop.
fn why_stop(shared: &Shared, store: &Store) -> Option<String> {
    if shared.ending.load(Ordering::Acquire) {
        return Some("the central was stopped".to_owned());
    }
    let full = store.has_room().err()?;
    Some(format!("the central's own disk fills up while the backup keeps old files on it: {full}"))
}

/// A name that sorts by time.
fn new_id() -> Result<String, Error> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| Error::Fault(format!("no random numbers: {error}")))?;
    let time = time::text(now_ms()).get(..19).unwrap_or_default().replace(['-', ':'], "");
    Ok(format!("{time}Z-{:08x}", u32::from_be_bytes(random)))
}
