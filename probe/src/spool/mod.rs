//! Batches on disk, from the moment they are closed until the central has confirmed them.
//!
//! A spool is a directory:
//!
//! ```text
//! lock                  held (flock) by the one process that uses the spool
//! START-EPOCH-SEQ.batch one encoded batch; names sort by age
//! .NAME.tmp             a file being written; removed when the spool is opened
//! pending.json          what the next batch has to report (see `note.rs`)
//! settings.json         the central's last settings (see [`crate::settings`])
//! refused/              batches that the central refused for good, and why (see `refused.rs`)
//! delivered/            the last batches that the central confirmed (see `delivered.rs`)
//! resent.json           which delivered batches were sent again (see `delivered.rs`)
//! ```
//!
//! * A batch is written under a temporary name, fsynced and renamed, and the directory is fsynced:
//!   after any crash, the batch is either complete or absent.
//! * [`Spool::put`] returns when the batch is durable. [`Spool::remove`] is only called once the
//!   central has confirmed it.
//! * The spool is limited in size, and leaves some disk space free. At the limit the oldest batches
//!   are evicted; their number and time range are reported to the central by the next batch, even
//!   across a restart.
//! * The directory is read once, when the spool is opened. Files that the spool did not write are
//!   left alone.

mod delivered;
mod disk;
mod given;
mod names;
mod note;
mod refused;
pub mod survey;

use crate::Error;
use delivered::Delivered;
use disk::Disk;
pub(crate) use disk::restrict;
use note::{Carried, Note, Report};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, watch};
use zonepulse_wire::{Message, Utc};

pub use note::merge_evicted;
pub use refused::Refused;

/// The minimum `max_bytes` of a spool: twice the size of the largest possible batch.
pub const MIN_BYTES: u64 = 2 * zonepulse_wire::MAX_ENCODED_BYTES as u64;

/// The location and limits of a spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The directory; created if missing.
    pub dir: PathBuf,
    /// Maximum disk space for all batches, bytes.
    pub max_bytes: u64,
    /// Disk space to leave free for others, bytes.
    pub min_free_bytes: u64,
    /// Maximum disk space for all refused batches, bytes.
    pub max_refused_bytes: u64,
    /// Maximum disk space for all delivered batches that are kept, bytes.
    pub max_delivered_bytes: u64,
}

/// A directory of batches; see the module.
#[derive(Debug)]
pub struct Spool {
    settings: Settings,
    disk: Disk,
    /// Held while files are written or evicted: one writer at a time.
    note: Mutex<Note>,
    /// Held only briefly, never while waiting for the disk.
    index: Mutex<Index>,
    /// Held while files are moved.
    delivered: Mutex<Delivered>,
    changed: Notify,
    /// Number of batches added, for those waiting to pull.
    arrivals: watch::Sender<u64>,
    evicted: AtomicU64,
    _lock: File,
}

/// Identifies a batch in a spool. Orders by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Start of the interval, Unix seconds.
    pub start_s: u64,
    /// Identifies the run of the probe.
    pub epoch: u64,
    /// Sequence number in the run.
    pub seq: u64,
}

/// A batch claimed for delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Identifies the batch.
    pub key: Key,
    /// Encoded size, bytes.
    pub size_bytes: u64,
    /// How often it was deferred before.
    pub deferrals: u32,
}

#[derive(Debug, Default)]
struct Index {
    waiting: BTreeMap<Key, Waiting>,
    /// Disk space occupied by the batches.
    disk_bytes: u64,
}

#[derive(Debug)]
struct Waiting {
    size_bytes: u64,
    deferrals: u32,
    /// How often it was returned to a pulling central.
    given: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Claimed,
    Deferred(Instant),
}

impl Spool {
    /// Opens a spool, completes what a crash interrupted, and finds all its batches.
    ///
    /// Fails with [`Error::SpoolInUse`] when another process has it open.
    pub fn open(settings: Settings) -> Result<Spool, Error> {
        let disk = Disk::open(&settings.dir)?;
        let lock = disk.lock()?;
        let (found, files) = disk.read()?;
        let mut note = Note::read(&disk)?;
        let mut index = Index::default();
        for (key, size_bytes) in found {
            index.add(key, size_bytes);
        }
        let unfinished = !note.is_empty();
        for key in note.evicting.drain(..) {
            disk.remove(&key.file_name())?;
            index.take(key);
        }
        for key in note.refusing.drain(..) {
            if index.take(key).is_some() {
                refused::move_aside(&disk, key)?;
            }
        }
        note.settle_carried(|key| index.waiting.contains_key(&key));
        if unfinished {
            disk.sync()?;
            note.write(&disk)?;
        }
        for name in files.foreign.iter().take(10) {
            tracing::warn!(dir = %settings.dir.display(), file = %name.display(), "the spool contains a foreign file, which is left alone");
        }
        tracing::info!(
            dir = %settings.dir.display(),
            batches = index.waiting.len(),
            disk_bytes = index.disk_bytes,
            interrupted = files.temporaries,
            foreign = files.foreign.len(),
            "spool opened"
        );
        let delivered = Delivered::read(&disk)?;
        let spool = Spool {
            settings,
            disk,
            note: Mutex::new(note),
            index: Mutex::new(index),
            delivered: Mutex::new(delivered),
            changed: Notify::new(),
            arrivals: watch::Sender::new(0),
            evicted: AtomicU64::new(0),
            _lock: lock,
        };
        if let Err(error) = spool.take_offered() {
            tracing::warn!(%error, "cannot take back a refused batch that is to be sent again; will retry");
        }
        Ok(spool)
    }

    /// Stores a batch of either kind; when this returns, it survives a power failure.
    ///
    /// The batch carries whatever the spool has to report: evictions and refusals since the
    /// previous batch (only DNS batches can report refusals). A batch that is already in the spool
    /// is not written again. On an error, the batch is not in the spool, and its report is kept for
    /// the next one; the call may be repeated.
    pub fn put(&self, batch: &Message) -> Result<(), Error> {
        let key = Key::of(batch);
        let mut note = lock(&self.note);
        if lock(&self.index).waiting.contains_key(&key) {
            return Ok(());
        }
        self.finish_evicting(&mut note)?;
        let (report, later) = note.pending.clone().split_for(batch);
        let bytes = report.added_to(batch).encode()?;
        note.pending = later;
        note.carried = (!report.is_empty()).then_some(Carried { by: key, report });
        let written = self.write(&mut note, &key.file_name(), &bytes);
        if let Err(error) = written {
            note.settle_carried(|_| false);
            return Err(error);
        }
        // Only now may it be delivered: if a batch left the spool while the note names it, its
        // report would be made a second time.
        let reported = note.carried.take().map_or(Ok(()), |_| note.write(&self.disk));
        lock(&self.index).add(key, bytes.len() as u64);
        self.changed.notify_one();
        self.arrivals.send_modify(|count| *count += 1);
        if let Err(error) = reported {
            tracing::warn!(%error, "cannot update the spool's note; a restart now would report evictions twice");
        }
        Ok(())
    }

    /// Records the loss of a batch that could not be stored.
    pub fn give_up(&self, batch: &Message) {
        let mut note = lock(&self.note);
        note.pending.merge(Report::loss_of(batch));
        if let Err(error) = note.write(&self.disk) {
            tracing::warn!(%error, "a loss is recorded only in memory; a restart now would forget it");
        }
    }

    /// Claims the oldest batch that is ready for delivery, until the caller removes, refuses,
    /// releases or defers it.
    pub fn claim(&self) -> Option<Entry> {
        lock(&self.index).claim(BTreeMap::iter_mut)
    }

    /// Claims the newest batch that is ready for delivery; otherwise like [`Spool::claim`].
    pub fn claim_newest(&self) -> Option<Entry> {
        lock(&self.index).claim(|waiting| waiting.iter_mut().rev())
    }

    /// Reads a batch; none if it was evicted meanwhile.
    pub fn read(&self, key: Key) -> Result<Option<Vec<u8>>, Error> {
        self.disk.read_file(&key.file_name())
    }

    /// Removes a batch that the central has confirmed; it may be kept among the delivered ones.
    ///
    /// Not fsynced: if the batch reappears after a power failure, it is delivered again and counts
    /// once.
    pub fn remove(&self, key: Key) -> Result<(), Error> {
        let Some(taken) = lock(&self.index).take(key) else { return Ok(()) };
        self.retire(key, taken.size_bytes)
    }

    /// Sets aside a batch that the central refused for good, with the reason next to it. The next
    /// batch reports the refusal. A batch that is refused again after being resent is reported
    /// again.
    ///
    /// If this fails before anything was done, the batch is still claimed.
    pub fn refuse(&self, key: Key, reason: &str) -> Result<(), Error> {
        let mut note = lock(&self.note);
        if !lock(&self.index).waiting.contains_key(&key) {
            return Ok(());
        }
        refused::write_reason(&self.disk, key, reason)?;
        let mut changed = note.clone();
        changed.pending.refused += 1;
        changed.pending.merge(self.report_in(key));
        changed.refusing.push(key);
        changed.write(&self.disk)?;
        *note = changed;
        lock(&self.index).take(key);
        refused::move_aside(&self.disk, key)?;
        note.refusing.clear();
        refused::bound(&self.disk, self.settings.max_refused_bytes)
    }

    /// Takes back refused batches that are to be sent again ([`Refused::offer`]), as far as there
    /// is space; returns their number. Tries all of them, and fails with the first error.
    pub fn take_offered(&self) -> Result<u64, Error> {
        let (mut taken, mut failed) = (0, None);
        for (key, size_bytes) in refused::offered(&self.disk)? {
            // One writer at a time; another may take a turn between two files.
            let note = lock(&self.note);
            if self.shortage(size_bytes)? > 0 {
                break;
            }
            // The note on disk may still say that the batch is being set aside.
            match note.write(&self.disk).and_then(|()| self.take_back(key, size_bytes)) {
                Ok(is_taken) => taken += u64::from(is_taken),
                // The next file may work.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if taken > 0 {
            tracing::info!(batches = taken, "refused batches will be sent again as requested");
        }
        failed.map_or(Ok(taken), Err)
    }

    /// Returns whether it existed and was not in the spool already.
    fn take_back(&self, key: Key, size_bytes: u64) -> Result<bool, Error> {
        let offered = refused::offered_name(key);
        if lock(&self.index).waiting.contains_key(&key) {
            // A crash occurred after it was written.
            self.disk.remove(&offered)?;
            return Ok(false);
        }
        let size_bytes = match self.disk.read_file(&offered)?.map(|bytes| note::without_report(&bytes)) {
            None => return Ok(false),
            // Its report was already made when it was refused.
            Some(Some(bytes)) => {
                self.disk.write(&key.file_name(), &bytes)?;
                self.disk.remove(&offered)?;
                bytes.len() as u64
            }
            Some(None) => {
                self.disk.rename(&offered, &key.file_name())?;
                size_bytes
            }
        };
        lock(&self.index).add(key, size_bytes);
        self.changed.notify_one();
        self.arrivals.send_modify(|count| *count += 1);
        refused::forget_reason(&self.disk, key)?;
        Ok(true)
    }

    /// Returns a claimed batch, to be claimed again at once.
    pub fn release(&self, key: Key) {
        self.give_back(key, State::Ready, 0);
    }

    /// Returns a claimed batch that must wait for its turn, without waking anyone, since nothing
    /// has changed.
    pub fn put_back(&self, key: Key) {
        if let Some(waiting) = lock(&self.index).waiting.get_mut(&key) {
            waiting.state = State::Ready;
        }
    }

    /// Returns a claimed batch, to be claimed again later; others go first.
    pub fn defer(&self, key: Key, until: Instant) {
        self.give_back(key, State::Deferred(until), 1);
    }

    /// Defers all unclaimed batches that start at `start_s`, Unix seconds, or later: until then, or
    /// longer if they already wait longer.
    pub fn defer_from(&self, start_s: u64, until: Instant) {
        let first = Key { start_s, epoch: 0, seq: 0 };
        for (_, waiting) in lock(&self.index).waiting.range_mut(first..) {
            waiting.state = match waiting.state {
                State::Claimed => State::Claimed,
                State::Ready => State::Deferred(until),
                State::Deferred(other) => State::Deferred(other.max(until)),
            };
        }
    }

    fn give_back(&self, key: Key, state: State, deferrals: u32) {
        if let Some(waiting) = lock(&self.index).waiting.get_mut(&key) {
            waiting.state = state;
            waiting.deferrals = waiting.deferrals.saturating_add(deferrals);
        }
        self.changed.notify_one();
    }

    /// When the first deferred batch may be claimed again.
    pub fn next_due(&self) -> Option<Instant> {
        let until = |waiting: &Waiting| match waiting.state {
            State::Deferred(until) => Some(until),
            State::Ready | State::Claimed => None,
        };
        lock(&self.index).waiting.values().filter_map(until).min()
    }

    /// Waits until a batch was added or returned since the last call. Supports one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Number of waiting batches.
    pub fn len(&self) -> usize {
        lock(&self.index).waiting.len()
    }

    /// Whether no batch waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Disk space occupied by the batches, bytes.
    pub fn disk_bytes(&self) -> u64 {
        lock(&self.index).disk_bytes
    }

    /// Batches evicted since the spool was opened, to keep it within its limits.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Reads the saved settings of the central.
    pub fn read_settings(&self) -> Result<Option<Vec<u8>>, Error> {
        self.disk.read_file(names::SETTINGS)
    }

    /// Saves the central's settings.
    pub fn write_settings(&self, text: &[u8]) -> Result<(), Error> {
        self.disk.write(names::SETTINGS, text)
    }

    /// Whether the largest possible batch fits without an eviction.
    pub fn has_room(&self) -> Result<bool, Error> {
        Ok(self.shortage(zonepulse_wire::MAX_ENCODED_BYTES as u64)? == 0)
    }

    /// The spool's directory.
    pub fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// How many bytes must be freed for this many to fit.
    fn shortage(&self, size_bytes: u64) -> Result<u64, Error> {
        let size = disk::occupied(size_bytes);
        let over = (lock(&self.index).disk_bytes + size).saturating_sub(self.settings.max_bytes);
        // Delivered batches are removed first.
        let free_bytes = self.disk.free_bytes()?.saturating_add(lock(&self.delivered).disk_bytes());
        let lacking = (self.settings.min_free_bytes + size).saturating_sub(free_bytes);
        Ok(over.max(lacking))
    }

    /// Writes a batch; first the note if that has something to say about it.
    fn write(&self, note: &mut Note, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut shortage = self.shortage(bytes.len() as u64)?;
        self.make_room(disk::occupied(bytes.len() as u64))?;
        loop {
            let noted = self.evict(note, shortage)?;
            let write_note = || if note.carried.is_some() && !noted { note.write(&self.disk) } else { Ok(()) };
            match write_note().and_then(|()| self.disk.write(name, bytes)) {
                // Others filled the disk: evict the oldest batches.
                Err(error) if error.is_full() && lock(&self.delivered).forget_all(&self.disk)? => shortage = 0,
                Err(error) if error.is_full() && !lock(&self.index).waiting.is_empty() => {
                    shortage = disk::occupied(bytes.len() as u64);
                }
                written => return written,
            }
        }
    }

    /// Evicts the oldest batches of this total size; returns whether there were any, in which case
    /// the note was written.
    fn evict(&self, note: &mut Note, shortage: u64) -> Result<bool, Error> {
        let victims = lock(&self.index).oldest(shortage);
        if victims.is_empty() {
            return Ok(false);
        }
        let mut changed = note.clone();
        for key in &victims {
            changed.pending.merge(self.report_of_loss(*key));
        }
        changed.evicting.extend(&victims);
        let noted = changed.write(&self.disk);
        // On a full disk, even the note must wait until something was removed.
        if noted.as_ref().is_err_and(|error| !error.is_full()) {
            return noted.map(|()| false);
        }
        *note = changed;
        let mut index = lock(&self.index);
        victims.iter().for_each(|key| _ = index.take(*key));
        drop(index);
        self.evicted.fetch_add(victims.len() as u64, Ordering::Relaxed);
        self.finish_evicting(note)?;
        if noted.is_err() {
            note.write(&self.disk)?;
        }
        let evicted = note.pending.evicted;
        tracing::warn!(
            batches = victims.len(),
            from = evicted.map(|evicted| Utc(evicted.from_s).to_string()),
            until = evicted.map(|evicted| Utc(evicted.until_s).to_string()),
            "the spool is full: the oldest batches were evicted, and the next batch reports it"
        );
        Ok(true)
    }

    /// Removes the files of evicted batches, also those left by a call that failed.
    fn finish_evicting(&self, note: &mut Note) -> Result<(), Error> {
        if note.evicting.is_empty() {
            return Ok(());
        }
        for key in &note.evicting {
            self.disk.remove(&key.file_name())?;
        }
        self.disk.sync()?;
        note.evicting.clear();
        Ok(())
    }

    /// The loss of a batch, including what it had to report itself.
    fn report_of_loss(&self, key: Key) -> Report {
        match self.head(key) {
            Some(batch) => Report::loss_of(&batch),
            None => Report::loss_of_unreadable(key.start_s),
        }
    }

    /// What a batch had to report.
    fn report_in(&self, key: Key) -> Report {
        self.head(key).map_or_else(Report::default, |batch| Report::in_batch(&batch))
    }

    /// A batch without its rows, if it is readable.
    fn head(&self, key: Key) -> Option<Message> {
        let bytes = self.disk.read_file(&key.file_name()).ok().flatten()?;
        Message::decode_head(&bytes).ok()
    }
}

impl Index {
    fn add(&mut self, key: Key, size_bytes: u64) {
        self.take(key);
        self.disk_bytes += disk::occupied(size_bytes);
        self.waiting.insert(key, Waiting { size_bytes, deferrals: 0, given: 0, state: State::Ready });
    }

    fn take(&mut self, key: Key) -> Option<Waiting> {
        let waiting = self.waiting.remove(&key)?;
        self.disk_bytes = self.disk_bytes.saturating_sub(disk::occupied(waiting.size_bytes));
        Some(waiting)
    }

    /// Claims the first ready batch in this order.
    fn claim<'a, I>(&'a mut self, order: impl FnOnce(&'a mut BTreeMap<Key, Waiting>) -> I) -> Option<Entry>
    where
        I: Iterator<Item = (&'a Key, &'a mut Waiting)>,
    {
        let now = Instant::now();
        let ready = |waiting: &Waiting| match waiting.state {
            State::Ready => true,
            State::Claimed => false,
            State::Deferred(until) => until <= now,
        };
        let (key, waiting) = order(&mut self.waiting).find(|(_, waiting)| ready(waiting))?;
        waiting.state = State::Claimed;
        Some(Entry { key: *key, size_bytes: waiting.size_bytes, deferrals: waiting.deferrals })
    }

    /// The oldest batches of this total size; those in flight only if there are no others.
    fn oldest(&self, bytes: u64) -> Vec<Key> {
        let claimed = |waiting: &Waiting| waiting.state == State::Claimed;
        let idle = self.waiting.iter().filter(|(_, waiting)| !claimed(waiting));
        let busy = self.waiting.iter().filter(|(_, waiting)| claimed(waiting));
        let mut freed = 0;
        let mut victims = Vec::new();
        for (key, waiting) in idle.chain(busy) {
            if freed >= bytes {
                break;
            }
            freed += disk::occupied(waiting.size_bytes);
            victims.push(*key);
        }
        victims
    }
}

impl Key {
    /// The key of a batch.
    pub fn of(batch: &Message) -> Key {
        let identity = batch.identity();
        Key { start_s: batch.start_s(), epoch: identity.epoch, seq: identity.seq }
    }

    fn file_name(self) -> String {
        format!("{:012}-{:020}-{:010}.batch", self.start_s, self.epoch, self.seq)
    }

    /// Parses a file name; none if it is not that of a batch.
    fn from_file_name(name: &str) -> Option<Key> {
        let mut parts = name.strip_suffix(".batch")?.split('-').map(|part| part.parse().ok());
        let key = Key { start_s: parts.next()??, epoch: parts.next()??, seq: parts.next()?? };
        (parts.next().is_none() && key.file_name() == name).then_some(key)
    }
}

/// State stays consistent even if a thread panics, so poisoning can be ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
